"""The numbers of fiction: each has the fate that its documentation promises."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from plugins.whatsapp.simulator.simulator import Simulator

    Send = Callable[..., Awaitable[httpx.Response]]
    WaitUntil = Callable[[Callable[[], object]], Awaitable[None]]
    Statuses = Callable[[int], Awaitable[list[dict[str, Any]]]]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+12025550101", ["sent", "delivered"]),
        ("+12025550102", ["failed"]),
        ("+12025550106", ["sent", "delivered"]),
        ("+12025550107", ["read", "delivered", "sent", "read", "delivered", "sent"]),
        ("+12025550108", []),
    ],
)
async def test_accepted_message_has_the_statuses_of_its_number(
    send: Send,
    simulator: Simulator,
    statuses: Statuses,
    wait_until: WaitUntil,
    number: str,
    expected: list[str],
) -> None:
    """Statuses come in the documented order, and no more of them."""
    assert (await send(number)).status_code == 200
    await wait_until(lambda: not simulator.delivery.pending)
    assert [status["status"] for status in await statuses(len(expected))] == expected


async def test_0100_is_read_within_one_to_three_seconds(send: Send, statuses: Statuses) -> None:
    """A person can watch the ticks change."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await send("+12025550100")
    assert [status["status"] for status in await statuses(3)] == ["sent", "delivered", "read"]
    assert 1 <= loop.time() - begun <= 3


async def test_0102_is_not_on_whatsapp(send: Send, statuses: Statuses) -> None:
    """The failure names code 131026."""
    await send("+12025550102")
    assert (await statuses(1))[0]["errors"][0]["code"] == 131026


async def test_0103_fails_twice_for_each_message_then_accepts(
    send: Send, simulator: Simulator
) -> None:
    """Retries of one message are counted apart from those of another."""
    number, first, second = "+12025550103", "ref-1", "ref-2"
    codes = [
        (await send(number, biz_opaque_callback_data=reference)).status_code
        for reference in (first, second, first, first, second, second)
    ]
    assert codes == [500, 500, 500, 200, 500, 200]
    assert len(simulator.journal.accepted) == 2


async def test_0104_is_throttled_for_a_minute(send: Send, graph: httpx.AsyncClient) -> None:
    """The rate limit ends by itself after 60 seconds."""
    refused = await send("+12025550104")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 130429)
    await graph.post("/simulator/clock/advance", json={"seconds": 58})
    assert (await send("+12025550104")).status_code == 400
    await graph.post("/simulator/clock/advance", json={"seconds": 3})
    assert (await send("+12025550104")).status_code == 200


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [("+12025550105", 400, 132015), ("+12025550109", 401, 190)],
)
async def test_refused_number_is_refused_each_time(
    send: Send, simulator: Simulator, number: str, status: int, code: int
) -> None:
    """0105 answers a paused template, 0109 a rejected token; nothing is accepted."""
    for _ in range(2):
        answer = await send(number)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert simulator.journal.accepted == []


async def test_0106_answers_stop_after_the_delivery(
    send: Send, simulator: Simulator, receiver: Any, wait_until: WaitUntil
) -> None:
    """The last webhook is the customer's STOP."""
    await send("+12025550106")
    await wait_until(lambda: not simulator.delivery.pending)
    message = json.loads(receiver.bodies[-1])["entry"][0]["changes"][0]["value"]["messages"][0]
    assert (message["from"], message["text"]) == ("12025550106", {"body": "STOP"})
