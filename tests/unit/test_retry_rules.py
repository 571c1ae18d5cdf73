"""The retry rules of the specification, section 9, as properties of the pure parts."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import (
    CredentialsRejectedError,
    InvalidRecipientError,
    OptedOutError,
    OutcomeUnknownError,
    PermanentError,
    PolicyViolationError,
    RetryableError,
    TemplateRejectedError,
    ThrottledError,
    ThrottleScope,
)
from core.notify import aftermath
from core.notify.limiting import Limits
from core.notify.outcomes import SHORTEST_THROTTLE, is_counted, outcome_of
from core.outbox.retry import MAX_RETRIES, RetryPolicy
from plugins.whatsapp import failures

if TYPE_CHECKING:
    from core.errors import SendError

MESSAGE = UUID(int=7)
UNIT = st.floats(min_value=0, max_value=1, exclude_max=True)
PERMANENT = [
    InvalidRecipientError,
    TemplateRejectedError,
    PolicyViolationError,
    OptedOutError,
    PermanentError,
]


def story(error: SendError, dice: random.Random, policy: RetryPolicy | None = None) -> list[str]:
    """Return what becomes of a message whose every try ends so, until it is final."""
    told, retries = [], 0
    while not told or told[-1] == "retry":
        record = outcome_of(error, MESSAGE, retries, dice.random, policy)
        told.append(record.outcome)
        retries += record.outcome == "retry"
    return told


def test_one_try_and_five_more_and_then_it_has_failed() -> None:
    """Exam E01: 10,000 messages whose provider is down: 6 attempts each, deviation 0."""
    dice = random.Random(1)  # noqa: S311 - to repeat it
    for _ in range(10_000):
        assert story(RetryableError("down", code="500"), dice) == ["retry"] * 5 + ["failed"]
    last = outcome_of(RetryableError("down"), MESSAGE, MAX_RETRIES, dice.random)
    assert (last.outcome, last.reason, last.delay) == ("failed", "retries-exhausted", None)


@given(
    base=st.integers(1, 3600),
    factor=st.integers(1, 10),
    jitter=st.integers(0, 90),
    retries=st.integers(0, 5),
    so_far=st.integers(0, 6),
    dice=UNIT,
)
def test_each_wait_lies_within_its_jitter(
    base: int, factor: int, jitter: int, retries: int, so_far: int, dice: float
) -> None:
    """Exam E02: base·factor^k·(1 ± j) for every business's own policy, a day at most."""
    policy = Limits(
        retry_base_seconds=base,
        retry_factor=factor,
        retry_jitter_percent=jitter,
        retries=retries,
    ).retry_policy
    wait = policy.delay(so_far, lambda: dice)
    if so_far >= retries:
        assert wait is None
        return
    middle = min(timedelta(seconds=base * factor**so_far), policy.longest)
    assert wait is not None
    tiny = timedelta(milliseconds=1)
    assert middle * (1 - jitter / 100) - tiny <= wait <= middle * (1 + jitter / 100) + tiny


def test_the_default_waits_are_those_of_the_specification() -> None:
    """Exam E02: 30 s, doubled each time, a quarter either way, five times."""
    middles = [RetryPolicy().delay(k, lambda: 0.5) for k in range(MAX_RETRIES)]
    assert middles == [timedelta(seconds=30 * 2**k) for k in range(5)]
    assert RetryPolicy().delay(0, lambda: 0.0) == timedelta(seconds=22.5)
    assert Limits().retry_policy == RetryPolicy()


def test_jitter_is_even_and_of_each_message_alone() -> None:
    """Exam E02: Kolmogorov's distance fits an even spread (p > 0.01), no two are coupled."""
    dice, count = random.Random(2), 10_000  # noqa: S311 - to repeat it
    waits = [RetryPolicy().delay(0, dice.random) for _ in range(count)]
    spread = [((wait or timedelta()) / timedelta(seconds=30) - 0.75) / 0.5 for wait in waits]
    distance = max(
        max(place / count - one, one - (place - 1) / count)
        for place, one in enumerate(sorted(spread), start=1)
    )
    assert distance < 1.63 / math.sqrt(count)
    middle = sum(spread) / count
    coupled = sum((one - middle) * (two - middle) for one, two in pairwise(spread))
    assert abs(coupled / sum((one - middle) ** 2 for one in spread)) < 0.1


@pytest.mark.parametrize("kind", PERMANENT)
def test_what_cannot_help_is_tried_once(kind: type[PermanentError]) -> None:
    """Exam E03: each permanent error ends the message at once, with a reason of its own kind."""
    dice = random.Random(3)  # noqa: S311 - to repeat it
    assert story(kind("no", code="1"), dice) == ["failed"]
    record = outcome_of(kind("no", code="1"), MESSAGE, 0, dice.random)
    assert record.reason not in ("", "retries-exhausted")
    assert (record.delay, record.code) == (None, "1")


def test_every_code_of_the_table_does_what_its_class_says() -> None:
    """Exam E03: permanent codes 1 attempt, passing ones 6, throttles and doubts never counted."""
    dice = random.Random(4)  # noqa: S311 - to repeat it
    wanted = {
        "retryable": ["retry"] * 5 + ["failed"],
        "throttled": ["wait"],
        "credentials": ["wait"],
        "unknown": ["unknown"],
    }
    for code, row in failures.table().items():
        assert story(failures.raised(code), dice) == wanted.get(row.class_, ["failed"]), code


def test_an_unknown_code_is_a_passing_fault_that_people_hear_of() -> None:
    """Exam E03: tried like any passing fault; the channel's table does not know it."""
    error = failures.raised("987654321")
    assert story(error, random.Random(5)) == ["retry"] * 5 + ["failed"]  # noqa: S311 - as above
    assert aftermath.is_unheard_of(error, failures.words())
    assert not aftermath.is_unheard_of(failures.raised("131000"), failures.words())
    assert not aftermath.is_unheard_of(error, {})


@given(
    told=st.sampled_from([0, 1, 60, 3600]) | st.integers(0, 86_400),
    scope=st.sampled_from(ThrottleScope),
    retries=st.integers(0, 5),
    dice=UNIT,
)
def test_a_throttle_is_never_undercut_and_never_counted(
    told: int, scope: ThrottleScope, retries: int, dice: float
) -> None:
    """Exam E04: the next attempt is not earlier than told, whichever try it is, for any scope."""
    error = ThrottledError("slower", scope=scope, retry_after=timedelta(seconds=told))
    record = outcome_of(error, MESSAGE, retries, lambda: dice)
    assert record.outcome == "wait"
    assert record.delay is not None
    assert record.delay >= max(timedelta(seconds=told), SHORTEST_THROTTLE)
    assert not is_counted(error)


@given(retries=st.integers(0, 4), seconds=st.integers(0, 86_400), dice=UNIT)
def test_a_retry_after_is_a_floor(retries: int, seconds: int, dice: float) -> None:
    """Exam E04: what the provider asks is waited at least; our own wait if that is longer."""
    floor = timedelta(seconds=seconds)
    plain = RetryPolicy().delay(retries, lambda: dice)
    floored = RetryPolicy().delay(retries, lambda: dice, floor)
    assert plain is not None
    assert floored == max(plain, floor)


@pytest.mark.parametrize(
    ("code", "scope", "wait"),
    [
        ("131056", ThrottleScope.RECIPIENT, 6),
        ("130429", ThrottleScope.CONNECTION, 5),
        ("80007", ThrottleScope.ACCOUNT, 300),
        ("4", ThrottleScope.APPLICATION, 300),
    ],
)
def test_a_throttle_reaches_who_is_meant(code: str, scope: ThrottleScope, wait: int) -> None:
    """Exam E04: recipient pair, number, account and application, each with its usual wait."""
    error: Any = failures.raised(code)
    assert (error.scope, error.retry_after) == (scope, timedelta(seconds=wait))
    longer: Any = failures.raised(code, retry_after=timedelta(hours=1))
    assert longer.retry_after == timedelta(hours=1)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (RetryableError("down"), True),
        (CredentialsRejectedError("token"), False),
        (OutcomeUnknownError("silence"), False),
        (PermanentError("no"), False),
        (None, False),
    ],
)
def test_only_passing_faults_use_up_tries(error: SendError | None, counted: bool) -> None:  # noqa: FBT001 - by name
    """Section 9: what is no passing fault leaves the tries as they are."""
    assert is_counted(error) is counted


def test_settings_that_would_never_end_are_refused() -> None:
    """More than five retries, a wait of a day or a jitter of everything is no policy."""
    for wrong in ({"retries": 6}, {"retry_base_seconds": 3601}, {"retry_jitter_percent": 91}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Limits)
