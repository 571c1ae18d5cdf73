"""The sentences people agree to, by version and language: ours, and a business's own.

A consent names the version that was shown, such as `it-v1`; a version that nobody can show is
refused, because it would prove nothing.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from core.errors import FieldFault, InvalidInputError

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

_FALLBACK: Final = "en"
_VERSION: Final = re.compile(
    r"(?P<language>[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)-v(?P<number>[1-9][0-9]{0,5})"
)
_FILE: Final = Path(__file__).with_name("texts.toml")


class ShownText(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence as it is shown.

    Attributes:
        text_version: what a grant must name as its `text_version`, such as `en-v1`.
        hash: SHA-256 of the sentence, for the record of consent.
    """

    text_version: str
    language: str
    text: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Sentence:
    """One version of a sentence in one language, with its two names left open."""

    language: str
    number: int
    body: str

    @property
    def text_version(self) -> str:
        """Return the name of the version."""
        return f"{self.language}-v{self.number}"

    def shown(self, business_name: str, channel_title: str) -> ShownText:
        """Fill the names in."""
        text = _filled(self.body, business_name, channel_title)
        return ShownText(
            text_version=self.text_version,
            language=self.language,
            text=text,
            hash=hashlib.sha256(text.encode()).digest(),
        )


_Key = tuple[str, str, int]  # purpose or `channel.purpose`, language, version


def _read() -> dict[_Key, str]:
    listed: dict[str, dict[str, dict[str, str]]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        (purpose, language, int(version.removeprefix("v"))): body
        for purpose, versions in listed.items()
        for version, sentences in versions.items()
        for language, body in sentences.items()
    }


_OURS: Final = _read()


@dataclass(frozen=True, slots=True)
class Texts:
    """Every sentence of one business; its own go before ours of the same language."""

    own: dict[_Key, str] = field(default_factory=dict)

    def newest(self, channel: str, purpose: str, language: str) -> Sentence:
        """Return the newest sentence in a language, else in its base language, else in English."""
        tag = language.replace("_", "-")
        for wanted in dict.fromkeys((tag, tag.partition("-")[0], _FALLBACK)):
            for listed, key in ((self.own, f"{channel}.{purpose}"), (_OURS, purpose)):
                numbers = [one[2] for one in listed if one[:2] == (key, wanted)]
                if numbers:
                    number = max(numbers)
                    return Sentence(wanted, number, listed[key, wanted, number])
        raise AssertionError("every purpose has its English sentence")

    def find(self, channel: str, purpose: str, text_version: str) -> Sentence | None:
        """Return the sentence of a version, None if there is no such version."""
        read = _VERSION.fullmatch(text_version)
        if read is None:
            return None
        language, number = read["language"], int(read["number"])
        body = self.own.get((f"{channel}.{purpose}", language, number))
        body = body or _OURS.get((purpose, language, number))
        return Sentence(language, number, body) if body else None

    def check(self, channel: str, purpose: str, text_version: str, locale: str | None) -> Sentence:
        """Return the sentence that was shown.

        Raises:
            InvalidInputError: there is no such version, or it is in another language than said.
        """
        found = self.find(channel, purpose, text_version)
        if found is None:
            fault = FieldFault(
                "/text_version", "unknown", "There is no such version of the consent text."
            )
            raise InvalidInputError(fault.message, errors=[fault])
        if locale and _base(locale) != _base(found.language):
            fault = FieldFault(
                "/locale", "mismatch", f"The text {found.text_version} is in another language."
            )
            raise InvalidInputError(fault.message, errors=[fault])
        return found


async def load_texts(transaction: Transaction, business_id: UUID) -> Texts:
    """Read the sentences of a business."""
    rows = await transaction.fetch(
        "SELECT key, locale, version, body FROM consent_text WHERE business_id = $1", business_id
    )
    return Texts({(row["key"], row["locale"], row["version"]): row["body"] for row in rows})


async def consent_text(
    transaction: Transaction,
    business_id: UUID,
    *,
    business_name: str,
    channel: str,
    channel_title: str,
    purpose: str,
    language: str,
) -> ShownText:
    """Return the sentence to show now, with the names filled in."""
    texts = await load_texts(transaction, business_id)
    return texts.newest(channel, purpose, language).shown(business_name, channel_title)


def _filled(body: str, business: str, channel: str) -> str:
    # Not str.format: a business's own sentence, or its name, may hold any braces.
    parts = body.split("{business}")
    return business.join(part.replace("{channel}", channel) for part in parts)


def _base(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].lower()
