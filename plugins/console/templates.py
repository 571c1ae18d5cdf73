"""The texts of this channel: nobody has to approve them, so they are usable at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from core.channels.host import Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.messages import Parameter
    from core.ids import BusinessId

TEXTS: Final = {
    ("booking_confirmed", "en"): (
        "Hello {{first_name}}, your booking with {{business_name}} is confirmed: "
        "{{service}} on {{date}} at {{time}}."
    ),
    ("booking_confirmed", "it"): (
        "Ciao {{first_name}}, la tua prenotazione da {{business_name}} è confermata: "
        "{{service}}, {{date}} alle {{time}}."
    ),
    ("booking_rescheduled", "en"): (
        "Hello {{first_name}}, your booking with {{business_name}} has moved: "
        "{{service}} is now on {{date}} at {{time}}."
    ),
    ("booking_rescheduled", "it"): (
        "Ciao {{first_name}}, la tua prenotazione da {{business_name}} è stata spostata: "
        "{{service}} ora è {{date}} alle {{time}}."
    ),
    ("booking_canceled", "en"): (
        "Hello {{first_name}}, your booking with {{business_name}} on {{date}} at {{time}} "
        "is canceled."
    ),
    ("booking_canceled", "it"): (
        "Ciao {{first_name}}, la tua prenotazione da {{business_name}} del {{date}} alle {{time}} "
        "è annullata."
    ),
    ("reminder_24h", "en"): (
        "Hello {{first_name}}, {{business_name}} expects you tomorrow: "
        "{{service}}, {{date}} at {{time}}."
    ),
    ("reminder_24h", "it"): (
        "Ciao {{first_name}}, {{business_name}} ti aspetta domani: "
        "{{service}}, {{date}} alle {{time}}."
    ),
    ("reminder_2h", "en"): (
        "Hello {{first_name}}, {{business_name}} expects you today at {{time}}: {{service}}."
    ),
    ("reminder_2h", "it"): (
        "Ciao {{first_name}}, {{business_name}} ti aspetta oggi alle {{time}}: {{service}}."
    ),
}

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


def templates_of(business_id: BusinessId) -> list[Template]:
    """Return every text as the core's catalogue wants it."""
    return [
        Template(
            business_id=business_id,
            name=name,
            language=language,
            usable=True,
            parameters=tuple(dict.fromkeys(_PLACEHOLDER.findall(text))),
            body=text,
        )
        for (name, language), text in TEXTS.items()
    ]


def fill(template: str, language: str, parameters: Sequence[Parameter]) -> str:
    """Return a template's text with its values; one that is not ours, by name and values."""
    text = TEXTS.get((template, language))
    if text is None:
        return " ".join([template, *(f"{one.name}={one.value}" for one in parameters)])
    values = {one.name: one.value for one in parameters}
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
