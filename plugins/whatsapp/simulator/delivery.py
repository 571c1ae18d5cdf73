"""Carries webhooks to the receiver: signed, in order for each message, retried while it fails."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from plugins.whatsapp.simulator.accounts import Number
from plugins.whatsapp.simulator.conversations import Bubble
from plugins.whatsapp.simulator.magic import Step
from plugins.whatsapp.simulator.payloads import (
    NEW_STATUSES_SINCE,
    describe_change,
    describe_contact,
    describe_number,
    describe_status,
)
from plugins.whatsapp.simulator.signing import encode_body, sign_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugins.whatsapp.simulator.clock import Clock
    from plugins.whatsapp.simulator.options import Options

STOP: Final = "stop"  # not a status: the customer answers STOP
_GATHER_SECONDS: Final = 0.005
_CONCURRENT_POSTS: Final = 32
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_OK: Final = 200
_WRONG_SECRET: Final = "not the app's secret"  # noqa: S105 - wrong on purpose


class Track(msgspec.Struct):
    """The statuses one message still gets."""

    number: Number
    bubble: Bubble
    callback: str | None
    pricing: dict[str, Any]
    failure: tuple[int, str]
    steps: deque[Step]


class Delivery:
    """Sends statuses when they are due and other webhooks at once."""

    def __init__(
        self,
        options: Options,
        clock: Clock,
        on_stop: Callable[[Number, str], None],
    ) -> None:
        self._options = options
        self._clock = clock
        self._on_stop = on_stop
        self._due: list[tuple[float, int, Track]] = []
        self._order = count()
        self._held: list[Track] = []
        self._news = asyncio.Event()
        self._posts = asyncio.Semaphore(_CONCURRENT_POSTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_task: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None
        self.counts: Counter[str] = Counter()
        self.last_error = ""

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client; made when it is first needed, inside the running loop."""
        if self._client is None:
            transport = AiohttpTransport(
                trust_env=False,
                limits=httpx.Limits(max_connections=_CONCURRENT_POSTS),
            )
            self._client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(10))
        return self._client

    @property
    def pending(self) -> int:
        """How many messages still have statuses to come, plus webhooks under way."""
        return len(self._due) + len(self._held) + len(self._tasks)

    def start(self) -> None:
        """Begin to deliver."""
        self._pump_task = asyncio.get_running_loop().create_task(self._pump())

    async def stop(self) -> None:
        """Stop at once; what was not delivered is dropped."""
        tasks = list(self._tasks)
        if self._pump_task is not None:
            tasks.append(self._pump_task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def follow(self, track: Track) -> None:
        """Deliver a message's statuses, each after the one before was received."""
        if not track.steps:
            return
        due = self._clock.monotonic() + track.steps[0][0]
        heappush(self._due, (due, next(self._order), track))
        self._news.set()

    def hold(self, track: Track) -> None:
        """Keep a message's statuses back until they are released."""
        self._held.append(track)

    def release(self) -> int:
        """Let go of everything that was held; returns how many messages."""
        held, self._held = self._held, []
        for track in held:
            self.follow(track)
        return len(held)

    def post(
        self,
        payload: dict[str, Any],
        *,
        is_subscribed: bool = True,
        is_signed: bool = True,
    ) -> None:
        """Send one webhook now; an unsigned one has a wrong signature and is not repeated."""
        if is_subscribed:
            self._spawn(self._send(payload, is_signed=is_signed))

    def clear(self) -> None:
        """Forget what is not delivered yet, and what was counted."""
        self._due.clear()
        self._held.clear()
        for task in self._tasks:
            task.cancel()
        self.counts.clear()
        self.last_error = ""

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self) -> None:
        while True:
            await self._wait_for_due()
            for number, tracks in self._take_due():
                for first in range(0, len(tracks), self._options.batch_size):
                    batch = tracks[first : first + self._options.batch_size]
                    self._spawn(self._deliver(number, batch))
            # A short breath lets statuses that fall due together share one webhook.
            await asyncio.sleep(_GATHER_SECONDS)

    async def _wait_for_due(self) -> None:
        while True:
            self._news.clear()
            wait = self._due[0][0] - self._clock.monotonic() if self._due else None
            if wait is not None and wait <= 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                return

    def _take_due(self) -> list[tuple[Number, list[Track]]]:
        now = self._clock.monotonic()
        groups: dict[str, tuple[Number, list[Track]]] = {}
        while self._due and self._due[0][0] <= now:
            track = heappop(self._due)[2]
            groups.setdefault(track.number.id, (track.number, []))[1].append(track)
        return list(groups.values())

    async def _deliver(self, number: Number, tracks: list[Track]) -> None:
        at = int(self._clock.timestamp())
        statuses: list[dict[str, Any]] = []
        customers: dict[str, None] = {}
        for track in tracks:
            status = track.steps.popleft()[1]
            if status == STOP:
                self._on_stop(number, track.bubble.customer)
                continue
            statuses.append(self._describe(track, status, at))
            if status != "failed":
                customers[track.bubble.customer] = None
        if statuses and number.waba.subscribed:
            value = describe_number(number)
            if customers and self._options.webhook_version >= NEW_STATUSES_SINCE:
                value["contacts"] = [describe_contact(customer) for customer in customers]
            value["statuses"] = statuses
            payload = describe_change(number.waba.id, "messages", value)
            await self._send(payload)
        for track in tracks:
            self.follow(track)

    def _describe(self, track: Track, status: str, at: int) -> dict[str, Any]:
        bubble = track.bubble
        bubble.advance(status)
        if status == "failed":
            bubble.failure = track.failure[1]
        return describe_status(
            bubble.id,
            status,
            at,
            bubble.customer,
            track.callback,
            pricing=track.pricing,
            failure=track.failure,
            version=self._options.webhook_version,
        )

    async def _send(self, payload: dict[str, Any], *, is_signed: bool = True) -> None:
        if not self._options.webhook_url:
            return
        body = encode_body(payload)
        secret = self._options.app_secret if is_signed else _WRONG_SECRET
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "facebookexternalua",
            "X-Hub-Signature-256": sign_body(secret, body),
        }
        patience = self._options.retry_seconds if is_signed else 0
        give_up_at = self._clock.monotonic() + patience
        pause = _FIRST_PAUSE
        while not await self._try_to_send(body, headers):
            if self._clock.monotonic() + pause > give_up_at:
                self.counts["dropped"] += 1
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _try_to_send(self, body: bytes, headers: dict[str, str]) -> bool:
        async with self._posts:
            try:
                answer = await self.client.post(
                    self._options.webhook_url,
                    content=body,
                    headers=headers,
                )
            except Exception as error:  # noqa: BLE001 - whatever breaks, the webhook is sent again
                self.last_error = type(error).__name__
                self.counts["failed"] += 1
                return False
        if answer.status_code == _OK:
            self.counts["delivered"] += 1
            return True
        self.last_error = f"HTTP {answer.status_code}"
        self.counts["failed"] += 1
        return False
