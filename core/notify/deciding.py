"""Writes down what was decided: a decision for every notice, an outbox row for each yes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from core.ids import DECISION, NOTIFICATION, new_uuid, outward
from core.notify import wording
from core.notify.events import DecisionAnswer
from core.notify.policy import PASSED_ON, judge, refusal
from core.notify.source_sealing import seal_source
from core.notify.tables import Outcome
from core.outbox import store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction, Vault
    from core.notify.candidates import Candidate
    from core.notify.policy import CheckResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided about one notice; `notification_id` is None where it was suppressed.

    Attributes:
        fallback_of: the decision about the channel before, which was a no.
        fallback_id: that notice's outward id.
        followed_by: the outward id of the notice that was decided instead.
    """

    candidate: Candidate
    id: UUID
    notification_id: UUID | None
    reason: str
    checks: tuple[CheckResult, ...]
    fallback_of: UUID | None = None
    fallback_id: str = ""
    followed_by: str = ""

    @property
    def outward_id(self) -> str:
        """Return the id by which callers know the notice."""
        if self.notification_id:
            return outward(NOTIFICATION, self.notification_id)
        return outward(DECISION, self.id)

    @property
    def outcome(self) -> Outcome:
        """Return the outcome in the word that callers know."""
        if self.reason:
            return Outcome.SUPPRESSED
        timing = self.candidate.facts
        return Outcome.SCHEDULED if timing.due_at > timing.now else Outcome.QUEUED

    @property
    def send_at(self) -> datetime | None:
        """Return when it is sent, where that is not at once."""
        return self.candidate.facts.due_at if self.outcome is Outcome.SCHEDULED else None

    def told(self) -> DecisionAnswer:
        """Return what the caller is told."""
        notice = self.candidate.notice
        return DecisionAnswer(
            rule=notice.rule.key,
            channel=notice.channel,
            template=notice.rule.template,
            outcome=self.outcome,
            reason=self.reason,
            notification_id=self.outward_id,
            send_at=self.send_at,
            followed_by=self.followed_by,
            fallback_of=self.fallback_id,
        )

    def rehearsed(self) -> DecisionAnswer:
        """Return what a dry run tells: no id, and with the text and every gate's answer."""
        candidate = self.candidate
        known = wording.values(candidate.notice.source, candidate.language)
        filled, _ = wording.parameters(candidate.parameters, known)
        return msgspec.structs.replace(
            self.told(),
            notification_id=None,
            followed_by="",
            fallback_of="",
            language=candidate.language,
            rendered=wording.preview(candidate.body, filled),
            checks=self.checks,
        )


def decide(candidates: Sequence[Candidate]) -> list[Verdict]:
    """Ask the gates about every notice; ids sort in the order of the rules.

    A notice with `fallbacks` is followed by the same notice on those channels. They are asked
    only while every channel before them said a no of its own.
    """
    ids = iter(sorted(new_uuid() for _ in range(2 * len(candidates))))
    verdicts: list[Verdict] = []
    asking = True
    for place, candidate in enumerate(candidates):
        continues = place > 0 and bool(candidates[place - 1].notice.fallbacks)
        if continues and not asking:
            continue
        checks = judge(candidate.facts)
        reason = refusal(checks)
        verdict = Verdict(
            candidate=candidate,
            id=next(ids),
            notification_id=None if reason else next(ids),
            reason=reason,
            checks=checks,
            fallback_of=candidate.notice.follows_decision,
            fallback_id=outward(NOTIFICATION, candidate.notice.follows)
            if candidate.notice.follows
            else "",
        )
        if continues:
            before = verdicts[-1]
            verdict = replace(verdict, fallback_of=before.id, fallback_id=before.outward_id)
            verdicts[-1] = replace(before, followed_by=verdict.outward_id)
        verdicts.append(verdict)
        asking = reason in PASSED_ON
    return verdicts


async def write(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    verdicts: Sequence[Verdict],
    *,
    ahead: timedelta = timedelta(0),
) -> None:
    """Write decisions and outbox rows, one statement each.

    Args:
        transaction: the intake's.
        vault: seals what the words are made of.
        business_id: whose notices these are.
        verdicts: what was decided.
        ahead: how far a test business's clock is ahead; the outbox keeps time by ours.
    """
    if verdicts:
        await _keep_decisions(transaction, business_id, verdicts)
        rows = [_row(vault, business_id, one, ahead) for one in verdicts if not one.reason]
        await store.insert(transaction, rows)


def _row(vault: Vault, business_id: UUID, verdict: Verdict, ahead: timedelta) -> store.NewRow:
    candidate, notification_id = verdict.candidate, verdict.notification_id
    notice, booking = candidate.notice, candidate.notice.event.booking
    if notification_id is None or not (candidate.address_id and candidate.connection_id):
        raise AssertionError("a notice passed its gates without an address or a connection")
    useful_until = candidate.facts.useful_until
    return store.NewRow(
        id=notification_id,
        business_id=business_id,
        customer_id=notice.person.id,
        channel=notice.channel,
        event_type=notice.event.type,
        template_name=notice.rule.template,
        language_code=candidate.language,
        template_version=candidate.template_version,
        purpose="marketing" if candidate.marketing else "transactional",
        payload={"parameters": list(candidate.parameters), "event": notice.event.id},
        due_at=candidate.facts.due_at - ahead,
        event_id=notice.event_id,
        rule_key=notice.rule.key,
        booking_ref=booking.ref if booking else None,
        generation=notice.generation,
        address_id=candidate.address_id,
        connection_id=candidate.connection_id,
        useful_until=useful_until - ahead if useful_until else None,
        variables_sealed=seal_source(vault, business_id, notification_id, notice.source),
        trace_id="",
        fallback_of=notice.follows,
        fallbacks=notice.fallbacks,
        fallback_after=notice.fallback_after if candidate.tells_arrival else None,
    )


async def _keep_decisions(
    transaction: Transaction, business_id: UUID, verdicts: Sequence[Verdict]
) -> None:
    notices = [one.candidate.notice for one in verdicts]
    await transaction.execute(
        """
        INSERT INTO decision (id, business_id, event_id, rule_key, notification_id,
            customer_id, channel, template_name, language_code, booking_ref, outcome,
            reason, checks, fallback_of)
        SELECT t.id, $1, t.event_id, t.rule_key, t.notification_id, t.customer_id, t.channel,
               t.template, t.language, t.booking_ref, t.outcome, t.reason, t.checks, t.fallback_of
        FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
                    $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                    $13::jsonb[], $14::uuid[])
            AS t(id, event_id, rule_key, notification_id, customer_id, channel, template,
                 language, booking_ref, outcome, reason, checks, fallback_of)
        """,
        business_id,
        [one.id for one in verdicts],
        [notice.event_id for notice in notices],
        [notice.rule.key for notice in notices],
        [one.notification_id for one in verdicts],
        [notice.person.id for notice in notices],
        [notice.channel for notice in notices],
        [notice.rule.template for notice in notices],
        [one.candidate.language for one in verdicts],
        [notice.event.booking.ref if notice.event.booking else None for notice in notices],
        [one.outcome for one in verdicts],
        [one.reason for one in verdicts],
        [msgspec.to_builtins(one.checks) for one in verdicts],
        [one.fallback_of for one in verdicts],
    )
