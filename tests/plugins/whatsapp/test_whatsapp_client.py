"""What becomes of a call to Meta, over real sockets and with both HTTP transports."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
import pytest

from core.errors import (
    CredentialsRejectedError,
    InvalidRecipientError,
    OutcomeUnknownError,
    RetryableError,
    SendError,
    ThrottledError,
)
from plugins.whatsapp import client
from plugins.whatsapp.client import GraphClient

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from core.channels.host import Host
    from plugins.whatsapp.settings import WhatsAppSettings

TOKEN = "EAAfakeToken123"
SENDS = "POST 5006/messages"


@pytest.fixture
def graph(host: Host, settings: WhatsAppSettings) -> GraphClient:
    """Build the client under test."""
    return GraphClient(host, settings)


def _send(graph: GraphClient) -> Awaitable[dict[str, Any]]:
    return graph.write("5006/messages", token=TOKEN, body={"to": "+34600111222"})


async def test_a_send_carries_the_token_in_its_header_only(graph: GraphClient, meta: Any) -> None:
    """The token never stands in an address, where logs would keep it."""
    meta.on(SENDS, {"messages": [{"id": "wamid.1"}]})
    assert await _send(graph) == {"messages": [{"id": "wamid.1"}]}
    (call,) = meta.calls
    assert call.headers["authorization"] == f"Bearer {TOKEN}"
    assert call.headers["content-type"] == "application/json"
    assert call.body == {"to": "+34600111222"}
    assert call.query == {}


async def test_the_proof_is_sent_when_it_is_switched_on(
    host: Host, settings: WhatsAppSettings, meta: Any
) -> None:
    """An application that requires the proof gets the reference's vector."""
    meta.on(SENDS, {"messages": [{"id": "wamid.1"}]})
    proving = msgspec.structs.replace(settings, appsecret_proof=True)
    await _send(GraphClient(host, proving))
    proof = "61040c49b6d8461509d14c23036f027ae968d651a04b73ec3209e050b05ce596"
    assert meta.calls[0].query == {"appsecret_proof": proof}


async def test_a_port_nobody_listens_on_means_not_sent(
    host: Host, settings: WhatsAppSettings
) -> None:
    """A refused connection is tried again: the message cannot have left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = msgspec.structs.replace(settings, graph_url=f"http://127.0.0.1:{port}")
    with pytest.raises(RetryableError) as error:
        await _send(GraphClient(host, nowhere))
    assert error.value.code == "not-reached"


@pytest.mark.parametrize("accident", ["reset", "close", "half", "garbage"])
async def test_a_line_that_breaks_after_sending_means_unknown(
    graph: GraphClient, meta: Any, accident: str
) -> None:
    """A reset, a hang-up, half an answer and nonsense never make a message go out twice."""
    meta.on(SENDS, accident)
    with pytest.raises(OutcomeUnknownError):
        await _send(graph)
    assert len(meta.sent(SENDS)) == 1


async def test_a_kept_connection_that_breaks_means_unknown(graph: GraphClient, meta: Any) -> None:
    """The same holds on a connection that served a send before."""
    meta.on(SENDS, {"messages": [{"id": "wamid.1"}]}, "reset")
    await _send(graph)
    with pytest.raises(OutcomeUnknownError):
        await _send(graph)
    assert len(meta.sent(SENDS)) == 2


async def test_silence_ends_after_the_total_time(
    graph: GraphClient, meta: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers is given up in time, and the outcome is unknown."""
    monkeypatch.setattr(client, "TOTAL_SECONDS", 0.3)
    meta.on(SENDS, "hang")
    started = asyncio.get_running_loop().time()
    with pytest.raises(OutcomeUnknownError) as error:
        await _send(graph)
    assert error.value.code == "no-answer"
    assert asyncio.get_running_loop().time() - started < 3


async def test_a_cancelled_send_stays_cancelled(graph: GraphClient, meta: Any) -> None:
    """Shutting down is not mistaken for an answer."""
    meta.on(SENDS, "hang")
    task = asyncio.ensure_future(_send(graph))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((502, b"<html>bad gateway</html>"), OutcomeUnknownError),
        ((500, {"error": {"code": 131000, "message": "x"}}), RetryableError),
        ((401, {"error": {"code": 190, "error_subcode": 463}}), CredentialsRejectedError),
        ((400, {"error": {"code": 131026}}), InvalidRecipientError),
        ((200, b"<html>login</html>"), OutcomeUnknownError),
        ((200, b"[1]"), OutcomeUnknownError),
        ((200, b'{"messages": "' + b"x" * 1_000_001 + b'"}'), OutcomeUnknownError),
    ],
)
async def test_answers_become_errors(
    graph: GraphClient, meta: Any, answer: Any, kind: type[SendError]
) -> None:
    """Status, body and size of an answer decide, and no answer is taken for a success."""
    meta.on(SENDS, answer)
    with pytest.raises(kind):
        await _send(graph)


async def test_retry_after_travels(graph: GraphClient, meta: Any) -> None:
    """The time the provider names arrives at the host."""
    meta.on(SENDS, (429, {"error": {"code": 130429}}, {"Retry-After": "77"}))
    with pytest.raises(ThrottledError) as error:
        await _send(graph)
    assert error.value.retry_after == timedelta(seconds=77)


async def test_a_redirect_is_not_followed(graph: GraphClient, meta: Any) -> None:
    """A token must not travel to an address somebody else wrote."""
    meta.on(SENDS, (307, b"", {"Location": f"http://127.0.0.1:{meta.port}/v25.0/stolen"}))
    with pytest.raises(RetryableError) as error:
        await _send(graph)
    assert error.value.code == "redirected"
    assert [call.path for call in meta.calls] == ["5006/messages"]


async def test_a_listing_is_read_page_by_page(graph: GraphClient, meta: Any) -> None:
    """Pages are asked for by their cursor; the address in the answer is not followed."""
    following = {"cursors": {"after": "c1"}, "next": "http://192.0.2.1/steal"}
    meta.on(
        "GET 7001/message_templates",
        {"data": [{"id": "1"}], "paging": following},
        {"data": [{"id": "2"}, "odd"], "paging": {"cursors": {"after": "c2"}}},
    )
    rows = await graph.read_all("7001/message_templates", token=TOKEN, parameters={"limit": "1"})
    assert rows == [{"id": "1"}, {"id": "2"}]
    assert [call.query.get("after") for call in meta.calls] == [None, "c1"]


async def test_a_listing_without_an_end_is_given_up(
    graph: GraphClient, meta: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that always names a next page does not keep a worker for ever."""
    monkeypatch.setattr(client, "PAGE_LIMIT", 3)
    pages = [
        {"data": [], "paging": {"cursors": {"after": f"c{n}"}, "next": "x"}} for n in range(9)
    ]
    meta.on("GET 7001/x", *pages)
    with pytest.raises(OutcomeUnknownError):
        await graph.read_all("7001/x", token=TOKEN, parameters={})
    assert len(meta.calls) == 3


async def test_an_id_cannot_change_the_address(graph: GraphClient, meta: Any) -> None:
    """What stands in an id is written into the path, never as a query or another host."""
    with pytest.raises(SendError):
        await graph.read("7001?fields=access_token", token=TOKEN)
    assert meta.calls[0].query == {}
    assert unquote(meta.calls[0].path) == "7001?fields=access_token"


async def test_no_error_shows_a_token(graph: GraphClient, meta: Any) -> None:
    """Neither the words of an error nor its chain hold the token."""
    meta.on("GET debug_token", (400, {"error": {"code": 190, "message": f"bad {TOKEN}"}}), "reset")
    for _ in range(2):
        with pytest.raises(SendError) as error:
            await graph.read("debug_token", token=TOKEN, parameters={"input_token": TOKEN})
        assert error.value.__suppress_context__ or error.value.__context__ is None
        assert json.dumps(error.value.detail).count(TOKEN) == 0
