"""What became of deliveries to a webhook endpoint: the log, a test, a replay."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from core.api.bodies import read_body, read_moment, read_query
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.api.webhook_endpoints import PATH, SCOPE, TAG, note, own_endpoint
from core.api.webhook_schemas import (
    DeliveriesQuery,
    DeliveryOut,
    DeliveryPage,
    ReplayBody,
    ReplayedOut,
    TestedOut,
    TryOut,
)
from core.callbacks import deliveries
from core.callbacks.deliveries import Delivery
from core.callbacks.endpoints import Endpoint
from core.callbacks.messages import message_id, subject_of
from core.callbacks.tables import EndpointState
from core.errors import ConflictError


@get(
    "/webhook-endpoints/{endpoint_id:str}/deliveries",
    opt=described(
        Operation(
            id="listWebhookDeliveries",
            summary="Read what was delivered, what waits and what failed",
            tag=TAG,
            scope=SCOPE,
            query=DeliveriesQuery,
            answers={200: Answer(description="A page with every attempt.", schema=DeliveryPage)},
            problems=("not-found",),
            examples={"failed": Example(status=200, path=PATH, query={"state": "failed"})},
        )
    ),
)
async def list_deliveries(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[dict[str, Any]]:
    """Return a page of the endpoint's deliveries; they are kept for 30 days."""
    asked = read_query(request, DeliveriesQuery)
    before = read_cursor(asked.cursor)
    endpoint = await own_endpoint(endpoint_id, request, services)
    async with services.database.engine() as transaction:
        rows = await deliveries.list_deliveries(
            transaction, endpoint.id, state=asked.state, before=before, limit=asked.limit
        )
    return Response(page(rows, asked.limit, _shown, lambda row: row.id))


@post(
    "/webhook-endpoints/{endpoint_id:str}/test",
    status_code=202,
    opt=described(
        Operation(
            id="testWebhookEndpoint",
            summary="Send a test delivery",
            description="Of the type `endpoint.test`, signed and repeated like any other.",
            tag=TAG,
            scope=SCOPE,
            answers={202: Answer(description="On its way.", schema=TestedOut)},
            problems=("not-found", "conflict"),
            examples={"test": Example(status=202, path=PATH)},
        )
    ),
)
async def try_endpoint(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[TestedOut]:
    """Write a delivery that tells nothing."""
    endpoint = await own_endpoint(endpoint_id, request, services)
    _must_be_on(endpoint)
    async with services.database.engine() as transaction:
        row_id = await deliveries.add_test(
            transaction, endpoint.id, endpoint.business_id, services.clock.now()
        )
        await note(transaction, request, endpoint, "test", {"delivery": message_id(row_id)})
    return Response(TestedOut(delivery_id=message_id(row_id)), status_code=202)


@post(
    "/webhook-endpoints/{endpoint_id:str}/replay",
    status_code=202,
    opt=described(
        Operation(
            id="replayWebhookDeliveries",
            summary="Deliver a period's events anew",
            description="Each under its own `webhook-id`: receivers that know it pass it over.",
            tag=TAG,
            scope=SCOPE,
            body=ReplayBody,
            answers={202: Answer(description="Put back.", schema=ReplayedOut)},
            problems=("not-found", "conflict"),
            examples={
                "what failed": Example(
                    status=202,
                    path=PATH,
                    body={"since": "2026-11-21T00:00:00Z", "only_failed": True},
                )
            },
        )
    ),
)
async def replay_deliveries(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[ReplayedOut]:
    """Put deliveries back to the start of their schedule."""
    told = await read_body(request, ReplayBody)
    now = services.clock.now()
    since = read_moment(told.since, "/since") or now
    until = read_moment(told.until, "/until") or now
    endpoint = await own_endpoint(endpoint_id, request, services)
    _must_be_on(endpoint)
    async with services.database.engine() as transaction:
        count = await deliveries.replay(
            transaction, endpoint.id, since=since, until=until, only_failed=told.only_failed
        )
        await note(transaction, request, endpoint, "replay", {"replayed": count})
    return Response(ReplayedOut(replayed=count), status_code=202)


def _must_be_on(endpoint: Endpoint) -> None:
    if endpoint.state != EndpointState.ACTIVE:
        raise ConflictError("The endpoint is switched off.", code="conflict")


def _shown(row: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=message_id(row.id),
        type=row.type,
        subject=subject_of(row) or None,
        sequence=row.sequence,
        state=row.state,
        attempt=row.attempt,
        next_attempt_at=row.next_at if row.state == "waiting" else None,
        last_status=row.last_status,
        last_error=row.last_error or None,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
        attempts=msgspec.convert(row.tries, list[TryOut]),
    )


HANDLERS = (list_deliveries, try_endpoint, replay_deliveries)
