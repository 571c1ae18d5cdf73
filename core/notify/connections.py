"""What a connection's state means for its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.channels.messages import ConnectionState
from core.limits import lanes, quality
from core.limits.tables import LaneState

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

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
    await quality.judge(transaction, business_id, channel)
