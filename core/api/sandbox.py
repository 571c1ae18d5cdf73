"""The sandbox, for test keys: a clock to move, customers who write, messages to read, a broom."""

from datetime import timedelta
from typing import Any, Final

from litestar import Response, get, post

from core.access import audit
from core.api import examples
from core.api.bodies import read_body, read_query
from core.api.guards import address_of, caller_of, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.api.sandbox_schemas import (
    AdvanceBody,
    BubbleOut,
    BubblePage,
    ClockOut,
    InboundBody,
    InboundOut,
    MessagesQuery,
    NumberList,
    NumberOut,
    ResetBody,
    ResetOut,
)
from core.businesses.store import BusinessRow
from core.channels.messages import InboundMessage
from core.customers.phones import PhoneError, mask_phone, read_phone
from core.errors import FieldFault, InvalidInputError, NotFoundError, PermissionDeniedError
from core.ids import NOTIFICATION, inward, new_uuid, outward
from core.notify.furnishing import furnish
from core.notify.services import Services
from core.sandbox import magic, store
from core.sandbox.messages import Bubble, keep_message, list_messages
from core.sandbox.news import announce
from core.sandbox.tables import Direction

_TAG: Final = "Sandbox"
_FARTHEST: Final = timedelta(days=400)
_MOST_AHEAD: Final = timedelta(days=3660)


@post(
    "/sandbox/clock/advance",
    status_code=200,
    opt=described(
        Operation(
            id="advanceSandboxClock",
            summary="Move the clock of a test business",
            description="What waits comes nearer by as much: reminders, retries, expiries, rests "
            "and delayed statuses; a new day begins its counts anew. What happened keeps its "
            "time. Later events are decided by the moved clock, which never runs back.",
            tag=_TAG,
            scope="config:write",
            test_key=True,
            body=AdvanceBody,
            answers={200: Answer(description="The clock as it is now.", schema=ClockOut)},
            problems=("not-found",),
            examples={
                "a day": Example(status=200, body={"business_id": examples.TRIAL, "by": "PT24H"})
            },
        )
    ),
)
async def advance_clock(request: Call, services: Lent) -> Response[ClockOut]:
    """Move the clock, then wake the lanes: what became due goes out."""
    told = await read_body(request, AdvanceBody)
    business = await _test_business(services, request, told.business_id, "/business_id")
    farthest = min(_FARTHEST, _MOST_AHEAD - business.ahead)
    if not timedelta(seconds=1) <= told.by <= farthest:
        message = "The clock moves by a second to 400 days, and ten years in all."
        fault = FieldFault("/by", "out-of-range", message)
        raise InvalidInputError(fault.message, errors=[fault])
    async with services.database.engine() as transaction:
        ahead = await store.advance(transaction, business.id, told.by)
        await _note(transaction, request, business, "clock", {"ahead_seconds": ahead})
    services.ring.lanes([(business.id, slug) for slug in services.registry.plugins])
    services.ring.inbox()
    now = services.clock.now() + timedelta(seconds=ahead)
    return Response(ClockOut(business_id=business.ref, now=now, ahead_seconds=ahead))


@post(
    "/sandbox/inbound",
    status_code=202,
    opt=described(
        Operation(
            id="sendSandboxInbound",
            summary="Write to a test business as a customer",
            description="It takes the way of any message from the provider, a moment later.",
            tag=_TAG,
            scope="notifications:write",
            test_key=True,
            body=InboundBody,
            answers={202: Answer(description="In the inbox.", schema=InboundOut)},
            problems=("not-found", "business-not-connected"),
            examples={
                "a word": Example(
                    status=202,
                    body={
                        "business_id": examples.TRIAL,
                        "from": "+12025550100",
                        "text": "Thank you!",
                    },
                )
            },
        )
    ),
)
async def send_inbound(request: Call, services: Lent) -> Response[InboundOut]:
    """Put a customer's message into the inbox."""
    told = await read_body(request, InboundBody)
    business = await _test_business(services, request, told.business_id, "/business_id")
    plugin = services.registry.plugins.get(told.channel)
    if plugin is None:
        raise NotFoundError("There is no such channel.")
    sender = told.sender
    if plugin.address_kind == "phone":
        try:
            sender = read_phone(told.sender, business.country)
        except PhoneError as error:
            fault = FieldFault("/from", "phone-invalid", str(error))
            raise InvalidInputError(fault.message, errors=[fault]) from None
    async with services.database.engine() as transaction:
        message = InboundMessage(
            account=await _account(transaction, business, told.channel),
            dedupe=f"sandbox:{new_uuid()}",
            provider_message_id=f"sandbox.{new_uuid()}",
            sender=sender,
            message_type="button" if told.button else "text",
            text=told.text,
            answers=await _answered(transaction, business, told.answers),
            button=told.button,
            occurred_at=services.clock.now(),
        )
        news = [(timedelta(0), message)]
        await announce(transaction, services.vault, business.id, told.channel, news)
        await keep_message(
            transaction,
            services.vault,
            business_id=business.id,
            channel=told.channel,
            direction=Direction.IN,
            address=sender,
            text=told.text or told.button,
        )
    services.ring.inbox()
    answer = InboundOut(provider_message_id=message.provider_message_id)
    return Response(answer, status_code=202)


@get(
    "/sandbox/messages",
    opt=described(
        Operation(
            id="listSandboxMessages",
            summary="Read the messages of a test business",
            description="As the recipients' telephones would show them; addresses are masked.",
            tag=_TAG,
            scope="notifications:read",
            test_key=True,
            query=MessagesQuery,
            answers={200: Answer(description="The newest first.", schema=BubblePage)},
            problems=("not-found",),
            examples={"read": Example(status=200, query={"business_id": examples.TRIAL})},
        )
    ),
)
async def list_bubbles(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of rendered messages, out and in."""
    asked = read_query(request, MessagesQuery)
    before = read_cursor(asked.cursor)
    business = await _test_business(services, request, asked.business_id, "?business_id")
    async with services.database.business(business.id) as transaction:
        rows = await list_messages(
            transaction, services.vault, business.id, limit=asked.limit + 1, before=before
        )
    return Response(page(rows, asked.limit, _shown, lambda row: row.id))


@get(
    "/sandbox/numbers",
    opt=described(
        Operation(
            id="listSandboxNumbers",
            summary="Read what each number of the sandbox does",
            tag=_TAG,
            scope="notifications:read",
            answers={200: Answer(description="Every number.", schema=NumberList)},
            examples={"read": Example(status=200)},
        )
    ),
)
async def list_numbers(request: Call) -> Response[NumberList]:
    """Return the table of numbers."""
    del request
    rows = [
        NumberOut(number=f"{magic.PREFIX}{row.number}", meaning=row.meaning) for row in magic.ROWS
    ]
    return Response(NumberList(data=rows))


@post(
    "/sandbox/reset",
    status_code=200,
    opt=described(
        Operation(
            id="resetSandbox",
            summary="Empty a test business",
            description="Deletes its customers, consents, bookings, events, messages, callbacks "
            "and alerts, and sets its clock back. Rules, limits, keys, members and webhook "
            "endpoints stay, and the audit trail. It is connected to the sandbox anew.",
            tag=_TAG,
            scope="config:write",
            test_key=True,
            body=ResetBody,
            answers={200: Answer(description="Empty.", schema=ResetOut)},
            problems=("not-found",),
            examples={"empty": Example(status=200, body={"business_id": examples.TRIAL})},
        )
    ),
)
async def reset(request: Call, services: Lent) -> Response[ResetOut]:
    """Delete the data of a test business; the database refuses any other."""
    told = await read_body(request, ResetBody)
    business = await _test_business(services, request, told.business_id, "/business_id")
    async with services.database.engine() as transaction:
        deleted = await store.empty(transaction, business.id)
        await furnish(transaction, services.registry, business.id)
        await _note(transaction, request, business, "reset", {"deleted": deleted})
    return Response(ResetOut(business_id=business.ref, deleted=deleted))


async def _test_business(
    services: Services, request: Call, ref: str | None, pointer: str
) -> BusinessRow:
    """Return the business; twice made sure that it is a test one.

    Raises:
        PermissionDeniedError: the key is no test key.
        NotFoundError: there is no such test business of this caller.
    """
    if caller_of(request).mode != "test":
        raise PermissionDeniedError("Only a test key may do this: `pb_test_...`.")
    business = await tenant(services, request, ref, pointer)
    if business.mode != "test":
        raise NotFoundError("There is no such business.")
    return business


async def _account(transaction: Any, business: BusinessRow, channel: str) -> str:
    found: str | None = await transaction.fetchval(
        """
        SELECT account_ref FROM channel_connection WHERE business_id = $1 AND channel = $2
        ORDER BY is_default DESC, id LIMIT 1
        """,
        business.id,
        channel,
    )
    if found is None:
        raise InvalidInputError(
            "The business is not connected on this channel.", code="business-not-connected"
        )
    return found


async def _answered(transaction: Any, business: BusinessRow, notification: str | None) -> str:
    """Return the provider's id of the message that is answered."""
    if notification is None:
        return ""
    found: str | None = await transaction.fetchval(
        """
        SELECT provider_message_id FROM notification_outbox WHERE business_id = $1 AND id = $2
        """,
        business.id,
        inward(NOTIFICATION, notification),
    )
    if found is None:
        raise NotFoundError("There is no such notification, or it was not sent.")
    return found


async def _note(
    transaction: Any, request: Call, business: BusinessRow, what: str, after: dict[str, Any]
) -> None:
    await audit.record(
        transaction,
        business_id=business.id,
        actor=caller_of(request).actor,
        action=f"sandbox.{what}",
        target=f"business:{business.ref}",
        after=after,
        ip=address_of(request),
    )


def _shown(bubble: Bubble) -> BubbleOut:
    phone = bubble.address.startswith("+")
    return BubbleOut(
        channel=bubble.channel,
        direction=bubble.direction,
        address=mask_phone(bubble.address) if phone else f"{bubble.address[:1]}***",
        text=bubble.text,
        template=bubble.template,
        notification_id=outward(NOTIFICATION, bubble.notification_id)
        if bubble.notification_id
        else None,
        at=bubble.at,
    )


HANDLERS = (advance_clock, send_inbound, list_bubbles, list_numbers, reset)
