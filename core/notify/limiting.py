"""Reads and changes what a business may send; running lanes follow in the same transaction."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.access import audit
from core.errors import ProblemError
from core.limits.caps import change_caps
from core.outbox.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from core.channels.host import Transaction
    from core.db import Database
    from core.limits.lanes import LaneKey


class ChangedMeanwhileError(ProblemError):
    """Somebody else changed the thing since the caller read it."""

    status = 412
    code = "changed-meanwhile"


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a business may send, and what stops it; a field that is left out has its default.

    Attributes:
        per_minute: most messages in any 60 seconds, per channel.
        per_day: most messages a day, per channel, in the business's own day.
        per_recipient_day: most messages a day to one recipient, per channel.
        suspend_percent: share of failures that stops a channel by itself; 0 switches it off.
        suspend_window: how many of the last attempts are looked at.
        suspend_minimum: fewer attempts than this never stop a channel.
        quality_stop: the provider's word of a number's quality at which its channel stops.
        retry_base_seconds: wait before the first retry of a passing fault.
        retry_factor: each further wait is so many times the one before.
        retry_jitter_percent: how far a wait may differ, either way.
        retries: after so many the message has failed.
        grace_seconds: how long a message whose answer was lost waits for news.
        unconfirmed: what follows then: hold it for a person, or resend it at the risk of a double.
    """

    per_minute: Annotated[int, Meta(ge=1, le=100_000)] = 60
    per_day: Annotated[int, Meta(ge=0, le=10_000_000)] = 1000
    per_recipient_day: Annotated[int, Meta(ge=1, le=100_000)] = 20
    suspend_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    suspend_window: Annotated[int, Meta(ge=1, le=1000)] = 50
    suspend_minimum: Annotated[int, Meta(ge=1, le=1000)] = 20
    quality_stop: Literal["RED", "YELLOW", "OFF"] = "RED"
    retry_base_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    retry_factor: Annotated[int, Meta(ge=1, le=10)] = 2
    retry_jitter_percent: Annotated[int, Meta(ge=0, le=90)] = 25
    retries: Annotated[int, Meta(ge=0, le=5)] = 5
    grace_seconds: Annotated[int, Meta(ge=1, le=100_000)] = 120
    unconfirmed: Literal["hold", "resend"] = "hold"

    @property
    def etag(self) -> str:
        """Return the tag by which a caller says which state it has seen."""
        return f'"{hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]}"'

    @property
    def retry_policy(self) -> RetryPolicy:
        """Return how long to wait before each retry."""
        return RetryPolicy(
            base=timedelta(seconds=self.retry_base_seconds),
            factor=self.retry_factor,
            jitter=self.retry_jitter_percent / 100,
            retries=self.retries,
        )


def limits_of(settings: Mapping[str, Any]) -> Limits:
    """Return a business's limits from its settings; what is not stored has its default."""
    known = {name: settings[name] for name in Limits.__struct_fields__ if name in settings}
    return msgspec.convert(known, Limits)


async def read_limits(transaction: Transaction, business_id: UUID) -> Limits:
    """Return what a business may send."""
    settings = await transaction.fetchval(
        "SELECT settings FROM business WHERE id = $1", business_id
    )
    return limits_of(settings or {})


async def retry_policies(
    transaction: Transaction, business_ids: Collection[UUID]
) -> dict[UUID, RetryPolicy]:
    """Return how long each of these businesses waits before its retries."""
    if not business_ids:
        return {}
    rows = await transaction.fetch(
        "SELECT id, settings FROM business WHERE id = ANY ($1)", sorted(business_ids)
    )
    return {row["id"]: limits_of(row["settings"] or {}).retry_policy for row in rows}


async def change_limits(
    database: Database,
    business_id: UUID,
    wanted: Limits,
    *,
    expected: str | None,
    actor: str,
    ip: str | None = None,
) -> list[LaneKey]:
    """Store new limits and bring the running lanes to them; returns the lanes to wake.

    Args:
        database: opened.
        business_id: whose limits.
        wanted: the whole of them.
        expected: the tag that the caller has seen; None overwrites whatever stands there.
        actor: who asks, for the audit trail.
        ip: where the call came from.

    Raises:
        ChangedMeanwhileError: something else stands there now.
    """
    async with database.engine() as transaction:
        settings = await transaction.fetchval(
            "SELECT settings FROM business WHERE id = $1 FOR NO KEY UPDATE", business_id
        )
        before = limits_of(settings or {})
        if expected is not None and expected != before.etag:
            raise ChangedMeanwhileError("The limits were changed since you read them.")
        if before == wanted:
            return []
        await transaction.execute(
            "UPDATE business SET settings = settings || $2, updated_at = clock_timestamp() "
            "WHERE id = $1",
            business_id,
            msgspec.to_builtins(wanted),
        )
        await audit.record(
            transaction,
            business_id=business_id,
            actor=actor,
            action="limits.change",
            target="limits",
            before=msgspec.to_builtins(before),
            after=msgspec.to_builtins(wanted),
            ip=ip,
        )
        return await change_caps(
            transaction, business_id, per_minute=wanted.per_minute, per_day=wanted.per_day
        )
