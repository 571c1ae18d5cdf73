"""Queries, cursors and problems, without a database."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import MethodNotAllowedException, TooManyRequestsException
from litestar.testing import RequestFactory

from core.api.bodies import read_query
from core.api.notification_schemas import NotificationsQuery
from core.api.paging import page, read_cursor
from core.api.problem_types import PROBLEMS
from core.api.problems import exception_handler
from core.errors import (
    ConflictError,
    FieldFault,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ProblemError,
    WebhookRejectedError,
)
from core.ids import new_uuid

ANSWER = exception_handler("https://patchbay.example")


def request(**query: str) -> Any:
    """Build a call."""
    made = RequestFactory().get("/v1/x", query_params=query)
    made.scope["state"]["trace_id"] = "abc"
    return made


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProblemError("x"), 400, "malformed"),
        (ProblemError("x", code="idempotency-missing"), 400, "idempotency-missing"),
        (PermissionDeniedError("x"), 403, "scope-missing"),
        (NotFoundError("x"), 404, "not-found"),
        (ConflictError("x"), 409, "conflict"),
        (InvalidInputError("x"), 422, "validation"),
        (InvalidInputError("x", code="no-such-slug"), 422, "validation"),
        (WebhookRejectedError("x"), 401, "webhook-rejected"),
        (MethodNotAllowedException(headers={"allow": "GET"}), 405, "method-not-allowed"),
        (TooManyRequestsException(), 429, "rate-limited"),
        (ConnectionRefusedError("postgresql://user:password@host"), 503, "unavailable"),
        (TimeoutError(), 503, "unavailable"),
        (asyncpg.DeadlockDetectedError("x"), 503, "unavailable"),
        (asyncpg.DataError("a value"), 500, "internal"),
        (RuntimeError("password"), 500, "internal"),
    ],
)
def test_every_error_becomes_one_problem(error: Exception, status: int, code: str) -> None:
    """With a type that explains itself, a trace id, and nothing of the error's own words."""
    answer = ANSWER(request(), error)
    assert answer.status_code == status
    assert answer.media_type == "application/problem+json"
    body = msgspec.json.decode(answer.content)
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == body["docs"] == f"https://patchbay.example/problems/{code}"
    assert (body["instance"], body["trace_id"]) == ("/v1/x", "abc")
    assert "password" not in answer.content.decode()
    assert "a value" not in answer.content.decode()


def test_repeatable_problems_say_when() -> None:
    """Retry-After stands where repeating helps, and only there."""
    assert ANSWER(request(), TimeoutError()).headers["Retry-After"] == "1"
    assert "Retry-After" not in ANSWER(request(), NotFoundError("x")).headers


def test_faulty_fields_are_listed() -> None:
    """With pointer, code and message."""
    fault = FieldFault("/name", "missing", "A name is needed.")
    answer = ANSWER(request(), InvalidInputError("x", errors=[fault]))
    [listed] = msgspec.json.decode(answer.content)["errors"]
    assert listed == {"pointer": "/name", "code": "missing", "message": "A name is needed."}


def test_every_problem_is_explained() -> None:
    """Each has words for what is so and what to do, and a status that fits its slug."""
    for slug, problem in PROBLEMS.items():
        assert problem.slug == slug
        assert problem.meaning.endswith(".")
        assert problem.action.endswith(".")
        assert 400 <= problem.status < 600


def test_a_query_is_read_by_its_types() -> None:
    """Numbers and times come as text; what is unknown is refused."""
    read = read_query(
        request(limit="7", status="read", created_after="2026-01-01T00:00:00Z"),
        NotificationsQuery,
    )
    assert (read.limit, read.status) == (7, "read")
    with pytest.raises(InvalidInputError) as caught:
        read_query(request(colour="red"), NotificationsQuery)
    assert (caught.value.errors[0].pointer, caught.value.errors[0].code) == (
        "?colour",
        "unknown-field",
    )


def test_a_cursor_names_the_last_row() -> None:
    """The next page begins behind it; the last page has none."""
    rows = [new_uuid() for _ in range(3)]
    cut = page(rows, 2, str, lambda row: row)
    assert cut["data"] == [str(rows[0]), str(rows[1])]
    assert cut["has_more"] is True
    assert read_cursor(cut["next_cursor"]) == rows[1]
    whole = page(rows, 3, str, lambda row: row)
    assert (whole["has_more"], whole["next_cursor"]) == (False, None)
    assert read_cursor(None) is None


@given(st.text(max_size=64))
def test_a_made_up_cursor_is_refused(text: str) -> None:
    """Nothing but a fault comes out of it."""
    with pytest.raises(InvalidInputError):
        read_cursor(text)
