"""People and their addresses, written in sets; names and addresses are sealed.

A customer is known by the booking system's id. What a caller leaves out stays as it was, and a
customer that was erased stays erased: a late event does not bring their data back.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.customers.tables import AddressKind
from core.ids import CustomerId, new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.channels.host import Transaction, Vault

_NAMES: Final = ("first_name", "last_name")


class CustomerIn(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a customer; addresses are in their normal form (E.164 for phones)."""

    ref: str
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    email: str | None = None
    bsuid: str | None = None
    locale: str | None = None
    timezone: str | None = None


class AddressOut(msgspec.Struct, frozen=True, kw_only=True):
    """One address as it is kept; the address itself stays sealed."""

    id: UUID
    kind: str
    hash: bytes


class CustomerOut(msgspec.Struct, frozen=True, kw_only=True):
    """A customer as they stand now.

    Attributes:
        addresses: the primary address of each kind: phone, email, bsuid.
        name: first_name and last_name, as far as they are known.
    """

    id: CustomerId
    ref: str
    locale: str | None
    timezone: str | None
    erased_at: datetime | None
    name: dict[str, str]
    addresses: dict[str, AddressOut]

    def address_id(self, kind: str) -> UUID | None:
        """Return the row of the primary address of a kind, such as `phone`."""
        address = self.addresses.get(kind)
        return address.id if address else None


async def put_customers(
    transaction: Transaction, vault: Vault, business_id: UUID, told: Sequence[CustomerIn]
) -> list[CustomerOut]:
    """Insert or update customers and their addresses in one go; the answer keeps the order.

    A customer may be told of several times in one call: later words win.
    """
    merged: dict[str, CustomerIn] = {}
    for one in told:
        merged[one.ref] = _merge(merged[one.ref], one) if one.ref in merged else one
    if not merged:
        return []
    refs = sorted(merged)  # one order for all, so that two intakes never wait for each other
    await transaction.execute(
        """
        INSERT INTO customer (id, business_id, ref)
        SELECT n.id, $1, n.ref FROM unnest($2::uuid[], $3::text[]) AS n(id, ref)
        WHERE NOT EXISTS (SELECT FROM customer c WHERE c.business_id = $1 AND c.ref = n.ref)
        ORDER BY n.ref
        ON CONFLICT (business_id, ref) DO NOTHING
        """,
        business_id,
        [new_uuid() for _ in refs],
        refs,
    )
    rows = await transaction.fetch(
        """
        SELECT id, ref, name_sealed, locale, timezone, erased_at FROM customer
        WHERE business_id = $1 AND ref = ANY ($2) ORDER BY ref FOR NO KEY UPDATE
        """,
        business_id,
        refs,
    )
    living = [row for row in rows if row["erased_at"] is None]
    await _write_words(transaction, vault, business_id, living, merged)
    await _write_addresses(transaction, vault, business_id, living, merged)
    found = await find_customers(transaction, vault, business_id, refs)
    return [found[one.ref] for one in told]


async def find_customers(
    transaction: Transaction, vault: Vault, business_id: UUID, refs: Iterable[str]
) -> dict[str, CustomerOut]:
    """Return the customers that exist among these, by the booking system's id."""
    rows = await transaction.fetch(
        """
        SELECT c.id, c.ref, c.name_sealed, c.locale, c.timezone, c.erased_at,
               coalesce(jsonb_agg(jsonb_build_array(a.id, a.kind, encode(a.address_hash, 'hex')))
                        FILTER (WHERE a.id IS NOT NULL), '[]') AS addresses
        FROM customer c
        LEFT JOIN customer_address a
          ON a.business_id = c.business_id AND a.customer_id = c.id AND a.is_primary
        WHERE c.business_id = $1 AND c.ref = ANY ($2) GROUP BY c.id
        """,
        business_id,
        list(refs),
    )
    return {row["ref"]: _customer(vault, business_id, row) for row in rows}


def open_name(vault: Vault, business_id: UUID, row: Mapping[str, Any]) -> dict[str, str]:
    """Open `name_sealed` of a row that also holds the customer's `id`."""
    if row["name_sealed"] is None:
        return {}
    plain = vault.open(row["name_sealed"], context=name_context(business_id, row["id"]))
    return msgspec.json.decode(plain, type=dict[str, str])


def name_context(business_id: UUID, customer_id: UUID) -> tuple[str, ...]:
    """Return what a sealed name is bound to."""
    return ("customer", "name_sealed", str(business_id), str(customer_id))


def address_context(business_id: UUID, address_id: UUID) -> tuple[str, ...]:
    """Return what a sealed address is bound to."""
    return ("customer_address", "address_sealed", str(business_id), str(address_id))


def _merge(before: CustomerIn, after: CustomerIn) -> CustomerIn:
    later = {name: value for name, value in msgspec.structs.asdict(after).items() if value}
    return msgspec.structs.replace(before, **later)


async def _write_words(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    rows: Sequence[Mapping[str, Any]],
    told: Mapping[str, CustomerIn],
) -> None:
    ids: list[UUID] = []
    names: list[bytes | None] = []
    locales: list[str | None] = []
    timezones: list[str | None] = []
    for row in rows:
        one = told[row["ref"]]
        before = open_name(vault, business_id, row)
        given = {name: getattr(one, name) for name in _NAMES}
        name = before | {key: value for key, value in given.items() if value is not None}
        locale, timezone = one.locale or row["locale"], one.timezone or row["timezone"]
        if (name, locale, timezone) == (before, row["locale"], row["timezone"]):
            continue
        context = name_context(business_id, row["id"])
        ids.append(row["id"])
        names.append(vault.seal(msgspec.json.encode(name), context=context) if name else None)
        locales.append(locale)
        timezones.append(timezone)
    if ids:
        await transaction.execute(
            """
            UPDATE customer c SET name_sealed = n.name, locale = n.locale, timezone = n.timezone
            FROM unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[])
                 AS n(id, name, locale, timezone)
            WHERE c.business_id = $1 AND c.id = n.id
            """,
            business_id,
            ids,
            names,
            locales,
            timezones,
        )


async def _write_addresses(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    rows: Sequence[Mapping[str, Any]],
    told: Mapping[str, CustomerIn],
) -> None:
    ids: list[UUID] = []
    customers: list[UUID] = []
    kinds: list[str] = []
    sealed: list[bytes] = []
    hashes: list[bytes] = []
    for row in rows:
        for kind in AddressKind:
            address = getattr(told[row["ref"]], kind.value)
            if address:
                new_id = new_uuid()
                context = address_context(business_id, new_id)
                ids.append(new_id)
                customers.append(row["id"])
                kinds.append(kind.value)
                sealed.append(vault.seal(address.encode(), context=context))
                hashes.append(vault.blind_index(business_id, kind.value, address))
    if not ids:
        return
    await transaction.execute(
        """
        INSERT INTO customer_address
            (id, business_id, customer_id, kind, address_sealed, address_hash, is_primary)
        SELECT n.id, $1, n.customer_id, n.kind, n.sealed, n.hash, true
        FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[])
             AS n(id, customer_id, kind, sealed, hash)
        ON CONFLICT (business_id, kind, address_hash, customer_id) DO NOTHING
        """,
        business_id,
        ids,
        customers,
        kinds,
        sealed,
        hashes,
    )
    # The address that was told last is the one to write to. Each person's addresses are looked up
    # by themselves: joined as a whole, a business of 100,000 customers costs a second a call.
    await transaction.execute(
        """
        UPDATE customer_address a SET is_primary = wrong.wanted
        FROM (
            SELECT x.id, x.address_hash = n.hash AS wanted
            FROM unnest($2::uuid[], $3::text[], $4::bytea[]) AS n(customer_id, kind, hash)
            CROSS JOIN LATERAL (
                SELECT o.id, o.address_hash, o.is_primary FROM customer_address o
                WHERE o.business_id = $1 AND o.customer_id = n.customer_id AND o.kind = n.kind
                OFFSET 0
            ) x
            WHERE x.is_primary <> (x.address_hash = n.hash)
        ) wrong
        WHERE a.business_id = $1 AND a.id = wrong.id
        """,
        business_id,
        customers,
        kinds,
        hashes,
    )


def _customer(vault: Vault, business_id: UUID, row: Mapping[str, Any]) -> CustomerOut:
    addresses = {
        kind: AddressOut(id=UUID(id_), kind=kind, hash=bytes.fromhex(digest))
        for id_, kind, digest in row["addresses"]
    }
    return CustomerOut(
        id=row["id"],
        ref=row["ref"],
        locale=row["locale"],
        timezone=row["timezone"],
        erased_at=row["erased_at"],
        name=open_name(vault, business_id, row),
        addresses=addresses,
    )
