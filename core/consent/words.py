"""Recognises the replies by which people stop and restart messages; pure.

A reply counts when it is one of the words in `words.toml` and nothing else, apart from politeness
at its ends: "please stop" does, "I can't stop by today" does not.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from core.consent.tables import Purpose

_FILE: Final = Path(__file__).with_name("words.toml")
_LONGEST: Final = 200
"""A longer reply is no word of ours; it is not even looked at."""

_RUN: Final = re.compile(r"(.)\1{2,}")
# Letters that no decomposition makes plain, and Arabic letters that people write either way.
_PLAIN: Final = str.maketrans(
    {
        "ı": "i",
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "æ": "ae",
        "œ": "oe",
        "\u0640": None,
        "ٱ": "ا",
        "ى": "ي",
        "ی": "ي",
        "ک": "ك",
        "ة": "ه",
    }
)


class Word(StrEnum):
    """What a reply asks for."""

    STOP = "stop"
    STOP_MARKETING = "stop-marketing"
    START = "start"


class _Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it stands."""

    stop: dict[str, list[str]]
    stop_marketing: dict[str, list[str]]
    start: dict[str, list[str]]
    polite: dict[str, list[str]]
    confirmation: dict[str, dict[str, str]]


def _plain(text: str) -> str:
    """Return a text in small letters without accents, signs and invisible characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept: list[str] = []
    for character in unicodedata.normalize("NFKD", folded):
        kind = unicodedata.category(character)
        if kind in {"Mn", "Me", "Cf"}:
            continue
        kept.append(character if kind[0] in "LN" else " ")
    words = "".join(kept).translate(_PLAIN).split()
    if len(words) > 1 and all(len(word) == 1 for word in words):
        words = ["".join(words)]
    return _RUN.sub(r"\1", " ".join(words))


def _phrases(lists: dict[str, list[str]]) -> frozenset[str]:
    return frozenset(_plain(phrase) for listed in lists.values() for phrase in listed)


_TABLES: Final = msgspec.convert(tomllib.loads(_FILE.read_text(encoding="utf-8")), _Tables)
_MEANINGS: Final = (
    dict.fromkeys(_phrases(_TABLES.start), Word.START)
    | dict.fromkeys(_phrases(_TABLES.stop), Word.STOP)
    | dict.fromkeys(_phrases(_TABLES.stop_marketing), Word.STOP_MARKETING)
)
_POLITE: Final = sorted(
    (tuple(phrase.split()) for phrase in _phrases(_TABLES.polite)), key=len, reverse=True
)

LANGUAGES: Final = frozenset(_TABLES.stop) - {"any"}
"""The languages in which a stop is understood."""


def recognise(text: str, payload: str = "") -> Word | None:
    """Return what a reply asks for, None for an ordinary one.

    Args:
        text: what the person wrote, or the label of the button they pressed.
        payload: what the pressed button carries, such as `STOP_PROMOTIONS`.
    """
    for said in (payload, text):
        if not said or len(said) > _LONGEST:
            continue
        words = _without_politeness(tuple(_plain(said).split()))
        if found := _MEANINGS.get(" ".join(words)):
            return found
    return None


def confirmation(purposes: tuple[str, ...], language: str, business: str) -> str:
    """Return what a person is told once after a stop, in their language, else in English."""
    everything = Purpose.TRANSACTIONAL in purposes
    sentences = _TABLES.confirmation["all" if everything else "marketing"]
    base = language.replace("_", "-").partition("-")[0].lower()
    return (sentences.get(base) or sentences["en"]).replace("{business}", business)


def _without_politeness(words: tuple[str, ...]) -> tuple[str, ...]:
    """Take polite words off both ends, as long as something is left."""
    stripped = True
    while stripped:
        stripped = False
        for polite in _POLITE:
            size = len(polite)
            if size < len(words) and words[:size] == polite:
                words, stripped = words[size:], True
            if size < len(words) and words[-size:] == polite:
                words, stripped = words[:-size], True
    return words
