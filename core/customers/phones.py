"""Phone numbers: read as people write them, kept as E.164, shown masked."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat

from core.errors import PatchbayError

# Digits of any script, and what people put between them; letters ("1-800-FLOWERS") are refused.
_WRITTEN: Final = re.compile(r"\+?[0-9\s().\-/\u00a0\u2010-\u2015]{3,40}")
_SHOWN: Final = 3


class PhoneError(PatchbayError):
    """This cannot be a phone number; the message never repeats it."""


def read_phone(written: str, country: str = "") -> str:
    """Return E.164 for a number in international or, with a country, national form.

    Args:
        written: for example `+39 333 123 4567` or `333 123 4567`.
        country: ISO 3166 code of the business, empty if it is not known.

    Raises:
        PhoneError: it is not a possible number there.
    """
    text = written.strip()
    if not _WRITTEN.fullmatch(text):
        raise PhoneError("This is no phone number.")
    if text.startswith("00"):
        text = f"+{text[2:]}"
    region = country or None
    if region is None and not text.startswith("+"):
        raise PhoneError("Without a country the number must begin with + and the country code.")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise PhoneError(f"This is not a possible phone number{_place(country)}.") from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise PhoneError(f"This is not a possible phone number{_place(country)}.")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def mask_phone(phone: str) -> str:
    """Show an E.164 number with its country code and last three digits only."""
    try:
        code = f"+{phonenumbers.parse(phone).country_code}"
    except phonenumbers.NumberParseException:
        code = ""
    hidden = max(len(phone) - len(code) - _SHOWN, 0)
    return f"{code}{'*' * hidden}{phone[-_SHOWN:] if hidden else ''}"


def _place(country: str) -> str:
    return f" for {country}" if country else ""
