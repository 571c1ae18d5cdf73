"""The rows of one business: a customer, a connection, and a notice in every state."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from core.customers.store import address_context, name_context
from core.ids import DECISION, NOTIFICATION, new_uuid, outward
from core.notify.events import Booking, EventCustomer
from core.notify.wording import Source

if TYPE_CHECKING:
    from uuid import UUID

    from core.vault import Vault

PHONE = "+393331234567"
NAME = "Giulia"
TOKEN = "EAAG-top-secret-token"
NOW = datetime.now(UTC).replace(microsecond=0)
PASSED = [
    {"check": "channel-enabled", "result": "pass"},
    {"check": "connected", "result": "pass", "evidence": str(new_uuid())},
    {"check": "template-approved", "result": "pass", "evidence": "booking_confirmed (it)"},
    {"check": "consent", "result": "pass", "evidence": str(new_uuid())},
]
REFUSED = [
    *PASSED[:3],
    {"check": "consent", "result": "fail", "reason": "consent-missing"},
    {"check": "address", "result": "skipped"},
]


@dataclass
class House:
    """One business of the world."""

    id: UUID
    name: str
    customer: UUID
    rows: dict[str, UUID] = field(default_factory=dict)

    def page(self, state: str) -> str:
        """Return the public id of its notice in this state."""
        prefix = DECISION if state == "suppressed" else NOTIFICATION
        return outward(prefix, self.rows[state])


async def add_house(connection: Any, vault: Vault, name: str, zone: str) -> House:
    """Add a business with everything the tests look at."""
    business, customer, address = new_uuid(), new_uuid(), new_uuid()
    ref = name.split(maxsplit=1)[0].lower()
    house = House(business, name, customer)
    run = connection.execute
    await run(
        "INSERT INTO business (id, ref, name, timezone, country) VALUES ($1, $2, $3, $4, 'IT')",
        business,
        ref,
        name,
        zone,
    )
    sealed_name = vault.seal(
        msgspec.json.encode({"first_name": NAME}), context=name_context(business, customer)
    )
    await run(
        "INSERT INTO customer (id, business_id, ref, name_sealed, locale) "
        "VALUES ($1, $2, $3, $4, 'it')",
        customer,
        business,
        f"cus-{ref}",
        sealed_name,
    )
    await run(
        "INSERT INTO customer_address (id, business_id, customer_id, kind, address_sealed, "
        "address_hash) VALUES ($1, $2, $3, 'phone', $4, $5)",
        address,
        business,
        customer,
        vault.seal_text(PHONE, context=address_context(business, address)),
        vault.blind_index(business, "phone", PHONE),
    )
    await run(
        "INSERT INTO customer_consents (id, business_id, customer_id, channel, opt_in, opt_in_at, "
        "source) VALUES ($1, $2, $3, 'whatsapp', true, $4, 'web')",
        new_uuid(),
        business,
        customer,
        NOW - timedelta(days=3),
    )
    house.rows["text"] = new_uuid()
    await run(
        "INSERT INTO consent_text (id, business_id, key, version, locale, body, hash) "
        "VALUES ($1, $2, 'whatsapp', 1, 'en', 'I agree', '')",
        house.rows["text"],
        business,
    )
    await _connect(run, house, ref)
    event = new_uuid()
    await run(
        "INSERT INTO event (id, business_id, source, external_id, type, booking_ref, "
        "customer_id, body_hash, payload_sealed) "
        "VALUES ($1, $2, '/booking', $3, 'booking.confirmed', 'B-1', $4, '', '')",
        event,
        business,
        f"ev-{ref}",
        customer,
    )
    for state in ("queued", "read", "failed"):
        await _notice(run, vault, house, event, address, state)
    house.rows["suppressed"] = new_uuid()
    await _decide(run, house, event, house.rows["suppressed"], None)
    house.rows["alert"] = new_uuid()
    await run(
        "INSERT INTO alert (id, business_id, kind, subject) VALUES ($1, $2, 'quality', $3)",
        house.rows["alert"],
        business,
        ref,
    )
    return house


async def _connect(run: Any, house: House, ref: str) -> None:
    house.rows["connection"] = new_uuid()
    await run(
        "INSERT INTO channel_connection (id, business_id, channel, account_ref) "
        "VALUES ($1, $2, 'whatsapp', $3)",
        house.rows["connection"],
        house.id,
        f"phone-{ref}",
    )
    house.rows["whatsapp"] = new_uuid()
    await run(
        "INSERT INTO business_whatsapp_config (id, business_id, waba_id, phone_number_id, "
        "access_token_encrypted, status) VALUES ($1, $2, 'waba', $3, $4, 'active')",
        house.rows["whatsapp"],
        house.id,
        f"phone-{ref}",
        TOKEN.encode(),
    )
    await run(
        "INSERT INTO channel_template (id, business_id, channel, name, language, usable, "
        "parameters, body) VALUES ($1, $2, 'whatsapp', 'booking_confirmed', 'it', true, $3, $4)",
        new_uuid(),
        house.id,
        ["first_name", "date"],
        "Ciao {{first_name}}, ci vediamo {{date}}.",
    )
    components = [{"type": "BODY", "text": "Ciao {{first_name}}, ci vediamo {{date}}."}]
    await run(
        "INSERT INTO whatsapp_templates (id, business_id, waba_id, template_name, category, "
        "language_code, status, components, parameter_format) VALUES ($1, $2, 'waba', "
        "'booking_confirmed', 'utility', 'it', 'approved', $3, 'named')",
        new_uuid(),
        house.id,
        json.dumps(components),
    )
    await run(
        "INSERT INTO lane (id, business_id, channel, recent) VALUES ($1, $2, 'whatsapp', '{}')",
        new_uuid(),
        house.id,
    )


async def _notice(
    run: Any, vault: Vault, house: House, event: UUID, address: UUID, state: str
) -> None:
    row = house.rows[state] = new_uuid()
    source = Source(
        business_name=house.name,
        timezone="Europe/Rome",
        customer=EventCustomer(id="cus", first_name=f"{NAME} <b>", phone=PHONE),
        booking=Booking(ref="B-1", starts_at=NOW + timedelta(days=1)),
    )
    context = ("notification_outbox", "variables_sealed", str(house.id), str(row))
    final = state != "queued"
    await run(
        "INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type, "
        "template_name, language_code, status, phase, reason, error_code, provider_message_id, "
        "event_id, rule_key, booking_ref, address_id, connection_id, variables_sealed, "
        "first_claimed_at, begun_at, sent_at, delivered_at, read_at, failed_at, next_retry_at, "
        "created_at, payload_json) VALUES "
        "($1, $2, $3, 'whatsapp', 'booking.confirmed', 'booking_confirmed', "
        "'it', $4, $5, $6, $7, $8, $9, $10, 'B-1', $11, $12, $13, $14, $14, $15, $15, $15, $16, "
        "$17, $18, '{}')",
        row,
        house.id,
        house.customer,
        state,
        "final" if final else "waiting",
        "recipient-not-reachable" if state == "failed" else "",
        "131026" if state == "failed" else None,
        f"wamid.{PHONE}" if final else None,
        event,
        f"rule-{state}",
        address,
        house.rows["connection"],
        vault.seal(msgspec.json.encode(source), context=context),
        NOW if final else None,
        NOW if state == "read" else None,
        NOW if state == "failed" else None,
        None if final else NOW + timedelta(hours=1),
        NOW - timedelta(seconds=2),
    )
    await _decide(run, house, event, new_uuid(), row)
    if final:
        await run(
            "INSERT INTO send_attempt (id, business_id, notification_id, number, lease_token, "
            "begun_at, ended_at, outcome, error_code) VALUES ($1, $2, $3, 1, $1, $4, $4, $5, $6)",
            new_uuid(),
            house.id,
            row,
            NOW,
            "failed" if state == "failed" else "accepted",
            "131026" if state == "failed" else None,
        )
    if state == "read":
        for place, status in enumerate(("sent", "delivered", "read")):
            await run(
                "INSERT INTO status_update (id, business_id, notification_id, status, "
                "occurred_at) VALUES ($1, $2, $3, $4, $5)",
                new_uuid(),
                house.id,
                row,
                status,
                NOW + timedelta(seconds=place),
            )


async def _decide(
    run: Any, house: House, event: UUID, decision: UUID, notification: UUID | None
) -> None:
    await run(
        "INSERT INTO decision (id, business_id, event_id, rule_key, notification_id, customer_id, "
        "channel, template_name, language_code, booking_ref, outcome, reason, checks) VALUES "
        "($1, $2, $3, 'confirmed', $4, $5, 'whatsapp', 'booking_confirmed', 'it', 'B-1', $6, $7, "
        "$8)",
        decision,
        house.id,
        event,
        notification,
        house.customer,
        "queued" if notification else "suppressed",
        "" if notification else "consent-missing",
        json.dumps(PASSED if notification else REFUSED),
    )
