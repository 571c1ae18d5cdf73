"""A simulator on a real port, a receiver for its webhooks, and one business."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from plugins.whatsapp.simulator.app import build_app
from plugins.whatsapp.simulator.options import Options
from plugins.whatsapp.simulator.server import build_server, open_socket
from plugins.whatsapp.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    WaitUntil = Callable[[Callable[[], object]], Awaitable[None]]

SECRET = "unit-test-app-secret"
TEMPLATES: list[dict[str, Any]] = [
    {
        "name": "plain",
        "language": "en",
        "components": [{"type": "BODY", "text": "Your booking is confirmed."}],
    },
    {
        "name": "counted",
        "language": "en",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Hello {{1}}"},
            {"type": "BODY", "text": "Dear {{1}}, see you on {{2}} at our place."},
            {"type": "FOOTER", "text": "Answer STOP to leave"},
            {
                "type": "BUTTONS",
                "buttons": [
                    {"type": "QUICK_REPLY", "text": "Cancel"},
                    {"type": "URL", "text": "Open", "url": "https://example.test/b/{{1}}"},
                ],
            },
        ],
    },
    {
        "name": "named",
        "language": "es",
        "parameter_format": "NAMED",
        "components": [{"type": "BODY", "text": "Hola {{customer}}, te esperamos {{when}}."}],
    },
    {
        "name": "pictured",
        "language": "en",
        "components": [
            {"type": "HEADER", "format": "IMAGE"},
            {"type": "BODY", "text": "Look at this picture."},
        ],
    },
    {
        "name": "code",
        "language": "en",
        "category": "AUTHENTICATION",
        "components": [{"type": "BODY", "text": "Your code is {{1}} today."}],
    },
    *(
        {
            "name": status.lower(),
            "language": "en",
            "status": status,
            "components": [{"type": "BODY", "text": "Not to be sent."}],
        }
        for status in ("PAUSED", "DISABLED", "PENDING", "REJECTED")
    ),
]
ACCOUNT: dict[str, Any] = {
    "waba_id": "700100200300400",
    "phone_number_id": "100200300400500",
    "display_phone_number": "+34 600 000 001",
    "verified_name": "Studio Uno",
    "token": "EAAsimulatedToken1",
    "templates": TEMPLATES,
}


class Receiver:
    """Takes webhooks; answers with ``status``, and challenges with what they ask for."""

    def __init__(self) -> None:
        self.url = ""
        self.clear()

    def clear(self) -> None:
        """Forget what came and answer 200 again."""
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        answer = b""
        if scope["method"] == "GET":
            query = dict(httpx.QueryParams(scope["query_string"].decode()).items())
            answer = query["hub.challenge"].encode()
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if body:
            self.bodies.append(body)
            headers = dict(scope["headers"])
            self.signatures.append(headers[b"x-hub-signature-256"].decode())
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": answer})


async def _serve(server: uvicorn.Server, listener: Any) -> asyncio.Task[None]:
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await _wait_until(lambda: server.started)
    return task


async def _wait_until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


@pytest.fixture
def wait_until() -> WaitUntil:
    """Return a way to wait for something that happens soon."""
    return _wait_until


@pytest.fixture(scope="session")
async def served_receiver() -> AsyncIterator[Receiver]:
    """Listen for webhooks on a free port."""
    taker = Receiver()
    with open_socket("127.0.0.1", 0) as listener:
        taker.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hooks/whatsapp"
        server = uvicorn.Server(uvicorn.Config(taker, log_level="error", lifespan="off"))
        task = await _serve(server, listener)
        yield taker
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
async def served_simulator(served_receiver: Receiver) -> AsyncIterator[tuple[Simulator, str]]:
    """Serve a quick simulator on a free port; returns it with its address."""
    options = Options(webhook_url=served_receiver.url, app_secret=SECRET, seed=7, delay_ms=2)
    simulator = Simulator(options)
    with open_socket("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = build_server(build_app(options, simulator), url)
        task = await _serve(server, listener)
        yield simulator, url
        server.should_exit = True
        await task


@pytest.fixture
def receiver(served_receiver: Receiver) -> Receiver:
    """Return the receiver of webhooks, emptied."""
    served_receiver.clear()
    return served_receiver


@pytest.fixture
async def simulator(
    served_simulator: tuple[Simulator, str], receiver: Receiver
) -> AsyncIterator[Simulator]:
    """Return the served simulator, emptied; the next test hears nothing of this one."""
    served = served_simulator[0]
    served.reset()
    yield served
    receiver.status = 200
    await _wait_until(lambda: not served.delivery.pending)


@pytest.fixture(scope="session")
async def clients(
    served_simulator: tuple[Simulator, str],
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Return a client without a token and one with the business's."""
    url = served_simulator[1]
    headers = {"Authorization": f"Bearer {ACCOUNT['token']}"}
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=5) as stranger,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=5, headers=headers) as business,
    ):
        yield stranger, business


@pytest.fixture
async def stranger(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient], simulator: Simulator
) -> httpx.AsyncClient:
    """Return a client without a token; the simulator is empty."""
    assert simulator.journal.accepted == []
    return clients[0]


@pytest.fixture
async def graph(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient], stranger: httpx.AsyncClient
) -> httpx.AsyncClient:
    """Return a client with the business's token; the business exists."""
    answer = await stranger.post("/simulator/accounts", json=ACCOUNT)
    assert answer.status_code == 200, answer.text
    return clients[1]


@pytest.fixture
def send(graph: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    """Return a way to send the plainest template, with changes."""

    async def post(to: str = "+34600111222", **changes: Any) -> httpx.Response:
        body = {
            "messaging_product": "whatsapp",
            "to": to,
            "type": "template",
            "template": {"name": "plain", "language": {"code": "en"}},
            **changes,
        }
        return await graph.post(f"/v25.0/{ACCOUNT['phone_number_id']}/messages", json=body)

    return post


@pytest.fixture
def statuses(receiver: Receiver) -> Callable[[int], Awaitable[list[dict[str, Any]]]]:
    """Return a way to wait for so many statuses, in the order they came."""

    async def wait(number: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            while True:
                found = [
                    status
                    for body in list(receiver.bodies)
                    for status in json.loads(body)["entry"][0]["changes"][0]["value"].get(
                        "statuses", []
                    )
                ]
                if len(found) >= number:
                    return found
                await asyncio.sleep(0.005)

    return wait
