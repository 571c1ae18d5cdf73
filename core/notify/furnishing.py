"""Gives a test business what a live one gets by connecting: accounts, templates, lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.catalogue.store import Catalogue
from core.channels.host import Connection
from core.channels.messages import ConnectionState
from core.ids import BusinessId
from core.notify.connections import lane_follows

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction
    from core.channels.registry import Registry


async def furnish(transaction: Transaction, registry: Registry, business_id: UUID) -> list[str]:
    """Connect a test business to the sandbox on each channel where it has no living connection.

    Args:
        transaction: the engine's.
        registry: the loaded channels.
        business_id: a test business.

    Returns:
        The channels that were connected.
    """
    mode = await transaction.fetchval("SELECT mode FROM business WHERE id = $1", business_id)
    if mode != "test":
        return []
    rows = await transaction.fetch(
        "SELECT DISTINCT channel FROM channel_connection "
        "WHERE business_id = $1 AND state = 'active'",
        business_id,
    )
    missing = sorted(set(registry.plugins) - {row["channel"] for row in rows})
    for slug in missing:
        catalogue = Catalogue(slug, lane_follows)
        owner = BusinessId(business_id)
        account = Connection(
            business_id=owner, account_ref=f"sandbox:{owner}", state=ConnectionState.ACTIVE
        )
        await catalogue.put_connections(transaction, [account])
        await catalogue.put_templates(transaction, registry.plugins[slug].first_templates(owner))
    return missing
