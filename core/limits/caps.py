"""Changes the caps of running lanes without letting more through than either cap allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.limits.lanes import BURST_SHARE

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey


async def change_caps(
    transaction: Transaction, business_id: UUID, *, per_minute: int, per_day: int
) -> list[LaneKey]:
    """Bring every lane of a business to these caps; returns the lanes to wake.

    A window that spans the change counts what was sent before it. From the bucket to the exact
    ring nothing is known of the single times: the last claim stands for all of them. The other
    way, what is in the ring is taken out of the bucket; and a bucket that shrinks starts empty.
    """
    rows = await transaction.fetch(
        """
        WITH locked AS MATERIALIZED (
            SELECT l.*, clock_timestamp() AS now, greatest(1, $2::int / $4::int) AS new_burst,
                (SELECT count(*) FROM unnest(l.recent) AS r(at)
                 WHERE r.at > clock_timestamp() - interval '62 s')::float8 AS used
            FROM lane l WHERE l.business_id = $1
            ORDER BY l.business_id, l.channel FOR NO KEY UPDATE)
        UPDATE lane l SET
            cap_minute = $2::int, cap_day = $3::int, burst = k.new_burst,
            recent = CASE WHEN $2::int > 32 THEN '{}'
                          WHEN k.cap_minute <= 32 THEN k.recent
                          WHEN k.day IS NULL OR k.refilled_at < k.now - interval '62 s' THEN '{}'
                          ELSE array_fill(k.refilled_at, ARRAY[$2::int]) END,
            tokens = CASE WHEN $2::int <= 32 THEN 0
                          WHEN k.cap_minute <= 32 THEN k.new_burst - k.used
                          WHEN $2::int < k.cap_minute THEN 0
                          ELSE least(k.burst, k.tokens
                              + greatest(0, extract(epoch FROM k.now - k.refilled_at)::float8)
                              * (k.cap_minute - k.burst) / 62.0) END,
            refilled_at = CASE WHEN $2::int > 32 THEN k.now ELSE k.refilled_at END,
            next_at = least(l.next_at, k.now)
        FROM locked k
        WHERE l.id = k.id AND (k.cap_minute, k.cap_day) IS DISTINCT FROM ($2::int, $3::int)
        RETURNING l.business_id, l.channel
        """,
        business_id,
        per_minute,
        per_day,
        BURST_SHARE,
    )
    return [(row["business_id"], row["channel"]) for row in rows]
