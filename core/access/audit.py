"""Who did what to which thing: a line of the audit trail, in the change's own transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from core.channels.host import Transaction
    from core.db import Database

_ACTOR_LENGTH: Final = 100
_TARGET_LENGTH: Final = 200


async def record(
    transaction: Transaction,
    *,
    business_id: UUID | None,
    actor: str,
    action: str,
    target: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    ip: str | None = None,
) -> None:
    """Write one line; it lives or dies with the change it tells of.

    Args:
        transaction: the one that makes the change.
        business_id: whose affair it is; None for the platform's own.
        actor: `key:<id>`, `user:<id>`, `cli` or `engine`.
        action: what was done, such as `consent.grant`.
        target: to what, such as `consent:cns_...`; ids only, no personal data.
        before: what stood there; ids, codes and times only.
        after: what stands there now.
        ip: where the call came from.
    """
    await transaction.execute(
        """
        INSERT INTO audit_log (id, business_id, actor, action, target, before, after, ip)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        new_uuid(),
        business_id,
        actor[:_ACTOR_LENGTH],
        action,
        target[:_TARGET_LENGTH],
        dict(before) if before is not None else None,
        dict(after) if after is not None else None,
        ip,
    )


async def record_refusal(
    database: Database,
    *,
    business_id: UUID | None,
    actor: str,
    action: str,
    target: str,
    reason: str,
    ip: str | None = None,
) -> None:
    """Write that something was refused, in a transaction of its own after the rollback."""
    async with database.engine() as transaction:
        await record(
            transaction,
            business_id=business_id,
            actor=actor,
            action=f"refused:{action}",
            target=target,
            after={"reason": reason},
            ip=ip,
        )
