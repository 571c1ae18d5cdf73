"""The channel's own addresses under `/v1/channels/whatsapp`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from litestar import get
from litestar.di import NamedDependency  # noqa: TC002 - read at run time as well

from core.ids import BusinessId  # noqa: TC001 - Litestar reads the annotation at run time
from plugins.whatsapp.connections import masked_phone, numbers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.types import ControllerRouterHandler

    from core.channels.host import Host


class NumberView(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a business as callers may see it.

    Attributes:
        display_phone: the number with its middle masked.
    """

    phone_number_id: str
    waba_id: str
    display_phone: str
    status: str
    reason: str
    quality: str
    token_expires_at: datetime | None
    connected_at: datetime


class NumbersView(msgspec.Struct, frozen=True, kw_only=True):
    """A business's numbers, the oldest first."""

    data: list[NumberView]


def routes(host: Host) -> Sequence[ControllerRouterHandler]:
    """Return the handlers."""

    @get(
        "/numbers",
        operation_id="whatsapp.numbers.list",
        summary="List a business's WhatsApp numbers",
        opt={"scope": "config:read"},
    )
    async def list_numbers(business_id: NamedDependency[BusinessId]) -> NumbersView:
        """List the numbers a business is connected with; tokens are never shown."""
        async with host.begin() as transaction:
            numbers = await numbers_of(transaction, business_id)
        return NumbersView(
            data=[
                NumberView(
                    phone_number_id=number.phone_number_id,
                    waba_id=number.waba_id,
                    display_phone=masked_phone(host.vault, number),
                    status=number.state.value,
                    reason=number.reason,
                    quality=number.quality,
                    token_expires_at=number.token_expires_at,
                    connected_at=number.connected_at,
                )
                for number in numbers
            ]
        )

    return (list_numbers,)
