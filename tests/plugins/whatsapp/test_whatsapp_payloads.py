"""The body of a send is exactly what Meta reads."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from core.channels.messages import OutboundMessage, Parameter
from core.errors import InvalidRecipientError, TemplateRejectedError
from core.ids import BusinessId, CustomerId, new_uuid
from plugins.whatsapp.payloads import build, clean

GOLDEN_NAMED = {
    "messaging_product": "whatsapp",
    "recipient_type": "individual",
    "to": "+34600111222",
    "biz_opaque_callback_data": "ntf_abc",
    "type": "template",
    "template": {
        "name": "reminder_24h",
        "language": {"code": "es"},
        "components": [
            {
                "type": "header",
                "parameters": [{"type": "text", "text": "Mañana", "parameter_name": "day"}],
            },
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "text": "Zoë", "parameter_name": "customer"},
                    {"type": "text", "text": "mar 24 nov, 10:30", "parameter_name": "when"},
                ],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "0",
                "parameters": [{"type": "text", "text": "b/9f2k"}],
            },
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "1",
                "parameters": [{"type": "coupon_code", "coupon_code": "AURORA"}],
            },
        ],
    },
}


def _message(*values: tuple[str, str], **changes: Any) -> OutboundMessage:
    message = OutboundMessage(
        callback_id="ntf_abc",
        business_id=BusinessId(new_uuid()),
        customer_id=CustomerId(new_uuid()),
        account="500600",
        address="+34600111222",
        template="reminder_24h",
        language="es",
        parameters=tuple(Parameter(name=name, value=value) for name, value in values),
    )
    return msgspec.structs.replace(message, **changes)


def test_named_template_golden() -> None:
    """Header, body, link and code stand in their components, named ones with their names."""
    body = build(
        _message(
            ("header.day", "Mañana"),
            ("customer", "Zoë"),
            ("when", "mar 24 nov, 10:30"),
            ("code.1", "AURORA"),
            ("button.0", "b/9f2k"),
        )
    )
    assert body == GOLDEN_NAMED


def test_positional_template_golden() -> None:
    """Numbered values carry no names and stand in the order of their numbers, 10 after 9."""
    values = [(str(number), f"v{number}") for number in (10, 2, 1, 3, 9, 8, 7, 6, 5, 4)]
    body = build(_message(*values, ("header.1", "Hi"), parameter_format="positional"))
    assert body["template"]["components"] == [
        {"type": "header", "parameters": [{"type": "text", "text": "Hi"}]},
        {
            "type": "body",
            "parameters": [{"type": "text", "text": f"v{number}"} for number in range(1, 11)],
        },
    ]


def test_a_template_without_values_has_no_components() -> None:
    """Meta refuses empty components; a plain template sends none."""
    assert build(_message())["template"] == {"name": "reminder_24h", "language": {"code": "es"}}


def test_text_golden() -> None:
    """A reply keeps its line breaks and shows no link preview."""
    body = build(_message(template="", text="Ciao!\nA presto\0"))
    assert body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+34600111222",
        "biz_opaque_callback_data": "ntf_abc",
        "type": "text",
        "text": {"body": "Ciao!\nA presto", "preview_url": False},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Line\nbreak\r\nand\ttab", "Line break and tab"),
        ("a      b", "a b"),
        ("  edges  ", "edges"),
        ("bell\x07 nul\0 \ud800half", "bell nul half"),
        ("non\u00a0breaking\u2028separator", "non breaking separator"),
        ("👩‍👩‍👧 Zoë", "👩‍👩‍👧 Zoë"),
        ("x" * 2000, "x" * 1023 + "…"),
    ],
)
def test_values_are_cleaned_as_meta_requires(value: str, expected: str) -> None:
    """No line break, tab, run of blanks, control character or overlong value reaches Meta."""
    assert clean(value) == expected


@pytest.mark.parametrize(
    "address",
    [
        "",
        "34600111222",
        "+034600111222",
        "+34 600 111 222",
        "+34600",
        "ES.9081726",
        "+３４600111222",
    ],
)
def test_only_e164_leaves(address: str) -> None:
    """Without the plus sign Meta would put its own country code in front: never sent."""
    with pytest.raises(InvalidRecipientError):
        build(_message(address=address))


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": (Parameter(name="customer", value=" \n "),)},
        {"parameters": (Parameter(name="button.0", value=""),)},
        {"parameters": (Parameter(name="button.x", value="a"),)},
        {"parameters": (Parameter(name="customer", value="a"),), "parameter_format": "positional"},
        {"language": ""},
        {"template": "", "text": " \0 "},
    ],
)
def test_what_meta_would_refuse_is_refused_here(changes: dict[str, Any]) -> None:
    """A message that cannot be built is a permanent refusal and costs no call."""
    with pytest.raises(TemplateRejectedError):
        build(_message(**changes))


def test_a_link_ending_holds_no_blank() -> None:
    """A blank would end the link on the customer's phone."""
    body = build(_message(("button.0", "b/a b")))
    assert body["template"]["components"][0]["parameters"] == [{"type": "text", "text": "b/a%20b"}]
