"""Lanes: whose turn it is, and how much of the caps is left. All the lane SQL.

The functions behind `claim`, `wake` and `sweep` stand in core/migrations/sql/lanes.sql.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.limits.tables import LaneState

LEASE: Final = timedelta(seconds=30)
"""How long a claimed message belongs to its worker (rulings A16)."""

BURST_SHARE: Final = 10
"""A lane above 32 a minute may burst a tenth of its minute cap."""

LaneKey = tuple["UUID", str]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is ours for the length of the lease."""

    id: UUID
    business_id: UUID
    channel: str


async def claim(
    transaction: Transaction,
    *,
    lanes: int,
    quantum: int,
    token: UUID,
    channels: Sequence[str],
    lease: timedelta = LEASE,
) -> list[Claimed]:
    """Take due messages: at most `quantum` from each of at most `lanes` lanes.

    The lane that waited longest comes first; the caps of each lane are exact.
    """
    rows = await transaction.fetch(
        "SELECT id, business_id, channel FROM lane_claim($1, $2, $3, $4, $5)",
        lanes,
        quantum,
        token,
        lease,
        list(channels),
    )
    return [Claimed(row["id"], row["business_id"], row["channel"]) for row in rows]


async def wake(transaction: Transaction, keys: Collection[LaneKey]) -> int:
    """Let lanes with due messages take their turn; returns how many were asleep.

    Call it in a transaction of its own, after the commit that made the messages due: inside that
    transaction a claim under way would not see them and could put the lane to sleep for ever.
    """
    if not keys:
        return 0
    woken: int = await transaction.fetchval(
        "SELECT lane_wake($1, $2)", [key[0] for key in keys], [key[1] for key in keys]
    )
    return woken


async def sweep(transaction: Transaction) -> int:
    """Wake lanes that sleep past a due message; returns how many there were."""
    swept: int = await transaction.fetchval("SELECT lane_sweep()")
    return swept


async def ensure(
    transaction: Transaction, business_id: UUID, channel: str, state: LaneState, reason: str = ""
) -> None:
    """Make the lane of a connection, or let an existing one start or stop with it.

    A lane that is suspended, tried out or paused stays so: a connection does not lift that.
    """
    await transaction.execute(
        """
        INSERT INTO lane (id, business_id, channel, state, reason, next_at, tz, cap_minute, burst,
                          tokens, cap_day)
        SELECT gen_random_uuid(), b.id, $2, $3, $4, clock_timestamp(), b.timezone, c.minute,
               greatest(1, c.minute / $5), greatest(1, c.minute / $5), c.day
        FROM business b CROSS JOIN LATERAL (
            SELECT coalesce((b.settings ->> 'per_minute')::int, 60) AS minute,
                   coalesce((b.settings ->> 'per_day')::int, 1000) AS day) c
        WHERE b.id = $1 FOR SHARE OF b
        ON CONFLICT (business_id, channel) DO UPDATE
        SET state = excluded.state, reason = excluded.reason, next_at = clock_timestamp()
        WHERE lane.state NOT IN ('suspended', 'killed')
          AND NOT (lane.state = 'active' AND excluded.state = 'active')
        """,
        business_id,
        channel,
        state,
        reason,
        BURST_SHARE,
    )
    await transaction.execute("SELECT lane_hold($1, $2)", business_id, channel)


async def stop(transaction: Transaction, key: LaneKey, state: LaneState, reason: str) -> bool:
    """Stop an active lane; returns False when it was not active."""
    tag = await transaction.execute(
        """
        UPDATE lane SET state = $3, reason = $4
        WHERE business_id = $1 AND channel = $2 AND state = 'active'
        """,
        key[0],
        key[1],
        state,
        reason,
    )
    return tag != "UPDATE 0"


async def list_lanes(
    transaction: Transaction,
    *,
    business_id: UUID | None,
    mode: str,
    before: UUID | None,
    limit: int,
    now: datetime,
) -> Sequence[Mapping[str, Any]]:
    """Return lanes with the names of their businesses; `before` is the last of the page before."""
    return await transaction.fetch(
        """
        SELECT l.id, b.ref, l.channel, l.state, l.reason, l.cap_minute, l.cap_day,
               CASE WHEN l.day = ($5::timestamptz AT TIME ZONE l.tz)::date
                    THEN l.day_count ELSE 0 END AS used_today
        FROM lane l JOIN business b ON b.id = l.business_id
        WHERE b.mode = $1 AND ($2::uuid IS NULL OR l.business_id = $2)
          AND ($3::uuid IS NULL OR l.id < $3)
        ORDER BY l.id DESC LIMIT $4
        """,
        mode,
        business_id,
        before,
        limit,
        now,
    )


async def rest(transaction: Transaction, waits: Mapping[LaneKey, timedelta]) -> None:
    """Let whole lanes rest: the provider asked to slow down; waking does not shorten it."""
    if waits:
        keys = sorted(waits)
        await transaction.execute(
            "SELECT lane_rest($1, $2, $3)",
            [business_id for business_id, _ in keys],
            [channel for _, channel in keys],
            [waits[key] for key in keys],
        )


async def rest_all(transaction: Transaction, channel: str, wait: timedelta) -> None:
    """Let every lane of a channel rest: the provider means the whole application."""
    await transaction.execute("SELECT lane_rest_all($1, $2)", channel, wait)


async def postpone(transaction: Transaction, key: LaneKey, wait: timedelta) -> None:
    """Let a lane stand back until it is woken or the time is over: it has its share already."""
    await transaction.execute(
        """
        UPDATE lane SET next_at = greatest(next_at, clock_timestamp() + $3)
        WHERE business_id = $1 AND channel = $2
        """,
        key[0],
        key[1],
        wait,
    )
