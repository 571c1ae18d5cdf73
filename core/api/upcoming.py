"""The next days of a business: what will be sent, and what would stop it as things stand."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath
from msgspec import Meta

from core.api import examples
from core.api.bodies import read_query
from core.api.guards import tenant
from core.api.lending import Call, Lent
from core.api.notices import masked
from core.api.notification_schemas import Recipient
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import DEFAULT_LIMIT, Cursor, Limit, page, read_cursor
from core.api.schemas import In, Out
from core.channels.host import Transaction
from core.ids import NOTIFICATION, outward
from core.notify.services import Services
from core.notify.upcoming import Expected, look_ahead


class UpcomingQuery(In, frozen=True, kw_only=True):
    """How far to look, and which page."""

    days: Annotated[int, Meta(ge=1, le=31)] = 7
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class UpcomingItem(Out, frozen=True, kw_only=True):
    """One message that is coming up.

    Attributes:
        outcome: `scheduled`: it is queued and nothing stands in its way; `suppressed`: `reason`
            would stop it; `unplanned`: the rules want it now and nothing is queued, so the next
            event of its booking will plan it.
    """

    send_at: datetime
    outcome: Literal["scheduled", "suppressed", "unplanned"]
    reason: str | None
    notification_id: str | None
    rule: str
    channel: str
    template: str
    language: str
    to: Recipient
    booking_ref: str | None
    starts_at: datetime | None


class UpcomingPage(Out, frozen=True, kw_only=True):
    """A page of what is coming up, the next first."""

    data: list[UpcomingItem]
    next_cursor: str | None
    has_more: bool


@get(
    "/businesses/{ref:str}/upcoming",
    opt=described(
        Operation(
            id="listUpcoming",
            summary="See what will be sent in the next days",
            description=(
                "What is queued, and what the rules as they are now want for the bookings that "
                "are known. Each is put to the gates at its own time: a `reason` says what would "
                "stop it as things stand, such as a missing consent. Nothing is written."
            ),
            tag="Businesses",
            scope="notifications:read",
            query=UpcomingQuery,
            answers={200: Answer(description="The next first.", schema=UpcomingPage)},
            problems=("not-found",),
            examples={
                "a week": Example(status=200, path={"ref": examples.BUSINESS}, query={"days": "7"})
            },
        )
    ),
)
async def list_upcoming(
    ref: FromPath[str], request: Call, services: Lent
) -> Response[dict[str, Any]]:
    """Return a page of what is coming up for a business."""
    asked = read_query(request, UpcomingQuery)
    after = read_cursor(asked.cursor)
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        expected = await look_ahead(
            services,
            transaction,
            business,
            days=asked.days,
            after=after,
            limit=asked.limit + 1,
        )
        addresses = await _addresses(services, transaction, business.id, expected)
    return Response(
        page(expected, asked.limit, lambda one: _shown(one, addresses), lambda one: one.key)
    )


async def _addresses(
    services: Services, transaction: Transaction, business_id: UUID, expected: Iterable[Expected]
) -> Mapping[UUID | None, tuple[str | None, str | None]]:
    """Return the masked addresses, each as a phone or as something else."""
    rows = await transaction.fetch(
        """
        SELECT id, kind AS address_kind, address_sealed FROM customer_address
        WHERE business_id = $1 AND id = ANY ($2)
        """,
        business_id,
        sorted({one.address_id for one in expected if one.address_id}),
    )
    return {row["id"]: masked(services, business_id, row, row["id"]) for row in rows}


def _shown(
    one: Expected, addresses: Mapping[UUID | None, tuple[str | None, str | None]]
) -> UpcomingItem:
    phone, address = addresses.get(one.address_id, (None, None))
    queued = one.notification_id is not None
    return UpcomingItem(
        send_at=one.send_at,
        outcome="suppressed" if one.reason else "scheduled" if queued else "unplanned",
        reason=one.reason or None,
        notification_id=outward(NOTIFICATION, one.notification_id)
        if one.notification_id
        else None,
        rule=one.rule,
        channel=one.channel,
        template=one.template,
        language=one.language,
        to=Recipient(customer_id=one.customer_ref, phone=phone, address=address),
        booking_ref=one.booking_ref,
        starts_at=one.starts_at,
    )


HANDLERS = (list_upcoming,)
