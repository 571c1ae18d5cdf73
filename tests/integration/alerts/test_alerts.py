"""Alerts: one open row per thing, and a new one after it was over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.alerts.store import raise_alert, resolve_alert

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.notify.services import Services


async def test_an_alert_is_raised_once_per_transition(
    services: Services, superuser: Any, add_business: Callable[..., Any]
) -> None:
    """Said twice it is one row; after it was resolved it may be said again."""
    business = (await add_business()).id
    for owner in (business, None):
        async with services.database.engine() as transaction:
            first = await raise_alert(transaction, owner, "quality-low", "number 1", {"a": "b"})
            again = await raise_alert(transaction, owner, "quality-low", "number 1")
            other = await raise_alert(transaction, owner, "quality-low", "number 2")
            over = await resolve_alert(transaction, owner, "quality-low", "number 1")
            nothing = await resolve_alert(transaction, owner, "quality-low", "number 1")
            anew = await raise_alert(transaction, owner, "quality-low", "number 1")
        assert [first, again, other, over, nothing, anew] == [True, False, True, True, False, True]
    counted = await superuser.fetch(
        "SELECT state, count(*) AS n FROM alert GROUP BY state ORDER BY state"
    )
    assert {row["state"]: row["n"] for row in counted} == {"open": 4, "resolved": 2}
