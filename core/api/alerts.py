"""Alerts: what needs a person, taken on and ended over the interface."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from core.access import audit
from core.alerts import store
from core.alerts.kinds import Kind, kind_named, kinds_of
from core.alerts.store import AlertRow, Wanted
from core.api import examples
from core.api.alert_schemas import AlertOut, AlertPage, AlertsQuery
from core.api.bodies import read_body, read_moment, read_query
from core.api.guards import address_of, caller_of, refuse, tenant
from core.api.lending import Call, Lent
from core.api.limit_schemas import ReasonBody
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.channels.host import Transaction
from core.errors import ConflictError, NotFoundError
from core.ids import ALERT, inward, outward
from core.notify.services import Services

_TAG = "Alerts"
_READ, _WRITE = "alerts:read", "alerts:write"
_PATH = {"alert_id": examples.ALERT_ID}
_TEST = "test"


@get(
    "/alerts",
    opt=described(
        Operation(
            id="listAlerts",
            summary="List alerts",
            description="Those of the business; a key of the platform that names none sees all, "
            "and the platform's own.",
            tag=_TAG,
            scope=_READ,
            query=AlertsQuery,
            answers={200: Answer(description="The newest first.", schema=AlertPage)},
            problems=("not-found",),
            examples={"what is open": Example(status=200, query={"state": "open"})},
        )
    ),
)
async def list_alerts(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of alerts."""
    asked = read_query(request, AlertsQuery)
    before = read_cursor(asked.cursor)
    caller = caller_of(request)
    business = None
    if caller.business_id is not None or asked.business_id is not None:
        business = await tenant(services, request, asked.business_id, "?business_id")
    wanted = Wanted(
        business_id=business.id if business else None,
        mode=_TEST if caller.mode == _TEST else None,
        state=asked.state,
        kind=asked.kind,
        created_after=read_moment(asked.created_after, "?created_after"),
        created_before=read_moment(asked.created_before, "?created_before"),
        before=before,
        limit=asked.limit,
    )
    door = (
        services.database.engine() if business is None else services.database.business(business.id)
    )
    async with door as transaction:
        rows = await store.list_alerts(transaction, wanted)
    kinds = kinds_of(services.registry)
    return Response(page(rows, asked.limit, lambda row: _shown(row, kinds), lambda row: row.id))


@get(
    "/alerts/{alert_id:str}",
    opt=described(
        Operation(
            id="getAlert",
            summary="Read an alert",
            tag=_TAG,
            scope=_READ,
            answers={200: Answer(description="As it stands.", schema=AlertOut)},
            problems=("not-found",),
            examples={"read": Example(status=200, path=_PATH)},
        )
    ),
)
async def get_alert(alert_id: FromPath[str], request: Call, services: Lent) -> Response[AlertOut]:
    """Return one alert."""
    found = await _own(alert_id, request, services)
    return Response(_shown(found, kinds_of(services.registry)))


@post(
    "/alerts/{alert_id:str}/acknowledge",
    status_code=200,
    opt=described(
        Operation(
            id="acknowledgeAlert",
            summary="Take an alert on",
            description="It stays until it is over. Taken on twice, it stays with the first.",
            tag=_TAG,
            scope=_WRITE,
            body=ReasonBody,
            body_optional=True,
            answers={200: Answer(description="Taken on.", schema=AlertOut)},
            problems=("not-found", "conflict"),
            examples={"take it on": Example(status=200, path=_PATH, body={"reason": "on it"})},
        )
    ),
)
async def acknowledge_alert(
    alert_id: FromPath[str], request: Call, services: Lent
) -> Response[AlertOut]:
    """Write down who looks after it, and since when."""
    told = await read_body(request, ReasonBody, optional=True)
    found = await _own(alert_id, request, services)
    async with services.database.engine() as transaction:
        changed = await store.acknowledge(transaction, found.id, caller_of(request).actor)
        after = await _again(transaction, found)
        if after.state == "resolved":
            raise ConflictError("This alert is over.")
        if changed:
            await _note(transaction, request, after, "acknowledge", told.reason)
    return Response(_shown(after, kinds_of(services.registry)), status_code=200)


@post(
    "/alerts/{alert_id:str}/resolve",
    status_code=200,
    opt=described(
        Operation(
            id="resolveAlert",
            summary="Say that an alert is over",
            description="Most end by themselves. One whose cause goes on is raised again only "
            "when the cause comes back.",
            tag=_TAG,
            scope=_WRITE,
            body=ReasonBody,
            body_optional=True,
            answers={200: Answer(description="Over, now or before.", schema=AlertOut)},
            problems=("not-found",),
            examples={"end it": Example(status=200, path=_PATH, body={"reason": "mended"})},
        )
    ),
)
async def resolve_alert(
    alert_id: FromPath[str], request: Call, services: Lent
) -> Response[AlertOut]:
    """End an alert as a person; one that is over stays as it ended."""
    told = await read_body(request, ReasonBody, optional=True)
    found = await _own(alert_id, request, services)
    async with services.database.engine() as transaction:
        changed = await store.end(transaction, found.id, caller_of(request).actor)
        after = await _again(transaction, found)
        if changed:
            await _note(transaction, request, after, "resolve", told.reason)
    return Response(_shown(after, kinds_of(services.registry)), status_code=200)


async def _own(alert_id: str, request: Call, services: Services) -> AlertRow:
    """Return the alert of an id, if the caller may see it."""
    row_id = inward(ALERT, alert_id)
    caller = caller_of(request)
    # Behind its wall a business cannot tell a foreign alert from a missing one.
    door = (
        services.database.engine()
        if caller.business_id is None
        else services.database.business(caller.business_id)
    )
    async with door as transaction:
        found = await store.find_alert(transaction, row_id)
        seen = found is not None and (
            caller.mode != _TEST
            or await transaction.fetchval(
                "SELECT mode = 'test' FROM business WHERE id = $1", found.business_id
            )
        )
    if found is None or not seen:
        await refuse(services, request, f"alert:{alert_id}")
    return found


async def _again(transaction: Transaction, before: AlertRow) -> AlertRow:
    after = await store.find_alert(transaction, before.id)
    if after is None:
        raise NotFoundError("There is nothing with this id.")
    return after


async def _note(
    transaction: Transaction, request: Call, alert: AlertRow, what: str, reason: str
) -> None:
    await audit.record(
        transaction,
        business_id=alert.business_id,
        actor=caller_of(request).actor,
        action=f"alert.{what}",
        target=f"alert:{outward(ALERT, alert.id)}",
        after={"kind": alert.kind, "state": alert.state, "reason": reason},
        ip=address_of(request),
    )


def _shown(row: AlertRow, kinds: Mapping[str, Kind]) -> AlertOut:
    kind = kind_named(kinds, row.kind)
    return AlertOut(
        id=outward(ALERT, row.id),
        business_id=row.business_ref,
        kind=row.kind,
        severity=kind.severity,
        about=row.subject,
        state=row.state,
        summary=kind.summary.en,
        action=kind.action.en,
        arguments=row.arguments,
        created_at=row.created_at,
        acknowledged_by=row.acked_by,
        acknowledged_at=row.acked_at,
        resolved_by=row.resolved_by,
        resolved_at=row.resolved_at,
    )


HANDLERS = (list_alerts, get_alert, acknowledge_alert, resolve_alert)
