"""Why a message was sent, or was not: one account of it, for the API and for the console.

Pure: rows go in, words come out. Every notification has such an account, and so has every notice
that was never queued; both are told in the same form.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.ids import CONSENT, DECISION, EVENT, NOTIFICATION, outward
from core.notify.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PASS: Final = "pass"  # noqa: S105 - a verdict, not a password
FAIL: Final = "fail"
WAITING: Final = "waiting"
SKIPPED: Final = "skipped"

SUPPRESSED: Final = "suppressed"
DELIVERED_TWICE: Final = "delivered-twice"
"""Why a delivered message is not simply good news: its follower had left already."""

_ARRIVED: Final = frozenset({"delivered", "read"})

_SENTENCES: Final = {
    "queued": "It waits for its turn and goes out by itself.",
    "leased": "It is about to be handed to the provider.",
    "in_flight": "It is being handed to the provider right now.",
    "sent": "The provider took it over; whether it arrived is not known yet.",
    "delivered": "It arrived at the customer's device.",
    "read": "The customer has read it.",
    "canceled": "It was canceled before it was sent.",
    "failed": "It could not be delivered.",
    "suppressed": "It was not sent.",
}
_NEXT: Final = {
    "queued": "Nothing; look again in a moment.",
    "sent": "Nothing; a phone that is switched off reports later.",
    "delivered": "Nothing. Whether it was read is only told if the customer allows it.",
    "read": "Nothing.",
}
_TONES: Final = {
    "queued": "waiting",
    "sent": "good",
    "delivered": "good",
    "read": "good",
    "failed": "bad",
    "canceled": "stopped",
    "suppressed": "stopped",
}
_TITLES: Final = {
    "channel-enabled": "The channel is switched on for this business",
    "connected": "The business's account is connected",
    "template-approved": "The template is approved",
    "consent": "The customer agreed to be written to",
    "address": "There is an address to write to",
    "variables": "Every value of the template is known",
    "useful": "It would arrive in time to be useful",
    "rule": "The rule for it is switched on",
    "limits": "The business's limits left room for it",
    "provider": "The provider took it over",
}
_OUTCOMES: Final = {
    "begun": "Handed to the provider; no answer yet",
    "accepted": "The provider took it over",
    "retry": "A passing fault; it is tried again",
    "wait": "The provider asked us to wait",
    "failed": "The provider refused it",
    "unknown": "No answer came: it may have been sent",
}


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gate's answer.

    Attributes:
        check: the gate's code.
        result: pass, fail, waiting or skipped.
        reason: why not, a code of the reasons.
        evidence: what the answer rests on.
    """

    check: str
    result: str
    reason: str = ""
    evidence: str = ""

    @property
    def title(self) -> str:
        """Return what the gate asks, in words."""
        return _TITLES.get(self.check, self.check.replace("-", " ").capitalize())


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: datetime
    status: str
    note: str = ""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The same notice on another channel, before or after this one.

    Attributes:
        id: `ntf_...`, or `dec_...` where that channel was only asked.
        left: it was handed to its provider, so the customer may have it.
    """

    id: str
    channel: str
    at: datetime
    status: str
    left: bool = False


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Whose place a notice takes, and what took its own."""

    before: Link | None = None
    after: Link | None = None


NO_LINKS: Final = Links()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One time it was handed to the provider."""

    number: int
    begun_at: datetime
    ended_at: datetime | None
    outcome: str
    error_code: str
    http_status: int | None

    @property
    def words(self) -> str:
        """Return the outcome in words."""
        return _OUTCOMES.get(self.outcome, self.outcome)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The whole account of one notice.

    Attributes:
        id: `ntf_...` of a notification, `dec_...` of a notice that was never queued.
        status: the specification's word, canceled, or suppressed.
        tone: good, waiting, stopped or bad; how it should look.
        code: the reason's code; empty where there is nothing to explain.
        advice: what a person can do.
        provider_code: the provider's own code of a failure, and its meaning beside it.
    """

    id: str
    event_id: str
    status: str
    final: bool
    tone: str
    summary: str
    code: str
    advice: str
    retryable: bool
    provider_code: str
    provider_words: str
    channel: str
    template: str
    language: str
    event_type: str
    booking_ref: str
    next_attempt_at: datetime | None
    checks: tuple[Check, ...]
    timeline: tuple[Moment, ...]
    attempts: tuple[Attempt, ...]
    links: Links = NO_LINKS


def explain_notification(
    row: Mapping[str, Any],
    decision: Mapping[str, Any] | None,
    attempts: Sequence[Mapping[str, Any]],
    news: Sequence[Mapping[str, Any]],
    words: Mapping[str, tuple[str, str]],
    links: Links = NO_LINKS,
) -> Account:
    """Tell what became of a queued notification.

    Args:
        row: of `notification_outbox`.
        decision: the one that queued it.
        attempts: of `send_attempt`, in their order.
        news: of `status_update`, in their order.
        words: the channel's own: provider code -> (meaning, what to do).
        links: the same notice on the channels before and after.
    """
    status, code = row["status"], row["reason"]
    if status in _ARRIVED and not code and links.after is not None and links.after.left:
        code = DELIVERED_TWICE
    provider_code = row["error_code"] or ""
    meaning, remedy = words.get(provider_code, ("", ""))
    reason = REASONS.get(code)
    phase = row["phase"] if status == "queued" and row["phase"] in _SENTENCES else status
    summary = reason.summary if reason else _SENTENCES[phase]
    advice = remedy or (reason.action if reason else _NEXT.get(status, ""))
    return Account(
        id=outward(NOTIFICATION, row["id"]),
        event_id=outward(EVENT, row["event_id"]) if row["event_id"] else "",
        status=status,
        final=row["phase"] == "final",
        tone="bad" if row["phase"] == "unconfirmed" else _TONES[status],
        summary=f"{summary} {meaning}".strip() if status == "failed" else summary,
        code=code,
        advice=advice,
        retryable=bool(reason and reason.retryable),
        provider_code=provider_code,
        provider_words=meaning,
        channel=row["channel"],
        template=row["template_name"],
        language=row["language_code"],
        event_type=row["event_type"],
        booking_ref=row["booking_ref"] or "",
        next_attempt_at=row["next_retry_at"] if row["phase"] == "waiting" else None,
        checks=(*_decided(decision), *_later(row)),
        timeline=_timeline(row, attempts, news, links),
        attempts=tuple(_attempt(one) for one in attempts),
        links=links,
    )


def explain_decision(row: Mapping[str, Any], event_type: str, links: Links = NO_LINKS) -> Account:
    """Tell why a notice was never queued."""
    reason = REASONS.get(row["reason"])
    moments = [Moment(at=row["created_at"], status=SUPPRESSED, note=row["reason"])]
    if links.after is not None:
        note = f"{links.after.id} on {links.after.channel}: {links.after.status}"
        moments.append(Moment(at=links.after.at, status="followed", note=note))
    return Account(
        id=outward(DECISION, row["id"]),
        event_id=outward(EVENT, row["event_id"]),
        status=SUPPRESSED,
        final=True,
        tone=_TONES[SUPPRESSED],
        summary=reason.summary if reason else _SENTENCES[SUPPRESSED],
        code=row["reason"],
        advice=reason.action if reason else "",
        retryable=bool(reason and reason.retryable),
        provider_code="",
        provider_words="",
        channel=row["channel"],
        template=row["template_name"],
        language=row["language_code"],
        event_type=event_type,
        booking_ref=row["booking_ref"] or "",
        next_attempt_at=None,
        checks=_decided(row),
        timeline=tuple(moments),
        attempts=(),
        links=links,
    )


def _decided(decision: Mapping[str, Any] | None) -> tuple[Check, ...]:
    if decision is None:
        return ()
    checks = decision["checks"]
    if isinstance(checks, str):
        checks = msgspec.json.decode(checks)
    return tuple(_outward(msgspec.convert(one, Check)) for one in checks)


def _outward(check: Check) -> Check:
    """Write evidence as people may cite it; rows that have no outward name stay inside."""
    try:
        row = UUID(check.evidence)
    except ValueError:
        return check
    evidence = outward(CONSENT, row) if check.check == "consent" else ""
    return msgspec.structs.replace(check, evidence=evidence)


def _later(row: Mapping[str, Any]) -> tuple[Check, Check]:
    """Return the two gates that are passed after the queue: the limits, and the provider."""
    stopped = row["phase"] == "final" and row["status"] in ("canceled", "failed")
    begun, accepted = row["begun_at"] is not None, row["sent_at"] is not None
    claimed = row["first_claimed_at"] is not None
    limits = PASS if claimed or accepted else (SKIPPED if stopped else WAITING)
    if row["status"] == "failed" and begun:
        return Check(check="limits", result=limits), Check(
            check="provider",
            result=FAIL,
            reason=row["reason"],
            evidence=row["error_code"] or "",
        )
    provider = PASS if accepted else (SKIPPED if stopped else WAITING)
    return Check(check="limits", result=limits), Check(
        check="provider",
        result=provider,
        reason=row["reason"] if provider == WAITING else "",
        evidence=(row["error_code"] or "") if provider == WAITING else "",
    )


def _timeline(
    row: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    news: Sequence[Mapping[str, Any]],
    links: Links,
) -> tuple[Moment, ...]:
    before, after = links.before, links.after
    note = f"takes the place of {before.id} on {before.channel}" if before else ""
    moments = [Moment(at=row["created_at"], status="queued", note=note)]
    moments += [
        Moment(at=one["ended_at"] or one["begun_at"], status=_became(one), note=_note(one))
        for one in attempts
    ]
    told = {one.status for one in moments}
    for one in news:
        if one["status"] not in told or one["status"] != "sent":
            moments.append(
                Moment(at=one["occurred_at"], status=one["status"], note=one["error_code"] or "")
            )
    if row["status"] == "canceled":
        moments.append(Moment(at=row["updated_at"], status="canceled", note=row["reason"]))
    elif row["status"] == "failed" and not any(one.status == "failed" for one in moments):
        at = row["failed_at"] or row["updated_at"]
        moments.append(Moment(at=at, status="failed", note=row["reason"]))
    if after is not None:
        note = f"{after.id} on {after.channel}: {after.status}"
        moments.append(Moment(at=after.at, status="followed", note=note))
    # Providers tell whole seconds and we tell parts of them, so times alone would swap steps.
    rank = {
        "queued": 0,
        "sent": 2,
        "delivered": 3,
        "read": 4,
        "failed": 5,
        "canceled": 5,
        "followed": 6,
    }
    return tuple(sorted(moments, key=lambda one: (rank.get(one.status, 1), one.at)))


def _became(attempt: Mapping[str, Any]) -> str:
    outcome = attempt["outcome"]
    return {"accepted": "sent", "failed": "failed", "begun": "sending"}.get(outcome, "tried")


def _note(attempt: Mapping[str, Any]) -> str:
    code = attempt["error_code"]
    said = _OUTCOMES.get(attempt["outcome"], attempt["outcome"])
    return f"try {attempt['number']}: {said}" + (f" ({code})" if code else "")


def _attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=row["number"],
        begun_at=row["begun_at"],
        ended_at=row["ended_at"],
        outcome=row["outcome"],
        error_code=row["error_code"] or "",
        http_status=row["http_status"],
    )
