"""The account of a notice, from the rows as they stand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.ids import CONSENT, new_uuid, outward
from core.notify.explain import explain_decision, explain_notification
from core.notify.reasons import REASONS
from core.outbox.tables import OutboxStatus, Phase

AT = datetime(2026, 11, 22, 9, 2, 11, tzinfo=UTC)
WORDS = {"131026": ("The number is not on WhatsApp.", "Ask for another number.")}
CHECKS = [{"check": "channel-enabled", "result": "pass"}, {"check": "consent", "result": "pass"}]


def _row(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": new_uuid(),
        "event_id": new_uuid(),
        "status": "queued",
        "phase": "waiting",
        "reason": "",
        "error_code": None,
        "channel": "whatsapp",
        "template_name": "booking_confirmed",
        "language_code": "it",
        "event_type": "booking.confirmed",
        "booking_ref": "B-1",
        "next_retry_at": AT + timedelta(minutes=1),
        "created_at": AT,
        "updated_at": AT + timedelta(seconds=9),
        "first_claimed_at": None,
        "begun_at": None,
        "sent_at": None,
        "failed_at": None,
    }
    return row | changes


def _attempt(outcome: str, number: int = 1, code: str | None = None) -> dict[str, Any]:
    return {
        "number": number,
        "begun_at": AT + timedelta(seconds=number),
        "ended_at": AT + timedelta(seconds=number, milliseconds=200),
        "outcome": outcome,
        "error_code": code,
        "http_status": None,
    }


def _news(*statuses: str) -> list[dict[str, Any]]:
    return [
        {"status": status, "occurred_at": AT + timedelta(seconds=3 + place), "error_code": None}
        for place, status in enumerate(statuses)
    ]


@pytest.mark.parametrize("status", OutboxStatus)
@pytest.mark.parametrize("phase", Phase)
def test_every_state_can_be_told(status: OutboxStatus, phase: Phase) -> None:
    """Whatever the row holds, there is a sentence and something to do."""
    for reason in ("", *REASONS, "a-reason-of-tomorrow"):
        row = _row(status=status.value, phase=phase.value, reason=reason)
        account = explain_notification(row, {"checks": CHECKS}, [], [], WORDS)
        assert account.summary.endswith("."), reason
        assert account.tone in {"good", "waiting", "stopped", "bad"}, reason
        assert [check.check for check in account.checks[-2:]] == ["limits", "provider"]


def test_a_waiting_message_says_when_it_is_due() -> None:
    """A queued message shows the next try and gates that were not asked yet."""
    account = explain_notification(_row(), {"checks": CHECKS}, [], [], {})
    assert account.next_attempt_at == AT + timedelta(minutes=1)
    assert [check.result for check in account.checks] == ["pass", "pass", "waiting", "waiting"]
    assert not account.final


def test_a_failed_message_tells_the_providers_code_in_words() -> None:
    """The provider's number comes with its meaning and a remedy, and fails the last gate."""
    row = _row(
        status="failed",
        phase="final",
        reason="recipient-not-reachable",
        error_code="131026",
        first_claimed_at=AT,
        begun_at=AT,
        failed_at=AT + timedelta(seconds=2),
    )
    attempts = [_attempt("failed", code="131026")]
    account = explain_notification(row, {"checks": CHECKS}, attempts, [], WORDS)
    assert "not on WhatsApp" in account.summary
    assert account.advice == "Ask for another number."
    assert (account.code, account.retryable) == ("recipient-not-reachable", False)
    assert account.checks[-1].result == "fail"
    assert account.checks[-1].evidence == "131026"
    assert [moment.status for moment in account.timeline] == ["queued", "failed"]


def test_a_read_message_tells_its_way_once() -> None:
    """Our own record and the provider's `sent` are one line; the order is the order of time."""
    row = _row(
        status="read",
        phase="final",
        first_claimed_at=AT,
        begun_at=AT,
        sent_at=AT + timedelta(seconds=1),
    )
    account = explain_notification(
        row,
        {"checks": json.dumps(CHECKS)},
        [_attempt("accepted")],
        _news("sent", "delivered", "read"),
        {},
    )
    assert [moment.status for moment in account.timeline] == [
        "queued",
        "sent",
        "delivered",
        "read",
    ]
    assert {check.result for check in account.checks} == {"pass"}


def test_tries_before_the_last_are_told() -> None:
    """A retried message shows each try with its outcome."""
    row = _row(reason="temporary-failure", first_claimed_at=AT, begun_at=AT)
    attempts = [_attempt("retry", 1, "1"), _attempt("wait", 2, "130429")]
    account = explain_notification(row, None, attempts, [], {})
    assert [one.words for one in account.attempts] == [
        "A passing fault; it is tried again",
        "The provider asked us to wait",
    ]
    assert [moment.status for moment in account.timeline] == ["queued", "tried", "tried"]
    assert account.retryable


def test_an_unconfirmed_message_looks_alarming() -> None:
    """Nobody should mistake "perhaps sent" for "will be sent"."""
    row = _row(phase="unconfirmed", reason="unconfirmed", first_claimed_at=AT, begun_at=AT)
    account = explain_notification(row, None, [_attempt("unknown")], [], {})
    assert account.tone == "bad"
    assert "may have been sent" in account.summary


def test_a_suppressed_notice_has_an_account_too() -> None:
    """What was never queued tells its gates and its reason in the same form."""
    consent = new_uuid()
    checks = [
        {"check": "connected", "result": "pass", "evidence": str(new_uuid())},
        {
            "check": "consent",
            "result": "fail",
            "reason": "consent-revoked",
            "evidence": str(consent),
        },
        {"check": "address", "result": "skipped"},
    ]
    row = {
        "id": new_uuid(),
        "event_id": new_uuid(),
        "reason": "consent-revoked",
        "channel": "whatsapp",
        "template_name": "booking_confirmed",
        "language_code": "it",
        "booking_ref": None,
        "created_at": AT,
        "checks": checks,
    }
    account = explain_decision(row, "booking.confirmed")
    assert account.id.startswith("dec_")
    assert account.summary == REASONS["consent-revoked"].summary
    assert [check.result for check in account.checks] == ["pass", "fail", "skipped"]
    assert [check.evidence for check in account.checks] == ["", outward(CONSENT, consent), ""]
