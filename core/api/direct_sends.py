"""Direct sends: one message outside the rules, past the same gates."""

from typing import Any, Final

import msgspec
from litestar import Response, post

from core.access import audit
from core.api import examples, idempotency
from core.api.bodies import read_body, read_moment
from core.api.direct_schemas import SelfLink, SendBody, SentOut
from core.api.guards import address_of, caller_of, is_ref, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.businesses.places import is_locale
from core.businesses.store import BusinessRow
from core.errors import FieldFault, InvalidInputError
from core.ids import NOTIFICATION, outward
from core.notify import events as wire
from core.notify.direct import Request, send_direct

_ENDPOINT: Final = "POST /v1/notifications"
_BOOKING: Final = "booking_ref"


@post(
    "/notifications",
    status_code=202,
    opt=described(
        Operation(
            id="notifyCustomer",
            summary="Send one message, outside the rules",
            description=(
                "The gates are those of an event's messages, but here a no is an error: the "
                "problem's code says which gate refused, and nothing is stored. `variables` are "
                "named as in the template, or numbered; what is left out (`business_name`, the "
                "customer's name) is filled in as for events. With `expires_at` a message that "
                "could not leave in time is canceled. `metadata` comes back with the message; its "
                "`booking_ref` makes it one of the booking's."
            ),
            tag="Notifications",
            scope="notifications:write",
            body=SendBody,
            headers={idempotency.HEADER: ("Names this send, for seven days.", True)},
            answers={202: Answer(description="Queued.", schema=SentOut)},
            problems=(
                "not-found",
                "idempotency-missing",
                "idempotency-in-progress",
                "idempotency-mismatch",
                "business-not-connected",
                "channel-disabled",
                "business-suspended",
                "template-unknown",
                "template-not-approved",
                "variable-missing",
                "consent-missing",
                "consent-revoked",
                "marketing-consent-missing",
            ),
            examples={
                "a new time": Example(
                    status=202,
                    body=examples.SEND_BODY,
                    headers={idempotency.HEADER: "5f0c7f0e-move-77"},
                )
            },
        )
    ),
)
async def send_notification(request: Call, services: Lent) -> Response[Any]:
    """Queue the message if every gate agrees."""
    told = await read_body(request, SendBody)
    key = idempotency.idempotency_key(request)
    business = await tenant(services, request, told.business_id, "/business_id")
    if told.channel not in services.registry.states:
        fault = FieldFault("/channel", "unknown", "There is no such channel.")
        raise InvalidInputError(fault.message, code="channel-disabled", errors=[fault])
    channels = (told.channel, *told.fallback)
    if not set(channels) <= set(services.registry.states) or len(set(channels)) < len(channels):
        fault = FieldFault("/fallback", "unknown-channel", "Other channels, each once.")
        raise InvalidInputError(fault.message, errors=[fault])
    wanted = _request(told, business)
    async with services.database.business(business.id) as transaction:
        kept = await idempotency.claim(transaction, business.id, _ENDPOINT, key, told)
        if kept is not None:
            return Response(kept.body, status_code=kept.status, headers=dict(idempotency.REPLAYED))
        verdict = await send_direct(services, transaction, business, wanted)
        if verdict.notification_id is None:
            raise AssertionError("what every gate let through was not queued")
        notification = outward(NOTIFICATION, verdict.notification_id)
        path = f"/v1/notifications/{notification}"
        body: dict[str, Any] = msgspec.to_builtins(
            SentOut(
                id=notification,
                status="queued",
                send_at=verdict.send_at,
                links=SelfLink(self=path),
            )
        )
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller_of(request).actor,
            action="notification.send",
            target=f"notification:{notification}",
            after={"channel": told.channel, "template": told.template},
            ip=address_of(request),
        )
        await idempotency.keep(
            transaction, business.id, _ENDPOINT, key, idempotency.Kept(202, body)
        )
    services.ring.lanes([(business.id, verdict.candidate.notice.channel)])
    return Response(body, status_code=202, headers={"Location": path})


def _request(told: SendBody, business: BusinessRow) -> Request:
    """Check what types cannot say.

    Raises:
        InvalidInputError: with pointers to what is wrong.
    """
    customer = wire.as_customer(
        wire.CustomerIn(id=told.to.customer_id, phone=told.to.phone, email=told.to.email),
        business.country,
        "/to",
    )
    booking = told.metadata.get(_BOOKING)
    faults = []
    if told.language is not None and not is_locale(told.language):
        faults.append(FieldFault("/language", "locale-invalid", "This is no language tag."))
    if booking is not None and not is_ref(booking):
        faults.append(FieldFault(f"/metadata/{_BOOKING}", "invalid", "This is no booking's id."))
    if faults:
        raise InvalidInputError(faults[0].message, errors=faults)
    return Request(
        channel=told.channel,
        fallback=told.fallback,
        template=told.template,
        customer=customer,
        language=told.language,
        variables=told.variables,
        booking_ref=booking,
        send_at=read_moment(told.send_at, "/send_at"),
        expires_at=read_moment(told.expires_at, "/expires_at"),
        metadata={name: value for name, value in told.metadata.items() if name != _BOOKING},
    )


HANDLERS = (send_notification,)
