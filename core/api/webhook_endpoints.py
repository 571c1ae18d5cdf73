"""Webhook endpoints: the booking system's own addresses, made, changed, rotated and removed."""

from typing import Any

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath

from core.access import audit
from core.api import examples
from core.api.bodies import read_body, read_query
from core.api.guards import address_of, caller_of, refuse, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.api.webhook_schemas import (
    EndpointBody,
    EndpointChange,
    EndpointOut,
    EndpointPage,
    EndpointQuery,
    NewEndpointOut,
    SecretOut,
)
from core.callbacks import endpoints
from core.callbacks.addresses import ForbiddenAddressError
from core.callbacks.endpoints import Endpoint
from core.callbacks.kinds import unknown_patterns
from core.callbacks.outgoing import look_at
from core.channels.host import Transaction
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.ids import WEBHOOK_ENDPOINT, inward, outward
from core.notify.services import Services

TAG = "Webhooks out"
SCOPE = "webhooks:write"
PATH = {"endpoint_id": examples.ENDPOINT_ID}
_SHOWN_ONCE = {"Cache-Control": "no-store"}
_TEST = "test"


@post(
    "/webhook-endpoints",
    opt=described(
        Operation(
            id="addWebhookEndpoint",
            summary="Ask to be told at an address",
            description="The secret in the answer is shown this once; it signs every delivery.",
            tag=TAG,
            scope=SCOPE,
            body=EndpointBody,
            answers={201: Answer(description="Made.", schema=NewEndpointOut)},
            problems=("not-found",),
            examples={"of the platform": Example(status=201, body=examples.ENDPOINT_BODY)},
        )
    ),
)
async def add_endpoint(request: Call, services: Lent) -> Response[NewEndpointOut]:
    """Look at the address, then make the endpoint."""
    told = await read_body(request, EndpointBody)
    caller = caller_of(request)
    business = None
    if caller.business_id is not None or told.business_id is not None:
        business = await tenant(services, request, told.business_id, "/business_id")
    _check_events(told.events)
    await _check_address(services, told.url)
    async with services.database.engine() as transaction:
        made, secret = await endpoints.add_endpoint(
            transaction,
            services.vault,
            business_id=business.id if business else None,
            mode=business.mode if business else caller.mode,
            url=told.url,
            events=told.events,
            description=told.description,
            now=services.clock.now(),
        )
        await note(transaction, request, made, "add", {"events": made.events})
    body = NewEndpointOut(**_fields(made), secret=secret.reveal())
    return Response(body, status_code=201, headers=dict(_SHOWN_ONCE))


@get(
    "/webhook-endpoints",
    opt=described(
        Operation(
            id="listWebhookEndpoints",
            summary="List webhook endpoints",
            description="Those of the business, or without one the platform's own.",
            tag=TAG,
            scope=SCOPE,
            query=EndpointQuery,
            answers={200: Answer(description="A page.", schema=EndpointPage)},
            problems=("not-found",),
            examples={"of a business": Example(status=200, query={"limit": "2"})},
        )
    ),
)
async def list_endpoints(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of endpoints, the newest first."""
    asked = read_query(request, EndpointQuery)
    before = read_cursor(asked.cursor)
    caller = caller_of(request)
    business = None
    if caller.business_id is not None or asked.business_id is not None:
        business = await tenant(services, request, asked.business_id, "?business_id")
    async with services.database.engine() as transaction:
        rows = await endpoints.list_endpoints(
            transaction,
            business_id=business.id if business else None,
            mode=caller.mode,
            before=before,
            limit=asked.limit,
        )
    return Response(page(rows, asked.limit, _shown, lambda row: row.id))


@get(
    "/webhook-endpoints/{endpoint_id:str}",
    opt=described(
        Operation(
            id="getWebhookEndpoint",
            summary="Read a webhook endpoint",
            tag=TAG,
            scope=SCOPE,
            answers={200: Answer(description="Without its secret.", schema=EndpointOut)},
            problems=("not-found",),
            examples={"read": Example(status=200, path=PATH)},
        )
    ),
)
async def get_endpoint(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[EndpointOut]:
    """Return one endpoint."""
    return Response(_shown(await own_endpoint(endpoint_id, request, services)))


@patch(
    "/webhook-endpoints/{endpoint_id:str}",
    opt=described(
        Operation(
            id="changeWebhookEndpoint",
            summary="Change a webhook endpoint, or switch it on or off",
            description="Switched on, it is told what waits, and its failures are forgotten.",
            tag=TAG,
            scope=SCOPE,
            body=EndpointChange,
            answers={200: Answer(description="Changed.", schema=EndpointOut)},
            problems=("not-found",),
            examples={
                "other events": Example(
                    status=200, path=PATH, body={"events": ["notification.*", "message.received"]}
                )
            },
        )
    ),
)
async def change_endpoint(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[EndpointOut]:
    """Change what is named and leave the rest."""
    told = await read_body(request, EndpointChange)
    before = await own_endpoint(endpoint_id, request, services)
    if told.events is not None:
        _check_events(told.events)
    if told.url is not None:
        await _check_address(services, told.url)
    async with services.database.engine() as transaction:
        after = await endpoints.change_endpoint(
            transaction,
            before,
            url=before.url if told.url is None else told.url,
            events=before.events if told.events is None else told.events,
            description=before.description if told.description is None else told.description,
            state=told.state or before.state,
            now=services.clock.now(),
        )
        changed = {"events": after.events, "state": after.state, "url": after.url != before.url}
        await note(transaction, request, after, "change", changed)
    return Response(_shown(after))


@delete(
    "/webhook-endpoints/{endpoint_id:str}",
    status_code=204,
    opt=described(
        Operation(
            id="removeWebhookEndpoint",
            summary="Remove a webhook endpoint and its deliveries",
            tag=TAG,
            scope=SCOPE,
            answers={204: Answer(description="Gone, with what was still to be told.")},
            problems=("not-found",),
            examples={
                "remove": Example(status=204, path={"endpoint_id": examples.OLD_ENDPOINT_ID})
            },
        )
    ),
)
async def remove_endpoint(endpoint_id: FromPath[str], request: Call, services: Lent) -> None:
    """Delete the endpoint."""
    found = await own_endpoint(endpoint_id, request, services)
    async with services.database.engine() as transaction:
        await endpoints.remove_endpoint(transaction, found)
        await note(transaction, request, found, "remove", {})


@post(
    "/webhook-endpoints/{endpoint_id:str}/rotate-secret",
    status_code=200,
    opt=described(
        Operation(
            id="rotateWebhookSecret",
            summary="Replace a webhook endpoint's secret",
            description="For 24 hours every delivery carries a signature of each of the two.",
            tag=TAG,
            scope=SCOPE,
            answers={200: Answer(description="The new secret, once.", schema=SecretOut)},
            problems=("not-found",),
            examples={"rotate": Example(status=200, path=PATH)},
        )
    ),
)
async def rotate_secret(
    endpoint_id: FromPath[str], request: Call, services: Lent
) -> Response[SecretOut]:
    """Make a new secret; the old one goes on signing for a day."""
    found = await own_endpoint(endpoint_id, request, services)
    now = services.clock.now()
    async with services.database.engine() as transaction:
        after, secret = await endpoints.rotate_secret(transaction, services.vault, found, now)
        await note(transaction, request, after, "rotate-secret", {})
    body = SecretOut(
        id=endpoint_id,
        secret=secret.reveal(),
        old_secret_until=after.previous_until or now,
    )
    return Response(body, headers=dict(_SHOWN_ONCE))


async def own_endpoint(endpoint_id: str, request: Call, services: Services) -> Endpoint:
    """Return the endpoint of an id, if the caller may see it.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
    """
    row_id = inward(WEBHOOK_ENDPOINT, endpoint_id)
    caller = caller_of(request)
    # Behind its wall a business cannot tell a foreign endpoint from a missing one.
    door = (
        services.database.engine()
        if caller.business_id is None
        else services.database.business(caller.business_id)
    )
    try:
        async with door as transaction:
            found = await endpoints.get_endpoint(transaction, row_id)
    except NotFoundError:
        await refuse(services, request, f"webhook-endpoint:{endpoint_id}")
    if found.mode != caller.mode:
        await refuse(services, request, f"webhook-endpoint:{endpoint_id}")
    return found


async def note(
    transaction: Transaction, request: Call, endpoint: Endpoint, what: str, after: dict[str, Any]
) -> None:
    """Write a change into the audit trail; an address may hold a secret and is left out."""
    await audit.record(
        transaction,
        business_id=endpoint.business_id,
        actor=caller_of(request).actor,
        action=f"webhook-endpoint.{what}",
        target=f"webhook-endpoint:{outward(WEBHOOK_ENDPOINT, endpoint.id)}",
        after=after,
        ip=address_of(request),
    )


def _check_events(events: list[str]) -> None:
    if unknown := unknown_patterns(events):
        fault = FieldFault("/events", "unknown", f"There is no event type {unknown[0]!r}.")
        raise InvalidInputError(fault.message, errors=[fault])


async def _check_address(services: Services, url: str) -> None:
    try:
        await look_at(url, local=services.local_callbacks)
    except ForbiddenAddressError as error:
        fault = FieldFault("/url", "forbidden", str(error))
        raise InvalidInputError(fault.message, errors=[fault]) from None


def _shown(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(**_fields(endpoint))


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": outward(WEBHOOK_ENDPOINT, endpoint.id),
        "business_id": endpoint.business_ref,
        "mode": endpoint.mode,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "state": endpoint.state,
        "reason": endpoint.reason or None,
        "failing_since": endpoint.failing_since,
        "old_secret_until": endpoint.previous_until,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


HANDLERS = (
    add_endpoint,
    list_endpoints,
    get_endpoint,
    change_endpoint,
    remove_endpoint,
    rotate_secret,
)
