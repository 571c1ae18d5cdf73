"""An accepted message: its answer, its journal entry, its statuses."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from plugins.whatsapp.simulator.app import build_app
from plugins.whatsapp.simulator.numbers import read_calling_code, read_recipient
from plugins.whatsapp.simulator.options import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from plugins.whatsapp.simulator.simulator import Simulator

    Send = Callable[..., Awaitable[httpx.Response]]
    Statuses = Callable[[int], Awaitable[list[dict[str, Any]]]]

COUNTED = {
    "name": "counted",
    "language": {"code": "en"},
    "components": [
        {"type": "header", "parameters": [{"type": "text", "text": "Zoë"}]},
        {
            "type": "BODY",
            "parameters": [{"type": "text", "text": "Zoë"}, {"type": "text", "text": "Monday"}],
        },
        {
            "type": "button",
            "sub_type": "quick_reply",
            "index": "0",
            "parameters": [{"type": "payload", "payload": "cancel:1"}],
        },
        {
            "type": "button",
            "sub_type": "url",
            "index": 1,
            "parameters": [{"type": "text", "text": "9f2k"}],
        },
    ],
}
LONE_ACCOUNT: dict[str, Any] = {
    "waba_id": "701",
    "phone_number_id": "801",
    "display_phone_number": "+34600000001",
    "verified_name": "Uno",
    "token": "EAAtoken-one",
    "templates": [
        {
            "name": "plain",
            "language": "en",
            "components": [{"type": "BODY", "text": "Hello there."}],
        },
    ],
}


async def test_answer_has_metas_shape_and_an_id_that_holds_the_recipient(send: Send) -> None:
    """Clients find input, wa_id, the message's id and, for templates, its status."""
    answer = await send("+34 600-111 (222)")
    assert answer.status_code == 200
    assert answer.headers["facebook-api-version"] == "v25.0"
    body = answer.json()
    assert body["messaging_product"] == "whatsapp"
    assert body["contacts"] == [{"input": "+34 600-111 (222)", "wa_id": "34600111222"}]
    assert body["messages"][0]["message_status"] == "accepted"
    raw = base64.b64decode(body["messages"][0]["id"].removeprefix("wamid."))
    assert raw.startswith(b"\x1c\x18\x0b34600111222\x15\x02\x00\x11\x18\x12")
    assert raw.endswith(b"\x00")


async def test_accepted_message_is_in_the_journal_exactly_once(
    send: Send, graph: httpx.AsyncClient
) -> None:
    """The journal holds what was sent, rendered, and nothing that was refused."""
    accepted = await send(template=COUNTED, biz_opaque_callback_data="ref-1")
    refused = await send(template={"name": "absent", "language": {"code": "en"}})
    assert (accepted.status_code, refused.status_code) == (200, 404)
    page = (await graph.get("/simulator/journal")).json()
    assert len(page["messages"]) == 1
    entry = page["messages"][0]
    assert entry["wamid"] == accepted.json()["messages"][0]["id"]
    assert entry["biz_opaque_callback_data"] == "ref-1"
    assert entry["text"] == "Dear Zoë, see you on Monday at our place."
    assert entry["rendered"]["header"] == "Hello Zoë"
    assert entry["rendered"]["footer"] == "Answer STOP to leave"
    assert [b["target"] for b in entry["rendered"]["buttons"]] == [
        "",
        "https://example.test/b/9f2k",
    ]
    assert entry["components"] == COUNTED["components"]
    later = (await graph.get("/simulator/journal", params={"since": page["last"]})).json()
    assert later == {"messages": [], "last": page["last"]}


async def test_requests_list_shows_refused_calls_and_no_token(
    send: Send, graph: httpx.AsyncClient
) -> None:
    """Every call is listed with its outcome; a token in the query is not kept."""
    await send()
    await send("not a number")
    await graph.get("/v25.0/1", params={"access_token": "EAAsecretInQuery"})
    answer = await graph.get("/simulator/requests")
    rows = [(r["method"], r["status"], r["code"]) for r in answer.json()["requests"]]
    assert rows == [("POST", 200, None), ("POST", 400, 131009), ("GET", 400, 100)]
    assert "EAAsecretInQuery" not in answer.text


async def test_named_parameters_may_come_in_any_order(send: Send, simulator: Simulator) -> None:
    """A named template is filled by name."""
    body = {
        "type": "body",
        "parameters": [
            {"type": "text", "parameter_name": "when", "text": "mañana"},
            {"type": "text", "parameter_name": "customer", "text": "Zoë"},
        ],
    }
    answer = await send(
        template={"name": "named", "language": {"code": "es"}, "components": [body]}
    )
    assert answer.status_code == 200
    assert simulator.journal.accepted[0].text == "Hola Zoë, te esperamos mañana."


async def test_statuses_come_in_order_and_carry_the_callback_data(
    send: Send, statuses: Statuses
) -> None:
    """Sent, delivered and read arrive in this order, each naming message and recipient."""
    answer = await send(biz_opaque_callback_data="obx:01JD8Z5T")
    found = await statuses(3)
    assert [status["status"] for status in found] == ["sent", "delivered", "read"]
    for status in found:
        assert status["id"] == answer.json()["messages"][0]["id"]
        assert status["recipient_id"] == "34600111222"
        assert status["biz_opaque_callback_data"] == "obx:01JD8Z5T"
        assert isinstance(status["timestamp"], str)
        assert "conversation" not in status
    pricing = {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"}
    assert [status.get("pricing") for status in found] == [pricing, pricing, None]


async def test_journal_file_holds_one_line_for_each_message(tmp_path: Path) -> None:
    """The file is complete the moment the answer is out, without a stop."""
    path = tmp_path / "journal.jsonl"
    app = build_app(Options(journal=path))
    simulator: Simulator = app.state.simulator
    transport = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=transport, base_url="http://graph.test") as client:
        assert (await client.post("/simulator/accounts", json=LONE_ACCOUNT)).status_code == 200
        for number in ("+34600111222", "+34600111223"):
            body = {
                "messaging_product": "whatsapp",
                "to": number,
                "type": "template",
                "template": {"name": "plain", "language": {"code": "en"}},
            }
            answer = await client.post(
                "/801/messages", json=body, params={"access_token": "EAAtoken-one"}
            )
            assert answer.status_code == 200
        lines = path.read_bytes().splitlines()
    simulator.journal.close()
    assert [json.loads(line)["to"] for line in lines] == ["34600111222", "34600111223"]


async def test_fault_of_the_simulator_is_logged_and_shows_no_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the journal cannot be written the message is not accepted and code 1 is answered."""
    app = build_app(Options(journal=tmp_path / "journal.jsonl"))
    journal = app.state.simulator.journal
    transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
    message = {
        "messaging_product": "whatsapp",
        "to": "+34600111222",
        "type": "template",
        "template": {"name": "plain", "language": {"code": "en"}},
    }
    async with httpx.AsyncClient(transport=transport, base_url="http://graph.test") as client:
        await client.post("/simulator/accounts", json=LONE_ACCOUNT)
        journal._file.close()
        headers = {"Authorization": "Bearer EAAtoken-one"}
        answer = await client.post("/801/messages", json=message, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, 1)
    assert "Traceback" not in answer.text
    assert journal.accepted == []
    logged = capsys.readouterr().err
    assert "closed file" in logged
    assert "EAAtoken-one" not in logged


async def test_trailing_slash_form_body_and_missing_version_are_understood(
    graph: httpx.AsyncClient,
) -> None:
    """Graph takes forms with JSON inside, and addresses written in several ways."""
    form = {
        "messaging_product": "whatsapp",
        "to": "+34600111222",
        "type": "template",
        "template": json.dumps({"name": "plain", "language": {"code": "en"}}),
    }
    for path in ("/100200300400500/messages", "/v19.0/100200300400500/messages/"):
        assert (await graph.post(path, data=form)).status_code == 200


async def test_recipient_by_user_id_has_no_phone_number(send: Send, statuses: Statuses) -> None:
    """A business-scoped user id is answered and reported without a number."""
    answer = await send(to=None, recipient="ES.90817263544")
    assert answer.json()["contacts"] == [{"input": "ES.90817263544", "user_id": "ES.90817263544"}]
    first = (await statuses(1))[0]
    assert first["recipient_user_id"] == "ES.90817263544"
    assert "recipient_id" not in first


async def test_text_needs_a_window_that_an_inbound_message_opens_for_a_day(
    graph: httpx.AsyncClient,
) -> None:
    """Texts are refused before the customer wrote and again 24 hours later."""
    text = {"messaging_product": "whatsapp", "to": "+34600111222", "text": {"body": "Hi"}}
    path = "/v25.0/100200300400500/messages"
    assert (await graph.post(path, json=text)).json()["error"]["code"] == 131047
    inbound = {"phone_number_id": "100200300400500", "from": "+34600111222", "text": "Hello"}
    assert (await graph.post("/simulator/inbound", json=inbound)).status_code == 202
    answer = await graph.post(path, json=text)
    assert answer.status_code == 200
    assert "message_status" not in answer.json()["messages"][0]
    other = await graph.post(path, json={**text, "to": "+34600111223"})
    assert other.json()["error"]["code"] == 131047
    await graph.post("/simulator/clock/advance", json={"seconds": 24 * 3600})
    refused = await graph.post(path, json=text)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 131047)


async def test_read_receipt_is_taken_for_inbound_messages_only(graph: httpx.AsyncClient) -> None:
    """Marking as read works once the customer wrote; unknown ids are refused."""
    inbound = {"phone_number_id": "100200300400500", "from": "+34600111222", "text": "Hello"}
    identifier = (await graph.post("/simulator/inbound", json=inbound)).json()["message_id"]
    path = "/v25.0/100200300400500/messages"
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": identifier}
    assert (await graph.post(path, json=body)).json() == {"success": True}
    refused = await graph.post(path, json={**body, "message_id": "wamid.none"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 131009)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("+34600111222", "34600111222"),
        ("34600111222", "34600111222"),
        ("12025550100", "3412025550100"),
        ("+1 (202) 555-0100", "12025550100"),
    ],
)
def test_number_without_plus_gets_the_senders_country_code(written: str, expected: str) -> None:
    """Leaving the plus out sends the message to somebody else, as at Meta."""
    assert read_recipient(written, sender="34600000001") == expected


@pytest.mark.parametrize(
    ("number", "code"),
    [("12025550100", "1"), ("34600", "34"), ("351912", "351"), ("79", "7"), ("97150", "971")],
)
def test_calling_codes_are_read_from_digits(number: str, code: str) -> None:
    """Codes of one, two and three digits are told apart."""
    assert read_calling_code(number) == code
