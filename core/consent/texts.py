"""The sentences people agree to; version 1 in English is the specification's, word for word."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.consent.tables import Purpose

if TYPE_CHECKING:
    from uuid import UUID

    from core.channels.host import Transaction

_FALLBACK: Final = "en"

# The first sentence is that of the specification, section 7, with its two names left open.
_VERSION_1: Final = {
    Purpose.TRANSACTIONAL: {
        "en": "I agree to receive appointment notifications via {channel} from {business}.",
        "it": "Accetto di ricevere notifiche sui miei appuntamenti via {channel} da {business}.",
        "de": "Ich bin einverstanden, Terminbenachrichtigungen per {channel} von {business} zu "
        "erhalten.",
        "es": "Acepto recibir notificaciones sobre mis citas por {channel} de {business}.",
        "fr": "J'accepte de recevoir des notifications de rendez-vous par {channel} de la part de "
        "{business}.",
        "pt": "Aceito receber notificações sobre as minhas marcações por {channel} de {business}.",
    },
    Purpose.MARKETING: {
        "en": "I agree to receive offers and news via {channel} from {business}.",
        "it": "Accetto di ricevere offerte e novità via {channel} da {business}.",
        "de": "Ich bin einverstanden, Angebote und Neuigkeiten per {channel} von {business} zu "
        "erhalten.",
        "es": "Acepto recibir ofertas y novedades por {channel} de {business}.",
        "fr": "J'accepte de recevoir des offres et des nouveautés par {channel} de la part de "
        "{business}.",
        "pt": "Aceito receber ofertas e novidades por {channel} de {business}.",
    },
}


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
    """Return the newest sentence in a language, else in its base language, else in English.

    A business's own sentences, from the table, go before ours of the same language.
    """
    wanted = list(dict.fromkeys((language.replace("_", "-"), _base(language), _FALLBACK)))
    rows = await transaction.fetch(
        """
        SELECT DISTINCT ON (locale) locale, version, body FROM consent_text
        WHERE business_id = $1 AND key = $2 AND locale = ANY ($3)
        ORDER BY locale, version DESC
        """,
        business_id,
        f"{channel}.{purpose}",
        wanted,
    )
    own: dict[str, Any] = {row["locale"]: row for row in rows}
    ours = _VERSION_1[Purpose(purpose)]
    for locale in wanted:
        if locale in own:
            body, version = own[locale]["body"], own[locale]["version"]
        elif locale in ours:
            body, version = ours[locale], 1
        else:
            continue
        text = _filled(body, business_name, channel_title)
        break
    return ShownText(
        text_version=f"{locale}-v{version}",
        language=locale,
        text=text,
        hash=hashlib.sha256(text.encode()).digest(),
    )


def _filled(body: str, business: str, channel: str) -> str:
    # Not str.format: a business's own sentence, or its name, may hold any braces.
    parts = body.split("{business}")
    return business.join(part.replace("{channel}", channel) for part in parts)


def _base(language: str) -> str:
    return language.replace("_", "-").partition("-")[0]
