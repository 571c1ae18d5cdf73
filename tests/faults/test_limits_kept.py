"""Caps and the kill switch with real processes, judged by the provider's journal alone."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from fixture_town import BUSINESS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_town import Town

CAP = 10
WINDOW = 60.0
WATCHED = 72.0


def fill(town: Town, count: int, start: int = 0) -> None:
    """Queue so many messages to one customer, each of its own booking."""
    for number in range(start, start + count):
        told = town.tell(f"e-{number}")
        assert [one["outcome"] for one in told["decisions"]].count("queued") == 1


def change_limits(town: Town, **limits: int) -> None:
    """Change the business's limits."""
    body = {"per_recipient_day": 1000, **limits}
    answer = town.api("PUT", f"/v1/businesses/{BUSINESS}/limits", json=body)
    assert answer.status_code == 200, answer.text


def test_two_workers_keep_a_cap_in_every_window_and_use_it(
    found_town: Callable[..., Town],
) -> None:
    """Ten a minute with two workers and a backlog: never eleven in 60 s, and 85 % are used."""
    town = found_town(workers=0)
    town.consent()
    change_limits(town, per_minute=CAP)
    fill(town, 3 * CAP)
    town.start_worker(0)
    town.start_worker(1)
    wait_until(lambda: len(town.journal()) >= 1, 20)
    time.sleep(WATCHED)
    at = sorted(message["monotonic"] for message in town.journal())
    assert len(at) == len({message["biz_opaque_callback_data"] for message in town.journal()})
    for first in at:
        assert sum(first <= one < first + WINDOW for one in at) <= CAP
    allowed = CAP * 2  # two windows have begun within the watched time
    assert len(at) >= 0.85 * allowed
    assert [late - early for early, late in pairwise(at) if late - early > WINDOW + 5] == []


@pytest.mark.alone
def test_a_pause_stops_new_sends_within_a_second(found_town: Callable[..., Town]) -> None:
    """After the answer to a pause, begins stop within 1 s; the resume sends what waits."""
    town = found_town(workers=2)
    town.consent()
    change_limits(town, per_minute=120)
    fill(town, 90)
    wait_until(lambda: len(town.journal()) >= 14, 30)
    answer = town.api("POST", "/v1/pause", json={"reason": "drill"})
    assert answer.status_code == 200, answer.text
    time.sleep(1.0)
    paused_at = len(town.journal())
    fill(town, 5, start=100)
    time.sleep(3.0)
    assert len(town.journal()) == paused_at
    assert paused_at < 90, "there was nothing left to hold back"
    assert town.api("POST", "/v1/resume").status_code == 200
    change_limits(town, per_minute=6000)
    wait_until(lambda: len(town.journal()) == 95, 30)
