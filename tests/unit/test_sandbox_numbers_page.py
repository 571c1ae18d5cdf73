"""The numbers of the sandbox: real enough to be accepted, and described as they behave."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.channels.messages import Status
from core.customers.phones import read_phone
from core.errors import RetryableError, ThrottledError
from core.sandbox import magic

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"
NUMBERS = [f"{magic.PREFIX}{row.number}" for row in magic.ROWS]


def test_the_page_and_the_table_are_one() -> None:
    """What a reader is promised is what the code says, word for word."""
    written = re.findall(r"^\| (\+\d+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    assert written == [
        (number, row.meaning) for number, row in zip(NUMBERS, magic.ROWS, strict=True)
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_passes_for_a_number(number: str) -> None:
    """They go through the same check as any customer's."""
    assert read_phone(number, "IT") == number


@pytest.mark.parametrize("address", ["+393331234567", "ada@example.com", "+12025550110", ""])
def test_any_other_address_behaves_as_the_first(address: str) -> None:
    """At every try."""
    first = magic.fate_of(NUMBERS[0], 1)
    assert magic.fate_of(address, 1) == magic.fate_of(address, 9) == first
    assert [status for _, status in first.statuses] == [
        Status.SENT,
        Status.DELIVERED,
        Status.READ,
    ]


def test_retries_and_waits_end() -> None:
    """03 is taken at the third try, 04 at the second, and both then behave as the first."""
    first = magic.fate_of(NUMBERS[0], 1)
    for attempt in (1, 2):
        with pytest.raises(RetryableError):
            magic.fate_of(NUMBERS[3], attempt)
    assert magic.fate_of(NUMBERS[3], 3) == first
    with pytest.raises(ThrottledError) as caught:
        magic.fate_of(NUMBERS[4], 1)
    assert caught.value.retry_after.total_seconds() == 60
    assert magic.fate_of(NUMBERS[4], 2) == first
