"""Consent counts for its own scope only, and a revocation at whatever moment it comes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from engine_steps import begin, wake_and_claim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talking_salon import PHONE, Talk

from core.consent.revocation import drain, revoke
from core.customers.store import CustomerIn, put_customers
from core.ids import new_uuid
from core.notify import delivery
from core.outbox import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from fixture_scripted import ScriptedSender

    from core.channels.messages import OutboundMessage, Receipt

PURPOSES = ("transactional", "marketing")
CHANNELS = ("scripted", "sms")
SCOPES = list(product(range(2), range(2), CHANNELS, PURPOSES))
"""Business, customer, channel, purpose; both customers of a business have the same number."""


async def end_consent(talk: Talk, customer: UUID) -> None:
    """Revoke, in a transaction of its own."""
    async with talk.salon.services.database.business(talk.salon.business.id) as transaction:
        await revoke(
            transaction,
            talk.salon.business.id,
            [customer],
            "scripted",
            purposes=PURPOSES,
            source="app",
            actor="test",
            now=datetime.now(UTC),
        )


async def in_flight(talk: Talk, customer: UUID, patience: float = 0.0) -> int:
    """Return how many messages an acknowledgement still waits for."""
    services = talk.salon.services
    return await drain(
        services.database,
        services.clock,
        talk.salon.business.id,
        customer,
        "scripted",
        patience=patience,
    )


async def test_a_revocation_before_the_claim(talk: Talk) -> None:
    """Exam C02, between queue and claim: canceled, with its reason; nothing is begun."""
    customer = await talk.person()
    await talk.book()
    await end_consent(talk, customer)
    assert await in_flight(talk, customer) == 0
    assert await talk.send() == 0
    assert await talk.outbox() == [("template", "canceled", "consent-revoked")]


async def test_a_revocation_between_claim_and_begin(talk: Talk) -> None:
    """Exam C02: the the claimed message is canceled in the worker's hands, its quota recorded."""
    customer = await talk.person()
    await talk.book()
    token, ids = await wake_and_claim(talk.salon.services)
    assert len(ids) == 1
    await end_consent(talk, customer)
    assert await in_flight(talk, customer) == 0
    assert await delivery.begin_batch(talk.salon.services, token, ids) == []
    assert await talk.outbox() == [("template", "canceled", "consent-revoked")]
    assert talk.salon.sender.sent == []
    claimed = "SELECT first_claimed_at IS NOT NULL FROM notification_outbox"
    assert await talk.superuser.fetchval(claimed)
    assert await talk.superuser.fetchval("SELECT day_count FROM lane") == 1


async def test_a_revocation_between_begin_and_the_bytes(talk: Talk) -> None:
    """Exam C02: acknowledged only when the message in flight has been recorded."""
    customer = await talk.person()
    await talk.book()
    token, [begun] = await begin(talk.salon.services)
    await end_consent(talk, customer)
    assert await in_flight(talk, customer) == 1, "an answer now would be 202, no acknowledgement"
    result = await delivery.hand_over(talk.salon.services, begun)
    await delivery.record_batch(talk.salon.services, token, [result])
    assert await in_flight(talk, customer) == 0
    assert len(talk.salon.sender.sent) == 1
    assert await talk.book() == "consent-revoked", "nothing is queued after it"


async def test_a_revocation_between_bytes_and_response(talk: Talk) -> None:
    """Exam C02: it waits for the provider's answer, then nothing more is sent to that person."""
    customer = await talk.person()
    await talk.book()
    hanging, go_on = asyncio.Event(), asyncio.Event()
    sender: ScriptedSender = talk.salon.sender
    accept = sender.send

    async def slow(message: OutboundMessage) -> Receipt:
        hanging.set()
        await go_on.wait()
        return await accept(message)

    sender.send = slow  # type: ignore[method-assign]
    token, [begun] = await begin(talk.salon.services)
    sending = asyncio.create_task(delivery.hand_over(talk.salon.services, begun))
    await hanging.wait()
    await end_consent(talk, customer)
    acknowledging = asyncio.create_task(in_flight(talk, customer, patience=30.0))
    assert await in_flight(talk, customer) == 1
    go_on.set()
    await delivery.record_batch(talk.salon.services, token, [await sending])
    assert await acknowledging == 0
    assert await talk.send() == 0
    assert len(sender.sent) == 1


@pytest.fixture
async def town(open_salon: Callable[..., Any], superuser: Any) -> list[Talk]:
    """Open two businesses with two channels, each with two customers of one number."""
    talks = [Talk(await open_salon(ref), superuser) for ref in ("salon-a", "salon-b")]
    for table, more in (
        ("channel_connection", "account_ref = 'sms-' || account_ref"),
        ("channel_template", "channel = channel"),
        ("lane", "channel = channel"),
    ):
        column = more.partition(" ")[0]
        await superuser.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object("
            f"'id', gen_random_uuid(), 'channel', 'sms', '{column}', "
            f"CASE '{column}' WHEN 'channel' THEN 'sms' ELSE 'sms-' || "
            f"(to_jsonb(t) ->> 'account_ref') END))).* FROM {table} t"
        )
    await superuser.execute("UPDATE channel_template SET parameters = '{}'")
    return talks


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(agreed=st.sets(st.sampled_from(SCOPES)), ended=st.sets(st.sampled_from(SCOPES)))
async def test_a_yes_counts_for_its_own_scope_only(
    town: list[Talk],
    agreed: set[tuple[int, int, str, str]],
    ended: set[tuple[int, int, str, str]],
) -> None:
    """Exam C07: another business, customer, channel or purpose never goes by it; 320 cases.

    Advertising needs both consents, as `begin` has it; everything else its own.
    """
    superuser = town[0].superuser
    people: dict[tuple[int, int], UUID] = {}
    for place, talk in enumerate(town):
        services, business = talk.salon.services, talk.salon.business.id
        async with services.database.business(business) as transaction:
            stored = await put_customers(
                transaction,
                services.vault,
                business,
                [CustomerIn(ref=f"{new_uuid()}", phone=PHONE) for _ in range(2)],
            )
            for number, one in enumerate(stored):
                people[place, number] = one.id
            for where, who, channel, purpose in sorted(agreed):
                if where == place:
                    await talk.agree(
                        transaction, people[place, who], channel=channel, purpose=purpose
                    )
            for where, who, channel, purpose in sorted(ended):
                if where == place:
                    await revoke(
                        transaction,
                        business,
                        [people[place, who]],
                        channel,
                        purposes=[purpose],
                        source="app",
                        actor="test",
                        now=datetime.now(UTC),
                    )
    token = new_uuid()
    ids = {new_uuid(): scope for scope in SCOPES}
    for row_id, (where, who, channel, purpose) in ids.items():
        await superuser.execute(
            """
            INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type,
                template_name, language_code, purpose, address_id, phase, lease_token,
                lease_until, claimed_at)
            SELECT $1, business_id, customer_id, $3, 'direct', 'booking_confirmed', 'it', $4, id,
                'leased', $5, $6, clock_timestamp()
            FROM customer_address WHERE customer_id = $2
            """,
            row_id,
            people[where, who],
            channel,
            purpose,
            token,
            datetime.now(UTC) + timedelta(minutes=1),
        )
    async with town[0].salon.services.database.engine() as transaction:
        begun = await store.begin(transaction, token, list(ids))
    went = {ids[row.id] for row in begun if row.verdict == store.GO}
    holds = agreed - ended
    expected = {
        scope for scope in SCOPES if scope in holds and (*scope[:3], "transactional") in holds
    }
    assert len(begun) == len(SCOPES)
    assert went == expected
