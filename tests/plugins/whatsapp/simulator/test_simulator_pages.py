"""The customer's phone in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from plugins.whatsapp.simulator.pages import mark_text, write_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from plugins.whatsapp.simulator.simulator import Simulator

    Send = Callable[..., Awaitable[httpx.Response]]
    Statuses = Callable[[int], Awaitable[list[dict[str, Any]]]]

EVIL = "<script>alert(1)</script>\" onload='x'"
NAMED = {
    "name": "named",
    "language": {"code": "es"},
    "components": [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "customer", "text": EVIL},
                {"type": "text", "parameter_name": "when", "text": "*hoy*"},
            ],
        },
    ],
}


async def test_empty_page_says_what_to_do_next(stranger: httpx.AsyncClient) -> None:
    """Without an account the page names the first step; with one, the second."""
    assert "POST /simulator/accounts" in (await stranger.get("/")).text


async def test_page_of_an_account_without_messages_names_who_can_send(
    graph: httpx.AsyncClient,
) -> None:
    """The connected business is shown while its first message is awaited."""
    text = (await graph.get("/")).text
    assert "Waiting for the first message" in text
    assert "Studio Uno" in text


async def test_message_is_shown_escaped(send: Send, graph: httpx.AsyncClient) -> None:
    """A customer's name with markup is shown as text on both pages."""
    assert (await send(template=NAMED)).status_code == 200
    for path in ("/", "/phones/34600111222", "/phones/+34600111222"):
        answer = await graph.get(path)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "onload='x'" not in answer.text


async def test_inbound_text_and_verified_name_are_shown_escaped(
    graph: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    """Nothing a customer or a business chose becomes markup."""
    account = {
        "waba_id": "701",
        "phone_number_id": "801",
        "display_phone_number": "+34 <i>600</i>",
        "verified_name": EVIL,
        "token": "EAAtoken-two",
    }
    assert (await stranger.post("/simulator/accounts", json=account)).status_code == 200
    inbound = {"phone_number_id": "801", "from": "+34600111222", "text": EVIL}
    assert (await graph.post("/simulator/inbound", json=inbound)).status_code == 202
    text = (await graph.get("/phones/34600111222")).text
    assert "<script>alert" not in text
    assert "<i>600" not in text


async def test_pages_allow_no_foreign_and_no_inline_code(
    graph: httpx.AsyncClient, send: Send
) -> None:
    """The policy forbids everything that is not our own file, and pages keep to it."""
    await send()
    for path in ("/", "/phones/34600111222", "/phones/1"):
        answer = await graph.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script>|\son\w+=|\sstyle=|https?://(?!example\.test)", answer.text)
    for path in ("/static/phone.css", "/static/refresh.js", "/static/icon.svg"):
        assert (await graph.get(path)).status_code == 200


async def test_ticks_follow_the_statuses(
    graph: httpx.AsyncClient, send: Send, statuses: Statuses
) -> None:
    """The phone shows read once the message was read, and a failure as such."""
    await send()
    await send("+12025550102")
    await statuses(4)
    assert 'class="ticks read"' in (await graph.get("/phones/34600111222")).text
    assert "not delivered" in (await graph.get("/phones/12025550102")).text


async def test_form_answers_as_the_customer_and_opens_the_window(
    graph: httpx.AsyncClient, send: Send, simulator: Simulator
) -> None:
    """A text from the form is an inbound message like any other."""
    await send()
    assert "window closed" in (await graph.get("/phones/34600111222")).text
    form = {"phone_number_id": "100200300400500", "text": "  Thanks!  "}
    answer = await graph.post("/phones/34600111222/messages", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/phones/34600111222#newest"
    bubble = simulator.conversations.list_messages("34600111222", 1)[0]
    assert (bubble.is_inbound, bubble.rendered.body) == (True, "Thanks!")
    assert "window open" in (await graph.get("/phones/34600111222")).text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_other_sites_cannot_write(
    graph: httpx.AsyncClient, simulator: Simulator, site: str
) -> None:
    """A page of another site that posts through a visitor's browser is refused."""
    form = {"phone_number_id": "100200300400500", "text": "Hi"}
    headers = {"Sec-Fetch-Site": site}
    for path in ("/phones/34600111222/messages", "/simulator/reset"):
        assert (await graph.post(path, data=form, headers=headers)).status_code == 403
    assert simulator.conversations.list_customers() == []
    assert len(simulator.accounts.numbers) == 1


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/phones/34600111222/messages", {"phone_number_id": "1", "text": "Hi"}),
        ("/phones/abc/messages", {"phone_number_id": "100200300400500", "text": "Hi"}),
    ],
)
async def test_form_to_nobody_is_refused_in_plain_words(
    graph: httpx.AsyncClient, path: str, data: dict[str, str]
) -> None:
    """An unknown business or customer is a page with 400."""
    answer = await graph.post(path, data=data)
    assert answer.status_code == 400
    assert "<h1>Not here</h1>" in answer.text


async def test_unknown_phone_and_control_path_are_404(graph: httpx.AsyncClient) -> None:
    """What does not exist says so: a page for people, JSON for programs."""
    page = await graph.get("/phones/34600999999")
    assert (page.status_code, "See all phones" in page.text) == (404, True)
    answer = await graph.get("/simulator/nothing")
    assert (answer.status_code, "error" in answer.json()) == (404, True)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* and _slanted_", "<strong>bold</strong> and <em>slanted</em>"),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4"),
        ("*<b>*", "<strong>&lt;b&gt;</strong>"),
    ],
)
def test_marks_are_shown_and_everything_else_escaped(text: str, html: str) -> None:
    """WhatsApp's marks become tags, markup does not."""
    assert str(mark_text(text)) == html


def test_numbers_are_grouped_for_people() -> None:
    """Digits are shown in groups; a user id stays as it is."""
    assert write_number("34600111222") == "+34 600 111 222"
    assert write_number("12025550100") == "+1 202 555 0100"
    assert write_number("ES.123") == "ES.123"
