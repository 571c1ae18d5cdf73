"""Claim: 200 of many queued rows of many tenants, fairly and within their caps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bench import town
from bench.figures import waits
from bench.ground import CHANNEL
from bench.usage import cpu_seconds
from core.ids import new_uuid
from core.limits import lanes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.ground import Ground

LANES: Final = 50
QUANTUM: Final = 4
_WARM: Final = 10

_SEALED_BYTES: Final = 380
"""As long as the sealed values of a booking are."""

_ROWS: Final = """
INSERT INTO notification_outbox (id, business_id, customer_id, channel, event_type, template_name,
    language_code, template_version, next_retry_at, rule_key, booking_ref, useful_until,
    variables_sealed)
SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
    c.business_id, c.id, $2, 'booking.confirmed', 'booking_confirmed', 'en', 1,
    now() - ($1 - g) * interval '1 ms', 'booking_confirmed', 'B-' || g, now() + interval '1 day',
    decode(repeat('ab', $3), 'hex')
FROM generate_series(1, $1) g CROSS JOIN customer c
"""


async def measure(ground: Ground, rows: Sequence[int], tenants: Sequence[int], calls: int) -> None:
    """Measure every combination; figures of one table are of one sitting."""
    for total in rows:
        for businesses in tenants:
            if total >= businesses:
                await _measure(ground, total, businesses, calls)


async def _measure(ground: Ground, rows: int, tenants: int, calls: int) -> None:
    async with ground.superuser() as run:
        await town.clear(run)
        await _fill(run, rows, tenants)
    took: list[float] = []
    claimed: list[Any] = []
    spent = 0.0
    async with ground.services() as services:
        async with services.database.engine() as transaction:
            backend = await transaction.fetchval("SELECT pg_backend_pid()")
        # The caps of few tenants end a long run: stop where nothing is left to claim.
        for turn in range(min(calls + _WARM, rows // (LANES * QUANTUM))):
            began, before = time.perf_counter(), _cpu(backend)
            async with services.database.engine() as transaction:
                found = await lanes.claim(
                    transaction,
                    lanes=LANES,
                    quantum=max(QUANTUM, LANES * QUANTUM // tenants),
                    token=new_uuid(),
                    channels=(CHANNEL,),
                )
            if turn >= _WARM or calls < _WARM:
                took.append((time.perf_counter() - began) * 1000)
                spent += _cpu(backend) - before
            claimed += [one.id for one in found]
    doubled = len(claimed) - len(set(claimed))
    each = spent / max(1, len(took)) * 1000
    print(
        f"  {rows:>9,} rows, {tenants:>6,} tenants: {waits(took)}, PostgreSQL {each:.1f} ms CPU a "
        f"claim, {len(claimed):,} rows in {len(took)} claims, claimed twice {doubled}"
    )


def _cpu(pid: int) -> float:
    try:
        return cpu_seconds(pid)
    except OSError:  # a server that is not on this machine
        return 0.0


async def _fill(run: Any, rows: int, tenants: int) -> None:
    """Queue rows that are all due; indexes are made afterwards, which is several times quicker."""
    await run.execute("SET synchronous_commit = off")
    await run.execute("SET session_replication_role = replica")
    await run.execute(
        "INSERT INTO business (id, ref, name) SELECT gen_random_uuid(), 'b-' || g, 'Salon' "
        "FROM generate_series(1, $1) g",
        tenants,
    )
    await run.execute(
        "INSERT INTO customer (id, business_id, ref) SELECT gen_random_uuid(), id, 'c' "
        "FROM business"
    )
    await run.execute(
        "INSERT INTO lane (id, business_id, channel, cap_minute, burst, tokens, cap_day) "
        "SELECT gen_random_uuid(), id, $1, 1000000, 100000, 100000, 10000000 FROM business",
        CHANNEL,
    )
    indexes = await run.fetch(
        "SELECT indexname AS name, indexdef AS definition FROM pg_indexes "
        "WHERE tablename = 'notification_outbox' AND indexname NOT IN (SELECT conname "
        "FROM pg_constraint WHERE conrelid = 'notification_outbox'::regclass)"
    )
    for index in indexes:
        await run.execute(f"DROP INDEX {index['name']}")
    await run.execute(_ROWS, max(1, rows // tenants), CHANNEL, _SEALED_BYTES)
    for index in indexes:
        await run.execute(index["definition"])
    await run.execute("SET session_replication_role = origin")
    await run.execute("VACUUM (ANALYZE) notification_outbox")
    await run.execute("VACUUM (ANALYZE) lane")
    await run.execute("CHECKPOINT")
