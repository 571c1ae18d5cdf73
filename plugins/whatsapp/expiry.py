"""Tells the host in time of tokens that end: once per token, from a week before."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.ids import BusinessId

if TYPE_CHECKING:
    from datetime import datetime

    from core.channels.host import Host, Transaction

FACT: Final = "token-expiring"
NEAR: Final = timedelta(days=7)


def is_near(expires_at: datetime | None, now: datetime) -> bool:
    """Tell whether a token ends within a week; one that never ends is not near."""
    return expires_at is not None and expires_at < now + NEAR


async def report_expiring(host: Host, transaction: Transaction) -> None:
    """Report every number whose token ends within a week; the host says each once."""
    rows = await transaction.fetch(
        "SELECT business_id, phone_number_id, token_expires_at FROM business_whatsapp_config "
        "WHERE token_expires_at < $1 AND access_token_encrypted IS NOT NULL "
        "AND status = 'active' ORDER BY business_id, phone_number_id",
        host.clock.now() + NEAR,
    )
    for row in rows:
        await host.report(
            BusinessId(row["business_id"]),
            FACT,
            transaction=transaction,
            subject=row["phone_number_id"],
            expires_at=f"{row['token_expires_at']:%Y-%m-%dT%H:%M:%SZ}",
        )


async def report_over(
    host: Host, transaction: Transaction, business_id: BusinessId, phone_number_id: str
) -> None:
    """Report that a number has a token that lasts."""
    await host.report(
        business_id, FACT, transaction=transaction, subject=phone_number_id, resolved="yes"
    )
