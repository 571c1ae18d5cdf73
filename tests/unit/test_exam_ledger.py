"""The exam's judge is itself examined: it sees each fault, and none where there is none."""

from __future__ import annotations

import pytest
from exam_ledger import Accepted, Intake, Row, Verdict, judge, over_cap
from hypothesis import given
from hypothesis import strategies as st

SENT = Row("read", "final", "")
HELD = Row("queued", "unconfirmed", "unconfirmed")


@pytest.mark.parametrize(
    ("journal", "rows", "found"),
    [
        ([], {}, {"lost": 1}),
        ([], {"a": Row("queued", "waiting", "")}, {"lost": 1}),
        ([], {"a": Row("failed", "final", "")}, {"lost": 1}),
        ([], {"a": SENT}, {"unexplained": 1}),
        ([1.0, 2.0], {"a": SENT}, {"doubled": 1}),
        ([1.0], {"a": Row("canceled", "final", "expired")}, {"unexplained": 1}),
        ([1.0], {"a": Row("queued", "waiting", "")}, {"unexplained": 1}),
        ([1.0], {"a": SENT}, {}),
        ([1.0], {"a": HELD}, {}),
        ([], {"a": HELD}, {}),
        ([], {"a": Row("canceled", "final", "consent-revoked")}, {}),
    ],
)
def test_each_fault_is_seen(
    journal: list[float], rows: dict[str, Row], found: dict[str, int]
) -> None:
    """Lost, doubled and unexplained are told apart; what a row explains is no fault."""
    verdict = judge([Intake("a")], [Accepted("a", at) for at in journal], rows)
    names = ("lost", "doubled", "over_cap", "after_revocation", "unexplained")
    assert {name: n for name in names if (n := getattr(verdict, name))} == found
    assert verdict.clean == (not found)


def test_a_message_nobody_knows_is_unexplained() -> None:
    """What the provider took and no row tells of is a fault."""
    assert judge([], [Accepted("b", 1.0)], {}).unexplained == 1


def test_only_what_follows_the_acknowledgement_counts() -> None:
    """A message before the acknowledged no is no fault, one after it is."""
    journal = [Accepted("a", 1.0, to="39"), Accepted("b", 3.0, to="39"), Accepted("c", 9.0)]
    rows = dict.fromkeys("abc", SENT)
    verdict = judge([], journal, rows, revoked={"39": 2.0})
    assert (verdict.after_revocation, verdict.clean) == (1, False)


@given(
    st.lists(st.floats(0, 300, allow_nan=False), max_size=60),
    st.integers(1, 20),
)
def test_the_fullest_window_is_found(at: list[float], cap: int) -> None:
    """The sliding window says the same as counting from every message anew."""
    slow = max((sum(x <= y < x + 60.0 for y in at) for x in at), default=0)
    assert over_cap(at, cap) == max(0, slow - cap)


def test_verdicts_add_up() -> None:
    """Repeats are summed, and one fault in any of them is a fault of all."""
    total = Verdict(promised=1)
    total.add(Verdict(promised=2, doubled=1, details=["x"]))
    assert (total.promised, total.doubled, total.details, total.clean) == (3, 1, ["x"], False)
