"""What a connection's state means for its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.alerts.store import raise_alert, resolve_alert
from core.channels.messages import ConnectionState
from core.limits import lanes, quality
from core.limits.tables import LaneState

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

QUALITY_STOP: Final = "quality-low"
"""The alert that a channel stands because of what the provider says of it."""
QUALITY_WARNING: Final = "quality-warning"
"""The alert before that."""

_LANE_STATES: Final = {
    ConnectionState.ACTIVE: LaneState.ACTIVE,
    ConnectionState.DISABLED: LaneState.DISABLED,
    ConnectionState.ERROR: LaneState.DISCONNECTED,
}


async def lane_follows(
    transaction: Transaction, business_id: UUID, channel: str, state: ConnectionState, reason: str
) -> None:
    """Start or stop a business's lane with its best connection, and with its quality."""
    await lanes.ensure(transaction, business_id, channel, _LANE_STATES[state], reason)
    turn = await quality.judge(transaction, business_id, channel)
    if turn.became:
        await _tell(transaction, business_id, channel, turn)


async def _tell(
    transaction: Transaction, business_id: UUID, channel: str, turn: quality.Turn
) -> None:
    """Say it once per change: a stop replaces a warning, good news end both."""
    if turn.became in (quality.GOOD, quality.STOPPED):
        await resolve_alert(transaction, business_id, QUALITY_WARNING, channel)
    if turn.became == quality.GOOD:
        await resolve_alert(transaction, business_id, QUALITY_STOP, channel)
    else:
        kind = QUALITY_STOP if turn.became == quality.STOPPED else QUALITY_WARNING
        await raise_alert(transaction, business_id, kind, channel, {"quality": turn.quality})
