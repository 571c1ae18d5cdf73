"""The interface's own description, OpenAPI 3.1, built from what the handlers declare."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.access.keys import SCOPES
from core.api.callback_examples import example_of
from core.api.operations import CLOUD_EVENT, PUBLIC, Operation
from core.api.problem_types import PROBLEMS
from core.api.problems import MEDIA_TYPE
from core.api.schemas import ProblemBody
from core.api.webhook_schemas import CallbackBody
from core.callbacks.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_REF: Final = "#/components/schemas/{name}"
_SIGNED: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_EVERYWHERE: Final = ("internal", "unavailable")
_WITH_KEY: Final = ("unauthenticated", "key-expired", "scope-missing", "rate-limited")
_WITH_BODY: Final = ("malformed", "validation", "too-large", "unsupported-media-type")
_TAGS: Final = {
    "Events": "What happens to bookings: the one call a booking system must learn.",
    "Notifications": "What became of each message, and why.",
    "Consents": "Who may be written to; append-only, with proof.",
    "Businesses": "The tenants, under the booking system's own ids.",
    "Alerts": "What needs a person, and who took it on.",
    "Webhooks out": "What we tell the booking system, signed, at its own addresses.",
    "Sandbox": "For trying out: with a test key, on test businesses, nothing leaves the house.",
    "Reference": "Catalogues for programs.",
    "Provider webhooks": "For the providers, not for the booking system.",
    "Operations": "For whoever runs the host.",
}
_INTRODUCTION: Final = (
    "Tell Patchbay what happens to bookings; it decides which messages may be sent, sends them, "
    "and explains every one. Answers may gain fields: ignore what you do not know. Every problem "
    "has a stable `code`; `GET /v1/problems` lists them."
)


def build_document(
    endpoints: Iterable[tuple[str, str, Operation]], version: str
) -> dict[str, Any]:
    """Describe endpoints.

    Args:
        endpoints: (path as it is mounted, method, description).
        version: of this host.
    """
    listed = sorted(
        ((path, method.lower(), operation) for path, method, operation in endpoints),
        key=lambda one: one[:2],
    )
    components = _components(operation for _, _, operation in listed)
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in listed:
        described = _operation(path, operation, components)
        paths.setdefault(_template(path), {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "Patchbay", "version": version, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "webhooks": _webhooks(),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "pb_live_<key id>_<secret>",
                    "description": "Scopes: "
                    + " ".join(f"`{scope}` {meaning}" for scope, meaning in SCOPES.items()),
                }
            },
            "headers": {
                "X-Request-Id": {
                    "description": "Yours, if you sent one; else ours.",
                    "schema": {"type": "string"},
                }
            },
        },
    }


def _webhooks() -> dict[str, Any]:
    """Describe what is told at webhook endpoints."""
    header = {"in": "header", "required": True, "schema": {"type": "string"}}
    return {
        kind: {
            "post": {
                "operationId": "told" + kind.replace("_", ".").title().replace(".", ""),
                "summary": meaning,
                "tags": ["Webhooks out"],
                "parameters": [{"name": name, **header} for name in _SIGNED],
                "requestBody": {
                    "required": True,
                    "content": {
                        CLOUD_EVENT: {
                            "schema": _ref(CallbackBody),
                            "examples": {"as it arrives": {"value": example_of(kind)}},
                        }
                    },
                },
                "responses": {"2XX": {"description": "Taken; anything else is tried again."}},
            }
        }
        for kind, meaning in KINDS.items()
    }


def _components(operations: Iterable[Operation]) -> dict[str, Any]:
    types: list[Any] = [ProblemBody, CallbackBody]
    for operation in operations:
        types += [answer.schema for answer in operation.answers.values()]
        types += [operation.body, operation.query]
    unique = list(dict.fromkeys(one for one in types if one is not None))
    _, components = msgspec.json.schema_components(unique, ref_template=_REF)
    for schema in components.values():
        _for_readers(schema)
    return dict(sorted(components.items()))


def _for_readers(schema: Any) -> None:
    """Take out of patterns what only Python's regular expressions need."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            schema["pattern"] = schema["pattern"].removesuffix(r"(?!\n)")
        for value in schema.values():
            _for_readers(value)
    elif isinstance(schema, list):
        for value in schema:
            _for_readers(value)


def _operation(path: str, operation: Operation, components: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(path, operation), *_query(operation, components)],
        "responses": {**_answers(operation), **_problems(operation)},
    }
    described["parameters"] += [
        {
            "name": name,
            "in": "header",
            "required": required,
            "description": meaning,
            "schema": {"type": "string", "maxLength": 255},
            "example": next(
                (one.headers[name] for one in operation.examples.values() if name in one.headers),
                "5f0c7f0e",
            ),
        }
        for name, (meaning, required) in operation.headers.items()
    ]
    described["x-examples"] = {
        name: {
            "status": one.status,
            "path": dict(one.path),
            "query": dict(one.query),
            "headers": dict(one.headers),
            "mediaType": one.media_type,
            **({"body": one.body} if one.body is not None else {}),
        }
        for name, one in operation.examples.items()
    }
    if operation.scope != PUBLIC:
        described["security"] = [{"apiKey": []}]
        described["x-scope"] = operation.scope
        if operation.test_key:
            described["x-test-key"] = True
    scope = "" if operation.scope == PUBLIC else f"Needs the scope `{operation.scope}`."
    described["description"] = " ".join(part for part in (operation.description, scope) if part)
    if operation.body is not None:
        described["requestBody"] = _body(operation)
    return described


def _body(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media_type in operation.body_media:
        examples = {
            name: {"summary": one.summary or name, "value": one.body}
            for name, one in operation.examples.items()
            if one.body is not None and one.media_type == media_type
        }
        content[media_type] = {"schema": _ref(operation.body), "examples": examples}
    return {"required": not operation.body_optional, "content": content}


def _path_parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    example = next(iter(operation.examples.values()), None)
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "maxLength": 64},
            **({"example": example.path[name]} if example and name in example.path else {}),
        }
        for name in re.findall(r"\{(\w+):", path)
    ]


def _query(operation: Operation, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = components[operation.query.__name__]
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": field,
            **(
                {"example": value}
                if (
                    value := next(
                        (
                            one.query[name]
                            for one in operation.examples.values()
                            if name in one.query
                        ),
                        None,
                    )
                )
                else {}
            ),
        }
        for name, field in schema["properties"].items()
    ]


def _answers(operation: Operation) -> dict[str, Any]:
    return {
        str(status): {
            "description": answer.description,
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
            **(
                {"content": {answer.media_type: {"schema": _ref(answer.schema)}}}
                if answer.schema is not None
                else {}
            ),
        }
        for status, answer in operation.answers.items()
    }


def _problems(operation: Operation) -> dict[str, Any]:
    slugs = [*operation.problems, *_EVERYWHERE]
    if operation.scope != PUBLIC:
        slugs += _WITH_KEY
    if operation.body is not None:
        slugs += _WITH_BODY
    elif operation.query is not None:
        slugs.append("validation")
    if operation.id == "takeWebhook":
        slugs.append("too-large")
    by_status: dict[int, list[str]] = {}
    for slug in dict.fromkeys(slugs):
        by_status.setdefault(PROBLEMS[slug].status, []).append(slug)
    return {
        str(status): {
            "description": "; ".join(f"`{slug}`: {PROBLEMS[slug].meaning}" for slug in named),
            "content": {MEDIA_TYPE: {"schema": _ref(ProblemBody)}},
        }
        for status, named in sorted(by_status.items())
        if status not in operation.answers
    }


def _ref(schema: Any) -> dict[str, Any]:
    if schema is str:
        return {"type": "string"}
    if schema is None:
        return {}
    return {"$ref": _REF.format(name=schema.__name__)}


def _template(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
