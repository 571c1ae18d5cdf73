"""Logging: one event is one line of JSON on standard error, and `core.redaction` sees it last.

Everything goes through one handler, structlog's events and the standard library's records alike.
What belongs to a request or job (its id, the trace, the business) is bound with `log_context`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.processors import TimeStamper
from structlog.stdlib import (
    LoggerFactory,
    ProcessorFormatter,
    add_log_level,
    add_logger_name,
)

from core.redaction import first_line, redact, redact_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from types import TracebackType

    from structlog.typing import EventDict, Processor

    from core.settings import Settings

QUIET: Final = ("httpx", "httpcore", "saq", "uvicorn.access", "aiohttp.access")
"""Libraries that would log a line for every request, addresses included."""

_TAKEN_OVER: Final = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "litestar",
    "saq",
    "py.warnings",
)
_FIRST: Final = ("timestamp", "level", "logger", "event")
_FRAMES: Final = 30
_CHAIN: Final = 8
_DISRUPTIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Set logging up for this process; a second call replaces the first.

    Args:
        settings: hold the level and the format.
        stream: where the lines go; standard error if it is not given.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    before: list[Processor] = [
        merge_contextvars,
        add_log_level,
        add_logger_name,
        TimeStamper(fmt="iso", utc=True),
    ]
    handler = _LineHandler(stream or sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[_describe_exception, _render_for(settings.log_format)],
            keep_exc_info=False,  # or the library would append its own trace, in further lines
            keep_stack_info=False,
        )
    )
    structlog.configure(
        processors=[*before, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=LoggerFactory(),
        cache_logger_on_first_use=settings.environment != "test",
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TAKEN_OVER:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields, such as `request_id`, to every event inside the block, and take them away."""
    with bound_contextvars(**fields):
        yield


def as_json(fields: MutableMapping[str, Any]) -> str:
    """Write an event as one line of ASCII JSON, redacted.

    Line breaks, escape sequences and marks that turn the direction of text become escapes.
    """
    return json.dumps(_ordered(fields), separators=(",", ":")).replace("\x7f", "\\u007f")


def as_text(fields: MutableMapping[str, Any]) -> str:
    """Write an event for people: the time, the level, what happened, then the rest."""
    shown = _ordered(fields)
    exceptions = shown.pop("exception", [])
    head = " ".join(_plain(shown.pop(name, "")) for name in ("timestamp", "level", "event"))
    rest = [f"{_plain(name)}={_plain(value)}" for name, value in shown.items()]
    lines = [" ".join([head, *rest])]
    for error in exceptions if isinstance(exceptions, list) else []:
        lines += [_plain(f"    {error['type']}: {error['message']}")]
        lines += [_plain(f"      {frame}") for frame in error["frames"]]
    return "\n".join(lines)


def _ordered(fields: MutableMapping[str, Any]) -> dict[str, Any]:
    private = ("_record", "_from_structlog", "stack_info", "stack")
    exceptions = fields.pop("exception", None)
    head = {name: redact(fields[name]) for name in _FIRST if name in fields}
    rest = {k: v for k, v in fields.items() if k not in head and k not in private}
    shown = head | redact_fields(rest)
    if exceptions:
        shown["exception"] = exceptions
    return shown


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _DISRUPTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _render_for(log_format: str) -> Processor:
    write: Callable[[MutableMapping[str, Any]], str] = as_json if log_format == "json" else as_text

    def render(_logger: object, _method: str, fields: EventDict) -> str:
        return write(fields)

    return render


def _describe_exception(_logger: object, _method: str, fields: EventDict) -> EventDict:
    """Replace the exception with types, first lines and places: no locals, no source text."""
    given = fields.pop("exc_info", None)
    if isinstance(given, tuple):
        error = given[1]
    else:
        error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    fields.pop("exception", None)
    if error is not None:
        fields["exception"] = [_described(link) for link in _chain(error)]
    return fields


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error, what caused it, and the members of groups, the outermost first."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < _CHAIN:
        link = waiting.pop(0)
        if any(link is seen for seen in found):
            continue
        found.append(link)
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)
        before = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
        if before is not None:
            waiting.append(before)
    return found


def _described(error: BaseException) -> dict[str, Any]:
    places = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": first_line(error),
        "frames": places[-_FRAMES:],
    }


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log what ends the process like any other exception; Ctrl-C stays what it is."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("core").critical("the process ends", exc_info=(kind, error, trace))


class _LineHandler(logging.StreamHandler[Any]):
    """Writes lines; a record that cannot be written is named without its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say that a record was lost; the library's own way would print its arguments."""
        line = as_json({"level": "error", "event": "log record lost", "logger": record.name})
        with suppress(Exception):
            self.stream.write(line + self.terminator)
            self.flush()
