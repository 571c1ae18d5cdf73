"""The next channel of a rule takes over where one cannot deliver: visibly, and exactly once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from engine_steps import begin
from fixture_scripted import CHANNEL
from two_channels import CONSOLE, TwoChannels, sweep, with_console

from core.consent.revocation import cancel_waiting
from core.errors import (
    InvalidRecipientError,
    OptedOutError,
    OutcomeUnknownError,
    PermanentError,
    RetryableError,
)
from core.ids import DECISION, NOTIFICATION, inward, new_uuid
from core.notify import delivery, fallbacks
from core.outbox import settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.errors import SendError


@pytest.fixture
async def pair(open_salon: Callable[..., Any], superuser: Any) -> TwoChannels:
    """Open a salon whose confirmations go to the first channel and then to the console."""
    found = await with_console(await open_salon(), superuser)
    await found.agree(CONSOLE)
    await found.rule(CHANNEL, CONSOLE)
    return found


async def test_a_no_of_one_channel_passes_the_notice_on(pair: TwoChannels, superuser: Any) -> None:
    """The decision of the first says why and names the follower; both are kept; one is sent."""
    await superuser.execute(
        "UPDATE customer_consents SET opt_in = false, revoked_at = now() WHERE channel = $1",
        CHANNEL,
    )
    first, second = [one for one in (await pair.tell()).decisions if one.rule == "confirmed"]
    assert (first.channel, first.outcome, first.reason) == (
        CHANNEL,
        "suppressed",
        "consent-revoked",
    )
    assert (second.channel, second.outcome) == (CONSOLE, "queued")
    assert first.followed_by == second.notification_id
    assert second.fallback_of == first.notification_id
    linked = await superuser.fetchval(
        "SELECT fallback_of FROM decision WHERE notification_id = $1",
        inward(NOTIFICATION, str(second.notification_id)),
    )
    assert linked == inward(DECISION, str(first.notification_id))
    assert await pair.sent() == 1
    assert (await pair.logged(), pair.salon.sender.sent) == (1, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM customer_consents WHERE channel = $1", "consent-missing"),
        (
            "UPDATE channel_connection SET state = 'error' WHERE channel = $1",
            "business-not-connected",
        ),
        ("DELETE FROM channel_template WHERE channel = $1", "template-unknown"),
        (
            "UPDATE channel_template SET usable = false WHERE channel = $1",
            "template-not-approved",
        ),
    ],
)
async def test_every_no_of_its_own_passes_on(
    pair: TwoChannels, superuser: Any, change: str, reason: str
) -> None:
    """Each no that is the first channel's own leaves the second one free."""
    await superuser.execute(change, CHANNEL)
    told = [one for one in (await pair.tell()).decisions if one.rule == "confirmed"]
    assert [(one.channel, one.reason) for one in told] == [(CHANNEL, reason), (CONSOLE, "")]


async def test_consent_is_asked_for_on_the_follower_too(pair: TwoChannels, superuser: Any) -> None:
    """Who agreed to neither channel is reached by neither, and both refusals are kept."""
    await superuser.execute("DELETE FROM customer_consents")
    told = [one for one in (await pair.tell()).decisions if one.rule == "confirmed"]
    assert [one.reason for one in told] == ["consent-missing", "consent-missing"]
    assert await pair.rows() == []


async def test_a_no_of_the_notice_itself_is_not_passed_on(pair: TwoChannels) -> None:
    """A rule that is switched off is off on every channel: asked once, said once."""
    await pair.rule(CHANNEL, CONSOLE, enabled=False, version=1)
    told = [one for one in (await pair.tell()).decisions if one.rule == "confirmed"]
    assert [(one.channel, one.reason) for one in told] == [(CHANNEL, "rule-disabled")]


@pytest.mark.parametrize(
    ("error", "tries"),
    [(InvalidRecipientError("no"), 1), (PermanentError("no"), 1), (RetryableError("down"), 6)],
)
async def test_a_final_failure_is_followed_with_its_record(
    pair: TwoChannels, superuser: Any, error: SendError, tries: int
) -> None:
    """A permanent error at once, a passing one after its tries: one follower, which is sent."""
    await pair.tell()
    for _ in range(tries):
        assert await pair.rows() == [(CHANNEL, "queued", (await pair.rows())[0][2])]
        pair.salon.sender.answers.append(error)
        await superuser.execute(
            "UPDATE notification_outbox SET next_retry_at = now() WHERE phase = 'waiting'"
        )
        assert await pair.sent() == 1
    rows = await pair.rows()
    assert [(row[0], row[1]) for row in rows] == [(CHANNEL, "failed"), (CONSOLE, "queued")]
    assert await pair.sent() == 1
    assert await pair.logged() == 1
    first, second = await superuser.fetch("SELECT * FROM notification_outbox ORDER BY id")
    assert second["fallback_of"] == first["id"]
    assert second["useful_until"] == first["useful_until"]
    decisions = await superuser.fetch(
        "SELECT * FROM decision WHERE rule_key = 'confirmed' ORDER BY id"
    )
    assert decisions[1]["fallback_of"] == decisions[0]["id"]


async def test_a_repeated_record_makes_no_second_follower(
    pair: TwoChannels, superuser: Any
) -> None:
    """The same answer twice, the sweep behind it, two workers at once: one follower."""
    await pair.tell()
    pair.salon.sender.answers.append(PermanentError("no"))
    token, begun = await begin(pair.services)
    results = [await delivery.hand_over(pair.services, one) for one in begun]
    await asyncio.gather(*(delivery.record_batch(pair.services, token, results) for _ in range(4)))
    await asyncio.gather(*(sweep(pair) for _ in range(3)))
    assert [row[0] for row in await pair.rows()] == [CHANNEL, CONSOLE]
    with pytest.raises(asyncpg.UniqueViolationError):
        await superuser.execute(
            "INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type, "
            "template_name, fallback_of) SELECT $1, business_id, customer_id, 'other', "
            "event_type, template_name, fallback_of FROM notification_outbox "
            "WHERE fallback_of IS NOT NULL",
            new_uuid(),
        )


async def test_a_crash_between_loses_neither_half(pair: TwoChannels, superuser: Any) -> None:
    """Record and follower are one transaction; what was overlooked is followed by the sweep."""
    await pair.tell()
    pair.salon.sender.answers.append(PermanentError("no"))
    token, begun = await begin(pair.services)
    results = [await delivery.hand_over(pair.services, one) for one in begun]
    await superuser.execute("ALTER TABLE decision ADD CONSTRAINT crash CHECK (false) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await delivery.record_batch(pair.services, token, results)
    assert await pair.rows() == [(CHANNEL, "queued", "")]
    await superuser.execute("ALTER TABLE decision DROP CONSTRAINT crash")
    await delivery.record_batch(pair.services, token, results)
    assert [row[0] for row in await pair.rows()] == [CHANNEL, CONSOLE]

    await superuser.execute("DELETE FROM notification_outbox WHERE fallback_of IS NOT NULL")
    await superuser.execute("UPDATE notification_outbox SET followed_at = NULL")
    await sweep(pair)
    assert [row[0] for row in await pair.rows()] == [CHANNEL, CONSOLE]


async def test_what_was_not_answered_is_not_followed_until_it_is_settled(
    pair: TwoChannels, superuser: Any
) -> None:
    """A lost answer may be a delivery; only a person's `failed` calls the next channel."""
    await pair.tell()
    pair.salon.sender.answers.append(OutcomeUnknownError("silence"))
    await pair.sent()
    await sweep(pair)
    assert [row[0] for row in await pair.rows()] == [CHANNEL]
    message = await superuser.fetchval("SELECT id FROM notification_outbox")
    async with pair.services.database.engine() as transaction:
        await settle.settle(transaction, pair.salon.business.id, message, "failed")
        await fallbacks.follow(pair.services, transaction, [message])
    assert [(row[0], row[1]) for row in await pair.rows()] == [
        (CHANNEL, "failed"),
        (CONSOLE, "queued"),
    ]


@pytest.mark.parametrize(("policy", "followed"), [("hold", 0), ("resend", 1)])
async def test_an_unknown_outcome_is_followed_only_if_policy_says_so(
    pair: TwoChannels, superuser: Any, policy: str, followed: int
) -> None:
    """Who prefers a message twice to none gets the next channel, others do not."""
    await superuser.execute(
        "UPDATE business SET settings = settings || jsonb_build_object('unconfirmed', $1::text)",
        policy,
    )
    await pair.tell()
    await superuser.execute(
        "UPDATE notification_outbox SET status = 'failed', phase = 'final', "
        "reason = 'unknown-outcome'"
    )
    await sweep(pair)
    await sweep(pair)
    assert len(await pair.rows()) == 1 + followed


async def test_a_stop_is_not_answered_by_another_channel(
    pair: TwoChannels, superuser: Any
) -> None:
    """Who told the provider to stop, or revokes while it waits, is not written to elsewhere."""
    await pair.tell()
    pair.salon.sender.answers.append(OptedOutError("stop"))
    await pair.sent()
    await sweep(pair)
    assert [row[0] for row in await pair.rows()] == [CHANNEL]
    assert await superuser.fetchval("SELECT followed_at FROM notification_outbox") is not None


async def test_a_reschedule_and_a_cancel_reach_followers(pair: TwoChannels) -> None:
    """A follower of an old plan is canceled, and none is made for a message of an old plan."""
    await pair.rule(CHANNEL, CONSOLE, fallback_after=timedelta(minutes=10), version=1)
    await pair.tell()
    await pair.sent()
    await pair.overdue()
    await sweep(pair)
    await pair.tell("e-2", kind="booking.no_show")
    assert (await pair.rows())[1] == (CONSOLE, "canceled", "superseded")


async def test_no_follower_of_an_old_plan(pair: TwoChannels, superuser: Any) -> None:
    """What fails after the booking moved on is not followed, and the decision says why."""
    await pair.tell()
    pair.salon.sender.answers.append(PermanentError("no"))
    token, begun = await begin(pair.services)
    await pair.tell("e-2", kind="booking.no_show")
    results = [await delivery.hand_over(pair.services, one) for one in begun]
    await delivery.record_batch(pair.services, token, results)
    assert [row[0] for row in await pair.rows()] == [CHANNEL]
    reasons = await superuser.fetch("SELECT channel, reason FROM decision ORDER BY id")
    assert tuple(reasons[-1]) == (CONSOLE, "superseded")


async def test_consent_is_looked_at_again_when_the_follower_begins(
    pair: TwoChannels, superuser: Any
) -> None:
    """Who revokes on the second channel while the follower waits gets nothing there."""
    await pair.tell()
    pair.salon.sender.answers.append(PermanentError("no"))
    await pair.sent()
    await superuser.execute(
        "UPDATE customer_consents SET opt_in = false, revoked_at = now() WHERE channel = $1",
        CONSOLE,
    )
    assert await pair.sent() == 0
    assert (await pair.rows())[1] == (CONSOLE, "canceled", "consent-revoked")


async def test_a_revocation_on_one_channel_is_that_channels(pair: TwoChannels) -> None:
    """The waiting follower survives a revocation on the first channel, not one on its own."""
    await pair.tell()
    pair.salon.sender.answers.append(PermanentError("no"))
    await pair.sent()
    for channel, status in ((CHANNEL, "queued"), (CONSOLE, "canceled")):
        async with pair.services.database.engine() as transaction:
            await cancel_waiting(
                transaction,
                pair.salon.business.id,
                [pair.customer],
                channel,
                purposes=("transactional", "marketing"),
                now=pair.services.clock.now(),
            )
        assert (await pair.rows())[1][:2] == (CONSOLE, status)


async def test_a_template_that_is_paused_while_it_waits_is_followed(
    pair: TwoChannels, superuser: Any
) -> None:
    """A no at begin that is the channel's own calls the next one in the same transaction."""
    await pair.tell()
    await superuser.execute(
        "UPDATE channel_template SET usable = false WHERE channel = $1", CHANNEL
    )
    await pair.sent()
    assert await pair.rows() == [
        (CHANNEL, "failed", "template-not-approved"),
        (CONSOLE, "queued", ""),
    ]
