"""Checks the envelope of a message: everything that can be judged without the account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from plugins.whatsapp.simulator.errors import GraphError, refuse_parameter
from plugins.whatsapp.simulator.numbers import read_recipient, read_scoped_id

CALLBACK_LIMIT: Final = 512
TEXT_LIMIT: Final = 4096
_INTERACTIVE_LIMIT: Final = 1024
_CAPTION_LIMIT: Final = 1024
_MEDIA: Final = frozenset({"image", "audio", "video", "document", "sticker"})
_KINDS: Final = _MEDIA | {
    "text", "template", "location", "contacts", "interactive", "reaction",
}  # fmt: skip
_INTERACTIVE: Final = frozenset(
    {
        "button",
        "list",
        "cta_url",
        "flow",
        "location_request_message",
        "address_message",
        "product",
        "product_list",
        "catalog_message",
    }
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose form is right."""

    given: str  # the recipient as it was written
    to: str  # digits, or a business-scoped user id
    is_scoped: bool
    kind: str
    content: Any
    callback: str | None


def read_envelope(body: dict[str, Any], sender: str) -> Envelope:
    """Check a message from the number ``sender`` (digits); raises GraphError."""
    require_product(body)
    given, to, is_scoped = _read_recipient(body, sender)
    kind = body.get("type", "text")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise refuse_parameter(f"Param type must be one of {{{', '.join(sorted(_KINDS))}}}")
    callback = body.get("biz_opaque_callback_data")
    if callback is not None and (not isinstance(callback, str) or len(callback) > CALLBACK_LIMIT):
        raise refuse_parameter(
            "Param biz_opaque_callback_data must be a string of at most"
            f" {CALLBACK_LIMIT} characters",
        )
    content = body.get(kind)
    if kind == "contacts":
        if not isinstance(content, list) or not content:
            raise GraphError(131008, "Parameter contacts is missing")
    elif not isinstance(content, dict):
        raise GraphError(131008, f"Parameter {kind} is missing")
    else:
        _check_content(kind, content)
    return Envelope(given, to, is_scoped, kind, content, callback)


def require_product(body: dict[str, Any]) -> None:
    """Refuse a body that does not say it is for WhatsApp."""
    product = body.get("messaging_product")
    if product is None:
        raise refuse_parameter("The parameter messaging_product is required.")
    if product != "whatsapp":
        raise refuse_parameter("Param messaging_product must be one of {WHATSAPP}")


def _read_recipient(body: dict[str, Any], sender: str) -> tuple[str, str, bool]:
    if body.get("recipient_type", "individual") != "individual":
        raise refuse_parameter("Param recipient_type must be one of {INDIVIDUAL}")
    to, scoped = body.get("to"), body.get("recipient")
    if to is None and scoped is None:
        raise refuse_parameter("The parameter to is required.")
    if to is None:
        if not isinstance(scoped, str):
            raise refuse_parameter("Param recipient must be a string")
        return scoped, read_scoped_id(scoped), True
    if not isinstance(to, str):
        raise refuse_parameter("Param to must be a string")
    digits = read_recipient(to, sender)
    if digits == sender:
        raise GraphError(131021, "Recipient phone number cannot be the sender")
    return to, digits, False


def _check_content(kind: str, content: dict[str, Any]) -> None:
    if kind == "text":
        _check_text(content.get("body"), "text['body']", TEXT_LIMIT)
    elif kind == "template":
        _check_template(content)
    elif kind == "interactive":
        if str(content.get("type")) not in _INTERACTIVE:
            raise GraphError(131009, "interactive['type'] is not known")
        inner = content.get("body")
        text = inner.get("text") if isinstance(inner, dict) else None
        _check_text(text, "interactive['body']['text']", _INTERACTIVE_LIMIT)
    elif kind == "reaction":
        if not isinstance(content.get("message_id"), str):
            raise GraphError(131008, "Parameter reaction['message_id'] is missing")
    elif kind == "location":
        for key in ("latitude", "longitude"):
            if key not in content:
                raise GraphError(131008, f"Parameter location['{key}'] is missing")
    else:
        _check_media(kind, content)


def _check_text(text: object, place: str, limit: int) -> None:
    if text is None or text == "":
        raise refuse_parameter(f"The parameter {place} is required.")
    if not isinstance(text, str):
        raise refuse_parameter(f"Param {place} must be a string")
    if len(text) > limit:
        raise refuse_parameter(f"Param {place} must be at most {limit} characters long.")


def _check_template(content: dict[str, Any]) -> None:
    name, language = content.get("name"), content.get("language")
    if not isinstance(name, str) or not name:
        raise GraphError(131008, "Parameter template['name'] is missing")
    if not isinstance(language, dict) or not isinstance(language.get("code"), str):
        raise GraphError(131008, "Parameter template['language']['code'] is missing")


def _check_media(kind: str, content: dict[str, Any]) -> None:
    if ("id" in content) == ("link" in content):
        raise GraphError(131008, f"{kind}: exactly one of id and link is required")
    caption = content.get("caption", "")
    if not isinstance(caption, str) or len(caption) > _CAPTION_LIMIT:
        raise refuse_parameter(f"Param {kind}['caption'] must be at most {_CAPTION_LIMIT} long.")
