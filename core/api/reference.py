"""What a program may look up: the problem types, and the event types with their schemas."""

from typing import Any

import msgspec
from litestar import Response, get

from core.api.lending import Lent
from core.api.operations import PUBLIC, Answer, Example, Operation, described
from core.api.problem_types import PROBLEMS
from core.api.problems import problem_type
from core.api.schemas import EventType, EventTypeList, ProblemType, ProblemTypeList
from core.notify.events import EVENT_TYPES, EventIn


@get(
    "/problems",
    opt=described(
        Operation(
            id="listProblems",
            summary="Read the catalogue of problems",
            tag="Reference",
            scope=PUBLIC,
            answers={200: Answer(description="Every problem type.", schema=ProblemTypeList)},
            examples={"read": Example(status=200)},
        )
    ),
)
async def list_problems(services: Lent) -> Response[ProblemTypeList]:
    """Return every problem type with what to do about it."""
    return Response(
        ProblemTypeList(
            data=[
                ProblemType(
                    type=problem_type(services.public_url, one.slug),
                    code=one.slug,
                    status=one.status,
                    title=one.title,
                    meaning=one.meaning,
                    action=one.action,
                    retry=one.retry,
                )
                for one in PROBLEMS.values()
            ]
        )
    )


@get(
    "/event-types",
    opt=described(
        Operation(
            id="listEventTypes",
            summary="Read the event types and their JSON Schema",
            tag="Reference",
            scope=PUBLIC,
            answers={200: Answer(description="Every event type.", schema=EventTypeList)},
            examples={"read": Example(status=200)},
        )
    ),
)
async def list_event_types() -> Response[EventTypeList]:
    """Return the types that are understood."""
    return Response(
        EventTypeList(
            data=[
                EventType(type=name, meaning=meaning, schema=_schema(name))
                for name, meaning in EVENT_TYPES.items()
            ]
        )
    )


def _schema(event_type: str) -> dict[str, Any]:
    schema = msgspec.json.schema(EventIn)
    schema["$defs"]["EventIn"]["properties"]["type"] = {"const": event_type}
    return schema


HANDLERS = (list_problems, list_event_types)
