"""The sentences people agree to."""

from __future__ import annotations

import pytest

from core.consent.texts import Texts
from core.errors import InvalidInputError

SIX = ("en", "es", "it", "pt", "de", "fr")


def test_version_1_is_the_specifications_word_for_word() -> None:
    """The English sentence of section 7, with both names filled in."""
    shown = Texts().newest("whatsapp", "transactional", "en").shown("[Business Name]", "WhatsApp")
    assert shown.text == (
        "I agree to receive appointment notifications via WhatsApp from [Business Name]."
    )
    assert shown.text_version == "en-v1"


@pytest.mark.parametrize("purpose", ["transactional", "marketing"])
@pytest.mark.parametrize("language", SIX)
def test_each_sentence_is_translated_and_names_both(purpose: str, language: str) -> None:
    """Six languages, each its own sentence, each with the channel's and the business's name."""
    found = Texts().find("whatsapp", purpose, f"{language}-v1")
    assert found is not None
    assert found == Texts().newest("whatsapp", purpose, f"{language}_XX")
    assert language == "en" or found.body != Texts().newest("whatsapp", purpose, "en").body
    text = found.shown("Salone {channel}", "WhatsApp").text
    assert "Salone {channel}" in text
    assert "WhatsApp" in text


def test_a_businesss_own_sentence_goes_first() -> None:
    """Of the same language and version its own counts; ours stay where it has none."""
    texts = Texts({("whatsapp.transactional", "it", 1): "Sì a {business}."})
    own = texts.check("whatsapp", "transactional", "it-v1", "it-IT")
    assert own.shown("A", "B").text == "Sì a A."
    assert texts.newest("whatsapp", "marketing", "it").body != own.body
    assert texts.newest("console", "transactional", "it").body != own.body


@pytest.mark.parametrize(
    ("version", "locale"),
    [
        ("it-v2", None),
        ("it", None),
        ("it-v0", None),
        ("IT-v1", None),
        ("it-v1\n", None),
        ("it-v1", "en"),
    ],
)
def test_what_nobody_can_show_is_refused(version: str, locale: str | None) -> None:
    """An unknown version proves nothing, and so does a text in another language than said."""
    with pytest.raises(InvalidInputError):
        Texts().check("whatsapp", "transactional", version, locale)
