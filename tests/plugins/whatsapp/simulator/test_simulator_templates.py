"""Templates and nodes: lists with cursors, reviews, fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    WaitUntil = Callable[[Callable[[], object]], Awaitable[None]]

WABA = "/v25.0/700100200300400"
PATH = f"{WABA}/message_templates"
DRAFT: dict[str, Any] = {
    "name": "new_one",
    "language": "en",
    "category": "UTILITY",
    "components": [{"type": "BODY", "text": "Your place {{1}} is kept."}],
}


async def test_pages_of_templates_cover_all_of_them_once(graph: httpx.AsyncClient) -> None:
    """Following the cursors reaches every template; the last page has no next."""
    names: list[str] = []
    query: dict[str, Any] = {"limit": 4}
    for _ in range(10):
        page = (await graph.get(PATH, params=query)).json()
        names += [template["name"] for template in page["data"]]
        if "next" not in page["paging"]:
            break
        query["after"] = page["paging"]["cursors"]["after"]
    assert len(names) == 9
    assert len(set(names)) == 9


async def test_list_filters_and_shows_the_fields_asked_for(graph: httpx.AsyncClient) -> None:
    """Clients read status, category and format; the summary comes on request."""
    fields = "name,status,category,parameter_format,quality_score"
    query = {"fields": fields, "status": "approved", "language": "es", "summary": "total_count"}
    page = (await graph.get(PATH, params=query)).json()
    assert len(page["data"]) == 1
    assert page["data"][0]["name"] == "named"
    assert page["data"][0]["parameter_format"] == "NAMED"
    assert page["data"][0]["id"].isdigit()
    assert page["summary"]["message_template_count"] == 9


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "x"}, {"limit": "9" * 40}, {"after": "²"}]
)
async def test_malformed_paging_is_refused(
    graph: httpx.AsyncClient, query: dict[str, str]
) -> None:
    """A cursor or limit that makes no sense is code 100."""
    answer = await graph.get(PATH, params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


@pytest.mark.parametrize(
    ("name", "verdict"), [("new_one", "APPROVED"), ("promotion_rejected", "REJECTED")]
)
async def test_new_template_is_reviewed_and_the_outcome_sent(
    graph: httpx.AsyncClient, receiver: Any, wait_until: WaitUntil, name: str, verdict: str
) -> None:
    """A template is pending at first; a webhook tells how its review ended."""
    created = (await graph.post(PATH, json={**DRAFT, "name": name})).json()
    assert (created["status"], created["category"]) == ("PENDING", "UTILITY")
    await wait_until(lambda: receiver.bodies)
    entry = json.loads(receiver.bodies[0])["entry"][0]
    assert isinstance(entry["time"], int)
    assert entry["changes"][0]["field"] == "message_template_status_update"
    value = entry["changes"][0]["value"]
    assert (value["event"], value["message_template_name"]) == (verdict, name)
    assert str(value["message_template_id"]) == created["id"]
    listed = (await graph.get(PATH, params={"name": name})).json()["data"][0]
    assert listed["status"] == verdict


async def test_same_name_and_language_is_a_duplicate(graph: httpx.AsyncClient) -> None:
    """The subcode tells a duplicate from other refusals."""
    answer = await graph.post(PATH, json={**DRAFT, "name": "plain"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["error_subcode"]) == (400, 100, 2388024)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Upper Case"},
        {"name": "x" * 513},
        {"language": "English"},
        {"category": "CHAT"},
        {"components": []},
        {"components": "none"},
        {"components": [{"type": "BODY", "text": ""}]},
        {"components": [{"type": "BODY", "text": "x" * 1025}]},
        {"components": [{"type": "BODY", "text": "Gap {{2}} here."}]},
        {"components": [{"type": "BODY", "text": "Open {{1 here."}]},
        {"components": [{"type": "BODY", "text": "Named {{who}} here."}]},
        {"components": [{"type": "BODY", "text": "a"}, {"type": "BODY", "text": "b"}]},
        {"components": [{"type": "BODY", "text": "a"}, {"type": "SIDEBAR"}]},
        {"components": [{"type": "BODY", "text": "a"}, {"type": "FOOTER", "text": "{{1}}"}]},
        {"components": [{"type": "BODY", "text": "a"}, {"type": "BUTTONS", "buttons": []}]},
        {"parameter_format": "SORTED"},
    ],
)
async def test_malformed_draft_is_refused(
    graph: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    """A draft that breaks the rules is code 100 and leaves no template."""
    answer = await graph.post(PATH, json={**DRAFT, **changes})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
    assert (await graph.get(PATH, params={"name": "new_one"})).json()["data"] == []


async def test_deleted_template_cannot_be_sent(graph: httpx.AsyncClient) -> None:
    """Deleting by name removes every language of it."""
    assert (await graph.delete(PATH, params={"name": "plain"})).json() == {"success": True}
    message = {
        "messaging_product": "whatsapp",
        "to": "+34600111222",
        "type": "template",
        "template": {"name": "plain", "language": {"code": "en"}},
    }
    answer = await graph.post("/v25.0/100200300400500/messages", json=message)
    assert answer.json()["error"]["code"] == 132001
    assert (await graph.delete(PATH, params={"name": "plain"})).status_code == 400


async def test_nodes_show_default_and_chosen_fields(graph: httpx.AsyncClient) -> None:
    """Number and account answer with their usual fields, or those asked for."""
    number = (await graph.get("/v25.0/100200300400500")).json()
    assert number["display_phone_number"] == "+34 600 000 001"
    assert (number["verified_name"], number["quality_rating"]) == ("Studio Uno", "GREEN")
    chosen = await graph.get(
        "/v25.0/100200300400500", params={"fields": "status,throughput{level},name_status"}
    )
    assert chosen.json() == {
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "name_status": "APPROVED",
        "id": "100200300400500",
    }
    account = (await graph.get(WABA)).json()
    assert (account["id"], account["name"]) == ("700100200300400", "Studio Uno")
    numbers = (await graph.get(f"{WABA}/phone_numbers")).json()["data"]
    assert [entry["id"] for entry in numbers] == ["100200300400500"]
