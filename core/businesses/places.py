"""Checks of where a business or a person is: language, time zone, country."""

from __future__ import annotations

import re
from functools import cache
from typing import Final
from zoneinfo import available_timezones

from phonenumbers import SUPPORTED_REGIONS

_LOCALE: Final = re.compile(r"[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_](?:[A-Z]{2}|[0-9]{3}))?")


def is_locale(text: str) -> bool:
    """Tell whether this is a language, with a script and a region at most: `it`, `pt-BR`."""
    return _LOCALE.fullmatch(text) is not None


def is_timezone(text: str) -> bool:
    """Tell whether the IANA data base names this zone."""
    return text in _zones()


def is_country(text: str) -> bool:
    """Tell whether this is the ISO 3166 code of a country that has phone numbers."""
    return text in SUPPORTED_REGIONS


@cache
def _zones() -> frozenset[str]:
    # Some systems list files that are no zones among them.
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}
