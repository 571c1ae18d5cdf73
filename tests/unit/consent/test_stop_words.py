"""The replies by which people stop and restart messages."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.consent.words import LANGUAGES, Word, confirmation, recognise

HERE = Path(__file__).parent
STOPS = (HERE / "stop_spellings.txt").read_text().splitlines()
STARTS = (HERE / "start_spellings.txt").read_text().splitlines()
REPLIES = (HERE / "ordinary_replies.txt").read_text().splitlines()
WANTED = {"en", "es", "it", "pt", "de", "fr", "nl", "ca", "ro", "pl", "tr", "ar", "ru", "uk", "el"}
NOISE = st.text(alphabet=" .!?…\n\t\u200b\u200f\ufe0f🛑🙏❤️*_~\"'«»", max_size=6)
EVERYTHING = ("transactional", "marketing")


def test_nearly_every_spelling_of_stop_is_understood() -> None:
    """Exam C04: of 40 accepted spellings at least 39 are recognised; here there are 50."""
    assert len(set(STOPS)) >= 40
    missed = [said for said in STOPS if recognise(said) is not Word.STOP]
    assert len(missed) <= len(STOPS) // 40, missed


def test_ordinary_replies_stop_nothing() -> None:
    """Exam C04: of 200 replies as customers of a salon write them at most one is mistaken."""
    assert len(set(REPLIES)) == 200
    mistaken = {said: word for said in REPLIES if (word := recognise(said))}
    assert len(mistaken) <= 1, mistaken


def test_start_is_understood() -> None:
    """Every listed spelling of START is recognised as one, and as nothing else."""
    assert [said for said in STARTS if recognise(said) is not Word.START] == []


def test_a_dozen_languages_are_spoken() -> None:
    """A stop is understood and confirmed in twelve languages and more."""
    assert LANGUAGES >= WANTED
    english = confirmation(EVERYTHING, "en", "Salone Aurora")
    for language in LANGUAGES:
        for purposes in (EVERYTHING, ("marketing",)):
            said = confirmation(purposes, language, "Salone Aurora")
            assert "Salone Aurora" in said
            assert language == "en" or said != english
    assert confirmation(EVERYTHING, "pt_BR", "A") == confirmation(EVERYTHING, "pt", "A")
    assert confirmation(EVERYTHING, "xx", "A") == confirmation(EVERYTHING, "en", "A")
    assert "{business}" in confirmation(EVERYTHING, "en", "{business}"), "names are not read again"


@given(st.sampled_from(STOPS), NOISE, NOISE)
def test_signs_and_invisible_letters_change_nothing(said: str, before: str, after: str) -> None:
    """Emoji, punctuation, blanks and marks of direction around a stop do not hide it."""
    assert recognise(f"{before} {said} {after}") is Word.STOP


@given(st.sampled_from(STOPS), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_forms_of_unicode_change_nothing(said: str, form: str) -> None:
    """Composed or not, in any case: the same word."""
    written = unicodedata.normalize(form, said)  # type: ignore[arg-type]
    assert recognise(written) is recognise(written.casefold()) is Word.STOP


@given(st.text(max_size=300))
def test_any_text_is_answered(said: str) -> None:
    """Whatever a person sends, the recogniser answers and does not fail."""
    assert recognise(said, said) in {None, *Word}


@pytest.mark.parametrize(
    ("payload", "label", "word"),
    [
        ("STOP", "Stop", Word.STOP),
        ("STOP_PROMOTIONS", "Stop promotions", Word.STOP_MARKETING),
        ("", "Basta promozioni", Word.STOP_MARKETING),
        ("opt_out_marketing", "Non mi interessa", Word.STOP_MARKETING),
        ("unsubscribe", "No grazie", Word.STOP),
        ("confirm:B-1", "Conferma", None),
        ("cancel:B-1", "Annulla", None),
        ("START", "Start", Word.START),
    ],
)
def test_a_pressed_button_says_it_too(payload: str, label: str, word: Word | None) -> None:
    """A quick reply counts by what it carries, else by its label."""
    assert recognise(label, payload) is word


@pytest.mark.parametrize(
    "said", ["stop promotions please", "Keine Werbung mehr!", "بدون", "🛑", ""]
)
def test_less_than_everything_is_no_full_stop(said: str) -> None:
    """No more advertising is not no more messages; a sign alone is no word."""
    assert recognise(said) is not Word.STOP


def test_a_long_reply_is_not_a_word() -> None:
    """Somebody who writes a letter is not stopping messages."""
    assert recognise("stop " * 100) is None
