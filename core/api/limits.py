"""Limits of a business: read and changed as a whole, at work within a second."""

from litestar import Response, get, put
from litestar.params import FromPath
from msgspec.structs import asdict

from core.api import examples
from core.api.bodies import read_body
from core.api.guards import address_of, caller_of, tenant
from core.api.lending import Call, Lent
from core.api.limit_schemas import LimitsShown
from core.api.operations import Answer, Example, Operation, described
from core.notify import limiting
from core.notify.limiting import Limits

_PATH = {"ref": examples.BUSINESS}


@get(
    "/businesses/{ref:str}/limits",
    opt=described(
        Operation(
            id="getLimits",
            summary="Read what a business may send",
            tag="Businesses",
            scope="config:read",
            answers={
                200: Answer(description="The limits; `ETag` names them.", schema=LimitsShown)
            },
            problems=("not-found",),
            examples={"read": Example(status=200, path=_PATH)},
        )
    ),
)
async def get_limits(ref: FromPath[str], request: Call, services: Lent) -> Response[LimitsShown]:
    """Return the limits, defaults filled in."""
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        found = await limiting.read_limits(transaction, business.id)
    return _answer(found)


@put(
    "/businesses/{ref:str}/limits",
    opt=described(
        Operation(
            id="putLimits",
            summary="Change what a business may send",
            description="The whole of it: a field that is left out goes back to its default. It "
            "is at work within a second, for messages that wait already, too.",
            tag="Businesses",
            scope="config:write",
            body=Limits,
            headers={"If-Match": ("The `ETag` you have read; without it you overwrite.", False)},
            answers={200: Answer(description="The limits as they are now.", schema=LimitsShown)},
            problems=("not-found", "changed-meanwhile"),
            examples={
                "change": Example(
                    status=200, path=_PATH, body={"per_minute": 120, "per_day": 2000}
                ),
            },
        )
    ),
)
async def put_limits(ref: FromPath[str], request: Call, services: Lent) -> Response[LimitsShown]:
    """Store the limits and bring the running lanes to them."""
    wanted = await read_body(request, Limits)
    business = await tenant(services, request, ref, "")
    given = request.headers.get("if-match")
    keys = await limiting.change_limits(
        services.database,
        business.id,
        wanted,
        expected=None if given in (None, "*") else given,
        actor=caller_of(request).actor,
        ip=address_of(request),
    )
    services.ring.lanes(keys)
    return _answer(wanted)


def _answer(found: Limits) -> Response[LimitsShown]:
    return Response(LimitsShown(**asdict(found)), status_code=200, headers={"ETag": found.etag})


HANDLERS = (get_limits, put_limits)
