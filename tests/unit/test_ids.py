"""Ids sort by time, cannot be guessed, and are read back strictly."""

from __future__ import annotations

import re
import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import NotFoundError
from core.ids import EVENT, NOTIFICATION, REF_PATTERN, inward, new_uuid, outward


def test_new_ids_are_version_7() -> None:
    """Every id carries the version and variant of RFC 9562, and the time it was made."""
    before = time.time_ns() // 1_000_000
    made = [new_uuid() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert {(value.version, value.variant) for value in made} == {(7, RFC_4122)}
    assert all(before <= value.int >> 80 <= after for value in made)
    assert len(set(made)) == 1000


def test_all_62_random_bits_vary() -> None:
    """No bit behind time, version and variant is constant."""
    made = [new_uuid().int & ((1 << 62) - 1) for _ in range(400)]
    ever_one, ever_zero = 0, 0
    for value in made:
        ever_one |= value
        ever_zero |= ~value
    changing = ever_one & ever_zero & ((1 << 62) - 1)
    assert changing.bit_count() == 62


def test_ids_keep_the_order_they_were_made_in() -> None:
    """Thousands made in one breath, many in the same millisecond, sort as they were made."""
    made = [new_uuid() for _ in range(20_000)]
    assert made == sorted(made)


def test_a_clock_set_back_does_not_disturb_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id made after the machine's clock went back an hour still sorts later."""
    first = new_uuid()
    an_hour_ago = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: an_hour_ago)
    assert first < new_uuid() < new_uuid()


def test_ids_of_different_times_sort_by_time() -> None:
    """An id made later sorts later, as UUID and as callers see it."""
    first = new_uuid()
    time.sleep(0.002)
    second = new_uuid()
    assert first < second
    assert outward(EVENT, first) < outward(EVENT, second)


@given(st.uuids(), st.uuids())
def test_ids_sort_outside_as_inside(one: UUID, other: UUID) -> None:
    """The text that callers see sorts exactly as the bytes that the index sorts."""
    assert (outward(EVENT, one) < outward(EVENT, other)) == (one.bytes < other.bytes)


@given(st.uuids())
def test_every_id_comes_back(value: UUID) -> None:
    """What we hand out is what we read."""
    text = outward(NOTIFICATION, value)
    assert re.fullmatch(r"ntf_[0-9a-v]{26}", text)
    assert inward(NOTIFICATION, text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ntf",
        "ntf_",
        "evt_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "ntf_aaaaaaaaaaaaaaaaaaaaaaaaa",
        "ntf_aaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "ntf_aaaaaaaaaaaaaaaaaaaaaaaaab",
        "ntf_AAAAAAAAAAAAAAAAAAAAAAAAAA",
        "NTF_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "ntf_aaaaaaaaaaaaaaaaaaaaaaaaaw",
        "ntf_aaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "ntf_../../../../../../etc/pass",
        "00000000-0000-7000-8000-000000000000",
    ],
)
def test_what_is_not_ours_is_not_found(text: str) -> None:
    """A malformed id answers exactly like a missing one, and has one spelling only."""
    with pytest.raises(NotFoundError):
        inward(NOTIFICATION, text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is either an id that is written the same way or not found."""
    try:
        value = inward(NOTIFICATION, text)
    except NotFoundError:
        return
    assert outward(NOTIFICATION, value) == text


@pytest.mark.parametrize(
    ("ref", "fits"),
    [
        ("biz_7Q2M", True),
        ("A.b:c-1", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a/b", False),
        ("ü", False),
        ("a\n", False),
    ],
)
def test_callers_refs_are_short_and_plain(ref: str, fits: bool) -> None:  # noqa: FBT001 - a table of cases
    """An id that the caller chooses has at most 64 harmless characters."""
    assert (re.search(REF_PATTERN, ref) is not None) == fits
