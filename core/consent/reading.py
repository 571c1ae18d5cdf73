"""Reads consent: what holds now, how it came to it, and many questions at once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from core.consent.ledger import STATE_COLUMNS, ConsentState
from core.consent.tables import Purpose
from core.ids import CustomerId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.host import Transaction


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger; `at` is when we wrote it, `occurred_at` when it happened."""

    customer_id: CustomerId
    channel: str
    purpose: str
    action: str
    at: datetime
    occurred_at: datetime
    source: str
    actor: str
    text_version: str | None
    locale: str | None
    proof_reference: str | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """May this customer be written to, as far as consent goes; the reason of a no."""

    allowed: bool
    reason: str = ""
    consent_id: UUID | None = None


async def list_states(
    transaction: Transaction, business_id: UUID, customer_id: UUID
) -> list[ConsentState]:
    """Return what holds now for one customer, over all channels and purposes."""
    rows = await transaction.fetch(
        f"""
        SELECT {STATE_COLUMNS} FROM customer_consents
        WHERE business_id = $1 AND customer_id = $2 ORDER BY channel, purpose
        """,
        business_id,
        customer_id,
    )
    return [ConsentState(**row) for row in rows]


async def history(
    transaction: Transaction, business_id: UUID, customer_id: UUID, *, limit: int = 200
) -> list[LedgerLine]:
    """Return the ledger of one customer, the newest line first."""
    rows = await transaction.fetch(
        """
        SELECT customer_id, channel, purpose, action, at, occurred_at, source, actor,
               text_version, locale, proof_reference
        FROM consent_event WHERE business_id = $1 AND customer_id = $2 ORDER BY id DESC LIMIT $3
        """,
        business_id,
        customer_id,
        limit,
    )
    return [LedgerLine(**row) for row in rows]


async def check(
    transaction: Transaction, business_id: UUID, asked: Sequence[tuple[str, str, str]]
) -> list[Verdict]:
    """Say for many (customer ref, channel, purpose) what `begin` would; keeps the order."""
    rows = await transaction.fetch(
        """
        SELECT n.place, s.id, s.opt_in, t.opt_in AS transactional,
               EXISTS (SELECT FROM customer_address a JOIN suppression p
                         ON p.business_id = a.business_id AND p.channel = n.channel
                        AND p.address_hash = a.address_hash
                       WHERE a.business_id = $1 AND a.customer_id = c.id) AS suppressed
        FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY
             AS n(ref, channel, purpose, place)
        LEFT JOIN customer c ON c.business_id = $1 AND c.ref = n.ref
        LEFT JOIN customer_consents s ON s.business_id = $1 AND s.customer_id = c.id
             AND s.channel = n.channel AND s.purpose = n.purpose
        LEFT JOIN customer_consents t ON t.business_id = $1 AND t.customer_id = c.id
             AND t.channel = n.channel AND t.purpose = 'transactional'
        ORDER BY n.place
        """,
        business_id,
        [one[0] for one in asked],
        [one[1] for one in asked],
        [one[2] for one in asked],
    )
    return [_verdict(row, purpose) for row, (_, _, purpose) in zip(rows, asked, strict=True)]


def _verdict(row: Any, purpose: str) -> Verdict:
    missing = "marketing-consent-missing" if purpose == Purpose.MARKETING else "consent-missing"
    if row["id"] is None:
        return Verdict(allowed=False, reason=missing)
    if not row["opt_in"]:
        return Verdict(allowed=False, reason="consent-revoked", consent_id=row["id"])
    if not row["transactional"]:
        # Advertising needs both: who wants no messages at all wants no offers either.
        reason = "consent-missing" if row["transactional"] is None else "consent-revoked"
        return Verdict(allowed=False, reason=reason, consent_id=row["id"])
    if row["suppressed"]:
        return Verdict(allowed=False, reason="address-suppressed", consent_id=row["id"])
    return Verdict(allowed=True, consent_id=row["id"])
