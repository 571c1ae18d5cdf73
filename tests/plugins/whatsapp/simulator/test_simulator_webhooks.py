"""Webhooks: signed over their bytes, repeated while they fail, only for subscribed accounts."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest

from plugins.whatsapp.simulator.options import Options
from plugins.whatsapp.simulator.payloads import describe_status
from plugins.whatsapp.simulator.signing import encode_body, prove_token, sign_body
from plugins.whatsapp.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    Send = Callable[..., Awaitable[httpx.Response]]
    WaitUntil = Callable[[Callable[[], object]], Awaitable[None]]
    Statuses = Callable[[int], Awaitable[list[dict[str, Any]]]]

SECRET = "unit-test-app-secret"
VECTOR: dict[str, Any] = {
    "object": "whatsapp_business_account",
    "entry": [
        {
            "id": "700100200300400",
            "changes": [
                {
                    "field": "messages",
                    "value": {
                        "messaging_product": "whatsapp",
                        "contacts": [
                            {"profile": {"name": "Zoë Muñoz"}, "wa_id": "34600111222"},
                        ],
                    },
                },
            ],
        },
    ],
}
INBOUND = {"phone_number_id": "100200300400500", "from": "+34 600 111 222"}


def test_signature_matches_the_known_vector() -> None:
    """The digest is taken over the escaped bytes, not over real letters."""
    body = encode_body(VECTOR)
    assert rb"Zo\u00eb Mu\u00f1oz" in body
    expected = "35030eb6d96d34fc5b20f47858af250fa469d67f036b7d6778a57f4431ed148c"
    assert sign_body(SECRET, body) == f"sha256={expected}"
    unescaped = json.dumps(VECTOR, ensure_ascii=False, separators=(",", ":")).encode()
    assert sign_body(SECRET, unescaped) == (
        "sha256=b618bec9605a41745f7853c9232e40ea3c51267b8c6211822603fb00d88f29a4"
    )


def test_proof_matches_the_known_vector() -> None:
    """The appsecret_proof is the one Meta's clients compute."""
    proof = prove_token(SECRET, "EAAfakeToken123")
    assert proof == "61040c49b6d8461509d14c23036f027ae968d651a04b73ec3209e050b05ce596"


def test_slashes_are_escaped_and_mean_the_same() -> None:
    """A receiver that parses and writes the body again gets another digest."""
    body = encode_body({"href": "https://x.test/a"})
    assert body == rb'{"href":"https:\/\/x.test\/a"}'
    assert json.loads(body) == {"href": "https://x.test/a"}


async def test_every_webhook_is_signed_over_the_bytes_that_were_sent(
    send: Send, statuses: Statuses, receiver: Any
) -> None:
    """A receiver with the app secret can verify each body as it came."""
    await send(biz_opaque_callback_data="Zoë/1")
    await statuses(3)
    assert len(receiver.bodies) == 3
    for body, signature in zip(receiver.bodies, receiver.signatures, strict=True):
        digest = hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        assert signature == f"sha256={digest}"
        assert body.isascii()


async def test_status_envelope_names_number_account_and_contact(
    send: Send, statuses: Statuses, receiver: Any
) -> None:
    """Receivers route by phone number id and WABA id; contacts stand beside statuses."""
    await send()
    await statuses(1)
    payload = json.loads(receiver.bodies[0])
    entry = payload["entry"][0]
    change = entry["changes"][0]
    assert payload["object"] == "whatsapp_business_account"
    assert (entry["id"], change["field"]) == ("700100200300400", "messages")
    assert change["value"]["metadata"] == {
        "display_phone_number": "34600000001",
        "phone_number_id": "100200300400500",
    }
    assert change["value"]["contacts"][0]["wa_id"] == "34600111222"


async def test_failing_receiver_gets_every_status_again_and_in_order(
    send: Send, statuses: Statuses, receiver: Any, wait_until: WaitUntil
) -> None:
    """Nothing is lost or overtaken while the receiver answers 503."""
    receiver.status = 503
    await send()
    await statuses(2)
    receiver.status = 200
    await wait_until(lambda: len(receiver.bodies) >= 5)
    found = [status["status"] for status in await statuses(5)]
    assert found[:2] == ["sent", "sent"]
    assert list(dict.fromkeys(found)) == ["sent", "delivered", "read"]


async def test_account_that_is_not_subscribed_gets_no_webhooks(
    send: Send,
    graph: httpx.AsyncClient,
    statuses: Statuses,
    receiver: Any,
    simulator: Simulator,
    wait_until: WaitUntil,
) -> None:
    """Unsubscribing silences an account; subscribing lets later messages report again."""
    path = "/v25.0/700100200300400/subscribed_apps"
    assert len((await graph.get(path)).json()["data"]) == 1
    assert (await graph.delete(path)).json() == {"success": True}
    assert (await graph.get(path)).json() == {"data": []}
    await send()
    await wait_until(lambda: simulator.delivery.pending == 0)
    assert receiver.bodies == []
    assert (await graph.post(path)).json() == {"success": True}
    second = await send()
    found = await statuses(3)
    assert {status["id"] for status in found} == {second.json()["messages"][0]["id"]}


async def test_statuses_that_fall_due_together_share_a_webhook(
    send: Send, statuses: Statuses, receiver: Any
) -> None:
    """Under load receivers see several statuses in one body, each once."""
    await asyncio.gather(*(send(f"+346001112{place:02}") for place in range(30)))
    found = await statuses(90)
    assert len(found) == 90
    assert len({(status["id"], status["status"]) for status in found}) == 90
    assert len(receiver.bodies) < 90


async def test_inbound_text_arrives_signed_with_sender_and_text(
    graph: httpx.AsyncClient, receiver: Any, wait_until: WaitUntil
) -> None:
    """A customer's text has the shape receivers expect."""
    answer = await graph.post("/simulator/inbound", json={**INBOUND, "text": "Hasta mañana"})
    await wait_until(lambda: len(receiver.bodies) == 1)
    digest = hmac.new(SECRET.encode(), receiver.bodies[0], "sha256").hexdigest()
    assert receiver.signatures == [f"sha256={digest}"]
    value = json.loads(receiver.bodies[0])["entry"][0]["changes"][0]["value"]
    message = value["messages"][0]
    assert message["id"] == answer.json()["message_id"]
    assert (message["from"], message["type"]) == ("34600111222", "text")
    assert message["text"] == {"body": "Hasta mañana"}
    assert value["contacts"][0]["wa_id"] == "34600111222"


async def test_customer_known_by_user_id_has_no_number(
    graph: httpx.AsyncClient, receiver: Any, wait_until: WaitUntil
) -> None:
    """A message from a business-scoped user id carries neither from nor wa_id."""
    inbound = {**INBOUND, "from": "ES.90817263544", "text": "Hola"}
    assert (await graph.post("/simulator/inbound", json=inbound)).status_code == 202
    await wait_until(lambda: len(receiver.bodies) == 1)
    value = json.loads(receiver.bodies[0])["entry"][0]["changes"][0]["value"]
    assert value["messages"][0]["from_user_id"] == "ES.90817263544"
    assert "from" not in value["messages"][0]
    assert value["contacts"] == [
        {"profile": {"name": "Customer"}, "user_id": "ES.90817263544"},
    ]


async def test_pressed_button_arrives_with_payload_and_context(
    graph: httpx.AsyncClient, receiver: Any, wait_until: WaitUntil
) -> None:
    """A quick reply carries its payload and the message it belongs to."""
    press = {"payload": "cancel:1", "text": "Cancel", "context_id": "wamid.x"}
    assert (
        await graph.post("/simulator/inbound", json={**INBOUND, "button": press})
    ).status_code == 202
    await wait_until(lambda: len(receiver.bodies) == 1)
    value = json.loads(receiver.bodies[0])["entry"][0]["changes"][0]["value"]
    message = value["messages"][0]
    assert message["button"] == {"payload": "cancel:1", "text": "Cancel"}
    assert message["context"] == {"from": "34600000001", "id": "wamid.x"}


@pytest.mark.parametrize(
    "definition",
    [
        {**INBOUND},
        {**INBOUND, "text": "a", "button": {"payload": "p", "text": "t"}},
        {**INBOUND, "text": ""},
        {**INBOUND, "phone_number_id": "1", "text": "a"},
        {**INBOUND, "from": "no number", "text": "a"},
        {**INBOUND, "text": "a", "surprise": 1},
    ],
)
async def test_malformed_inbound_is_refused(
    graph: httpx.AsyncClient, receiver: Any, definition: dict[str, Any]
) -> None:
    """What cannot be delivered is answered with 400 and sends nothing."""
    answer = await graph.post("/simulator/inbound", json=definition)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert receiver.bodies == []


@pytest.mark.parametrize("signed", [True, False])
async def test_any_webhook_can_be_sent_signed_or_wrongly_signed(
    graph: httpx.AsyncClient, receiver: Any, wait_until: WaitUntil, *, signed: bool
) -> None:
    """Tests of receivers can send kinds the simulator does not play, and forgeries."""
    payload = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": []}]}
    sent = await graph.post("/simulator/webhooks", json={"payload": payload, "signed": signed})
    assert sent.status_code == 202
    await wait_until(lambda: len(receiver.bodies) == 1)
    assert json.loads(receiver.bodies[0]) == payload
    right = "sha256=" + hmac.new(SECRET.encode(), receiver.bodies[0], "sha256").hexdigest()
    assert (receiver.signatures == [right]) is signed


async def test_challenge_passes_and_health_says_so(
    graph: httpx.AsyncClient, receiver: Any
) -> None:
    """The challenge must come back as the whole body with status 200."""
    assert (await graph.post("/simulator/verify-webhook")).json()["passed"] is True
    health = (await graph.get("/simulator/health")).json()
    assert health["webhook"]["challenge"] == "passed"
    receiver.status = 403
    assert (await graph.post("/simulator/verify-webhook")).json() == {
        "passed": False,
        "challenge": "refused (HTTP 403)",
    }


async def test_unreachable_receiver_is_given_up_after_the_limit(wait_until: WaitUntil) -> None:
    """Retries end; the health answer counts what was dropped."""
    options = Options(webhook_url="http://127.0.0.1:9/", delay_ms=1, retry_seconds=0)
    simulator = Simulator(options)
    simulator.start()
    simulator.delivery.post({"object": "x"}, is_subscribed=True)
    await wait_until(lambda: simulator.delivery.counts["dropped"] == 1)
    await simulator.stop()
    assert simulator.delivery.last_error


def test_old_webhook_version_carries_a_conversation() -> None:
    """Before version 24 sent and delivered name a conversation; sent has its end."""
    pricing = {"category": "utility"}
    entries = [
        describe_status("wamid.x", status, 1_795_000_000, "34600111222", None,
                        pricing=pricing, failure=(0, ""), version=23)
        for status in ("sent", "delivered", "read")
    ]  # fmt: skip
    assert entries[0]["conversation"]["origin"] == {"type": "utility"}
    assert entries[0]["conversation"]["expiration_timestamp"] == "1795086400"
    assert entries[0]["conversation"]["id"] == entries[1]["conversation"]["id"]
    assert "expiration_timestamp" not in entries[1]["conversation"]
    assert "conversation" not in entries[2]
