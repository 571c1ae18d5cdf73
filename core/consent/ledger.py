"""Consent: an append-only ledger, and the state it leads to, written together.

No row means no. A grant without source, time and text version is refused, on paper also without
proof. A grant that is older than a revocation is kept in the ledger and changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.consent.tables import ConsentAction, Purpose, Source
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.ids import ConsentId, CustomerId, new_uuid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.channels.host import Transaction

_FUTURE: Final = timedelta(minutes=5)  # clocks of two systems may differ by so much
_EARLIEST_YEAR: Final = 2000
STATE_COLUMNS: Final = (
    "id, customer_id, channel, purpose, opt_in, opt_in_at, source, proof_reference, revoked_at, "
    "text_version, locale, created_at, updated_at"
)
"""The columns of `customer_consents` that make a `ConsentState`."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """A person's yes.

    Attributes:
        granted_at: when they said it.
        text_version: which sentence they saw, such as `it-v2`.
        text_hash: SHA-256 of that sentence, if we know it.
        proof: what shows it, for example a form's address; free of our own making.
    """

    customer_id: UUID
    channel: str
    purpose: str
    source: str | None
    granted_at: datetime | None
    text_version: str | None
    text_hash: bytes | None = None
    locale: str | None = None
    proof_reference: str | None = None
    proof: dict[str, Any] | None = None


class ConsentState(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now for one customer, channel and purpose."""

    id: ConsentId
    customer_id: CustomerId
    channel: str
    purpose: str
    opt_in: bool
    opt_in_at: datetime | None
    source: str
    proof_reference: str | None
    revoked_at: datetime | None
    text_version: str | None
    locale: str | None
    created_at: datetime
    updated_at: datetime


def check_grant(grant: Grant, now: datetime) -> None:
    """Refuse a grant that proves nothing.

    Raises:
        InvalidInputError: names every fault with its pointer.
    """
    faults: list[FieldFault] = []
    for name in ("source", "granted_at", "text_version"):
        if not getattr(grant, name):
            message = f"A consent without {name} proves nothing."
            faults.append(FieldFault(f"/{name}", "missing", message))
    if grant.source == Source.PAPER and not grant.proof_reference and not grant.proof:
        message = "A consent on paper needs a proof: where the signed form is kept."
        faults.append(FieldFault("/proof_reference", "missing", message))
    if grant.granted_at is not None and not (
        grant.granted_at.year >= _EARLIEST_YEAR and grant.granted_at <= now + _FUTURE
    ):
        message = "A consent cannot be given in the future, nor before the year 2000."
        faults.append(FieldFault("/granted_at", "out-of-range", message))
    if faults:
        raise InvalidInputError(faults[0].message, errors=faults)


async def grant(
    transaction: Transaction, business_id: UUID, given: Grant, *, actor: str, now: datetime
) -> ConsentState:
    """Write a yes into the ledger and let it hold, unless a later no stands against it.

    The same yes told again writes nothing. A yes that is newer than a STOP lifts the
    suppression of this customer's own addresses on the channel.

    Raises:
        InvalidInputError: it proves nothing, see `check_grant`.
    """
    check_grant(given, now)
    occurred_at = min(given.granted_at or now, now)
    await _lock_customer(transaction, business_id, given.customer_id)
    before = await _state(transaction, business_id, given)
    if before and before.opt_in and _same(before, given, occurred_at):
        return before
    line = await _append(
        transaction,
        business_id,
        customer_id=given.customer_id,
        channel=given.channel,
        purpose=given.purpose,
        action=ConsentAction.GRANT,
        occurred_at=occurred_at,
        source=str(given.source),
        actor=actor,
        words=given,
    )
    if before and before.revoked_at is not None and occurred_at <= before.revoked_at:
        return before
    row = await transaction.fetchrow(
        f"""
        INSERT INTO customer_consents (id, business_id, customer_id, channel, purpose, opt_in,
            opt_in_at, source, proof_reference, text_version, locale, last_event_id,
            created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, true, $6, $7, $8, $9, $10, $11, $12, $12)
        ON CONFLICT (business_id, customer_id, channel, purpose) DO UPDATE SET
            opt_in = true, opt_in_at = excluded.opt_in_at, source = excluded.source,
            proof_reference = excluded.proof_reference, revoked_at = NULL,
            text_version = excluded.text_version, locale = excluded.locale,
            last_event_id = excluded.last_event_id, updated_at = excluded.updated_at
        RETURNING {STATE_COLUMNS}
        """,
        new_uuid(),
        business_id,
        given.customer_id,
        given.channel,
        given.purpose,
        occurred_at,
        given.source,
        given.proof_reference,
        given.text_version,
        given.locale,
        line,
        now,
    )
    await transaction.execute(
        """
        DELETE FROM suppression s USING customer_address a
        WHERE s.business_id = $1 AND s.channel = $3 AND s.created_at < $4
          AND a.business_id = $1 AND a.customer_id = $2 AND a.address_hash = s.address_hash
        """,
        business_id,
        given.customer_id,
        given.channel,
        occurred_at,
    )
    return ConsentState(**row)


async def record_revocation(
    transaction: Transaction,
    business_id: UUID,
    customer_ids: Iterable[UUID],
    channel: str,
    *,
    purposes: Sequence[str] = tuple(Purpose),
    source: str,
    actor: str,
    now: datetime,
    occurred_at: datetime | None = None,
    proof: dict[str, Any] | None = None,
) -> list[ConsentState]:
    """Write a no into the ledger and let it hold; where it holds already, write nothing.

    Call `core.consent.revocation.cancel_waiting` in the same transaction (rulings B3).

    Returns:
        The states that turned from yes to no.
    """
    at = min(occurred_at or now, now)
    changed: list[ConsentState] = []
    ordered = sorted(set(customer_ids))
    for customer_id in ordered:
        await _lock_customer(transaction, business_id, customer_id)
    rows = await transaction.fetch(
        f"""
        SELECT {STATE_COLUMNS} FROM customer_consents
        WHERE business_id = $1 AND customer_id = ANY ($2) AND channel = $3
          AND purpose = ANY ($4) AND opt_in ORDER BY id FOR UPDATE
        """,
        business_id,
        ordered,
        channel,
        list(purposes),
    )
    for row in rows:
        before = ConsentState(**row)
        line = await _append(
            transaction,
            business_id,
            customer_id=before.customer_id,
            channel=channel,
            purpose=before.purpose,
            action=ConsentAction.REVOKE,
            occurred_at=at,
            source=source,
            actor=actor,
            proof=proof,
        )
        # A no that comes late still counts, but never as older than the yes it ends.
        revoked_at = max(at, before.opt_in_at or at)
        row_after = await transaction.fetchrow(
            f"""
            UPDATE customer_consents SET opt_in = false, revoked_at = $3, last_event_id = $4,
                                         updated_at = $5
            WHERE business_id = $1 AND id = $2 RETURNING {STATE_COLUMNS}
            """,
            business_id,
            before.id,
            revoked_at,
            line,
            now,
        )
        changed.append(ConsentState(**row_after))
    return changed


async def get_state(transaction: Transaction, business_id: UUID, consent_id: UUID) -> ConsentState:
    """Return what holds now under an id (`cns_...`).

    Raises:
        NotFoundError: there is none, or it is another business's.
    """
    row = await transaction.fetchrow(
        f"SELECT {STATE_COLUMNS} FROM customer_consents WHERE business_id = $1 AND id = $2",
        business_id,
        consent_id,
    )
    if row is None:
        raise NotFoundError("There is no such consent.")
    return ConsentState(**row)


def _same(before: ConsentState, given: Grant, occurred_at: datetime) -> bool:
    told = (given.source, given.text_version, given.locale, given.proof_reference, occurred_at)
    stands = (
        before.source,
        before.text_version,
        before.locale,
        before.proof_reference,
        before.opt_in_at,
    )
    return told == stands


async def _lock_customer(transaction: Transaction, business_id: UUID, customer_id: UUID) -> None:
    # One change of a person's consent at a time, the first one included, when no row stands yet.
    found = await transaction.fetchval(
        "SELECT id FROM customer WHERE business_id = $1 AND id = $2 FOR NO KEY UPDATE",
        business_id,
        customer_id,
    )
    if found is None:
        raise NotFoundError("There is no such customer.")


async def _state(transaction: Transaction, business_id: UUID, given: Grant) -> ConsentState | None:
    row = await transaction.fetchrow(
        f"""
        SELECT {STATE_COLUMNS} FROM customer_consents
        WHERE business_id = $1 AND customer_id = $2 AND channel = $3 AND purpose = $4
        """,
        business_id,
        given.customer_id,
        given.channel,
        given.purpose,
    )
    return ConsentState(**row) if row else None


async def _append(
    transaction: Transaction,
    business_id: UUID,
    *,
    customer_id: UUID,
    channel: str,
    purpose: str,
    action: ConsentAction,
    occurred_at: datetime,
    source: str,
    actor: str,
    words: Grant | None = None,
    proof: dict[str, Any] | None = None,
) -> UUID:
    line = new_uuid()
    await transaction.execute(
        """
        INSERT INTO consent_event (id, business_id, customer_id, channel, purpose, action,
            occurred_at, source, actor, text_version, text_hash, locale, proof_reference, proof)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        line,
        business_id,
        customer_id,
        channel,
        purpose,
        action.value,
        occurred_at,
        source,
        actor,
        words.text_version if words else None,
        words.text_hash if words else None,
        words.locale if words else None,
        words.proof_reference if words else None,
        words.proof if words else proof,
    )
    return line
