"""What the providers tell us, taken in as sets: each function is a few statements for a batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.channels.messages import ChannelEvent, ProviderEvent, StatusUpdate
from core.consent.tables import Purpose
from core.consent.words import Word, recognise
from core.errors import NotFoundError
from core.ids import NOTIFICATION, inward
from core.notify import aftermath, fallbacks, message_log, received, replies
from core.outbox.store import StatusNews, Touched
from core.outbox.store import apply_statuses as move_forward

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from uuid import UUID

    from core.channels.host import Transaction
    from core.channels.messages import InboundMessage
    from core.limits.lanes import LaneKey
    from core.notify.services import Services

_DEDUPE: Final = "inbox_dedupe"
_PARKED_AT_ONCE: Final = 500
_ARRIVED: Final = frozenset({"delivered", "read"})
_TYPED: Final = "text"
_WRITTEN: Final = frozenset({_TYPED, "button", "interactive"})
"""The types of messages in which a person says something to us; a picture's caption is none."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """The message of ours that a customer answered."""

    id: UUID
    purpose: str


def kind_of(event: ProviderEvent) -> str:
    """Return the word under which news is counted."""
    if isinstance(event, StatusUpdate):
        return f"status:{event.status}"
    if isinstance(event, ChannelEvent):
        return event.kind if event.known else f"unknown:{event.kind}"[:64]
    return f"inbound:{event.message_type}"[:64]


async def drop_known(
    services: Services, transaction: Transaction, channel: str, events: Sequence[ProviderEvent]
) -> list[ProviderEvent]:
    """Remember news by its dedupe word and return only what was never seen, once."""
    hashed = {services.vault.keyed_hash(_DEDUPE, one.dedupe.encode()): one for one in events}
    rows = await transaction.fetch(
        """
        INSERT INTO inbox_dedupe (id, channel, dedupe)
        SELECT gen_random_uuid(), $1, t.word FROM unnest($2::bytea[]) AS t(word) ORDER BY t.word
        ON CONFLICT (channel, dedupe) DO NOTHING RETURNING dedupe
        """,
        channel,
        list(hashed),
    )
    fresh = {bytes(row["dedupe"]) for row in rows}
    return [event for word, event in hashed.items() if word in fresh]


async def apply_statuses(
    services: Services,
    transaction: Transaction,
    channel: str,
    updates: Sequence[StatusUpdate],
    park_for: timedelta,
) -> set[LaneKey]:
    """Move messages forward; park what belongs to no message of ours yet.

    Returns:
        The lanes to wake after the commit: those that took over from what failed.
    """
    told = [_news(services, update) for update in updates]
    touched, woken = await _move(services, transaction, channel, told)
    unknown = [one for one, found in zip(told, touched, strict=True) if found is None]
    if unknown:
        await _park(transaction, channel, unknown, park_for)
    return woken


async def retry_parked(services: Services, transaction: Transaction, channel: str) -> set[LaneKey]:
    """Try parked statuses again; what finds its message now is taken out.

    Returns:
        The lanes to wake after the commit.
    """
    rows = await transaction.fetch(
        """
        SELECT p.* FROM parked_status p
        WHERE p.channel = $1 AND p.until > clock_timestamp() AND EXISTS (
            SELECT FROM notification_outbox o
            WHERE o.provider_message_hash = p.provider_message_hash)
        ORDER BY p.id LIMIT $2
        """,
        channel,
        _PARKED_AT_ONCE,
    )
    if not rows:
        return set()
    touched, woken = await _move(services, transaction, channel, [_parked(row) for row in rows])
    settled = [row["id"] for row, found in zip(rows, touched, strict=True) if found is not None]
    await transaction.execute("DELETE FROM parked_status WHERE id = ANY ($1)", settled)
    return woken


async def keep_inbound(
    services: Services, transaction: Transaction, channel: str, messages: Sequence[InboundMessage]
) -> set[LaneKey]:
    """Act on STOP and START, then log what customers wrote and which of our messages it answers.

    Returns:
        The lanes with a confirmation to send.
    """
    owners = await _owners(transaction, channel, [one.account for one in messages])
    routed = [one for one in messages if one.account in owners]
    if len(routed) < len(messages):
        await count(transaction, channel, ["unrouted"] * (len(messages) - len(routed)))
    kind = services.registry.plugins[channel].address_kind
    hashes = [services.vault.blind_index(owners[one.account], kind, one.sender) for one in routed]
    answers = [_message_hash(services, one.answers) if one.answers else None for one in routed]
    answered = await _notifications(transaction, [owners[one.account] for one in routed], answers)
    acts = await replies.respect(
        services,
        transaction,
        channel,
        [
            replies.Reply(
                business_id=owners[one.account],
                address_hash=hashed,
                message_hash=_message_hash(services, one.provider_message_id),
                account=one.account,
                word=word,
                at=one.occurred_at,
            )
            for one, hashed, answer in zip(routed, hashes, answers, strict=True)
            if (word := _word(one, answered.get((owners[one.account], answer))))
        ],
    )
    await count(transaction, channel, [kind for kind, _ in acts])
    customers = await _customers(transaction, [owners[one.account] for one in routed], hashes)
    await message_log.write(
        services,
        transaction,
        channel,
        [
            message_log.LogEntry(
                business_id=owners[one.account],
                customer_id=customers.get((owners[one.account], hashed)),
                direction="inbound",
                message_type=one.message_type[:32],
                content={"text": one.text, "button": one.button},
                provider_message_id=one.provider_message_id,
                provider_message_hash=_message_hash(services, one.provider_message_id),
                status="delivered",
                account=one.account,
                at=one.occurred_at,
                notification_id=_id(answered.get((owners[one.account], answer))),
                address_hash=hashed,
            )
            for one, hashed, answer in zip(routed, hashes, answers, strict=True)
        ],
    )
    await received.tell(
        transaction,
        channel,
        [
            received.Received(
                business_id=owners[one.account],
                customer_id=customers.get((owners[one.account], hashed)),
                notification_id=_id(answered.get((owners[one.account], answer))),
                message_type=one.message_type[:32],
                button=one.button,
                at=one.occurred_at,
            )
            for one, hashed, answer in zip(routed, hashes, answers, strict=True)
        ],
    )
    return {lane for _, lane in acts if lane is not None}


async def count(transaction: Transaction, channel: str, kinds: Sequence[str]) -> None:
    """Count news by kind, so that nothing comes unnoticed."""
    if not kinds:
        return
    seen = sorted(Counter(kinds).items())
    await transaction.execute(
        """
        INSERT INTO inbox_counter AS c (id, channel, kind, seen, last_at)
        SELECT gen_random_uuid(), $1, t.kind, t.seen, clock_timestamp()
        FROM unnest($2::text[], $3::bigint[]) AS t(kind, seen)
        ON CONFLICT (channel, kind) DO UPDATE
        SET seen = c.seen + excluded.seen, last_at = excluded.last_at
        """,
        channel,
        [kind for kind, _ in seen],
        [number for _, number in seen],
    )


async def _move(
    services: Services, transaction: Transaction, channel: str, told: Sequence[StatusNews]
) -> tuple[list[Touched | None], set[LaneKey]]:
    if not told:
        return [], set()
    touched = await move_forward(transaction, channel, told)
    ids = sorted({one.id for one in touched if one is not None})
    await message_log.forward(services, transaction, channel, ids)
    became = {one.id: one.became for one in touched if one is not None}
    await fallbacks.call_back(
        transaction, sorted(one for one in became if became[one] in _ARRIVED)
    )
    failed = sorted(one for one in became if became[one] == "failed")
    await aftermath.judge_late(transaction, told, touched)
    return touched, await fallbacks.follow(services, transaction, failed)


async def _park(
    transaction: Transaction, channel: str, unknown: Sequence[StatusNews], park_for: timedelta
) -> None:
    await transaction.execute(
        """
        INSERT INTO parked_status (id, channel, account_ref, provider_message_hash, status,
                                   occurred_at, error_code, until)
        SELECT gen_random_uuid(), $1, t.account, t.hash, t.status, t.at, t.code,
               clock_timestamp() + $7
        FROM unnest($2::text[], $3::bytea[], $4::text[], $5::timestamptz[], $6::text[])
            AS t(account, hash, status, at, code)
        """,
        channel,
        [one.account for one in unknown],
        [one.provider_message_hash for one in unknown],
        [one.status for one in unknown],
        [one.occurred_at for one in unknown],
        [one.code for one in unknown],
        park_for,
    )


def _news(services: Services, update: StatusUpdate) -> StatusNews:
    return StatusNews(
        account=update.account,
        callback=_callback(update.callback_id),
        provider_message_id=update.provider_message_id,
        provider_message_hash=_message_hash(services, update.provider_message_id),
        status=update.status,
        occurred_at=update.occurred_at,
        code=update.error_code,
        counts=update.status == "failed" and not update.recipient_fault,
    )


def _parked(row: Mapping[str, Any]) -> StatusNews:
    return StatusNews(
        account=row["account_ref"],
        callback=None,
        provider_message_id="",
        provider_message_hash=bytes(row["provider_message_hash"]),
        status=row["status"],
        occurred_at=row["occurred_at"],
        code=row["error_code"],
    )


def _callback(text: str) -> UUID | None:
    try:
        return inward(NOTIFICATION, text)
    except NotFoundError:
        return None  # another sender's word on the same account; the provider's id decides then


def _message_hash(services: Services, provider_message_id: str) -> bytes:
    return services.vault.keyed_hash(message_log.MESSAGE_ID, provider_message_id.encode())


async def _owners(
    transaction: Transaction, channel: str, accounts: Sequence[str]
) -> dict[str, UUID]:
    rows = await transaction.fetch(
        """
        SELECT account_ref, business_id FROM channel_connection
        WHERE channel = $1 AND account_ref = ANY ($2)
        """,
        channel,
        list(accounts),
    )
    return {row["account_ref"]: row["business_id"] for row in rows}


async def _customers(
    transaction: Transaction, businesses: Sequence[UUID], hashes: Sequence[bytes]
) -> dict[tuple[UUID, bytes], UUID]:
    """Find whose address it is; with several customers of one address, the newest."""
    rows = await transaction.fetch(
        """
        SELECT a.business_id, a.address_hash, max(a.customer_id::text)::uuid AS customer_id
        FROM unnest($1::uuid[], $2::bytea[]) AS k(business_id, hash)
        JOIN customer_address a ON a.business_id = k.business_id AND a.address_hash = k.hash
        GROUP BY 1, 2
        """,
        list(businesses),
        list(hashes),
    )
    return {(row["business_id"], bytes(row["address_hash"])): row["customer_id"] for row in rows}


async def _notifications(
    transaction: Transaction, businesses: Sequence[UUID], hashes: Sequence[bytes | None]
) -> dict[tuple[UUID, bytes | None], _Answered]:
    rows = await transaction.fetch(
        """
        SELECT o.business_id, o.provider_message_hash, o.id, o.purpose
        FROM unnest($1::uuid[], $2::bytea[]) AS k(business_id, hash)
        JOIN notification_outbox o
          ON o.business_id = k.business_id AND o.provider_message_hash = k.hash
        """,
        list(businesses),
        list(hashes),
    )
    return {
        (row["business_id"], bytes(row["provider_message_hash"])): _Answered(
            row["id"], row["purpose"]
        )
        for row in rows
    }


def _id(answered: _Answered | None) -> UUID | None:
    return answered.id if answered else None


def _word(message: InboundMessage, answered: _Answered | None) -> Word | None:
    """Return what a message asks for; a stop pressed under advertising ends advertising."""
    if message.message_type not in _WRITTEN:
        return None
    word = recognise(message.text, message.button)
    pressed = message.message_type != _TYPED
    if word is Word.STOP and pressed and answered and answered.purpose == Purpose.MARKETING:
        return Word.STOP_MARKETING
    return word
