"""Scripted faults: what was asked for goes wrong, in order, and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from plugins.whatsapp.simulator.simulator import Simulator

    Send = Callable[..., Awaitable[httpx.Response]]
    WaitUntil = Callable[[Callable[[], object]], Awaitable[None]]
    Statuses = Callable[[int], Awaitable[list[dict[str, Any]]]]

MESSAGE = {
    "messaging_product": "whatsapp",
    "to": "+34600111222",
    "type": "template",
    "template": {"name": "plain", "language": {"code": "en"}},
}
PATH = "/v25.0/100200300400500/messages"


async def script(graph: httpx.AsyncClient, *faults: dict[str, Any]) -> None:
    """Add faults."""
    answer = await graph.post("/simulator/faults", json=list(faults))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "status_500"}, 500, 2),
        ({"kind": "throttle_429"}, 429, 130429),
        ({"kind": "pair_131056"}, 400, 131056),
        ({"kind": "error", "code": 131048}, 400, 131048),
        ({"kind": "error", "code": 368}, 403, 368),
        ({"kind": "error", "code": 424242, "http_status": 418}, 418, 424242),
    ],
)
async def test_refusing_fault_answers_once_and_accepts_nothing(
    graph: httpx.AsyncClient, send: Send, fault: dict[str, Any], status: int, code: int
) -> None:
    """The next send is refused as scripted, the one after it is accepted."""
    await script(graph, fault)
    refused = await send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert (await graph.get("/simulator/journal")).json()["messages"] == []
    assert (await send()).status_code == 200


async def test_server_fault_says_it_is_transient(graph: httpx.AsyncClient, send: Send) -> None:
    """Code 2 carries is_transient, which clients branch on."""
    await script(graph, {"kind": "status_500"})
    assert (await send()).json()["error"]["is_transient"] is True


async def test_bad_gateway_is_no_json(graph: httpx.AsyncClient, send: Send) -> None:
    """A proxy's error page is HTML."""
    await script(graph, {"kind": "http_502_html"})
    answer = await send()
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


async def test_faults_are_used_up_in_order_and_as_often_as_said(
    graph: httpx.AsyncClient, send: Send
) -> None:
    """The list is consumed from the front."""
    await script(graph, {"kind": "status_500", "times": 2}, {"kind": "throttle_429"})
    assert [(await send()).status_code for _ in range(4)] == [500, 500, 429, 200]


async def test_fault_for_a_recipient_waits_for_it(graph: httpx.AsyncClient, send: Send) -> None:
    """A filtered fault lets other recipients and other edges pass."""
    await script(graph, {"kind": "status_500", "to": "+34 600 111 223"})
    assert (await send("+34600111222")).status_code == 200
    assert (await graph.get("/v25.0/100200300400500")).status_code == 200
    assert (await send("+34600111223")).status_code == 500
    assert (await send("+34600111223")).status_code == 200


async def test_fault_can_hit_another_edge(graph: httpx.AsyncClient, send: Send) -> None:
    """Management calls can fail too."""
    await script(graph, {"kind": "error", "code": 80007, "edge": "message_templates"})
    assert (await send()).status_code == 200
    answer = await graph.get("/v25.0/700100200300400/message_templates")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, 80007)


async def test_dropped_faults_do_nothing(graph: httpx.AsyncClient, send: Send) -> None:
    """DELETE empties the list."""
    await script(graph, {"kind": "status_500", "times": 5})
    assert len((await graph.get("/simulator/faults")).json()["faults"]) == 1
    assert (await graph.delete("/simulator/faults")).json() == {"waiting": 0}
    assert (await send()).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [{"kind": "earthquake"}, {"kind": "slow", "times": 0}, {"kind": "slow", "x": 1}, "slow"],
)
async def test_malformed_fault_is_refused(graph: httpx.AsyncClient, fault: object) -> None:
    """A misspelt fault is an answer with 400, not silence."""
    answer = await graph.post("/simulator/faults", json=[fault])
    assert answer.status_code == 400
    assert (await graph.get("/simulator/faults")).json() == {"faults": []}


async def test_slow_answer_is_an_answer(graph: httpx.AsyncClient, send: Send) -> None:
    """A slow call takes its time and is then accepted."""
    await script(graph, {"kind": "slow", "ms": 80})
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert (await send()).status_code == 200
    assert loop.time() - begun >= 0.08


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [
        ("timeout_before", 0),
        ("timeout_after_accept", 1),
        ("reset_before", 0),
        ("reset_after_accept", 1),
    ],
)
async def test_lost_answer_leaves_the_outcome_open(
    graph: httpx.AsyncClient,
    simulator: Simulator,
    wait_until: WaitUntil,
    kind: str,
    accepted: int,
) -> None:
    """Without an answer only the journal tells whether the message was accepted."""
    await script(graph, {"kind": kind})
    expected = httpx.ReadTimeout if kind.startswith("timeout") else httpx.NetworkError
    with pytest.raises(expected):
        await graph.post(PATH, json=MESSAGE, timeout=0.3)
    # On a busy machine the request may be read only after its caller gave up.
    await wait_until(lambda: not simulator.faults.waiting)
    assert len(simulator.journal.accepted) == accepted
    assert (await graph.post(PATH, json=MESSAGE)).status_code == 200


async def test_reset_after_accept_still_delivers_statuses(
    graph: httpx.AsyncClient, statuses: Statuses
) -> None:
    """The sender learns from the callback data what became of the message."""
    await script(graph, {"kind": "reset_after_accept"})
    with pytest.raises(httpx.NetworkError):
        await graph.post(PATH, json={**MESSAGE, "biz_opaque_callback_data": "ref-9"})
    found = await statuses(3)
    assert {status["biz_opaque_callback_data"] for status in found} == {"ref-9"}


async def test_truncated_answer_is_no_json(
    graph: httpx.AsyncClient, send: Send, simulator: Simulator
) -> None:
    """Half a body with status 200 belongs to an accepted message."""
    await script(graph, {"kind": "truncated_json"})
    answer = await send()
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
        answer.json()
    assert len(simulator.journal.accepted) == 1


async def test_held_statuses_wait_for_their_release(
    graph: httpx.AsyncClient, send: Send, statuses: Statuses, receiver: Any
) -> None:
    """A held message stays silent while others report."""
    await script(graph, {"kind": "hold_statuses", "to": "+34600111222"})
    held = (await send("+34600111222")).json()["messages"][0]["id"]
    await send("+34600111223")
    assert held not in {status["id"] for status in await statuses(3)}
    receiver.clear()
    assert (await graph.post("/simulator/statuses/release")).json() == {"released": 1}
    assert [status["id"] for status in await statuses(3)] == [held] * 3


async def test_duplicate_statuses_come_twice(
    graph: httpx.AsyncClient, send: Send, statuses: Statuses
) -> None:
    """Each status arrives a second time."""
    await script(graph, {"kind": "duplicate_statuses"})
    await send()
    found = [status["status"] for status in await statuses(6)]
    assert found == ["sent", "sent", "delivered", "delivered", "read", "read"]


async def test_reversed_statuses_come_last_first(
    graph: httpx.AsyncClient, send: Send, statuses: Statuses, simulator: Simulator
) -> None:
    """Read arrives before sent; the phone keeps showing read."""
    await script(graph, {"kind": "reverse_statuses"})
    identifier = (await send()).json()["messages"][0]["id"]
    assert [s["status"] for s in await statuses(3)] == ["read", "delivered", "sent"]
    bubble = simulator.conversations.find(identifier)
    assert bubble is not None
    assert bubble.status == "read"


async def test_late_failure_comes_by_webhook_with_its_code(
    graph: httpx.AsyncClient, send: Send, statuses: Statuses
) -> None:
    """An accepted message can fail afterwards."""
    await script(graph, {"kind": "fail_status", "code": 131049})
    assert (await send()).status_code == 200
    failed = (await statuses(1))[0]
    assert failed["status"] == "failed"
    assert failed["errors"][0]["code"] == 131049
    assert "pricing" not in failed
    assert "recipient_user_id" not in failed
