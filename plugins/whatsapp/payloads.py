"""Builds the body of a send, exactly as Meta reads it; pure.

A template's placeholders travel through the host as one flat list, so each name says where it
belongs: `customer` or `1` stands in the body, `header.customer` or `header.1` in the header,
`button.0` is the ending of the link on the first button, `code.1` the code that the second
button copies.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.failures import raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.channels.messages import OutboundMessage, Parameter

HEADER: Final = "header."
BUTTON: Final = "button."
COPY_CODE: Final = "code."

VALUE_LENGTH: Final = 1024
HEADER_LENGTH: Final = 60
LINK_LENGTH: Final = 2000
TEXT_LENGTH: Final = 4096
CALLBACK_LENGTH: Final = 512

_E164: Final = re.compile(r"^\+[1-9][0-9]{6,14}$")
_INDEX: Final = re.compile(r"^[0-9]$")


def build(message: OutboundMessage) -> dict[str, Any]:
    """Return the JSON body for one message.

    Raises:
        SendError: the message cannot be built; nothing was sent.
    """
    if not _E164.match(message.address):
        raise raised("bad-address")
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        # With the plus sign: without it Meta puts the sender's own country code in front.
        "to": message.address,
        "biz_opaque_callback_data": message.callback_id[:CALLBACK_LENGTH],
    }
    if message.template:
        return {**body, "type": "template", "template": template(message)}
    return {**body, "type": "text", "text": text(message.text)}


def template(message: OutboundMessage) -> dict[str, Any]:
    """Return the template part: name, language, and a component for each place with values.

    Raises:
        TemplateRejectedError: a value is empty, which Meta refuses.
    """
    if not message.language:
        raise raised("template-unfit", "no language")
    named = message.parameter_format != "positional"
    header: list[Parameter] = []
    body: list[Parameter] = []
    buttons: list[dict[str, Any]] = []
    for parameter in message.parameters:
        if parameter.name.startswith(HEADER):
            header.append(parameter)
        elif parameter.name.startswith((BUTTON, COPY_CODE)):
            buttons.append(_button(parameter))
        else:
            body.append(parameter)
    components: list[dict[str, Any]] = []
    if header:
        filled = _texts(header, named=named, limit=HEADER_LENGTH)
        components.append({"type": "header", "parameters": filled})
    if body:
        filled = _texts(body, named=named, limit=VALUE_LENGTH)
        components.append({"type": "body", "parameters": filled})
    components.extend(sorted(buttons, key=lambda button: str(button["index"])))
    part: dict[str, Any] = {"name": message.template, "language": {"code": message.language}}
    return {**part, "components": components} if components else part


def text(words: str) -> dict[str, Any]:
    """Return a free text; line breaks stay.

    Raises:
        TemplateRejectedError: there are no words.
    """
    kept = "".join(
        character
        for character in words
        if character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs"}
    ).strip()
    if not kept:
        raise raised("empty-text")
    return {"body": _cut(kept, TEXT_LENGTH), "preview_url": False}


def clean(value: str, limit: int = VALUE_LENGTH) -> str:
    """Return a value as Meta accepts it: one line, single blanks, no control characters."""
    if value.isprintable():  # holds no blank but the plain one, and no control character
        return _cut(" ".join(value.split()), limit)
    spaced = "".join(
        " " if character.isspace() else character
        for character in value
        if character.isspace() or unicodedata.category(character) not in {"Cc", "Cs"}
    )
    return _cut(" ".join(spaced.split()), limit)


def _texts(parameters: Sequence[Parameter], *, named: bool, limit: int) -> list[dict[str, str]]:
    filled: list[dict[str, str]] = []
    for parameter in parameters:
        value = {"type": "text", "text": _required(parameter, limit)}
        if named:
            value["parameter_name"] = parameter.name.removeprefix(HEADER)
        filled.append(value)
    if named:
        return filled
    order = [_number(parameter) for parameter in parameters]
    return [filled[at] for at in sorted(range(len(filled)), key=order.__getitem__)]


def _number(parameter: Parameter) -> int:
    place = parameter.name.removeprefix(HEADER)
    if not (place.isascii() and place.isdigit()):
        raise raised("template-unfit", parameter.name)
    return int(place)


def _button(parameter: Parameter) -> dict[str, Any]:
    kind, _, index = parameter.name.partition(".")
    if not _INDEX.match(index):
        raise raised("template-unfit", parameter.name)
    value = _required(parameter, LINK_LENGTH)
    if kind == COPY_CODE.removesuffix("."):
        filled = {"type": "coupon_code", "coupon_code": value}
        return _component("copy_code", index, filled)
    # A blank would end the link on the customer's phone.
    return _component("url", index, {"type": "text", "text": value.replace(" ", "%20")})


def _component(kind: str, index: str, parameter: dict[str, str]) -> dict[str, Any]:
    return {"type": "button", "sub_type": kind, "index": index, "parameters": [parameter]}


def _required(parameter: Parameter, limit: int) -> str:
    value = clean(parameter.value, limit)
    if not value:
        raise raised("empty-value", parameter.name)
    return value


def _cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else value[: limit - 1].rstrip() + "…"
