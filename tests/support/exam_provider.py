"""A stand-in of Meta's message call for the exam: one process, its own journal, scripted faults.

It is the judge of the exam: what it accepted stands in its journal, one JSON object a line, on
the disk before the answer leaves. It knows nothing of the product.

A rule says what happens to requests of one number, or of all (`*`); the newest rule that fits is
taken. `acts` are drawn by weight:

    accept          journal, answer 200
    accept_hang     journal, never answer          hang     never answer, nothing was accepted
    accept_reset    journal, break the connection  reset    break the connection, not accepted
    accept_garbage  journal, half an answer        refuse   `status`, `code`, `retry_after`
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exam_webhooks import Webhooks

NEWS = [[20, "sent"], [20, "delivered"], [20, "read"]]
REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}
LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class Rule:
    """What happens to the requests of one number."""

    number: str = "*"
    acts: list[dict[str, Any]] = field(default_factory=lambda: [{"act": "accept"}])
    before_ms: tuple[float, float] = (0, 0)
    after_ms: tuple[float, float] = (0, 0)
    times: int | None = None
    news: list[list[Any]] = field(default_factory=lambda: NEWS)
    copies: int = 1
    hold: bool = False


class Provider:
    """The state: rules, journal, news that is to be told."""

    def __init__(self, journal: Path, webhooks: Webhooks, seed: int) -> None:
        self.file = journal.open("ab")
        self.webhooks = webhooks
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.rules: list[Rule] = [Rule()]
        self.accepted = 0
        self.requests = 0
        self.open = 0

    def rule_for(self, number: str) -> Rule:
        """Return the newest rule that fits, and use it up once."""
        for rule in reversed(self.rules):
            if rule.number in ("*", number):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self.rules.remove(rule)
                return rule
        raise LookupError(number)

    def write(self, line: dict[str, Any], *, to_disk: bool) -> None:
        """Append one line; an accepted message is on the disk when this returns."""
        self.file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self.file.flush()
        if to_disk:
            os.fdatasync(self.file.fileno())

    def accept(self, number: str, body: dict[str, Any], rule: Rule) -> bytes:
        """Take a message over: journal first, then the news that will be told of it."""
        self.accepted += 1
        wamid = f"wamid.EXAM{self.random.getrandbits(96):024x}"
        callback = body.get("biz_opaque_callback_data", "")
        template = body.get("template", {})
        self.write(
            {
                "outcome": "accepted",
                "at": time.monotonic(),
                "number": number,
                "to": body.get("to", ""),
                "callback": callback,
                "template": template.get("name"),
                "words": json.dumps(template.get("components", [])),
                "wamid": wamid,
            },
            to_disk=True,
        )
        self.webhooks.plan(
            number, body.get("to", ""), callback, wamid, rule.news, rule.copies, hold=rule.hold
        )
        return json.dumps(
            {"messaging_product": "whatsapp", "messages": [{"id": wamid}]}
        ).encode()


class Connection(asyncio.Protocol):
    """One HTTP connection; requests come one after the other."""

    def __init__(self, provider: Provider, stop: asyncio.Event) -> None:
        self.provider = provider
        self.stop = stop
        self.buffer = b""
        self.transport: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        """Count it."""
        self.transport = transport
        self.provider.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was still to be answered."""
        del exc
        self.provider.open -= 1
        for task in self.tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Collect until a request is whole."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, rest = self.buffer.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = int(headers.get("content-length", "0"))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            method, target, _ = lines[0].split(" ", 2)
            task = asyncio.ensure_future(self.serve(method, target, rest[:length]))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def serve(self, method: str, target: str, raw: bytes) -> None:
        """Answer the control paths at once and everything else by its rule."""
        path = target.partition("?")[0].strip("/").split("/")
        if path[0] == "exam":
            self.answer(200, json.dumps(self.control(path[1], raw)).encode())
        elif method == "POST" and path[-1] == "messages":
            await self.message(path[-2], json.loads(raw))
        else:
            self.answer(404, refusal(100))

    def control(self, what: str, raw: bytes) -> Any:
        """Do what the test asks for."""
        provider = self.provider
        told = json.loads(raw) if raw else {}
        if what == "rules":
            provider.rules = [Rule(), *(Rule(**rule) for rule in told)]
        elif what == "release":
            provider.webhooks.release()
        elif what == "hooks":
            provider.webhooks.urls = told
        elif what == "stop":
            self.stop.set()
        return {
            "accepted": provider.accepted,
            "requests": provider.requests,
            "open": provider.open,
            "pending": provider.webhooks.pending,
        }

    async def message(self, number: str, body: dict[str, Any]) -> None:
        """Take one message, or do to it what the rule says."""
        provider = self.provider
        provider.requests += 1
        rule = provider.rule_for(number)
        weights = [act.get("weight", 1) for act in rule.acts]
        act = provider.random.choices(rule.acts, weights)[0]
        await self.wait(act.get("before_ms", rule.before_ms))
        kind = act["act"]
        answer = b""
        if kind.startswith("accept"):
            answer = provider.accept(number, body, rule)
        else:
            callback = body.get("biz_opaque_callback_data", "")
            line = {"outcome": kind, "at": time.monotonic(), "number": number, "callback": callback}
            provider.write(line, to_disk=False)
        await self.wait(rule.after_ms)
        if kind.endswith("hang"):
            await asyncio.sleep(600)
        elif kind.endswith("reset"):
            self.reset()
        elif kind == "refuse":
            self.answer(act["status"], refusal(act["code"]), act.get("retry_after"))
        else:
            self.answer(200, answer[: len(answer) // 2] if "garbage" in kind else answer)

    async def wait(self, span: tuple[float, float]) -> None:
        """Wait for a time drawn from a span in milliseconds."""
        if span[1]:
            await asyncio.sleep(self.provider.random.uniform(*span) / 1000)

    def reset(self) -> None:
        """Break the connection off without a farewell."""
        found = self.transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()

    def answer(self, status: int, body: bytes, retry_after: int | None = None) -> None:
        """Write an answer."""
        more = f"retry-after: {retry_after}\r\n" if retry_after is not None else ""
        self.transport.write(
            f"HTTP/1.1 {status} {REASONS.get(status, 'Bad')}\r\ncontent-type: application/json\r\n"
            f"{more}content-length: {len(body)}\r\n\r\n".encode() + body
        )


def refusal(code: int) -> bytes:
    """Return Meta's error body."""
    error = {"message": f"(#{code})", "type": "OAuthException", "code": code, "fbtrace_id": "x"}
    return json.dumps({"error": error}).encode()


async def run(port: int, journal: Path, secret: str, seed: int) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    webhooks = Webhooks(secret)
    provider = Provider(journal, webhooks, seed)
    server = await loop.create_server(lambda: Connection(provider, stop), "127.0.0.1", port)
    pump = asyncio.create_task(webhooks.run())
    print(f"exam provider on {port}, seed {seed}", flush=True)
    await stop.wait()
    server.close()
    pump.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pump
    await webhooks.close()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
