"""Who calls, and may they: the API key, the scope, and the business behind an id.

A foreign business is answered like one that does not exist. What is refused to a known caller
is audited after the rollback (rulings A19).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from litestar.exceptions import ImproperlyConfiguredException

from core.access.audit import record_refusal
from core.access.keys import ALL, SCOPES, KeyRing, UnauthenticatedError
from core.api.operations import PUBLIC
from core.businesses.store import find_business, find_businesses, get_business
from core.errors import (
    FieldFault,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ProblemError,
)
from core.ids import REF_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from uuid import UUID

    from litestar import Request
    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from core.access.keys import Caller
    from core.businesses.store import BusinessRow
    from core.notify.services import Services

    Connection = ASGIConnection[Any, Any, Any, Any]
    Guard = Callable[[Connection, BaseRouteHandler], Coroutine[Any, Any, None]]

Owned = Literal["event", "notification_outbox", "decision", "customer_consents", "job"]
_REF: Final = re.compile(REF_PATTERN + r"(?!\n)")
_BEARER: Final = "bearer "


def authentication(services: Services) -> Guard:
    """Return the guard of all of /v1; a handler without a declared scope is a fault of ours."""
    ring = KeyRing(services.database, services.vault, services.clock)

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        scope = handler.opt.get("scope")
        if scope is None:
            raise ImproperlyConfiguredException("this endpoint declares no scope")
        if scope == PUBLIC:
            return
        given = connection.headers.get("authorization", "")
        if given[: len(_BEARER)].lower() != _BEARER:
            raise UnauthenticatedError("Send `Authorization: Bearer pb_...`.")
        caller = await ring.verify(given[len(_BEARER) :].strip(), address_of(connection))
        state = connection.scope["state"]
        state["caller"] = caller
        state["rate"] = await ring.rates.spend(caller.key_id, caller.rate)
        await need_scope(services, connection, scope, handler)

    return guard


async def need_scope(
    services: Services,
    connection: Connection,
    scope: str,
    handler: BaseRouteHandler | None = None,
) -> None:
    """Refuse a caller whose key lacks a scope, and write that down.

    Raises:
        PermissionDeniedError: it does.
    """
    caller: Caller = connection.scope["state"]["caller"]
    if caller.may(scope):
        return
    await record_refusal(
        services.database,
        business_id=caller.business_id,
        actor=caller.actor,
        action=str(getattr(handler, "handler_name", scope)),
        target=connection.scope["path"],
        reason=f"scope-missing: {scope}",
        ip=address_of(connection),
    )
    raise PermissionDeniedError(f"The key lacks the scope {scope}.")


def is_scope(scope: object) -> bool:
    """Tell whether a handler may declare this."""
    return scope in (PUBLIC, ALL) or scope in SCOPES


def is_ref(text: str) -> bool:
    """Tell whether a caller may choose this as an id."""
    return _REF.fullmatch(text) is not None


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Return who calls; the guard has looked."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def address_of(connection: Connection) -> str | None:
    """Return where the call came from, as far as the server knows."""
    return connection.client.host if connection.client else None


async def tenant(
    services: Services, request: Request[Any, Any, Any], ref: str | None, pointer: str
) -> BusinessRow:
    """Return the business that the call is about.

    Args:
        services: the process's parts.
        request: the call.
        ref: the business's id in the call; a key bound to a business may leave it out.
        pointer: where the call names it.

    Raises:
        InvalidInputError: a platform's key must name the business.
        NotFoundError: there is none, or it is somebody else's, or of the other mode than the key.
    """
    caller = caller_of(request)
    if ref is not None and not is_ref(ref):
        raise NotFoundError("There is no such business.")
    if caller.business_id is not None:
        async with services.database.business(caller.business_id) as transaction:
            own = await get_business(transaction, caller.business_id)
        if ref not in (None, own.ref) or not _sees(caller, own):
            await refuse(services, request, f"business:{ref}")
        return own
    if ref is None:
        fault = FieldFault(pointer, "missing", "A key of the platform must name the business.")
        raise InvalidInputError(fault.message, errors=[fault])
    async with services.database.engine() as transaction:
        found = await find_business(transaction, ref)
    if found is None:
        raise NotFoundError("There is no such business.")
    if not _sees(caller, found):
        await refuse(services, request, f"business:{ref}")
    return found


async def tenants(
    services: Services, request: Request[Any, Any, Any], refs: Iterable[str | None], pointer: str
) -> dict[str | None, BusinessRow | ProblemError]:
    """Return the businesses that the parts of a call are about, or why not, in one statement.

    Args:
        services: the process's parts.
        request: the call.
        refs: what its parts name; None where one names nothing.
        pointer: where a part names it.
    """
    wanted = set(refs)
    there: dict[str, BusinessRow] = {}
    if caller_of(request).business_id is None:
        async with services.database.engine() as transaction:
            there = await find_businesses(transaction, sorted(ref for ref in wanted if ref))
    found: dict[str | None, BusinessRow | ProblemError] = {}
    for ref in wanted:
        known = there.get(ref) if ref is not None else None
        if known is not None and _sees(caller_of(request), known):
            found[ref] = known
            continue
        try:
            found[ref] = await tenant(services, request, ref, pointer)
        except ProblemError as error:
            found[ref] = error
    return found


async def owner(
    services: Services, request: Request[Any, Any, Any], table: Owned, row_id: UUID
) -> BusinessRow:
    """Return the business that a row belongs to, if the caller may see it.

    Raises:
        NotFoundError: there is no such row, or it is somebody else's.
    """
    caller = caller_of(request)
    if caller.business_id is not None:
        # Behind the wall a foreign row and no row are the same, also in how long they take.
        async with services.database.business(caller.business_id) as transaction:
            there = await transaction.fetchval(f"SELECT 1 FROM {table} WHERE id = $1", row_id)
            if there:
                return await get_business(transaction, caller.business_id)
        await refuse(services, request, f"{table}:{row_id}")
    async with services.database.engine() as transaction:
        business_id = await transaction.fetchval(
            f"SELECT business_id FROM {table} WHERE id = $1", row_id
        )
        if business_id is None:
            raise NotFoundError("There is nothing with this id.")
        found = await get_business(transaction, business_id)
    if not _sees(caller, found):
        await refuse(services, request, f"{table}:{row_id}")
    return found


def _sees(caller: Caller, business: BusinessRow) -> bool:
    return caller.mode == business.mode


async def refuse(services: Services, request: Request[Any, Any, Any], target: str) -> NoReturn:
    """Answer that there is nothing, and keep who asked for it.

    Raises:
        NotFoundError: always.
    """
    caller = caller_of(request)
    await record_refusal(
        services.database,
        business_id=caller.business_id,
        actor=caller.actor,
        action=f"{request.method} {request.scope['path']}"[:90],
        target=target,
        reason="not-found",
        ip=address_of(request),
    )
    raise NotFoundError("There is nothing with this id.")
