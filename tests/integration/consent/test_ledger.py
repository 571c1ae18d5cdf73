"""The ledger of consent: what holds follows it, nobody writes past it, and it proves each send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.consent import ledger
from core.consent.batch import grant_many
from core.consent.evidence import evidence
from core.consent.revocation import revoke
from core.ids import NOTIFICATION, inward, new_uuid
from core.notify.consent_check import ALERT, check_is_due, compare

if TYPE_CHECKING:
    from uuid import UUID

    from talking_salon import Talk

QUICK = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ROLES = ("business", "batch", "platform", "engine")
ACTS = st.tuples(
    st.sampled_from(["grant", "batch", "revoke"]),
    st.sampled_from(["transactional", "marketing"]),
    st.integers(min_value=-50, max_value=0),
)


def yes(customer: UUID, purpose: str, at: datetime) -> ledger.Grant:
    """Build a yes of this moment."""
    return ledger.Grant(
        customer_id=customer,
        channel="scripted",
        purpose=purpose,
        source="web",
        granted_at=at,
        text_version="it-v1",
        locale="it",
        proof_reference="form/41",
    )


async def no(talk: Talk, transaction: Any, customer: UUID, *purposes: str, **more: Any) -> int:
    """Write a no and return how many consents it turned."""
    done = await revoke(
        transaction,
        talk.salon.business.id,
        [customer],
        "scripted",
        purposes=purposes or ("transactional", "marketing"),
        source="app",
        actor="test",
        now=datetime.now(UTC),
        **more,
    )
    return len(done.changed)


@QUICK
@given(acts=st.lists(ACTS, min_size=1, max_size=12))
async def test_what_holds_can_be_rebuilt_from_the_ledger(
    talk: Talk, acts: list[tuple[str, str, int]]
) -> None:
    """Whatever is granted, imported and revoked, early or late: the rebuilt state is equal."""
    customer = await talk.person(f"cus-{new_uuid()}", purposes=())
    salon = talk.salon
    for act, purpose, minutes in acts:
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        async with salon.services.database.business(salon.business.id) as transaction:
            given_yes = yes(customer, purpose, at)
            if act == "grant":
                await ledger.grant(
                    transaction, salon.business.id, given_yes, actor="t", now=datetime.now(UTC)
                )
            elif act == "batch":
                await grant_many(
                    transaction,
                    salon.business.id,
                    [given_yes, given_yes, yes(customer, purpose, at - timedelta(minutes=1))],
                    actor="t",
                    now=datetime.now(UTC),
                )
            else:
                await no(talk, transaction, customer, purpose, occurred_at=at)
    assert await talk.unequal() == []
    chain = await talk.superuser.fetch(
        "SELECT e.id, e.at, e.previous_id, p.at AS before FROM consent_event e "
        "LEFT JOIN consent_event p ON p.id = e.previous_id WHERE e.customer_id = $1",
        customer,
    )
    assert len([one for one in chain if one["previous_id"] is None]) <= 2
    assert all(one["before"] is None or one["before"] < one["at"] for one in chain)


async def test_a_row_that_was_broken_by_hand_is_found_at_night(talk: Talk) -> None:
    """A superuser's change raises one alert that names the business; put right, it resolves."""
    await talk.person("cus-1")
    await talk.person("cus-2", "+393339999999")
    database = talk.salon.services.database
    async with database.engine() as transaction:
        assert await check_is_due(transaction)
        assert await compare(transaction) == 0
        assert not await check_is_due(transaction), "once a night"
    await talk.superuser.execute("UPDATE customer_consents SET text_version = 'en-v1'")
    async with database.engine() as transaction:
        assert await compare(transaction) == 2
        assert await compare(transaction) == 2
    alerts = await talk.superuser.fetch("SELECT * FROM alert WHERE kind = $1", ALERT)
    assert [(one["business_id"], one["state"]) for one in alerts] == [
        (talk.salon.business.id, "open")
    ]
    await talk.superuser.execute("UPDATE customer_consents SET text_version = 'it-v1'")
    await talk.superuser.execute("DELETE FROM customer_consents WHERE purpose = 'marketing'")
    async with database.engine() as transaction:
        assert await compare(transaction) == 0
    assert await talk.superuser.fetchval("SELECT state FROM alert") == "resolved"
    await talk.superuser.execute(
        "UPDATE job SET ended_at = ended_at - interval '1 day' WHERE kind = 'consent-check'"
    )
    async with database.engine() as transaction:
        assert await check_is_due(transaction)


@pytest.mark.parametrize(
    "fault",
    [
        "DELETE FROM customer_consents",
        "UPDATE customer_consents SET opt_in = false",
        "UPDATE customer_consents SET revoked_at = now()",
        "UPDATE customer_consents SET last_event_id = NULL",
        "UPDATE customer_consents SET purpose = 'marketing'",
    ],
)
async def test_every_difference_is_seen(talk: Talk, fault: str) -> None:
    """A row that is gone, changed, unproven or moved to another purpose."""
    await talk.person()
    assert await talk.unequal() == []
    await talk.superuser.execute(fault)
    assert await talk.unequal() != []


FORBIDDEN = (
    "UPDATE consent_event SET source = 'paper'",
    "UPDATE consent_event SET at = now() - interval '1 year'",
    "DELETE FROM consent_event",
    "TRUNCATE consent_event",
    "UPDATE customer_consents SET opt_in = true, opt_in_at = now(), revoked_at = NULL",
    "UPDATE customer_consents SET opt_in_at = opt_in_at - interval '1 year'",
    "UPDATE customer_consents SET revoked_at = NULL",
    "DELETE FROM customer_consents",
    (
        "INSERT INTO customer_consents (business_id, customer_id, channel, purpose, opt_in,"
        " opt_in_at, source) SELECT business_id, id, 'scripted', 'marketing', true, now(), 'web'"
        " FROM customer"
    ),
    # Backdating the line itself: its time is the database's to write.
    (
        "INSERT INTO consent_event (business_id, customer_id, channel, purpose, action,"
        " occurred_at, source, actor, at) SELECT business_id, id, 'scripted', 'transactional',"
        " 'grant', now(), 'web', 'x', now() - interval '1 year' FROM customer"
    ),
    # A yes without its source.
    (
        "INSERT INTO consent_event (business_id, customer_id, channel, purpose, action,"
        " occurred_at, source, actor) SELECT business_id, id, 'scripted', 'transactional',"
        " 'grant', now(), NULL, 'x' FROM customer"
    ),
)


@pytest.mark.parametrize("role", ROLES)
async def test_no_process_writes_past_the_ledger(talk: Talk, role: str) -> None:
    """Exam C06: as every runtime role each attempt is refused, and the rows stay as they were."""
    customer = await talk.person()
    database, business = talk.salon.services.database, talk.salon.business.id
    async with database.business(business) as transaction:
        await no(talk, transaction, customer)
    before = await talk.superuser.fetch("SELECT * FROM customer_consents")
    lines = await talk.superuser.fetch("SELECT * FROM consent_event ORDER BY at")
    doors: dict[str, Any] = {
        "business": lambda: database.business(business),
        "batch": lambda: database.batch([business]),
        "platform": database.platform,
        "engine": database.engine,
    }
    for statement in FORBIDDEN:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.NotNullViolationError)):
            async with doors[role]() as transaction:
                await transaction.execute(statement)
    assert await talk.superuser.fetch("SELECT * FROM customer_consents") == before
    assert await talk.superuser.fetch("SELECT * FROM consent_event ORDER BY at") == lines


async def test_a_clock_that_steps_back_keeps_the_order(talk: Talk) -> None:
    """A line never stands before its predecessor, whatever time its writer names."""
    customer = await talk.person()
    await talk.superuser.execute(
        "ALTER TABLE consent_event DISABLE TRIGGER consent_event_append_only"
    )
    await talk.superuser.execute("UPDATE consent_event SET at = now() + interval '1 hour'")
    async with talk.salon.services.database.business(talk.salon.business.id) as transaction:
        assert await no(talk, transaction, customer) == 1
    rows = await talk.superuser.fetch("SELECT action FROM consent_event ORDER BY at")
    assert [row["action"] for row in rows] == ["grant", "revoke"]
    assert await talk.unequal() == []


async def test_each_send_names_the_consent_it_rested_on(talk: Talk) -> None:
    """Exam C05: of every message sent its line: who, what, when, text, language, proof, place."""
    customer = await talk.person()
    for _ in range(3):
        await talk.book()
    assert await talk.send() == 3
    await talk.hear("stop")
    assert await talk.send() == 1
    sent = [inward(NOTIFICATION, one.callback_id) for one in talk.salon.sender.sent]
    async with talk.salon.services.database.business(talk.salon.business.id) as transaction:
        found = await evidence(transaction, talk.salon.business.id, sent)
    assert {one.notification_id for one in found} == set(sent)
    assert all(one.valid for one in found)
    yes_line, stop_line = found[0], found[-1]
    assert (yes_line.action, yes_line.source, yes_line.actor) == ("grant", "web", "test")
    assert (yes_line.text_version, yes_line.locale, yes_line.proof_reference) == (
        "it-v1",
        "it",
        "form/41",
    )
    assert (yes_line.position, stop_line.position) == (1, 2)
    assert (stop_line.action, stop_line.previous_id) == ("revoke", yes_line.line)
    del customer


async def test_a_send_without_a_consent_is_seen_in_the_evidence(talk: Talk) -> None:
    """The replay finds an attempt that rests on nothing, on a no, or on a yes that was over."""
    customer = await talk.person()
    await talk.book()
    await talk.send()
    sent = [inward(NOTIFICATION, talk.salon.sender.sent[0].callback_id)]

    async def valid() -> list[bool]:
        async with talk.salon.services.database.engine() as transaction:
            found = await evidence(transaction, talk.salon.business.id, sent)
        return [one.valid for one in found]

    assert await valid() == [True]
    async with talk.salon.services.database.business(talk.salon.business.id) as transaction:
        await no(talk, transaction, customer)
    assert await valid() == [True], "a no that came later does not make the past wrong"
    run = talk.superuser.execute
    await run("UPDATE send_attempt SET begun_at = begun_at + interval '1 minute'")
    assert await valid() == [False], "begun after the revocation"
    await run("UPDATE send_attempt SET begun_at = begun_at - interval '1 hour'")
    assert await valid() == [False], "begun before the yes"
    await run("UPDATE send_attempt SET consent_event_id = NULL, begun_at = now()")
    assert await valid() == [False]
    await run(
        "UPDATE send_attempt SET consent_event_id = "
        "(SELECT id FROM consent_event WHERE action = 'revoke')"
    )
    assert await valid() == [False]
