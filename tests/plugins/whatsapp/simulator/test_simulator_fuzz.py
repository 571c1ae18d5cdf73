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

VALID: list[dict[str, Any]] = [
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
                },
            ],
        },
    },
    {"messaging_product": "whatsapp", "to": "+34600111222", "text": {"body": "Hi"}},
    {
        "messaging_product": "whatsapp",
        "to": "+34600111222",
        "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "Well?"}},
    },
    {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"},
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
    {"messaging_product": "whatsapp", "pin": "123456"},
]
EDGES = [
    "700/message_templates",
    "800/messages",
    "800/register",
    "800",
    "700",
    "700/subscribed_apps",
]
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


def spoil(body: dict[str, Any], value: object, places: list[int]) -> dict[str, Any]:
    """Replace something inside a body, found by walking down these places."""
    spoilt: Any = copy.deepcopy(body)
    node: Any = spoilt
    for depth, place in enumerate(places):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = keys[place % len(keys)]
        if depth == len(places) - 1 or not isinstance(node[key], (dict, list)):
            node[key] = value
            break
        node = node[key]
    assert isinstance(spoilt, dict)
    return spoilt


@settings(max_examples=400, deadline=None)
@given(
    body=st.sampled_from(VALID),
    value=JSON,
    places=st.lists(st.integers(0, 7), max_size=7),
    edge=st.sampled_from(EDGES),
    method=st.sampled_from(["POST", "GET", "DELETE"]),
)
async def test_spoilt_body_is_answered_or_refused(
    lone_simulator: Simulator,
    body: dict[str, Any],
    value: object,
    places: list[int],
    edge: str,
    method: str,
) -> None:
    """Any JSON in any place gives an answer that can be written down, or Meta's refusal."""
    raw = json.dumps(spoil(body, value, places)).encode()
    call = read_call(
        method,
        f"/v25.0/{edge}",
        b"",
        raw,
        content_type="application/json",
        authorization="Bearer EAAtoken-fuzz",
    )
    try:
        answer = serve(lone_simulator, call)
    except GraphError as error:
        answer = error.describe("trace")
    json.dumps(answer)


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
