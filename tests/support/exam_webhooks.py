"""Tells the product what became of accepted messages, as Meta does: signed, late, again, mixed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from heapq import heappop, heappush
from itertools import count, cycle
from typing import Any

import aiohttp

MOST = 200
GATHER_SECONDS = 0.01


def status_entry(
    wamid: str, status: str, to: str, callback: str, at: int | None = None
) -> dict[str, Any]:
    """Return one entry of `statuses`."""
    entry = {
        "id": wamid,
        "status": status,
        "timestamp": str(int(time.time()) if at is None else at),
        "recipient_id": to,
        "biz_opaque_callback_data": callback,
    }
    if status == "failed":
        entry |= {"errors": [{"code": 131026, "title": "Message undeliverable"}]}
    return entry


def statuses_body(number: str, entries: list[dict[str, Any]]) -> bytes:
    """Return the body of one webhook."""
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "390255500000", "phone_number_id": number},
        "statuses": entries,
    }
    change = {"value": value, "field": "messages"}
    told = {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}
    return json.dumps(told, separators=(",", ":")).encode()


def signature(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed webhook."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "x-hub-signature-256": f"sha256={digest}"}


class Webhooks:
    """Sends each status when it is due, many in one call, again until it was answered 200."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.urls: list[str] = []
        self.due: list[tuple[float, int, str, dict[str, Any]]] = []
        self.held: list[tuple[float, int, str, dict[str, Any]]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.order = count()
        self.session: aiohttp.ClientSession | None = None

    @property
    def pending(self) -> int:
        """Return how much is still to be told; what is held does not count."""
        return len(self.due) + len(self.tasks)

    def plan(
        self,
        number: str,
        to: str,
        callback: str,
        wamid: str,
        news: list[list[Any]],
        copies: int,
        *,
        hold: bool,
    ) -> None:
        """Plan the statuses of one message; `news` says after how many milliseconds which."""
        for delay, status in news:
            for copy in range(copies):
                entry = status_entry(wamid, status, to, callback)
                at = time.monotonic() + delay / 1000 * (copy + 1)
                item = (at, next(self.order), number, entry)
                if hold:
                    self.held.append(item)
                else:
                    heappush(self.due, item)

    def release(self) -> None:
        """Let go of what was held."""
        for item in self.held:
            heappush(self.due, item)
        self.held = []

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            await asyncio.sleep(GATHER_SECONDS)
            now = time.monotonic()
            groups: dict[str, list[dict[str, Any]]] = {}
            while self.urls and self.due and self.due[0][0] <= now:
                _, _, number, entry = heappop(self.due)
                groups.setdefault(number, []).append(entry)
            for number, entries in groups.items():
                for first in range(0, len(entries), MOST):
                    body = statuses_body(number, entries[first : first + MOST])
                    task = asyncio.create_task(self.send(body))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)

    async def send(self, body: bytes) -> None:
        """Send one body until somebody takes it, to one web after the other."""
        if self.session is None:
            timeout = aiohttp.ClientTimeout(total=10)
            self.session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        pause = 0.1
        for url in cycle(self.urls):
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                headers = signature(self.secret, body)
                async with self.session.post(url, data=body, headers=headers) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def close(self) -> None:
        """Drop what was not told."""
        for task in self.tasks:
            task.cancel()
        if self.session is not None:
            await self.session.close()
