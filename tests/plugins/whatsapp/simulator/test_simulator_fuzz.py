"""Whatever a caller sends: an answer or a refusal, never a crash."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.whatsapp.simulator.accounts import AccountDefinition, TemplateDefinition
from plugins.whatsapp.simulator.calls import read_call
from plugins.whatsapp.simulator.errors import GraphError
from plugins.whatsapp.simulator.graph import serve
from plugins.whatsapp.simulator.options import Options
from plugins.whatsapp.simulator.simulator import Simulator

VALID: list[tuple[str, dict[str, Any]]] = [
    (
        "800/messages",
        {
            "messaging_product": "whatsapp",
            "to": "+34600111222",
            "type": "template",
            "template": {
                "name": "counted",
                "language": {"code": "en"},
                "components": [
                    {"type": "body", "parameters": [{"type": "text", "text": "Zoë"}]},
                    {
                        "type": "button",
                        "sub_type": "url",
                        "index": "0",
                        "parameters": [{"type": "text", "text": "x"}],
                    },
                ],
            },
        },
    ),
    (
        "800/messages",
        {
            "messaging_product": "whatsapp",
            "to": "+34600111222",
            "type": "template",
            "template": {
                "name": "named",
                "language": {"code": "en"},
                "components": [
                    {
                        "type": "body",
                        "parameters": [{"type": "text", "parameter_name": "who", "text": "Zoë"}],
                    }
                ],
            },
        },
    ),
    (
        "800/messages",
        {"messaging_product": "whatsapp", "to": "+34600111222", "text": {"body": "Hi"}},
    ),
    (
        "800/messages",
        {
            "messaging_product": "whatsapp",
            "to": "+34600111222",
            "type": "interactive",
            "interactive": {"type": "button", "body": {"text": "Well?"}},
        },
    ),
    ("800/messages", {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"}),
    (
        "700/message_templates",
        {
            "name": "fresh",
            "language": "en",
            "category": "UTILITY",
            "components": [
                {"type": "BODY", "text": "Well {{1}} here."},
                {
                    "type": "BUTTONS",
                    "buttons": [{"type": "URL", "text": "a", "url": "https://x/{{1}}"}],
                },
            ],
        },
    ),
    ("800/register", {"messaging_product": "whatsapp", "pin": "123456"}),
]
NASTY: list[Any] = [[], {}, ["x"], {"x": 1}, None, 0, "", "x", 1.5, True, "\ud7ff"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def lone_simulator() -> Simulator:
    """Return a simulator without webhooks and with an open window."""
    simulator = Simulator(Options(seed=3))
    number = simulator.accounts.upsert(
        AccountDefinition(
            waba_id="700",
            phone_number_id="800",
            display_phone_number="+34600000001",
            verified_name="Uno",
            token="EAAtoken-fuzz",
            templates=[
                TemplateDefinition(
                    name="counted",
                    language="en",
                    components=[
                        {"type": "BODY", "text": "Dear {{1}} welcome."},
                        {
                            "type": "BUTTONS",
                            "buttons": [{"type": "URL", "text": "a", "url": "https://x/{{1}}"}],
                        },
                    ],
                ),
                TemplateDefinition(
                    name="named",
                    language="en",
                    parameter_format="NAMED",
                    components=[{"type": "BODY", "text": "Dear {{who}} welcome."}],
                ),
            ],
        ),
    )
    number.waba.subscribed = False
    simulator.write_text(number, "34600111222", "Hello")
    return simulator


def list_places(node: object) -> list[tuple[Any, Any]]:
    """Return every place inside a body as its container and key."""
    if isinstance(node, dict):
        keys: list[Any] = list(node)
    elif isinstance(node, list):
        keys = list(range(len(node)))
    else:
        return []
    container: Any = node
    return [place for key in keys for place in [(container, key), *list_places(container[key])]]


def spoil(body: dict[str, Any], value: object, place: int) -> dict[str, Any]:
    """Replace what stands at one place of a body."""
    spoilt = copy.deepcopy(body)
    places = list_places(spoilt)
    container, key = places[place % len(places)]
    container[key] = value
    return spoilt


def answer(simulator: Simulator, edge: str, body: dict[str, Any]) -> None:
    """Serve a call; anything but an answer or a refusal comes out as an error."""
    call = read_call(
        "POST",
        f"/v25.0/{edge}",
        b"",
        json.dumps(body).encode(),
        content_type="application/json",
        authorization="Bearer EAAtoken-fuzz",
    )
    try:
        shown = serve(simulator, call)
    except GraphError as error:
        shown = error.describe("trace")
    json.dumps(shown)


@pytest.mark.parametrize(("edge", "body"), VALID)
async def test_body_spoilt_in_any_one_place_is_answered_or_refused(
    lone_simulator: Simulator, edge: str, body: dict[str, Any]
) -> None:
    """Every place of a valid body is tried with every kind of value."""
    for place in range(len(list_places(body))):
        for value in NASTY:
            answer(lone_simulator, edge, spoil(body, value, place))


@settings(max_examples=300, deadline=None)
@given(sample=st.sampled_from(VALID), value=JSON, place=st.integers(0, 40))
async def test_any_json_in_any_place_is_answered_or_refused(
    lone_simulator: Simulator, sample: tuple[str, dict[str, Any]], value: object, place: int
) -> None:
    """Values nobody thought of do no harm either."""
    answer(lone_simulator, sample[0], spoil(sample[1], value, place))


@settings(max_examples=200, deadline=None)
@given(
    raw=st.binary(max_size=60),
    query=st.binary(max_size=30),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", ""]),
    authorization=st.text(max_size=20),
)
def test_any_bytes_can_be_read_as_a_call(
    raw: bytes, query: bytes, kind: str, authorization: str
) -> None:
    """Reading a request never fails; what is malformed is noted."""
    call = read_call("POST", "/x", query, raw, content_type=kind, authorization=authorization)
    assert call.is_malformed or isinstance(call.body, dict)
    assert isinstance(call.to, str)
