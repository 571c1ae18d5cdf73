"""Compares what holds with what the ledgers say, and tells people where the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.alerts.store import Matter, raise_alerts, resolve_alerts

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

ALERT: Final = "consent-ledger-unequal"
KIND: Final = "consent-check"
"""The job that remembers when it was last done."""

_AT_ONCE: Final = 200
_PATIENCE: Final = "SET LOCAL statement_timeout = '10min'"


async def check_is_due(transaction: Transaction, night_hour: int = 3) -> bool:
    """Tell whether no check was done since the last night's hour (UTC)."""
    return bool(
        await transaction.fetchval(
            """
            SELECT NOT EXISTS (
                SELECT FROM job WHERE kind = $1 AND state = 'done' AND ended_at >=
                    date_trunc('day', clock_timestamp() - make_interval(hours => $2))
                    + make_interval(hours => $2))
            """,
            KIND,
            night_hour,
        )
    )


async def compare(transaction: Transaction) -> int:
    """Rebuild every business's consents from its ledger and compare; return the differences.

    An alert names the business and how many; it resolves itself when they are equal again.
    """
    await transaction.execute(_PATIENCE)
    found: dict[UUID, int] = {}
    rows = await transaction.fetch("SELECT id FROM business ORDER BY id")
    businesses = [row["id"] for row in rows]
    for start in range(0, len(businesses), _AT_ONCE):
        some = businesses[start : start + _AT_ONCE]
        unequal = await transaction.fetch(
            "SELECT business_id, count(*) AS rows FROM consent_differences($1) GROUP BY 1", some
        )
        found |= {row["business_id"]: row["rows"] for row in unequal}
    open_alerts = await transaction.fetch(
        "SELECT business_id FROM alert WHERE kind = $1 AND state <> 'resolved'", ALERT
    )
    over = [row["business_id"] for row in open_alerts if row["business_id"] not in found]
    await resolve_alerts(transaction, [(business_id, ALERT, "") for business_id in over])
    await raise_alerts(
        transaction,
        [
            Matter(business_id=business_id, kind=ALERT, arguments={"rows": str(number)})
            for business_id, number in found.items()
        ],
    )
    await transaction.execute(
        """
        INSERT INTO job (id, kind, state, actor, done, total, result, started_at, ended_at)
        VALUES (gen_random_uuid(), $1, 'done', 'engine', $2, $2, $3, clock_timestamp(),
                clock_timestamp())
        """,
        KIND,
        len(businesses),
        {"unequal": sum(found.values())},
    )
    return sum(found.values())
