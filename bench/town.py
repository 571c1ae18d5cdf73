"""Businesses, people and messages for the measures, loaded in sets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bench.ground import CHANNEL
from core.ids import new_uuid
from core.notify.events import Booking, EventCustomer
from core.notify.wording import Source

if TYPE_CHECKING:
    from uuid import UUID

    from core.vault import Vault

TEMPLATE: Final = "booking_confirmed"
SETTINGS: Final = '{"per_minute": 100000, "per_day": 1000000, "per_recipient_day": 100000}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A business that is connected."""

    id: UUID
    ref: str
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A customer who agreed."""

    id: UUID
    business_id: UUID
    ref: str
    phone: str
    address_id: UUID


async def open_shops(run: Any, vault: Vault, count: int) -> list[Shop]:
    """Make businesses with a number, a template and a lane that is asleep."""
    shops = [
        Shop(id=new_uuid(), ref=f"shop-{n}", account=f"10{n:08d}") for n in range(1, count + 1)
    ]
    ids, accounts = [one.id for one in shops], [one.account for one in shops]
    await run.execute(
        "INSERT INTO business (id, ref, name, timezone, settings) "
        "SELECT t.id, t.ref, 'Salon', 'Europe/Rome', $3::text::jsonb "
        "FROM unnest($1::uuid[], $2::text[]) AS t(id, ref)",
        ids,
        [one.ref for one in shops],
        SETTINGS,
    )
    rows = [new_uuid() for _ in shops]
    await run.execute(
        "INSERT INTO business_whatsapp_config (id, business_id, waba_id, phone_number_id, "
        "access_token_encrypted) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], "
        "$4::text[], $5::bytea[])",
        rows,
        ids,
        accounts,
        accounts,
        [
            vault.seal(
                b"token",
                context=(
                    "business_whatsapp_config",
                    "access_token_encrypted",
                    str(one.id),
                    str(row),
                ),
            )
            for row, one in zip(rows, shops, strict=True)
        ],
    )
    await run.execute(
        "INSERT INTO channel_connection (id, business_id, channel, account_ref) "
        "SELECT gen_random_uuid(), t.id, $3, t.account "
        "FROM unnest($1::uuid[], $2::text[]) AS t(id, account)",
        ids,
        accounts,
        CHANNEL,
    )
    await run.execute(
        "INSERT INTO channel_template (id, business_id, channel, name, language, usable, "
        "parameters, body) SELECT gen_random_uuid(), t.id, $2, $3, 'en', true, "
        "'{first_name,business_name,date,time}', "
        "'Hello {{first_name}}, {{business_name}}: {{date}} {{time}}' FROM unnest($1::uuid[]) "
        "AS t(id)",
        ids,
        CHANNEL,
        TEMPLATE,
    )
    await run.execute(
        "INSERT INTO lane (id, business_id, channel, next_at, cap_minute, burst, tokens, cap_day) "
        "SELECT gen_random_uuid(), t.id, $2, 'infinity', 1000000, 100000, 100000, 10000000 "
        "FROM unnest($1::uuid[]) AS t(id)",
        ids,
        CHANNEL,
    )
    return shops


async def bring_people(run: Any, vault: Vault, shops: list[Shop], each: int) -> list[Person]:
    """Make customers with a phone and their consent."""
    people = [
        Person(
            id=new_uuid(),
            business_id=shop.id,
            ref=f"cus-{n}",
            phone=f"+3933{place:03d}{n:05d}",
            address_id=new_uuid(),
        )
        for place, shop in enumerate(shops)
        for n in range(each)
    ]
    ids, owners = [one.id for one in people], [one.business_id for one in people]
    await run.execute(
        "INSERT INTO customer (id, business_id, ref, locale, timezone) "
        "SELECT t.id, t.owner, t.ref, 'en', 'Europe/Rome' "
        "FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t(id, owner, ref)",
        ids,
        owners,
        [one.ref for one in people],
    )
    await run.execute(
        "INSERT INTO customer_address (id, business_id, customer_id, kind, address_sealed, "
        "address_hash) SELECT t.id, t.owner, t.customer, 'phone', t.sealed, t.hash "
        "FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::bytea[]) "
        "AS t(id, owner, customer, sealed, hash)",
        [one.address_id for one in people],
        owners,
        ids,
        [
            vault.seal(
                one.phone.encode(),
                context=(
                    "customer_address",
                    "address_sealed",
                    str(one.business_id),
                    str(one.address_id),
                ),
            )
            for one in people
        ],
        [vault.blind_index(one.business_id, "phone", one.phone) for one in people],
    )
    await run.execute(
        "INSERT INTO customer_consents (id, business_id, customer_id, channel, opt_in, "
        "opt_in_at, source, purpose) SELECT gen_random_uuid(), t.owner, t.customer, $3, true, "
        "now(), 'web', 'transactional' FROM unnest($1::uuid[], $2::uuid[]) AS t(owner, customer)",
        owners,
        ids,
        CHANNEL,
    )
    return people


async def queue_messages(run: Any, vault: Vault, people: list[Person], each: int) -> list[UUID]:
    """Put messages in the outbox, due now, in lanes that are asleep."""
    source = Source(
        business_name="Salon",
        timezone="Europe/Rome",
        customer=EventCustomer(id="cus", first_name="Giulia"),
        booking=Booking(ref="B-1", starts_at=datetime.now(UTC) + timedelta(days=1)),
    )
    encoded = msgspec.json.encode(source)
    who = [person for person in people for _ in range(each)]
    ids = [new_uuid() for _ in who]
    await run.execute(
        "INSERT INTO notification_outbox (id, business_id, customer_id, address_id, channel, "
        "event_type, template_name, language_code, next_retry_at, useful_until, "
        "variables_sealed) SELECT t.id, t.owner, t.customer, t.address, $6, 'booking.confirmed', "
        "$7, 'en', now(), now() + interval '1 day', t.sealed FROM unnest($1::uuid[], $2::uuid[], "
        "$3::uuid[], $4::uuid[], $5::bytea[]) AS t(id, owner, customer, address, sealed)",
        ids,
        [one.business_id for one in who],
        [one.id for one in who],
        [one.address_id for one in who],
        [
            vault.seal(
                encoded,
                context=(
                    "notification_outbox",
                    "variables_sealed",
                    str(person.business_id),
                    str(one),
                ),
            )
            for one, person in zip(ids, who, strict=True)
        ],
        CHANNEL,
        TEMPLATE,
    )
    return ids


async def wake_all(run: Any) -> None:
    """Give every lane its turn."""
    await run.execute("UPDATE lane SET next_at = clock_timestamp()")


async def clear(run: Any) -> None:
    """Take everything away again, so that the next measure begins anew."""
    tables = await run.fetchval(
        "SELECT string_agg(format('%I', c.relname), ', ') FROM pg_class c "
        "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
        "AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid "
        "AND a.attname = 'business_id')"
    )
    await run.execute("SET session_replication_role = replica")
    await run.execute(
        f"TRUNCATE {tables}, business, provider_inbox, inbox_dedupe, parked_status CASCADE"
    )
    await run.execute("SET session_replication_role = origin")
