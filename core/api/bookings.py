"""Bookings: what is planned for one can be called off without an event."""

from litestar import Response, post
from litestar.params import FromPath

from core.access import audit
from core.api import examples
from core.api.bodies import read_body
from core.api.guards import address_of, caller_of, is_ref, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.rule_schemas import CancelBody, CanceledOut
from core.errors import NotFoundError
from core.notify import plans


@post(
    "/bookings/{booking:str}/cancel-scheduled",
    status_code=200,
    opt=described(
        Operation(
            id="cancelScheduled",
            summary="Cancel what is planned for a booking",
            description=(
                "The booking itself stands, and nobody is told. Its next event plans anew. "
                "`already_sent` counts what had left before, also what is on its way right now. "
                "`reason` goes into the audit trail: write no names there."
            ),
            tag="Events",
            scope="events:write",
            body=CancelBody,
            answers={200: Answer(description="Nothing waits any more.", schema=CanceledOut)},
            problems=("not-found",),
            examples={
                "called": Example(
                    status=200,
                    path={"booking": examples.BOOKING},
                    body={"business_id": examples.BUSINESS, "reason": "customer called"},
                )
            },
        )
    ),
)
async def cancel_scheduled(
    booking: FromPath[str], request: Call, services: Lent
) -> Response[CanceledOut]:
    """Make the booking's plan old and cancel what waits; repeating it is harmless."""
    told = await read_body(request, CancelBody)
    business = await tenant(services, request, told.business_id, "/business_id")
    async with services.database.business(business.id) as transaction:
        done = (
            await plans.call_off(transaction, business.id, booking, services.clock.now())
            if is_ref(booking)
            else None
        )
        if done is None:
            raise NotFoundError("There is no such booking.")
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller_of(request).actor,
            action="booking.cancel-scheduled",
            target=f"booking:{booking}",
            after={
                "canceled": done.canceled,
                "already_sent": done.already_sent,
                "reason": told.reason,
            },
            ip=address_of(request),
        )
    return Response(CanceledOut(canceled=done.canceled, already_sent=done.already_sent))


HANDLERS = (cancel_scheduled,)
