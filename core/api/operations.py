"""What one endpoint is: the description that OpenAPI, the documentation and the tests read.

It travels in the handler's `opt`, so that an endpoint and its description cannot part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.access.keys import SCOPES

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC: Final = "public"
"""The scope of what anybody may read, without a key."""

JSON: Final = "application/json"
CLOUD_EVENT: Final = "application/cloudevents+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way an endpoint answers when all is well."""

    description: str
    schema: Any = None
    media_type: str = JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call that a reader may copy and a test sends.

    Attributes:
        path: values for the path's parameters.
        status: what it is answered with, on a host that holds the examples' own business.
    """

    status: int
    summary: str = ""
    body: Any = None
    media_type: str = JSON
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One endpoint.

    Attributes:
        scope: what the caller's key must hold, or `PUBLIC`.
        answers: status -> what it means and holds.
        problems: the slugs of the problem types it may answer, beside those of every endpoint.
        body: the struct its body is read as.
        query: the struct its query is read as.
        headers: name -> (meaning, required).
        test_key: only a test key may call it.
    """

    id: str
    summary: str
    tag: str
    scope: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    body: Any = None
    body_optional: bool = False
    body_media: tuple[str, ...] = (JSON,)
    query: Any = None
    headers: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    description: str = ""
    test_key: bool = False


def described(operation: Operation) -> dict[str, Any]:
    """Return a handler's `opt`: its description, and the scope that the guard enforces."""
    if operation.scope != PUBLIC and operation.scope not in SCOPES:
        raise ValueError(f"{operation.id} states the unknown scope {operation.scope!r}")
    return {"scope": operation.scope, "operation": operation}
