"""Pauses and resumes sending, with its line in the audit trail; what the kill switch calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.access import audit
from core.alerts.store import resolve_alerts
from core.limits import pauses, suspension
from core.notify.aftermath import SUSPENDED

if TYPE_CHECKING:
    from core.db import Database
    from core.limits.lanes import LaneKey
    from core.limits.pauses import Pause, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand after a pause or a resume.

    Attributes:
        changed: whether the call changed anything.
        running: lanes that run again; wake them.
        pauses: what is in force for this reach now.
    """

    changed: bool
    running: list[LaneKey] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)


async def pause_sending(
    database: Database, reach: Reach, *, reason: str, actor: str, ip: str | None = None
) -> Standing:
    """Stop new sends within a second; what waits is kept, what is on its way arrives."""
    async with database.engine() as transaction:
        changed = await pauses.pause(transaction, reach, reason=reason, actor=actor)
        if changed:
            await audit.record(
                transaction,
                business_id=reach.business_id,
                actor=actor,
                action="sending.pause",
                target=reach.target,
                after={"reason": reason},
                ip=ip,
            )
        return Standing(
            changed=changed, pauses=await pauses.in_force(transaction, reach.business_id)
        )


async def resume_sending(
    database: Database, reach: Reach, *, actor: str, ip: str | None = None
) -> Standing:
    """End a pause; for a business also the suspension of its channels, which forget their past.

    Wider and narrower pauses stay in force.
    """
    async with database.engine() as transaction:
        lifted: list[str] = []
        if reach.business_id is not None:
            lifted = await suspension.lift(transaction, reach.business_id, reach.channel)
        await resolve_alerts(
            transaction, [(reach.business_id, SUSPENDED, channel) for channel in lifted]
        )
        ended, running = await pauses.resume(transaction, reach)
        if ended or lifted:
            await audit.record(
                transaction,
                business_id=reach.business_id,
                actor=actor,
                action="sending.resume",
                target=reach.target,
                after={"pause_ended": ended, "suspension_lifted": lifted},
                ip=ip,
            )
        return Standing(
            changed=ended or bool(lifted),
            running=running,
            pauses=await pauses.in_force(transaction, reach.business_id),
        )
