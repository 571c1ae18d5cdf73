"""Meta's codes become the errors that steer the host."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import plugins.whatsapp
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
from plugins.whatsapp.failures import failure, mask_numbers, raised, read_fault, table, words

CLASSES: dict[str, type[SendError]] = {
    "retryable": RetryableError,
    "throttled": ThrottledError,
    "unknown": OutcomeUnknownError,
    "credentials": CredentialsRejectedError,
    "invalid_recipient": InvalidRecipientError,
    "template_rejected": TemplateRejectedError,
    "policy": PolicyViolationError,
    "opted_out": OptedOutError,
    "permanent": PermanentError,
}
ROWS = tomllib.loads(
    (Path(plugins.whatsapp.__file__).parent / "errors.toml").read_text(encoding="utf-8")
)["row"]
# Every code of the reference's first error table, ranges by their ends.
REFERENCE = re.findall(
    r"\d+",
    """
0 1 2 3 4 10 17 33 100 102 104 190 200 201 299 368 506 613 803 80007 80008 130403 130429 130472
130497 130501 131000 131001 131002 131006 131005 131008 131009 131014 131016 131020 131041 131059
131200 131299 131021 131026 131030 131031 131037 131042 131043 131044 131045 131047 131048 131049
131050 131051 131052 131053 131055 131056 131057 131062 131063 131064 132000 132001 132005 132007
132008 132012 132015 132016 132018 132068 132069 133000 133004 133005 133006 133008 133009 133010
133015 133016 134011 134100 134101 134102 135000 136025 137000 138000 138999 139000 139999 141008
141014 147001 147005 200005 200007 200002 1752041 2388012 2388091 2388093 2388103 2494100 2388019
2388024 2388039 2388040 2388047 2388072 2388073 2388293 2388299 2494164 2494179 2593107 2593108
""",
)


def _body(code: int, **more: object) -> bytes:
    return json.dumps(
        {"error": {"message": "no", "type": "OAuthException", "code": code, **more}}
    ).encode()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["codes"][0])
def test_every_row_becomes_its_error(row: dict[str, object]) -> None:
    """Each code of each row raises exactly the class its row names, with words for people."""
    for code in row["codes"]:  # type: ignore[attr-defined] # the file's own shape
        first = code.partition("-")[0] if code[0].isdigit() else code
        error = raised(first)
        assert type(error) is CLASSES[str(row["class"])]
        assert error.code == first
        assert words()[first] == (row["meaning"], row["next"])
        assert all(text.endswith((".", "?")) for text in words()[first])


@pytest.mark.parametrize("code", REFERENCE)
def test_every_code_of_the_reference_is_known(code: str) -> None:
    """No code of Meta's documented table falls through to the default."""
    assert code in table()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (190, CredentialsRejectedError),
        (10, CredentialsRejectedError),
        (200, CredentialsRejectedError),
        (250, CredentialsRejectedError),
        (131042, CredentialsRejectedError),
        (131026, InvalidRecipientError),
        (131050, OptedOutError),
        (132001, TemplateRejectedError),
        (132015, TemplateRejectedError),
        (131048, PolicyViolationError),
        (368, PolicyViolationError),
        (131047, PermanentError),
        (100, PermanentError),
        (131000, RetryableError),
        (130429, ThrottledError),
        (138013, PermanentError),
    ],
)
def test_the_codes_that_matter_most(code: int, kind: type[SendError]) -> None:
    """The classes that steer money and reputation are what the reference says."""
    assert type(failure(400, _body(code), {})) is kind


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        (4, ThrottleScope.APPLICATION),
        (80007, ThrottleScope.ACCOUNT),
        (130429, ThrottleScope.CONNECTION),
        (131056, ThrottleScope.RECIPIENT),
    ],
)
def test_a_throttle_names_who_waits(code: int, scope: ThrottleScope) -> None:
    """Each of Meta's limits stops exactly those it is about."""
    error = failure(400, _body(code), {})
    assert isinstance(error, ThrottledError)
    assert error.scope is scope
    assert error.retry_after > timedelta(0)


def test_retry_after_is_never_undercut() -> None:
    """What the provider says about waiting wins over our own figures, in every form."""
    now = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
    seconds = failure(429, _body(130429), {"retry-after": "3600"}, now=now)
    date = failure(429, b"", {"retry-after": "Sun, 22 Nov 2026 19:01:00 GMT"}, now=now)
    usage = json.dumps({"7001": [{"type": "whatsapp", "estimated_time_to_regain_access": 12}]})
    regained = failure(400, _body(80007), {"x-business-use-case-usage": usage}, now=now)
    busy = failure(503, _body(2), {"retry-after": "60"}, now=now)
    waits = []
    for error in (seconds, date, regained, busy):
        assert isinstance(error, ThrottledError)
        waits.append(error.retry_after)
    assert waits == [
        timedelta(hours=1),
        timedelta(minutes=1),
        timedelta(minutes=12),
        timedelta(minutes=1),
    ]


@pytest.mark.parametrize("value", ["-5", "soon", "9" * 400, "Sun, 99 Foo 2026", "²"])
def test_a_silly_retry_after_is_survived(value: str) -> None:
    """Whatever stands in the header, the answer is a throttle of at most a day."""
    error = failure(429, b"", {"retry-after": value}, now=datetime(2026, 11, 22, tzinfo=UTC))
    assert isinstance(error, ThrottledError)
    assert timedelta(0) < error.retry_after <= timedelta(days=1)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, _body(2, is_transient=True), RetryableError),
        (500, b'{"oops": true}', RetryableError),
        (503, b"<html>busy</html>", OutcomeUnknownError),
        (502, b"<html>bad gateway</html>", OutcomeUnknownError),
        (502, _body(131000), OutcomeUnknownError),
        (504, b"", OutcomeUnknownError),
        (500, b"", OutcomeUnknownError),
        (200, b"<html>", OutcomeUnknownError),
        (302, b"", RetryableError),
        (403, b"<html>forbidden</html>", RetryableError),
        (429, b"slow down", ThrottledError),
        (429, _body(424242), ThrottledError),
    ],
)
def test_answers_without_a_known_code(status: int, body: bytes, kind: type[SendError]) -> None:
    """What may have been sent is never called retryable, and what was refused never unknown."""
    assert type(failure(status, body, {})) is kind


def test_an_unknown_code_is_tried_again_and_shown() -> None:
    """A code that is not in the table counts, ends by itself, and keeps its number."""
    error = failure(400, _body(987654), {})
    assert type(error) is RetryableError
    assert error.code == "987654"
    assert "987654" in error.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"error": "text"}',
        b'{"error": {}}',
        b'{"error": {"code": null}}',
        b'{"error": {"code": []}}',
        b'{"error": {"code": 1e400}}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
)
def test_bodies_that_are_no_error_are_survived(body: bytes) -> None:
    """No body makes the reader raise."""
    assert read_fault(body) is None


def test_error_data_may_be_an_object_or_a_text() -> None:
    """Both of Meta's shapes give their details."""
    for error_data in ({"messaging_product": "whatsapp", "details": "Too many."}, "Too many."):
        found = read_fault(_body(131056, error_data=error_data))
        assert found is not None
        assert found.details == "Too many."


def test_details_lose_phone_numbers_and_message_ids() -> None:
    """Meta's words may carry the customer's number; ours never do."""
    error = failure(
        400, _body(131009, error_data={"details": "Number +393331234567, wamid.HBgL"}), {}
    )
    assert "333" not in error.detail
    assert "HBgL" not in error.detail
    assert mask_numbers("code 132000 is fine") == "code 132000 is fine"
