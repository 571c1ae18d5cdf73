"""The channel's one route, mounted under `/v1/channels/<name>`."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from core.channels.host import Host
from core.ids import NOTIFICATION, outward

from .tables import SLUG


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was handed over."""

    notification_id: str
    template: str
    language: str
    handed_over_at: str


class EntriesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The newest entries of a business."""

    data: list[EntryAnswer]


def entries_route(host: Host) -> HTTPRouteHandler:
    """Build the handler."""

    @get("/entries", opt={"scope": "notifications:read"}, summary="Messages written to the log")
    async def list_entries(
        business_id: NamedDependency[UUID], limit: Annotated[int, Parameter(ge=1, le=200)] = 50
    ) -> EntriesAnswer:
        """Return what was handed over for one business, the newest first."""
        async with host.begin() as transaction:
            rows = await transaction.fetch(
                f"SELECT notification_id, template, language, handed_over_at FROM {SLUG}_entry "
                "WHERE business_id = $1 ORDER BY id DESC LIMIT $2",
                business_id,
                limit,
            )
        return EntriesAnswer(
            data=[
                EntryAnswer(
                    notification_id=outward(NOTIFICATION, row["notification_id"]),
                    template=row["template"],
                    language=row["language"],
                    handed_over_at=row["handed_over_at"].isoformat(),
                )
                for row in rows
            ]
        )

    return list_entries
