"""Languages, time zones, countries and e-mail addresses."""

from __future__ import annotations

import pytest

from core.businesses.places import is_country, is_locale, is_timezone
from core.customers.emails import is_email


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        (is_locale, "it", True),
        (is_locale, "pt-BR", True),
        (is_locale, "pt_BR", True),
        (is_locale, "zh-Hant-TW", True),
        (is_locale, "es-419", True),
        (is_locale, "IT", False),
        (is_locale, "italian", False),
        (is_locale, "it\n", False),
        (is_timezone, "Europe/Rome", True),
        (is_timezone, "UTC", True),
        (is_timezone, "Europe/Roma", False),
        (is_timezone, "localtime", False),
        (is_timezone, "../../etc/passwd", False),
        (is_country, "IT", True),
        (is_country, "it", False),
        (is_country, "XX", False),
        (is_email, "giulia.rossi+salon@example.co.uk", True),
        (is_email, "giulia@localhost", False),
        (is_email, "a@b@example.com", False),
        (is_email, "a b@example.com", False),
        (is_email, "a@example.com\n", False),
    ],
)
def test_words_are_told_from_slips(check: object, text: str, expected: bool) -> None:  # noqa: FBT001 - the expected answer
    """What is stored can be used later: by the time zone data, by a provider, by a mail server."""
    assert callable(check)
    assert check(text) is expected
