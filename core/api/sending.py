"""The kill switch: pause and resume a business, one of its channels, a channel, everything."""

from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

from core.api import examples
from core.api.bodies import read_body
from core.api.guards import address_of, caller_of, tenant
from core.api.lending import Call, Lent
from core.api.limit_schemas import EverythingBody, PauseBody, PauseShown, SendingState
from core.api.operations import Answer, Example, Operation, described
from core.errors import NotFoundError, PermissionDeniedError
from core.limits.pauses import Reach
from core.notify.pausing import Standing, pause_sending, resume_sending
from core.notify.services import Services

_PATH = {"ref": examples.BUSINESS}
_CHANNEL = {"ref": examples.BUSINESS, "slug": "whatsapp"}
_STANDS = "New sends stop within a second; what waits is kept, what is on its way arrives."
_RUNS = "What waits goes out again. Wider and narrower pauses stay; a suspension is lifted."


def _operation(
    operation_id: str,
    summary: str,
    description: str,
    path: dict[str, str],
    body: type = PauseBody,
    tag: str = "Businesses",
) -> Operation:
    return Operation(
        id=operation_id,
        summary=summary,
        description=description,
        tag=tag,
        scope="config:write",
        body=body,
        body_optional=True,
        answers={200: Answer(description="How sending stands now.", schema=SendingState)},
        problems=("not-found",),
        examples={"as it is": Example(status=200, path=path, body={"reason": "holidays"})},
    )


@post(
    "/businesses/{ref:str}/pause",
    status_code=200,
    opt=described(_operation("pauseBusiness", "Pause a business", _STANDS, _PATH)),
)
async def pause_business(
    ref: FromPath[str], request: Call, services: Lent
) -> Response[SendingState]:
    """Stop every channel of a business."""
    told = await read_body(request, PauseBody, optional=True)
    business = await tenant(services, request, ref, "")
    return await _pause(services, request, Reach(business.id), ref, told.reason)


@post(
    "/businesses/{ref:str}/resume",
    status_code=200,
    opt=described(_operation("resumeBusiness", "Resume a business", _RUNS, _PATH)),
)
async def resume_business(
    ref: FromPath[str], request: Call, services: Lent
) -> Response[SendingState]:
    """Let a business send again."""
    await read_body(request, PauseBody, optional=True)
    business = await tenant(services, request, ref, "")
    return await _resume(services, request, Reach(business.id), ref)


@post(
    "/businesses/{ref:str}/channels/{slug:str}/pause",
    status_code=200,
    opt=described(_operation("pauseChannel", "Pause a business's channel", _STANDS, _CHANNEL)),
)
async def pause_channel(
    ref: FromPath[str], slug: FromPath[str], request: Call, services: Lent
) -> Response[SendingState]:
    """Stop one channel of a business."""
    told = await read_body(request, PauseBody, optional=True)
    business = await tenant(services, request, ref, "")
    reach = Reach(business.id, _known(services, slug))
    return await _pause(services, request, reach, ref, told.reason)


@post(
    "/businesses/{ref:str}/channels/{slug:str}/resume",
    status_code=200,
    opt=described(_operation("resumeChannel", "Resume a business's channel", _RUNS, _CHANNEL)),
)
async def resume_channel(
    ref: FromPath[str], slug: FromPath[str], request: Call, services: Lent
) -> Response[SendingState]:
    """Let one channel of a business send again."""
    await read_body(request, PauseBody, optional=True)
    business = await tenant(services, request, ref, "")
    return await _resume(services, request, Reach(business.id, _known(services, slug)), ref)


@post(
    "/pause",
    status_code=200,
    opt=described(
        _operation(
            "pauseEverything",
            "Pause everything, or one channel of everybody",
            f"{_STANDS} For live keys of the platform.",
            {},
            EverythingBody,
            "Operations",
        )
    ),
)
async def pause_everything(request: Call, services: Lent) -> Response[SendingState]:
    """Stop the whole platform, or a channel of it."""
    told = await read_body(request, EverythingBody, optional=True)
    reach = _platform_reach(request, services, told)
    return await _pause(services, request, reach, None, told.reason)


@post(
    "/resume",
    status_code=200,
    opt=described(
        _operation(
            "resumeEverything",
            "End the pause of everything, or of one channel",
            "Pauses and suspensions of single businesses stay. For live keys of the platform.",
            {},
            EverythingBody,
            "Operations",
        )
    ),
)
async def resume_everything(request: Call, services: Lent) -> Response[SendingState]:
    """Let the platform send again."""
    told = await read_body(request, EverythingBody, optional=True)
    return await _resume(services, request, _platform_reach(request, services, told), None)


def _known(services: Services, slug: str) -> str:
    if slug not in services.registry.states:
        raise NotFoundError("There is no such channel.")
    return slug


def _platform_reach(request: Call, services: Services, told: EverythingBody) -> Reach:
    caller = caller_of(request)
    if caller.business_id is not None or caller.mode != "live":
        raise PermissionDeniedError("Only a live key of the platform may do this.")
    return Reach(None, _known(services, told.channel) if told.channel else None)


async def _pause(
    services: Services, request: Call, reach: Reach, ref: str | None, reason: str
) -> Response[SendingState]:
    standing = await pause_sending(
        services.database,
        reach,
        reason=reason,
        actor=caller_of(request).actor,
        ip=address_of(request),
    )
    return _answer(standing, reach.business_id, ref)


async def _resume(
    services: Services, request: Call, reach: Reach, ref: str | None
) -> Response[SendingState]:
    standing = await resume_sending(
        services.database, reach, actor=caller_of(request).actor, ip=address_of(request)
    )
    services.ring.lanes(standing.running)
    return _answer(standing, reach.business_id, ref)


def _answer(
    standing: Standing, business_id: UUID | None, ref: str | None
) -> Response[SendingState]:
    """Show the pauses of this business and those of the platform; never another business's."""
    shown = [
        PauseShown(
            business_id=ref if one.reach.business_id else None,
            channel=one.reach.channel,
            reason=one.reason,
            since=one.created_at,
        )
        for one in standing.pauses
        if one.reach.business_id in (None, business_id)
    ]
    return Response(SendingState(changed=standing.changed, pauses=shown), status_code=200)


HANDLERS = (
    pause_business,
    resume_business,
    pause_channel,
    resume_channel,
    pause_everything,
    resume_everything,
)
