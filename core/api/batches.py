"""Events in batches: each is answered as it would have been alone, and one no spoils nothing."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from litestar import Response, post

from core.access import audit
from core.api import examples
from core.api.batch_schemas import BatchAsItCame, BatchBody, BatchItem, BatchOut
from core.api.bodies import BATCH_LIMIT, read_body, read_item, read_query
from core.api.guards import address_of, caller_of, tenants
from core.api.lending import Call, Lent
from core.api.notification_schemas import TellQuery
from core.api.operations import Answer, Example, Operation, described
from core.api.problems import problem_body
from core.api.schemas import ProblemBody
from core.businesses.store import BusinessRow
from core.errors import ProblemError
from core.notify import events as wire
from core.notify.intake import rehearse_each, take_in_each
from core.notify.services import Services

_DUPLICATE: Final = 200
_ACCEPTED: Final = 202
_AT_A_TIME: Final = 4
"""How many businesses of a batch are worked at together: each holds a connection."""

_BREATH: Final = 50
"""After so many events other calls get their turn."""

Outcome = wire.Answer | Exception


@post(
    "/events/batch",
    status_code=200,
    request_max_body_size=BATCH_LIMIT,
    opt=described(
        Operation(
            id="tellEvents",
            summary="Tell up to 500 events at once",
            description=(
                "Each event is answered as it would have been alone, in the order of the call; "
                "what is refused does not hold the others up. Events of several businesses may "
                "stand in one call; those of one booking follow each other. Told again, the "
                "same events are duplicates, so a call that was cut off is simply repeated. "
                "`booking.imported` is the type for going live with bookings that exist. Up to "
                "1 MB. With `dry_run=true` nothing is written but a line of the audit trail."
            ),
            tag="Events",
            scope="events:write",
            body=BatchBody,
            query=TellQuery,
            answers={200: Answer(description="Event by event.", schema=BatchOut)},
            examples={
                "going live": Example(status=200, body={"events": examples.BATCH_EVENTS}),
                "dry run": Example(
                    status=200,
                    body={"events": examples.BATCH_EVENTS},
                    query={"dry_run": "true"},
                ),
            },
        )
    ),
)
async def tell_events(request: Call, services: Lent) -> Response[BatchOut]:
    """Take every event in that can be; say of each what became of it."""
    asked = read_query(request, TellQuery)
    told = (await read_body(request, BatchAsItCame, as_it_came=True)).events
    outcomes: dict[int, Outcome] = {}
    groups: dict[str, list[tuple[int, wire.NotificationEvent]]] = defaultdict(list)
    businesses: dict[str, BusinessRow] = {}
    for place, event in (await _read(request, services, told, outcomes)).items():
        business, checked = event
        businesses[business.ref] = business
        groups[business.ref].append((place, checked))
    room = asyncio.Semaphore(_AT_A_TIME)

    async def work(business: BusinessRow) -> None:
        places = [place for place, _ in groups[business.ref]]
        events = [event for _, event in groups[business.ref]]
        async with room:
            found = await _take_in(request, services, business, events, dry=asked.dry_run)
        outcomes.update(zip(places, found, strict=True))

    await asyncio.gather(*(work(one) for one in businesses.values()))
    items = [_item(services, request, place, outcomes[place]) for place in range(len(told))]
    failed = sum(one.problem is not None for one in items)
    return Response(BatchOut(accepted=len(items) - failed, failed=failed, items=items))


async def _read(
    request: Call, services: Services, told: Sequence[object], outcomes: dict[int, Outcome]
) -> Mapping[int, tuple[BusinessRow, wire.NotificationEvent]]:
    """Check each event; what is wrong goes to the outcomes, what is right comes back."""
    shaped: dict[int, wire.EventIn] = {}
    for place, content in enumerate(told):
        try:
            shaped[place] = read_item(content, wire.EventIn)
        except ProblemError as error:
            outcomes[place] = error
    refs = {event.data.business_id for event in shaped.values()}
    owners = await tenants(services, request, refs, "/data/business_id")
    now, types = services.clock.now(), services.registry.event_types()
    checked: dict[int, tuple[BusinessRow, wire.NotificationEvent]] = {}
    for place, event in shaped.items():
        if place % _BREATH == 0:
            await asyncio.sleep(0)
        owner = owners[event.data.business_id]
        if isinstance(owner, ProblemError):
            outcomes[place] = owner
            continue
        try:
            checked[place] = (owner, wire.as_event(event, owner, now, types))
        except ProblemError as error:
            outcomes[place] = error
    return checked


async def _take_in(
    request: Call,
    services: Services,
    business: BusinessRow,
    events: Sequence[wire.NotificationEvent],
    *,
    dry: bool,
) -> Sequence[Outcome]:
    """Take one business's events in; what stops them all stops no other business's."""
    try:
        if not dry:
            return await take_in_each(services, business, events)
        found = await rehearse_each(services, business, events)
        async with services.database.business(business.id) as transaction:
            await audit.record(
                transaction,
                business_id=business.id,
                actor=caller_of(request).actor,
                action="event.dry-run",
                target="batch",
                after={"events": len(events)},
                ip=address_of(request),
            )
    except Exception as error:  # noqa: BLE001 - answered per event, and logged where it is ours
        return [error] * len(events)
    return found


def _item(services: Services, request: Call, place: int, outcome: Outcome) -> BatchItem:
    if isinstance(outcome, wire.Answer):
        dry = outcome.id is None
        return BatchItem(
            index=place,
            status=_DUPLICATE if outcome.duplicate or dry else _ACCEPTED,
            id=outcome.id,
            duplicate=outcome.duplicate,
            decisions=outcome.decisions if dry else (),
        )
    told = problem_body(services.public_url, request, outcome)
    return BatchItem(
        index=place, status=told["status"], problem=msgspec.convert(told, ProblemBody)
    )


HANDLERS = (tell_events,)
