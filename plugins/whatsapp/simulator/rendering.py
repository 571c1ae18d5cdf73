"""What the customer sees: a template or a message made into plain texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from plugins.whatsapp.simulator.errors import GraphError
from plugins.whatsapp.simulator.message_templates import BODY_LIMIT, HEADER_LIMIT

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.message_templates import MessageTemplate
    from plugins.whatsapp.simulator.template_parameters import Filling

_URL_LIMIT: Final = 2000


class RenderedButton(msgspec.Struct, frozen=True):
    """A button on the phone."""

    kind: str
    label: str
    target: str = ""
    payload: str = ""


class Rendered(msgspec.Struct, frozen=True):
    """A message on the phone."""

    body: str
    header: str = ""
    footer: str = ""
    buttons: tuple[RenderedButton, ...] = ()


def render_template(template: MessageTemplate, filling: Filling) -> Rendered:
    """Fill a template; a text that grew too long is refused with 132005."""
    body = template.body.fill(filling.body)
    header = f"[{filling.header_media}]" if filling.header_media else ""
    if template.header is not None:
        header = template.header.fill(filling.header)
    if len(body) > BODY_LIMIT or len(header) > HEADER_LIMIT:
        raise GraphError(132005, "Translated text too long")
    return Rendered(
        body=body,
        header=header,
        footer=template.footer,
        buttons=_render_buttons(template, filling) if template.buttons else (),
    )


def _render_buttons(template: MessageTemplate, filling: Filling) -> tuple[RenderedButton, ...]:
    buttons = []
    for index, button in enumerate(template.buttons):
        value = filling.buttons.get(index, "")
        values = dict.fromkeys(button.target.variables, value)
        target = value if button.kind == "COPY_CODE" else button.target.fill(values)
        if len(target) > _URL_LIMIT:
            raise GraphError(132005, f"button {index}: the URL is too long")
        payload = (value or button.label) if button.kind == "QUICK_REPLY" else ""
        buttons.append(RenderedButton(button.kind, button.label, target, payload))
    return tuple(buttons)


def render_message(kind: str, content: Any) -> Rendered:
    """Render a message that is no template."""
    if kind == "text":
        return Rendered(body=str(content["body"]))
    if kind == "reaction":
        return Rendered(body=str(content.get("emoji", "")))
    if kind == "interactive":
        inner = content.get("body")
        return Rendered(body=str(inner.get("text", "")) if isinstance(inner, dict) else "")
    caption = content.get("caption", "") if isinstance(content, dict) else ""
    return Rendered(body=str(caption), header=f"[{kind}]")
