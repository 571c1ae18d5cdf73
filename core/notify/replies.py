"""Acts on what customers answer: STOP ends messages, START takes a STOP back (rulings B6, B15).

Runs in the inbox's transaction. A STOP reaches every customer of the business with that address,
leaves a mark on the address and is confirmed once; a START brings back only what a STOP from the
same address had ended. Nothing else that a customer writes grants or ends anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from core.access import audit
from core.consent import ledger
from core.consent.revocation import revoke
from core.consent.tables import Purpose
from core.consent.words import Word
from core.ids import CONSENT, new_uuid, outward

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.consent.ledger import ConsentState
    from core.limits.lanes import LaneKey
    from core.notify.services import Services

WINDOW: Final = timedelta(hours=24)
"""How long after a customer's message a free text may answer it."""

SOURCE: Final = "whatsapp"
"""Where a reply was given, in the specification's words (3.3): in the conversation itself."""

CONFIRMATION: Final = "confirmation"
"""The kind of the one message outside the consent gate."""

_PURPOSES: Final = {
    Word.STOP: tuple(Purpose),
    Word.STOP_MARKETING: (Purpose.MARKETING,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A customer's message that is one of the words.

    Attributes:
        address_hash: the keyed hash of the sender's address.
        message_hash: the keyed hash of the provider's id; finds the message in the log.
        account: which of the business's accounts was written to.
    """

    business_id: UUID
    address_hash: bytes
    message_hash: bytes
    account: str
    word: Word
    at: datetime

    @property
    def proof(self) -> dict[str, Any]:
        """Return what the ledger keeps of it: no words and no address."""
        return {
            "reply": self.message_hash.hex(),
            "word": self.word.value,
            "address": self.address_hash.hex(),
        }


async def respect(
    services: Services, transaction: Transaction, channel: str, replies: Sequence[Reply]
) -> list[tuple[str, LaneKey | None]]:
    """Act on replies, in the order they were written.

    Returns:
        For each act its word for the counters, and the lane to wake for a confirmation.
    """
    if not replies:
        return []
    people = await _people(transaction, replies)
    told: list[tuple[str, LaneKey | None]] = []
    for reply in sorted(replies, key=lambda one: one.at):
        told.append((f"reply:{reply.word}", None))
        found = people.get((reply.business_id, reply.address_hash), [])
        if reply.word is Word.START:
            await _restart(services, transaction, channel, reply, found)
        elif await _stop(services, transaction, channel, reply, found):
            told.append(("reply:confirmed", (reply.business_id, channel)))
    return told


async def _people(
    transaction: Transaction, replies: Sequence[Reply]
) -> dict[tuple[UUID, bytes], list[UUID]]:
    """Find and lock everybody with these addresses, in the order in which intake locks them."""
    rows = await transaction.fetch(
        """
        SELECT c.business_id, c.id FROM customer c
        WHERE (c.business_id, c.id) IN (
            SELECT a.business_id, a.customer_id
            FROM unnest($1::uuid[], $2::bytea[]) AS k(business_id, hash)
            JOIN customer_address a ON a.business_id = k.business_id AND a.address_hash = k.hash)
        ORDER BY c.business_id, c.ref FOR NO KEY UPDATE
        """,
        [one.business_id for one in replies],
        [one.address_hash for one in replies],
    )
    addresses = await transaction.fetch(
        """
        SELECT DISTINCT a.business_id, a.address_hash, a.customer_id FROM customer_address a
        WHERE a.business_id = ANY ($1) AND a.address_hash = ANY ($2) AND a.customer_id = ANY ($3)
        """,
        [one.business_id for one in replies],
        [one.address_hash for one in replies],
        [row["id"] for row in rows],
    )
    found: dict[tuple[UUID, bytes], list[UUID]] = {}
    for row in addresses:
        key = (row["business_id"], bytes(row["address_hash"]))
        found.setdefault(key, []).append(row["customer_id"])
    return found


async def _stop(
    services: Services,
    transaction: Transaction,
    channel: str,
    reply: Reply,
    customers: Sequence[UUID],
) -> bool:
    """End what the word ends; tells whether a confirmation was queued."""
    now = services.clock.now()
    at = min(reply.at, now)
    if reply.word is Word.STOP:
        await transaction.execute(
            """
            INSERT INTO suppression AS s (
                id, business_id, channel, address_hash, reason, created_at)
            VALUES ($1, $2, $3, $4, 'stop', $5)
            ON CONFLICT (business_id, channel, address_hash)
            DO UPDATE SET created_at = greatest(s.created_at, excluded.created_at)
            """,
            new_uuid(),
            reply.business_id,
            channel,
            reply.address_hash,
            at,
        )
    revoked = await revoke(
        transaction,
        reply.business_id,
        customers,
        channel,
        purposes=_PURPOSES[reply.word],
        source=SOURCE,
        actor=f"customer:{channel}",
        now=now,
        occurred_at=at,
        proof=reply.proof,
    )
    for state in revoked.changed:
        await _audit(transaction, channel, reply, state, "consent.revoke")
    if not revoked.changed or at + WINDOW <= now:
        return False
    return await _confirm(transaction, channel, reply, revoked.changed, at)


async def _confirm(
    transaction: Transaction,
    channel: str,
    reply: Reply,
    changed: Sequence[ConsentState],
    at: datetime,
) -> bool:
    """Queue the one confirmation, to the address that spoke, tied to the line it confirms."""
    queued = await transaction.fetchval(
        """
        INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type,
            template_name, kind, purpose, language_code, payload_json, next_retry_at,
            address_id, connection_id, in_reply_to, useful_until)
        SELECT $1, $2, c.customer_id, $3, 'consent.revoked', '', $4, c.purpose,
            coalesce(p.locale, b.default_locale), $5, clock_timestamp(), a.id, n.id,
            c.last_event_id, $6
        FROM customer_consents c
        JOIN customer p ON p.business_id = c.business_id AND p.id = c.customer_id
        JOIN business b ON b.id = c.business_id
        JOIN customer_address a ON a.business_id = c.business_id
            AND a.customer_id = c.customer_id AND a.address_hash = $7
        LEFT JOIN channel_connection n ON n.business_id = c.business_id AND n.channel = $3
            AND n.account_ref = $8
        WHERE c.business_id = $2 AND c.id = ANY ($9) AND a.address_sealed IS NOT NULL
        ORDER BY c.customer_id DESC, c.purpose DESC LIMIT 1
        RETURNING true
        """,
        new_uuid(),
        reply.business_id,
        channel,
        CONFIRMATION,
        {"purposes": list(_PURPOSES[reply.word])},
        at + WINDOW,
        reply.address_hash,
        reply.account,
        [state.id for state in changed],
    )
    return bool(queued)


async def _restart(
    services: Services,
    transaction: Transaction,
    channel: str,
    reply: Reply,
    customers: Sequence[UUID],
) -> None:
    """Lift the mark of the address, and grant again what a STOP from it had ended."""
    now = services.clock.now()
    at = min(reply.at, now)
    await transaction.execute(
        """
        DELETE FROM suppression WHERE business_id = $1 AND channel = $2 AND address_hash = $3
          AND reason = 'stop' AND created_at <= $4
        """,
        reply.business_id,
        channel,
        reply.address_hash,
        at,
    )
    rows = await transaction.fetch(
        """
        SELECT c.customer_id, c.purpose, c.text_version, c.locale
        FROM customer_consents c
        JOIN consent_event e ON e.business_id = c.business_id AND e.id = c.last_event_id
        WHERE c.business_id = $1 AND c.customer_id = ANY ($2) AND c.channel = $3
          AND NOT c.opt_in AND c.revoked_at < $4 AND c.text_version IS NOT NULL
          AND e.action = 'revoke' AND e.proof ->> 'word' = $5 AND e.proof ->> 'address' = $6
        ORDER BY c.customer_id, c.purpose
        """,
        reply.business_id,
        list(customers),
        channel,
        at,
        Word.STOP.value,
        reply.address_hash.hex(),
    )
    for row in rows:
        state = await ledger.grant(
            transaction,
            reply.business_id,
            ledger.Grant(
                customer_id=row["customer_id"],
                channel=channel,
                purpose=row["purpose"],
                source=SOURCE,
                granted_at=at,
                text_version=row["text_version"],
                locale=row["locale"],
                proof=reply.proof,
            ),
            actor=f"customer:{channel}",
            now=now,
        )
        await _audit(transaction, channel, reply, state, "consent.grant")
    await transaction.execute(
        """
        WITH old AS MATERIALIZED (
            SELECT o.id FROM notification_outbox o
            WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.channel = $3
              AND o.kind = $4 AND o.phase IN ('waiting', 'leased') ORDER BY o.id FOR UPDATE)
        UPDATE notification_outbox o
        SET status = 'canceled', phase = 'final', reason = 'superseded', lease_token = NULL,
            lease_until = NULL, next_retry_at = NULL, sequence = o.sequence + 1,
            updated_at = clock_timestamp()
        FROM old WHERE o.id = old.id
        """,
        reply.business_id,
        [row["customer_id"] for row in rows],
        channel,
        CONFIRMATION,
    )


async def _audit(
    transaction: Transaction, channel: str, reply: Reply, state: ConsentState, action: str
) -> None:
    await audit.record(
        transaction,
        business_id=reply.business_id,
        actor=f"customer:{channel}",
        action=action,
        target=f"consent:{outward(CONSENT, state.id)}",
        after={"state": "granted" if state.opt_in else "revoked", "purpose": state.purpose},
    )
