"""What a program may look up: the problem types, and the event types with their schemas."""

from typing import Any, Final

import msgspec
from litestar import Response, get

from core.api.lending import Lent
from core.api.operations import PUBLIC, Answer, Example, Operation, described
from core.api.problem_types import PROBLEMS
from core.api.problems import problem_type
from core.api.schemas import EventType, EventTypeList, ProblemType, ProblemTypeList
from core.channels.plugin import EventType as AddedType
from core.notify.events import EVENT_TYPES, EventIn

_PART: Final = "#/$defs/{name}"


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
async def list_event_types(services: Lent) -> Response[EventTypeList]:
    """Return the types that are understood: the host's own, and those that channels add."""
    return Response(
        EventTypeList(
            data=[
                EventType(type=name, meaning=meaning, schema=_schema(name))
                for name, meaning in EVENT_TYPES.items()
            ]
            + [
                EventType(type=one.name, meaning=one.meaning, schema=_schema(one.name, one))
                for one in services.registry.event_types().values()
            ]
        )
    )


def _schema(event_type: str, added: AddedType | None = None) -> dict[str, Any]:
    """Return the schema of an event; `data.details` is as its channel says, or not there."""
    schema = msgspec.json.schema(EventIn)
    parts = schema["$defs"]
    parts["EventIn"]["properties"]["type"] = {"const": event_type}
    if added is None:
        del parts["EventData"]["properties"]["details"]
        return schema
    [details], theirs = msgspec.json.schema_components([added.details], ref_template=_PART)
    schema["$defs"] = theirs | parts
    parts["EventData"]["properties"]["details"] = details
    if any(field.required for field in msgspec.structs.fields(added.details)):
        parts["EventData"]["required"] = [*parts["EventData"]["required"], "details"]
    return schema


HANDLERS = (list_problems, list_event_types)
