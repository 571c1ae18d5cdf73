"""One event is one line that parses, and no line holds a secret or an address."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.logs import as_json, as_text, configure, log_context
from core.redaction import LIMIT_BYTES, is_telling, scrub
from core.secret import Secret
from core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
HOSTILE = 'a\r\nb\x1b[31mred\x1b[0m "},{" \u202egnp.exe\u2066\u2028\u2029\x00\x7f\x85\ud800 \\'


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Send the log of a whole process to a text, and put everything back afterwards."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    hook = sys.excepthook
    configure(Settings(environment="test"), stream)
    yield stream
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:], root.level = before
    sys.excepthook = hook


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Parse what was written."""
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_an_event_is_a_line_with_time_level_and_place(written: io.StringIO) -> None:
    """Each line says when (UTC), how bad, where and what."""
    structlog.get_logger("core.notify").info("event accepted", event_id="evt_x", count=2)
    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "core.notify",
        "event": "event accepted",
        "event_id": "evt_x",
        "count": 2,
    }


def test_the_context_is_on_every_line_inside_and_on_none_outside(written: io.StringIO) -> None:
    """Request and job ids reach structlog's events and the standard library's records."""
    log = structlog.get_logger("x")
    with log_context(request_id="r1"):
        with log_context(job_id="j1"):
            log.info("both")
        logging.getLogger("y").warning("one")
    log.info("none")
    found = [(line.get("request_id"), line.get("job_id")) for line in lines(written)]
    assert found == [("r1", "j1"), ("r1", None), (None, None)]


def test_the_standard_library_goes_through_the_same_door(written: io.StringIO) -> None:
    """A library's record is one redacted line as well."""
    logging.getLogger("asyncpg").error("failed for %s\nDETAIL: more", "+39 333 123 4567")
    (line,) = lines(written)
    assert (line["level"], line["logger"]) == ("error", "asyncpg")
    assert line["event"] == "failed for ***\nDETAIL: more"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "saq", "uvicorn.access"])
def test_chatty_libraries_are_quiet(written: io.StringIO, name: str) -> None:
    """Libraries that log every request, addresses included, speak of trouble only."""
    configure(Settings(environment="test", log_level="debug"), written)
    logging.getLogger(name).info("GET https://graph.example/393331234567")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines(written)] == ["trouble"]


def test_the_level_holds_for_both_doors(written: io.StringIO) -> None:
    """What is below the level is not written."""
    configure(Settings(environment="test", log_level="warning"), written)
    structlog.get_logger("x").info("no")
    logging.getLogger("x").info("no")
    structlog.get_logger("x").warning("yes")
    assert [line["event"] for line in lines(written)] == ["yes"]


def test_a_broken_record_is_named_and_shows_no_arguments(written: io.StringIO) -> None:
    """The library's own way of reporting a bad record prints its arguments; ours does not."""
    configure(Settings(environment="test"), written)  # also takes pytest's own handlers away
    logging.getLogger("x").warning("%d", "hunter2")
    (line,) = lines(written)
    assert line["event"] == "log record lost"
    assert "hunter2" not in written.getvalue()


def test_exceptions_are_logged_without_locals_and_further_lines(written: io.StringIO) -> None:
    """A trace names types, first lines and places; never a local variable or quoted values."""

    def fail(token: str) -> None:
        try:
            "abc"[len(token)]
        except IndexError as error:
            raise ValueError("could not store\nDETAIL: Giulia, hunter2") from error

    try:
        fail("hunter2")
    except ValueError:
        structlog.get_logger("x").exception("it failed")
    (line,) = lines(written)
    assert [link["type"] for link in line["exception"]] == [
        "builtins.ValueError",
        "builtins.IndexError",
    ]
    assert line["exception"][0]["message"] == "could not store"
    assert line["exception"][0]["frames"][-1].endswith(" fail")
    for secret in ("hunter2", "Giulia"):
        assert secret not in written.getvalue()


def test_a_librarys_exception_is_one_line(written: io.StringIO) -> None:
    """The standard library appends a trace in further lines; here it does not."""
    try:
        raise_with_secret("hunter2")
    except ValueError:
        logging.getLogger("lib").exception("failed", stack_info=True)
    (line,) = lines(written)
    assert line["exception"][0]["type"] == "builtins.ValueError"
    assert "hunter2" not in written.getvalue()


def raise_with_secret(token: str) -> None:
    """Fail with a secret in a local variable."""
    raise ValueError(f"{len(token)} letters are too few")


PROGRAM = """
import logging, threading, warnings
from core.logs import configure
from core.settings import Settings
configure(Settings())
token = "hunter2"
warnings.warn("old")
logging.getLogger("uvicorn.error").info("started")
logging.getLogger("lib").info("%d", token)
raise ValueError("the end")
"""


def test_a_process_writes_lines_from_its_start_to_its_end() -> None:
    """Warnings, libraries, broken records and the exception that ends it: all are JSON lines."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (1, "")
    assert [line["event"].splitlines()[0] for line in found] == [
        "<string>:7: UserWarning: old",
        "started",
        "log record lost",
        "the process ends",
    ]
    assert found[-1]["exception"][0]["message"] == "the end"
    assert "hunter2" not in done.stderr


def test_members_of_a_group_are_named(written: io.StringIO) -> None:
    """A failed task group shows what failed inside it."""
    group = ExceptionGroup("tasks", [ValueError("one"), TypeError("two")])
    structlog.get_logger("x").error("failed", exc_info=group)
    assert [link["message"] for link in lines(written)[0]["exception"]] == [
        "tasks (2 sub-exceptions)",
        "one",
        "two",
    ]


SECRETS = {
    "phone": "+393331234567",
    "phone with blanks": "+39 333 123-4567",
    "phone in brackets": "+1 (555) 123-4567",
    "phone in a URL": "%2B393331234567",
    "phone escaped": r"\u002b393331234567",
    "phone as Meta writes it": "393331234567",
    "bearer": "Bearer abcDEF123.-_~",
    "basic": "basic dXNlcjpwYXNz",
    "Meta token": "EAAGm0PX4ZCpsBAO",
    "live key": "pb_live_k1_s3cr3t-x",
    "test key": "pb_test_k1_s3cr3t_x",
    "endpoint secret": "whsec_C2FVsBQIhrscChlQIMV",
    "message id": "wamid.HBgMMzkzMzMxMjM0NTY3FQIAERgS",
    "e-mail": "giulia.rossi@example.it",
    "password in a URL": "postgresql://app:hunter2@db/x",
    "token in a query": "access_token=s3cr3t",
    "token in JSON": '"access_token": "s3cr3t"',
    "login code": "/connect?code=s3cr3t",
}
NEEDLES = (
    "3331234567",
    "333 123",
    "123-4567",
    "abcDEF",
    "dXNlcjpw",
    "m0PX4",
    "s3cr3t",
    "C2FV",
    "HBgM",
    "giulia",
    "hunter2",
)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("frame", ["{}", "x {} y", "<{}>", '{{"k":"{}"}}', "({}),", "a:{}\nb"])
def test_what_looks_like_a_secret_is_masked_anywhere(secret: str, frame: str) -> None:
    """In the event, in a field, in a list, in a name of a field: it does not appear."""
    text = frame.format(secret)
    line = as_json({"event": text, "note": text, "deep": [{"x": (text,)}], text: 1})
    shown = line + as_text({"event": text, "note": text, "deep": [{"x": (text,)}], text: 1})
    assert [needle for needle in NEEDLES if needle in shown] == []


@pytest.mark.parametrize(
    "harmless",
    [
        "2026-11-22T18:55:03.123456Z",
        "0192d6a0-0000-7000-8000-000000000001",
        "ntf_041061050o3gg28a1c60q3gf20",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "sent 250 of 1000 in 1.25 s",
        "error code=131026",
    ],
)
def test_what_is_needed_for_work_stays_readable(harmless: str) -> None:
    """Times, ids, counts and the provider's error codes are not masked."""
    assert scrub(harmless) == harmless


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "token",
        "access_token",
        "accessToken",
        "app-secret",
        "X-Hub-Signature",
        "password",
        "phone",
        "customer_phone",
        "to",
        "name",
        "first_name",
        "text",
        "body",
        "payload",
        "content",
        "variables",
        "wamid",
    ],
)
def test_fields_with_a_telling_name_are_masked_whole(name: str) -> None:
    """Whatever stands in such a field, at whatever depth, only stars are written."""
    line = as_json({"event": "x", name: "Giulia", "deep": {name: ["Giulia"], "b": {name: 4711}}})
    assert "Giulia" not in line
    assert "4711" not in line


@pytest.mark.parametrize("name", ["template_name", "phone_number_id", "business_id", "logger"])
def test_harmless_fields_keep_their_value(name: str) -> None:
    """A name that only resembles a telling one is shown."""
    assert not is_telling(name)


def test_unknown_objects_show_their_type_only() -> None:
    """A repr could hold anything, so it is never asked for."""

    class Row:
        def __repr__(self) -> str:
            return "Row(token=hunter2)"

    shown = json.loads(
        as_json({"event": "x", "row": Row(), "raws": b"hunter2", "masked": Secret("hunter2")})
    )
    assert (shown["row"], shown["raws"], shown["masked"]) == ("<Row>", "<7 bytes>", "<Secret>")


def test_ids_and_odd_numbers_are_written_as_text() -> None:
    """Every line is strict JSON, whatever number stands in it."""
    fields = {"event": "x", "a": float("nan"), "b": 10**400, "c": UUID(int=1), "d": True}
    shown = json.loads(as_json(dict(fields)), parse_constant=pytest.fail)
    assert (shown["a"], shown["d"]) == ("nan", True)
    assert shown["b"] == "<1329 bits>"
    assert shown["c"] == str(UUID(int=1))


@pytest.mark.parametrize("size", [LIMIT_BYTES, LIMIT_BYTES + 1, 1_000_000])
@pytest.mark.parametrize("letter", ["a", "é", "\U0001f600", "\x00"])
def test_values_are_cut(size: int, letter: str) -> None:
    """A megabyte in a field becomes 8 KiB, and the line still parses."""
    shown = json.loads(as_json({"event": "x", "note": letter * size}))
    assert len(shown["note"].encode("utf-8")) <= LIMIT_BYTES


def test_a_cut_leaves_no_half_secret() -> None:
    """A secret that straddles the limit is dropped, not halved."""
    for shift in range(40):
        text = (
            "x" * 50 + " " + "y " * ((LIMIT_BYTES - 60 - shift) // 2) + SECRETS["Meta token"] * 9
        )
        assert "m0PX4" not in scrub(text + "z" * 100)


def test_hostile_text_cannot_break_or_turn_a_line() -> None:
    """Line breaks, escape sequences and direction marks are escapes in both formats."""
    line = as_json({"event": HOSTILE, HOSTILE: HOSTILE})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == HOSTILE
    text = as_text({"event": HOSTILE, HOSTILE: HOSTILE, "timestamp": "t", "level": "info"})
    assert text.isprintable()


FIELDS = st.dictionaries(
    st.text(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=st.text(), fields=FIELDS)
def test_one_event_is_one_line(written: io.StringIO, event: str, fields: dict[str, Any]) -> None:
    """Whatever is logged, exactly one line is written and it parses."""
    written.seek(0)
    written.truncate()
    logger = structlog.get_logger("x")
    with log_context(request_id=event):
        logger.info(event, fields=fields)
    (line,) = lines(written)
    assert line["level"] == "info"
    assert written.getvalue().isascii()


@settings(max_examples=100)
@given(event=st.text(), fields=FIELDS)
def test_both_formats_take_anything(event: str, fields: dict[str, Any]) -> None:
    """Any mapping becomes one printable line, in either format."""
    assert json.loads(as_json({**fields, "event": event}), parse_constant=pytest.fail)
    assert "\n" not in as_text({**fields, "event": event})
