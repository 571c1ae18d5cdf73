"""Events: the one call that the booking system must learn."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from core.access import audit
from core.api import examples, notices
from core.api.bodies import read_body, read_query
from core.api.guards import address_of, caller_of, owner, tenant
from core.api.lending import Call, Lent
from core.api.notification_schemas import (
    EventDecision,
    EventOut,
    EventPage,
    EventsQuery,
    TellQuery,
)
from core.api.operations import CLOUD_EVENT, JSON, Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.businesses.store import BusinessRow
from core.ids import DECISION, EVENT, NOTIFICATION, inward, outward
from core.notify import events as wire
from core.notify.intake import rehearse, take_in
from core.notify.services import Services

_DUPLICATE, _ACCEPTED = 200, 202


@post(
    "/events",
    opt=described(
        Operation(
            id="tellEvent",
            summary="Tell what happened to a booking",
            description=(
                "Answered when it is stored and decided. A business-level no (no consent, a "
                "template that is not approved) is a decision in a 202, not an error. `source` "
                "and `id` name the event: told again, it gets the same answer with "
                "`duplicate: true`. With `dry_run=true` every check is run and every text is "
                "rendered, and nothing is written but a line of the audit trail."
            ),
            tag="Events",
            scope="events:write",
            body=wire.EventIn,
            body_media=(JSON, CLOUD_EVENT),
            query=TellQuery,
            answers={
                200: Answer(
                    description="Known already, or a dry run; nothing was done.",
                    schema=wire.Answer,
                ),
                202: Answer(description="Stored and decided.", schema=wire.Answer),
            },
            problems=("not-found", "idempotency-mismatch", "idempotency-in-progress"),
            examples={
                "dry run": Example(
                    status=200, body=examples.EVENT_BODY, query={"dry_run": "true"}
                ),
                "plain": Example(status=202, body=examples.EVENT_BODY),
                "CloudEvents": Example(
                    status=202, body=examples.CLOUD_EVENT_BODY, media_type=CLOUD_EVENT
                ),
            },
        )
    ),
)
async def tell_event(request: Call, services: Lent) -> Response[wire.Answer]:
    """Store the event, decide about its messages and queue what may be sent."""
    asked = read_query(request, TellQuery)
    told = await read_body(request, wire.EventIn, media_types=(JSON, CLOUD_EVENT))
    business = await tenant(services, request, told.data.business_id, "/data/business_id")
    event = wire.as_event(told, business, services.clock.now(), services.registry.event_types())
    if asked.dry_run:
        return await _try_out(request, services, business, event)
    [answer] = await take_in(services, business, [event])
    return Response(
        answer,
        status_code=_DUPLICATE if answer.duplicate else _ACCEPTED,
        headers={"Location": f"/v1/events/{answer.id}"},
    )


async def _try_out(
    request: Call, services: Services, business: BusinessRow, event: wire.NotificationEvent
) -> Response[wire.Answer]:
    answer = await rehearse(services, business, event)
    async with services.database.business(business.id) as transaction:
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller_of(request).actor,
            action="event.dry-run",
            target=f"booking:{event.booking.ref}" if event.booking else "event",
            after={"type": event.type},
            ip=address_of(request),
        )
    return Response(answer, status_code=_DUPLICATE)


@get(
    "/events/{event_id:str}",
    opt=described(
        Operation(
            id="getEvent",
            summary="Read an event, its decisions and what became of them",
            tag="Events",
            scope="notifications:read",
            answers={200: Answer(description="The event.", schema=EventOut)},
            problems=("not-found",),
            examples={"read": Example(status=200, path={"event_id": examples.EVENT_ID})},
        )
    ),
)
async def get_event(event_id: FromPath[str], request: Call, services: Lent) -> Response[EventOut]:
    """Return one event."""
    row_id = inward(EVENT, event_id)
    business = await owner(services, request, "event", row_id)
    async with services.database.business(business.id) as transaction:
        row = await notices.load_event(transaction, business.id, row_id)
        decisions = await notices.decisions_of(transaction, business.id, [row_id])
    return Response(_shown(row, business, decisions))


@get(
    "/events",
    opt=described(
        Operation(
            id="listEvents",
            summary="List the events of a booking",
            tag="Events",
            scope="notifications:read",
            query=EventsQuery,
            answers={200: Answer(description="The newest first.", schema=EventPage)},
            problems=("not-found",),
            examples={
                "of a booking": Example(
                    status=200,
                    query={"booking_ref": examples.BOOKING, "business_id": examples.BUSINESS},
                )
            },
        )
    ),
)
async def list_events(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of a booking's events."""
    asked = read_query(request, EventsQuery)
    before = read_cursor(asked.cursor)
    business = await tenant(services, request, asked.business_id, "?business_id")
    async with services.database.business(business.id) as transaction:
        rows = await notices.list_events(transaction, business.id, asked, before)
        decisions = await notices.decisions_of(
            transaction, business.id, [row["id"] for row in rows]
        )
    by_event: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for decision in decisions:
        by_event[decision["event_id"]].append(decision)
    return Response(
        page(
            rows,
            asked.limit,
            lambda row: _shown(row, business, by_event[row["id"]]),
            lambda row: row["id"],
        )
    )


def _shown(
    row: Mapping[str, Any], business: BusinessRow, decisions: Sequence[Mapping[str, Any]]
) -> EventOut:
    return EventOut(
        id=outward(EVENT, row["id"]),
        business_id=business.ref,
        source=row["source"],
        external_id=row["external_id"],
        type=row["type"],
        time=row["occurred_at"],
        booking_ref=row["booking_ref"],
        booking_version=row["booking_version"],
        received_at=row["created_at"],
        decisions=[_decision(one) for one in decisions],
    )


def _decision(row: Mapping[str, Any]) -> EventDecision:
    notification_id = row["notification_id"]
    return EventDecision(
        rule=row["rule_key"],
        channel=row["channel"],
        template=row["template_name"],
        outcome=row["outcome"],
        reason=row["reason"] or None,
        notification_id=outward(NOTIFICATION, notification_id)
        if notification_id
        else outward(DECISION, row["id"]),
        status=row["status"],
    )


HANDLERS = (tell_event, get_event, list_events)
