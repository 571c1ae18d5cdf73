"""The error tree is the one that is drawn, and each error carries what its reader needs."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from core import errors
from core.errors import (
    ConfigurationError,
    ConflictError,
    FieldFault,
    InvalidInputError,
    NotFoundError,
    PatchbayError,
    PermissionDeniedError,
    ProblemError,
    RetryableError,
    SendError,
    ThrottledError,
    ThrottleScope,
)


def drawn() -> dict[str, str]:
    """Read the picture at the top of the module: each class and its parent."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for indent, name in re.findall(r"^( *)[*x+-] (\w+Error)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent)
        while path and path[-1][0] >= depth:
            path.pop()
        parents[name] = path[-1][1] if path else "Exception"
        path.append((depth, name))
    return parents


def test_the_tree_is_as_drawn() -> None:
    """The picture names every class with its parent, and no class that does not exist."""
    classes = {
        name: thing.__mro__[1].__name__
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, PatchbayError)
    }
    assert drawn() == classes


def test_all_names_end_in_error() -> None:
    """An exception is known by its name."""
    assert len(drawn()) > 10
    assert all(name.endswith("Error") for name in drawn())


def test_all_faults_are_kept_and_printed() -> None:
    """A configuration error holds every fault, one a line."""
    error = ConfigurationError("one is missing", "two is wrong")
    assert error.faults == ("one is missing", "two is wrong")
    assert str(error) == "one is missing\ntwo is wrong"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ProblemError, 400, "malformed"),
        (PermissionDeniedError, 403, "scope-missing"),
        (NotFoundError, 404, "not-found"),
        (ConflictError, 409, "conflict"),
        (InvalidInputError, 422, "validation"),
    ],
)
def test_a_problem_knows_its_answer(kind: type[ProblemError], status: int, code: str) -> None:
    """The type gives status and slug; another slug may be named without changing the type's."""
    assert (kind("x").status, kind("x").code) == (status, code)
    assert kind("x", code="already-final").code == "already-final"
    assert kind("x").code == code


def test_a_problem_points_at_the_fields() -> None:
    """Each faulty field is kept with its place."""
    fault = FieldFault("/data/customer/phone", "phone-invalid", "too short")
    assert InvalidInputError("x", errors=[fault]).errors == (fault,)


def test_a_send_error_carries_the_providers_code() -> None:
    """Our words and the provider's code travel together."""
    error = RetryableError("the provider is busy", code="130429")
    assert isinstance(error, SendError)
    assert (str(error), error.code) == ("the provider is busy", "130429")


def test_a_throttle_says_how_far_and_how_long() -> None:
    """Waiting needs to know whom it concerns and for how long."""
    error = ThrottledError(
        "slow down", scope=ThrottleScope.CONNECTION, retry_after=timedelta(seconds=60)
    )
    assert (error.scope, error.retry_after) == ("connection", timedelta(minutes=1))
