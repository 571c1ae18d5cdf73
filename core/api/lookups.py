"""Looking things up across a business: notifications by what is known of the person, limits."""

from typing import Any

from litestar import Response, get, post

from core.api import examples, notices
from core.api.bodies import read_body, read_moment, read_query
from core.api.guards import caller_of, tenant
from core.api.lending import Call, Lent
from core.api.limit_schemas import LaneOut, LanePage, LanesQuery
from core.api.notification_schemas import (
    NotificationPage,
    NotificationsQuery,
    NotificationsSearch,
)
from core.api.notifications import show_summary
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.customers.phones import PhoneError, read_phone
from core.errors import FieldFault, InvalidInputError
from core.limits.lanes import list_lanes


@post(
    "/notifications/search",
    status_code=200,
    opt=described(
        Operation(
            id="searchNotifications",
            summary="Search notifications, also by phone",
            description="As the list, and by a phone number, which belongs in no address.",
            tag="Notifications",
            scope="notifications:read",
            body=NotificationsSearch,
            answers={200: Answer(description="The newest first.", schema=NotificationPage)},
            problems=("not-found",),
            examples={
                "by phone": Example(
                    status=200,
                    body={"business_id": examples.BUSINESS, "phone": "+393331234567"},
                )
            },
        )
    ),
)
async def search_notifications(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of one business's notifications that fit everything that is named."""
    asked = await read_body(request, NotificationsSearch)
    read_moment(asked.created_after, "/created_after")
    read_moment(asked.created_before, "/created_before")
    before = read_cursor(asked.cursor)
    business = await tenant(services, request, asked.business_id, "/business_id")
    hashed = None
    if asked.phone is not None:
        try:
            phone = read_phone(asked.phone, business.country)
        except PhoneError as error:
            fault = FieldFault("/phone", "phone-invalid", str(error))
            raise InvalidInputError(fault.message, errors=[fault]) from None
        hashed = services.vault.blind_index(business.id, "phone", phone)
    wanted = NotificationsQuery(
        status=asked.status,
        customer_id=asked.customer_id,
        booking_ref=asked.booking_ref,
        created_after=asked.created_after,
        created_before=asked.created_before,
        limit=asked.limit,
    )
    async with services.database.business(business.id) as transaction:
        rows = await notices.list_notifications(
            transaction, business.id, wanted, before, address_hash=hashed
        )
    return Response(page(rows, asked.limit, show_summary, lambda row: row["id"]), status_code=200)


@get(
    "/limits",
    opt=described(
        Operation(
            id="listLimits",
            summary="See the limits of every channel, and what is used of them",
            description="Of all businesses that the key may see, or of one; in no order.",
            tag="Operations",
            scope="config:read",
            query=LanesQuery,
            answers={200: Answer(description="A page.", schema=LanePage)},
            problems=("not-found",),
            examples={
                "all": Example(status=200),
                "of one": Example(status=200, query={"business_id": examples.BUSINESS}),
            },
        )
    ),
)
async def list_limits(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of channels of businesses, with their caps and what stops them."""
    asked = read_query(request, LanesQuery)
    before = read_cursor(asked.cursor)
    caller = caller_of(request)
    business = None
    if caller.business_id is not None or asked.business_id is not None:
        business = await tenant(services, request, asked.business_id, "?business_id")
    async with services.database.platform() as transaction:
        rows = await list_lanes(
            transaction,
            business_id=business.id if business else None,
            mode=caller.mode,
            before=before,
            limit=asked.limit + 1,
            now=services.clock.now(),
        )
    return Response(page(rows, asked.limit, _lane, lambda row: row["id"]))


def _lane(row: Any) -> LaneOut:
    return LaneOut(
        business_id=row["ref"],
        channel=row["channel"],
        state=row["state"],
        reason=row["reason"] or None,
        per_minute=row["cap_minute"],
        per_day=row["cap_day"],
        used_today=row["used_today"],
    )


HANDLERS = (search_notifications, list_limits)
