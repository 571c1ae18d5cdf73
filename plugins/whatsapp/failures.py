"""Translates what Meta answers into the errors that steer the host; pure.

The table is `errors.toml`. A code that is not in it becomes a `RetryableError` with the code on
it: it counts, it ends after the usual number of attempts, and people see the number.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.errors import (
    CredentialsRejectedError,
    InvalidRecipientError,
    OptedOutError,
    OutcomeUnknownError,
    PermanentError,
    PolicyViolationError,
    RetryableError,
    SendError,
    TemplateRejectedError,
    ThrottledError,
    ThrottleScope,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_CLASSES: Final[dict[str, type[SendError]]] = {
    "retryable": RetryableError,
    "unknown": OutcomeUnknownError,
    "credentials": CredentialsRejectedError,
    "invalid_recipient": InvalidRecipientError,
    "template_rejected": TemplateRejectedError,
    "policy": PolicyViolationError,
    "opted_out": OptedOutError,
    "permanent": PermanentError,
}
_TOO_MANY: Final = 429
_SERVER_FAULT: Final = 500
_REFUSED: Final = 400
_REDIRECT: Final = 300
_GATEWAYS: Final = frozenset({502, 504})
_LONGEST_WAIT: Final = timedelta(hours=24)
_DETAIL_LENGTH: Final = 300
_WORD_LENGTH: Final = 40
_MASKED_DIGITS: Final = 6
_TELLTALE: Final = re.compile(r"wamid\.|EAA[A-Za-z0-9]")
_UNKNOWN_CODE: Final = (
    "Meta answered with a code that is not in our table.",
    "Look the code up in Meta's documentation; the message is tried again a few times.",
)


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table.

    Attributes:
        wait: seconds to wait when Meta names no time; only for `throttled`.
        report: a fact the host is told about the business, else empty.
    """

    codes: tuple[str, ...]
    class_: str = msgspec.field(name="class")
    meaning: str
    next: str
    scope: ThrottleScope = ThrottleScope.CONNECTION
    wait: int = 0
    report: str = ""


class GraphFault(msgspec.Struct, frozen=True, kw_only=True):
    """The part of Meta's error body that says something."""

    code: int
    subcode: int = 0
    details: str = ""
    transient: bool = False


@cache
def table() -> Mapping[str, Row]:
    """Return the table by code, ranges spread out."""
    text = files("plugins.whatsapp").joinpath("errors.toml").read_text(encoding="utf-8")
    rows: dict[str, Row] = {}
    for row in msgspec.convert(tomllib.loads(text)["row"], list[Row]):
        for code in _spread(row.codes):
            if code in rows:
                raise ValueError(f"errors.toml names {code} twice")
            rows[code] = row
    return rows


def words() -> Mapping[str, tuple[str, str]]:
    """Return code -> (what it means, what to do)."""
    return {code: (row.meaning, row.next) for code, row in table().items()}


def report_for(code: str) -> str:
    """Return the fact about the business that a code stands for, or nothing."""
    row = table().get(code)
    return row.report if row else ""


def stops_connection(code: str) -> bool:
    """Tell whether a code means that this connection sends nothing until somebody acts."""
    row = table().get(code)
    return row is not None and row.class_ == "credentials"


def is_recipients(code: str) -> bool:
    """Tell whether a code says something of the recipient, and nothing of the number."""
    row = table().get(code)
    return row is not None and row.class_ in ("invalid_recipient", "opted_out")


def raised(code: str, detail: str = "", *, retry_after: timedelta | None = None) -> SendError:
    """Return the error for a code of the table, with the table's own words.

    Args:
        code: Meta's code, or one of our own words.
        detail: what Meta said about it, without personal data.
        retry_after: how long Meta wants us to wait, if it said so.
    """
    row = table().get(code)
    if row is None:
        return RetryableError(_sentence(_UNKNOWN_CODE[0], detail), code=code)
    sentence = _sentence(row.meaning, detail)
    if row.class_ == "throttled":
        wait = retry_after if retry_after is not None else timedelta(seconds=row.wait)
        return ThrottledError(sentence, scope=row.scope, retry_after=wait, code=code)
    if row.class_ == "retryable" and retry_after is not None:
        # Only a throttle can carry a time, and we are never earlier than told.
        return ThrottledError(sentence, scope=row.scope, retry_after=retry_after, code=code)
    if row.class_ == "opted_out":
        # Meta knows this stop for advertising only; what a booking needs may still be sent.
        return OptedOutError(sentence, code=code, purposes=("marketing",))
    return _CLASSES[row.class_](sentence, code=code)


def failure(
    status: int, body: bytes, headers: Mapping[str, str], *, now: datetime | None = None
) -> SendError:
    """Return the error that an answer other than success stands for.

    Args:
        status: the HTTP status.
        body: the answer's bytes.
        headers: the answer's headers, names in lower case.
        now: the time, for a `Retry-After` that is written as a date.
    """
    wait = _wait(headers, now)
    fault = None if status in _GATEWAYS else read_fault(body)
    if fault is None:
        return raised(_unread(status, body), f"HTTP {status}", retry_after=wait)
    if status == _TOO_MANY and str(fault.code) not in table():
        return raised("too-many-calls", f"code {fault.code}", retry_after=wait)
    return raised(str(fault.code), _visible(fault), retry_after=wait)


def _unread(status: int, body: bytes) -> str:
    """Return the word for an answer that carries no error of Meta's."""
    if status == _TOO_MANY:
        return "too-many-calls"
    if status in _GATEWAYS or status < _REDIRECT:
        return "unreadable-answer"
    if status >= _SERVER_FAULT:
        return "server-fault" if _is_json(body) else "unreadable-answer"
    return "redirected" if status < _REFUSED else "refused-unread"


def read_fault(body: bytes) -> GraphFault | None:
    """Read Meta's error object, whichever of its shapes it has; None if there is none."""
    try:
        error = msgspec.json.decode(body)["error"]
        code = int(error["code"])
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError, ValueError, OverflowError):
        return None
    more = error.get("error_data")
    details = more.get("details", "") if isinstance(more, dict) else more
    subcode = error.get("error_subcode")
    return GraphFault(
        code=code,
        subcode=subcode if isinstance(subcode, int) else 0,
        details=_text(details) or _text(error.get("message")),
        transient=error.get("is_transient") is True,
    )


def _visible(fault: GraphFault) -> str:
    """Return Meta's details with long numbers masked: they may be somebody's phone."""
    number = f"code {fault.code}" + (f"/{fault.subcode}" if fault.subcode else "")
    return f"{number}: {mask_numbers(fault.details)}" if fault.details else number


def mask_numbers(text: str) -> str:
    """Hide what may be a phone number, a message id that holds one, or an access token."""
    return " ".join(
        "***"
        if _TELLTALE.search(word) or len(word) > _WORD_LENGTH or _digits(word) > _MASKED_DIGITS
        else word
        for word in text[:_DETAIL_LENGTH].split()
    )


def _digits(word: str) -> int:
    return sum(character.isdigit() for character in word)


def _wait(headers: Mapping[str, str], now: datetime | None) -> timedelta | None:
    given = _retry_after(headers.get("retry-after", ""), now)
    if given is None:
        given = _regained(headers.get("x-business-use-case-usage", ""))
    return None if given is None else min(max(given, timedelta(0)), _LONGEST_WAIT)


def _retry_after(value: str, now: datetime | None) -> timedelta | None:
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), 10**6))
    if not value or now is None:
        return None
    try:
        return parsedate_to_datetime(value) - now
    except (ValueError, TypeError, OverflowError):
        return None


def _regained(value: str) -> timedelta | None:
    """Return the minutes Meta's usage header asks for."""
    try:
        usage: dict[str, list[dict[str, Any]]] = msgspec.json.decode(value.encode())
        minutes = [
            entry["estimated_time_to_regain_access"] for one in usage.values() for entry in one
        ]
        longest = max(int(minute) for minute in minutes)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return timedelta(minutes=min(longest, 10**5)) if longest > 0 else None


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _spread(codes: tuple[str, ...]) -> list[str]:
    spread: list[str] = []
    for code in codes:
        first, dash, last = code.partition("-")
        if dash and first.isdigit() and last.isdigit():
            spread.extend(str(number) for number in range(int(first), int(last) + 1))
        else:
            spread.append(code)
    return spread


def _sentence(meaning: str, detail: str) -> str:
    return f"{meaning} ({detail})" if detail else meaning


def _text(value: object) -> str:
    return value[:_DETAIL_LENGTH] if isinstance(value, str) else ""
