"""Events as they are kept: stored before anything is decided, and answered the same ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import InvalidInputError
from core.ids import EVENT, outward
from core.notify.events import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from core.channels.host import Transaction, Vault
    from core.notify.events import NotificationEvent

Key = tuple[str, str]
"""What names an event: its source and its id there."""


async def insert(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    events: Mapping[Key, NotificationEvent],
    ids: Mapping[Key, UUID],
) -> set[Key]:
    """Insert what is new and return its keys; a rival with the same key is waited for."""
    rows = [(ids[key], event) for key, event in sorted(events.items())]
    stored = await transaction.fetch(
        """
        INSERT INTO event (id, business_id, source, external_id, type, occurred_at,
                           booking_ref, booking_version, body_hash, payload_sealed)
        SELECT t.id, $1, t.source, t.external_id, t.type, t.at, t.booking_ref, t.version,
               t.body_hash, t.payload
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
                    $7::text[], $8::bigint[], $9::bytea[], $10::bytea[])
            AS t(id, source, external_id, type, at, booking_ref, version, body_hash, payload)
        ON CONFLICT DO NOTHING
        RETURNING source, external_id
        """,
        business_id,
        [row_id for row_id, _ in rows],
        [event.source for _, event in rows],
        [event.id for _, event in rows],
        [event.type for _, event in rows],
        [event.time for _, event in rows],
        [event.booking.ref if event.booking else None for _, event in rows],
        [event.booking.version if event.booking else None for _, event in rows],
        [event.body_hash for _, event in rows],
        [
            vault.seal(
                msgspec.json.encode(event),
                context=("event", "payload_sealed", str(business_id), str(row_id)),
            )
            for row_id, event in rows
        ],
    )
    return {(row["source"], row["external_id"]) for row in stored}


async def known(
    transaction: Transaction, business_id: UUID, events: Mapping[Key, NotificationEvent]
) -> dict[Key, Answer | InvalidInputError]:
    """Return the kept answers of events that were there already, by id or by meaning.

    An event whose id was used before with another body gets the error to raise.
    """
    if not events:
        return {}
    rows = await transaction.fetch(
        """
        SELECT k.source, k.external_id, e.id, e.body_hash, e.answer,
               e.source = k.source AND e.external_id = k.external_id AS same_id
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
            AS k(source, external_id, type, booking_ref, version)
        JOIN LATERAL (
            SELECT x.* FROM event x WHERE x.business_id = $1 AND (
                (x.source = k.source AND x.external_id = k.external_id)
                OR (x.type = k.type AND x.booking_ref = k.booking_ref
                    AND x.booking_version = k.version))
            ORDER BY (x.source = k.source AND x.external_id = k.external_id) DESC LIMIT 1
        ) e ON true
        """,
        business_id,
        [event.source for event in events.values()],
        [event.id for event in events.values()],
        [event.type for event in events.values()],
        [event.booking.ref if event.booking else None for event in events.values()],
        [event.booking.version if event.booking else None for event in events.values()],
    )
    answers: dict[Key, Answer | InvalidInputError] = {}
    for row in rows:
        key = (row["source"], row["external_id"])
        if row["same_id"] and bytes(row["body_hash"]) != events[key].body_hash:
            answers[key] = _mismatch(events[key])
            continue
        kept: Any = row["answer"] or {"id": outward(EVENT, row["id"])}
        answers[key] = msgspec.structs.replace(msgspec.convert(kept, Answer), duplicate=True)
    return answers


async def name_customers(
    transaction: Transaction, business_id: UUID, customers: Mapping[Key, UUID]
) -> None:
    """Write down whom events are about."""
    await transaction.execute(
        """
        UPDATE event e SET customer_id = t.customer_id
        FROM unnest($2::text[], $3::text[], $4::uuid[]) AS t(source, external_id, customer_id)
        WHERE e.business_id = $1 AND e.source = t.source AND e.external_id = t.external_id
        """,
        business_id,
        [key[0] for key in customers],
        [key[1] for key in customers],
        list(customers.values()),
    )


async def keep_answers(
    transaction: Transaction, business_id: UUID, answers: Mapping[UUID, Answer]
) -> None:
    """Keep what callers were told, to tell it again."""
    if answers:
        await transaction.execute(
            """
            UPDATE event e SET answer = t.answer
            FROM unnest($2::uuid[], $3::jsonb[]) AS t(id, answer)
            WHERE e.business_id = $1 AND e.id = t.id
            """,
            business_id,
            list(answers),
            [msgspec.to_builtins(answer) for answer in answers.values()],
        )


def _mismatch(event: NotificationEvent) -> InvalidInputError:
    """Return what is raised when an id comes again with another body."""
    return InvalidInputError(
        f"The event {event.id} of {event.source} was told before with another body.",
        code="idempotency-mismatch",
    )
