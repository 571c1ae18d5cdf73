"""How many sends a lane may have on its way: less while its provider is slow, and the way back."""

from __future__ import annotations

import random
from uuid import UUID, uuid4

import pytest

from tasks.shares import SLOW_SHARE, Shares

LANE, OTHER = (UUID(int=1), "whatsapp"), (UUID(int=1), "console")
MOST, SLOW = 16, 3.0


@pytest.fixture
def shares() -> Shares:
    """Give a process's shares."""
    return Shares(MOST, SLOW)


def test_a_send_that_hangs_cuts_its_lane_alone(shares: Shares) -> None:
    """Exam E13: from the third second on; the business's other channel keeps its share."""
    shares.begin(LANE, uuid4(), 0.0)
    shares.begin(OTHER, uuid4(), 2.0)
    assert shares.of(LANE, SLOW - 0.01) == MOST
    assert shares.of(LANE, SLOW) == SLOW_SHARE
    assert shares.of(OTHER, SLOW) == MOST


def test_a_slow_lane_stays_cut_until_it_is_quick(shares: Shares) -> None:
    """The end of a slow send does not give the share back; a quick one does."""
    first, second = uuid4(), uuid4()
    shares.begin(LANE, first, 0.0)
    shares.end(LANE, first, 30.0)
    assert shares.of(LANE, 30.1) == SLOW_SHARE
    shares.begin(LANE, second, 31.0)
    shares.end(LANE, second, 31.2)
    assert shares.of(LANE, 31.3) == MOST


def test_slowness_is_forgotten_after_a_minute(shares: Shares) -> None:
    """A lane that sent nothing since is not held to its past."""
    message = uuid4()
    shares.begin(LANE, message, 0.0)
    shares.end(LANE, message, 10.0)
    assert shares.of(LANE, 69.0) == SLOW_SHARE
    assert shares.of(LANE, 71.0) == MOST


def test_a_share_smaller_than_the_cut_stays_as_it_is() -> None:
    """Being slow never gives more."""
    shares = Shares(2, SLOW)
    shares.begin(LANE, uuid4(), 0.0)
    assert shares.of(LANE, 100.0) == 2


@pytest.mark.parametrize("seed", range(5))
def test_the_books_balance(seed: int) -> None:
    """After any order of begins and ends nothing is counted and nothing is remembered as open."""
    dice, shares, open_sends = random.Random(seed), Shares(MOST, SLOW), []  # noqa: S311 - to repeat it
    now = 0.0
    for _ in range(400):
        now += dice.random()
        if open_sends and dice.random() < 0.5:
            lane, message = open_sends.pop(dice.randrange(len(open_sends)))
            shares.end(lane, message, now)
            shares.release(lane)
        else:
            lane, message = dice.choice((LANE, OTHER)), uuid4()
            shares.reserve([lane])
            shares.begin(lane, message, now)
            open_sends.append((lane, message))
        assert shares.busy.total() == len(open_sends)
        assert shares.of(LANE, now) in (SLOW_SHARE, MOST)
    for lane, message in open_sends:
        shares.end(lane, message, now)
        shares.release(lane)
    assert not shares.busy
    assert shares.of(LANE, now + 100) == MOST
