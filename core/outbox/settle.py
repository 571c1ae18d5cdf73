"""What a person may do to one message: cancel it, try it again, or say what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

Outcome = Literal["sent", "failed", "resend"]


async def lock(transaction: Transaction, business_id: UUID, message: UUID) -> Any:
    """Lock a message and return its status, phase and reason; waits for a begin under way."""
    return await transaction.fetchrow(
        """
        SELECT o.status, o.phase, o.reason, o.channel,
               o.useful_until <= clock_timestamp() AS too_late, (
                   SELECT f.status FROM notification_outbox f WHERE f.fallback_of = o.id
               ) AS follower
        FROM notification_outbox o WHERE o.business_id = $1 AND o.id = $2 FOR UPDATE
        """,
        business_id,
        message,
    )


async def cancel(transaction: Transaction, business_id: UUID, message: UUID) -> None:
    """Cancel a locked message that waits or is only claimed."""
    await transaction.execute(
        """
        UPDATE notification_outbox
        SET status = 'canceled', phase = 'final', reason = 'canceled', lease_token = NULL,
            lease_until = NULL, next_retry_at = NULL, sequence = sequence + 1,
            updated_at = clock_timestamp()
        WHERE business_id = $1 AND id = $2 AND phase IN ('waiting', 'leased')
        """,
        business_id,
        message,
    )


async def retry(transaction: Transaction, business_id: UUID, message: UUID) -> None:
    """Queue a locked message that failed or was canceled, with all its tries.

    Begin looks at it as at any. If it fails again, the next channel is asked again, unless a
    follower was made already.
    """
    await transaction.execute(
        """
        UPDATE notification_outbox
        SET status = 'queued', phase = 'waiting', reason = '', retry_count = 0, failed_at = NULL,
            next_retry_at = clock_timestamp(), sequence = sequence + 1,
            followed_at = CASE WHEN EXISTS (
                SELECT FROM notification_outbox f WHERE f.fallback_of = $2) THEN followed_at END,
            updated_at = clock_timestamp()
        WHERE business_id = $1 AND id = $2 AND status IN ('failed', 'canceled')
          AND phase = 'final'
        """,
        business_id,
        message,
    )


async def settle(
    transaction: Transaction, business_id: UUID, message: UUID, outcome: Outcome
) -> None:
    """Bring a locked, unconfirmed message to what a person knows of it."""
    await transaction.execute(
        """
        UPDATE notification_outbox
        SET status = CASE $3 WHEN 'sent' THEN 'sent' WHEN 'failed' THEN 'failed' ELSE status END,
            phase = CASE WHEN $3 = 'resend' THEN 'waiting' ELSE 'final' END,
            reason = CASE WHEN $3 = 'failed' THEN 'settled-failed' ELSE '' END,
            sent_at = CASE WHEN $3 = 'sent' THEN coalesce(sent_at, begun_at) ELSE sent_at END,
            failed_at = CASE WHEN $3 = 'failed' THEN clock_timestamp() ELSE failed_at END,
            next_retry_at = CASE WHEN $3 = 'resend' THEN clock_timestamp() END,
            sequence = sequence + 1, updated_at = clock_timestamp()
        WHERE business_id = $1 AND id = $2 AND phase = 'unconfirmed'
        """,
        business_id,
        message,
        outcome,
    )


async def unconfirmed(transaction: Transaction, business_id: UUID, channel: str) -> bool:
    """Tell whether a business still has messages on a channel whose answer was lost."""
    found: bool = await transaction.fetchval(
        """
        SELECT EXISTS (SELECT FROM notification_outbox
                       WHERE business_id = $1 AND channel = $2 AND phase = 'unconfirmed')
        """,
        business_id,
        channel,
    )
    return found
