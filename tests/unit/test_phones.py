"""Phone numbers: as people write them, and never shown in full."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.customers.phones import PhoneError, mask_phone, read_phone

COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize(
    ("written", "country", "expected"),
    [
        ("+39 333 123 4567", "", "+393331234567"),
        ("333 123 4567", "IT", "+393331234567"),
        ("0039 333-1234567", "IT", "+393331234567"),
        ("(02) 1234.5678", "IT", "+390212345678"),
        ("+1 202 555 0101", "IT", "+12025550101"),
        ("\t+39\u00a0333 1234567 ", "", "+393331234567"),
    ],
)
def test_numbers_become_e164(written: str, country: str, expected: str) -> None:
    """International anywhere, national with the business's country."""
    assert read_phone(written, country) == expected


@pytest.mark.parametrize(
    ("written", "country"),
    [
        ("333 123 4567", ""),
        ("333 12", "IT"),
        ("1-800-FLOWERS", "US"),
        ("+39 333 1234567 ext. 5", "IT"),
        ("", "IT"),
        ("+", "IT"),
        ("+999 1234567", ""),
        ("tel:+393331234567", ""),
        ("+393331234567\n+393331234568", ""),
    ],
)
def test_what_is_no_number_is_refused(written: str, country: str) -> None:
    """The sentence never repeats what was sent."""
    with pytest.raises(PhoneError) as caught:
        read_phone(written, country)
    assert len(written) < 3 or written not in str(caught.value)


@given(st.sampled_from(COUNTRIES))
def test_every_countrys_own_writing_is_read(country: str) -> None:
    """National and international forms of a country's example give the same E.164."""
    number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        return
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for style in (
        phonenumbers.PhoneNumberFormat.NATIONAL,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    ):
        assert read_phone(phonenumbers.format_number(number, style), country) == e164
    assert read_phone(e164) == e164, "reading is idempotent, whatever the country"


@given(st.text(max_size=60), st.sampled_from(["", *COUNTRIES]))
def test_any_text_gives_e164_or_a_fault(written: str, country: str) -> None:
    """Nothing else comes out, and nothing else is raised."""
    try:
        read = read_phone(written, country)
    except PhoneError:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{5,14}", read)


@given(st.sampled_from(COUNTRIES))
def test_a_mask_hides_all_but_code_and_tail(country: str) -> None:
    """The length stays, at least two digits are hidden, the middle is gone."""
    number = phonenumbers.example_number(country)
    if number is None:
        return
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    masked = mask_phone(e164)
    assert len(masked) == len(e164)
    assert masked.startswith(f"+{number.country_code}")
    assert masked.endswith(e164[-3:])
    assert set(masked[len(f"+{number.country_code}") : -3]) == {"*"}


def test_a_mask_of_no_number_shows_nothing_much() -> None:
    """What cannot be read is hidden but for its tail."""
    assert mask_phone("") == ""
    assert mask_phone("12345678") == "*****678"
