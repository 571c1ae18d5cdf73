"""Is the process alive, can it work, has it started; and which plugins are out of service.

A failed plugin and a silent queue are named and do not fail readiness: the other channels go on,
and the queue is only a doorbell.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from core.api.lending import Lent
from core.api.operations import PUBLIC, Answer, Example, Operation, described
from core.api.schemas import Health, HealthPart, PluginHealth
from core.errors import ConfigurationError
from core.notify.hosting import check_schema
from core.notify.services import Services

Probe = Callable[[], Awaitable[None]]

OK: Final = "ok"
DEGRADED: Final = "degraded"
UNAVAILABLE: Final = "unavailable"

_SECONDS: Final = 2.0
_logger = structlog.get_logger(__name__)


@get(
    "/health/live",
    opt=described(
        Operation(
            id="isLive",
            summary="Is the process alive?",
            tag="Operations",
            scope=PUBLIC,
            answers={200: Answer(description="It is.", schema=Health)},
            examples={"read": Example(status=200)},
        )
    ),
)
async def live() -> Response[Health]:
    """Answer; nothing else is looked at."""
    return Response(Health(status=OK))


def readiness(queue: Probe | None) -> tuple[HTTPRouteHandler, ...]:
    """Build the two handlers that look at the parts.

    Args:
        queue: raises if the queue does not answer; None where there is none.
    """

    @get(
        "/health/ready",
        opt=described(
            Operation(
                id="isReady",
                summary="Can the process work?",
                tag="Operations",
                scope=PUBLIC,
                answers={
                    200: Answer(description="It can; a part may be degraded.", schema=Health),
                    503: Answer(description="It cannot.", schema=Health),
                },
                examples={"read": Example(status=200)},
            )
        ),
    )
    async def ready(services: Lent) -> Response[Health]:
        """Look at database, migrations, queue and plugins."""
        parts = await _essentials(services)
        if queue is not None:
            parts["queue"] = await _look("queue", queue, DEGRADED)
        plugins = [
            PluginHealth(name=one.slug, status=one.state, version=one.version, reason=one.reason)
            for one in sorted(services.registry.states.values(), key=lambda state: state.slug)
        ]
        seen = {part.status for part in parts.values()}
        if any(plugin.status == "failed" for plugin in plugins):
            seen.add(DEGRADED)
        status = next((one for one in (UNAVAILABLE, DEGRADED) if one in seen), OK)
        health = Health(status=status, parts=parts, plugins=plugins)
        return Response(health, status_code=503 if status == UNAVAILABLE else 200)

    @get(
        "/health/startup",
        opt=described(
            Operation(
                id="hasStarted",
                summary="Has the process started?",
                tag="Operations",
                scope=PUBLIC,
                answers={
                    200: Answer(description="It has.", schema=Health),
                    503: Answer(description="Not yet.", schema=Health),
                },
                examples={"read": Example(status=200)},
            )
        ),
    )
    async def startup(services: Lent) -> Response[Health]:
        """Look at what a start needs: the database, and its migrations."""
        parts = await _essentials(services)
        failed = any(part.status == UNAVAILABLE for part in parts.values())
        health = Health(status=UNAVAILABLE if failed else OK, parts=parts)
        return Response(health, status_code=503 if failed else 200)

    return ready, startup


async def _essentials(services: Services) -> dict[str, HealthPart]:
    async def database() -> None:
        async with services.database.engine() as transaction:
            await transaction.fetchval("SELECT 1")

    async def migrations() -> None:
        await check_schema(services.database, services.registry)

    return {
        "database": await _look("database", database, UNAVAILABLE),
        "migrations": await _look("migrations", migrations, UNAVAILABLE),
    }


async def _look(name: str, probe: Probe, otherwise: str) -> HealthPart:
    try:
        async with asyncio.timeout(_SECONDS):
            await probe()
    except ConfigurationError as error:
        return HealthPart(status=otherwise, detail=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a part raises, it does not answer
        _logger.warning("part does not answer", part=name, error=type(error).__name__)
        return HealthPart(status=otherwise, detail=f"{name} does not answer")
    return HealthPart(status=OK)
