"""A scripted stand-in for Meta on a real port, and a host around the channel."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest
from fixture_postgres import new_database
from httpx_aiohttp import AiohttpTransport

from core.catalogue.store import Catalogue
from core.channels.host import Host
from core.clock import ManualClock
from core.db import Database
from core.ids import BusinessId, new_uuid
from core.keyring import SecretKey
from core.secret import Secret
from core.vault import Vault
from plugins.whatsapp.channel import WhatsAppChannel
from plugins.whatsapp.connect import connect
from plugins.whatsapp.settings import WhatsAppSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from core.channels.host import Transaction

Shape = TypeVar("Shape")
ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
SECRET = "unit-test-app-secret"
WABA, PHONE, TOKEN = "700100200300400", "500600700800900", "EAAfakeToken123"
NUMBER = {
    "id": PHONE,
    "display_phone_number": "+39 055 000 4411",
    "quality_rating": "GREEN",
    "status": "CONNECTED",
}
TEMPLATE = {
    "id": "900100",
    "name": "reminder_24h",
    "language": "en_US",
    "status": "APPROVED",
    "category": "UTILITY",
    "parameter_format": "NAMED",
    "components": [{"type": "BODY", "text": "Hello {{first_name}}, at {{time}} then."}],
}
MIGRATE = """
import asyncio
import piccolo_conf
from core.channels.registry import load
from core.deployment import prepare
from core.schema import migrate
from core.settings import read_settings
settings = read_settings()
report = asyncio.run(migrate(prepare(settings), load((), ("whatsapp",))))
assert not report.failed, report.failed
"""


class Call(NamedTuple):
    """One request the stand-in received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    raw: bytes = b""


@dataclass
class StandIn:
    """Answers as told: by path, or with the last answer left; keeps what it was asked."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, list[Any]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    lines: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(default_factory=dict)

    def on(self, path: str, *answers: Any) -> None:
        """Set the answers of `METHOD path`: a dict, (status, body[, headers]) or a word."""
        self.answers[path] = list(answers)

    def sent(self, path: str) -> list[Call]:
        """Return the calls of one path."""
        return [call for call in self.calls if f"{call.method} {call.path}" == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self.lines[task] = writer
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            del self.lines[task]

    async def stop(self) -> None:
        """Hang up on everybody and wait until nobody is served any more."""
        self.over.set()
        lines = dict(self.lines)
        for writer in lines.values():
            writer.transport.abort()
        await asyncio.gather(*lines)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value for name, _, value in (x.partition(": ") for x in head[1:] if x)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.split("/", 2)[2]
        self.calls.append(
            Call(method, path, query, headers, json.loads(body) if body else None, body)
        )
        queue = self.answers.get(f"{method} {path}") or [(404, {"error": {"code": 100}})]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        return await self._reply(answer, writer)

    async def _reply(self, answer: Any, writer: asyncio.StreamWriter) -> bool:
        if answer == "reset":
            writer.transport.abort()
            return False
        if answer == "close":
            return False
        if answer == "hang":
            await self.over.wait()
            return False
        if answer == "half":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
            await writer.drain()
            return False
        if answer == "garbage":
            writer.write(b"this is not http\r\n\r\n")
            await writer.drain()
            return False
        status, body, *more = answer if isinstance(answer, tuple) else (200, answer)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (more[0] if more else {}).items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        await writer.drain()
        return True


@dataclass
class Told:
    """What the channel asked the host to do."""

    queued: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    reported: list[tuple[Any, str, dict[str, str]]] = field(default_factory=list)
    queue_works: bool = True

    async def enqueue(self, task: str, /, **arguments: str) -> None:
        """Keep the task, or fail like a queue that stands still."""
        if not self.queue_works:
            raise ConnectionError("the queue stands still")
        self.queued.append((task, arguments))

    async def report(
        self, business_id: BusinessId, fact: str, /, *, transaction: Any = None, **details: str
    ) -> None:
        """Keep the fact."""
        del transaction
        self.reported.append((business_id, fact, details))


@pytest.fixture
async def meta() -> AsyncIterator[StandIn]:
    """Run the stand-in on a port of its own."""
    stand_in = StandIn()
    server = await asyncio.start_server(stand_in.serve, "127.0.0.1", 0)
    stand_in.port = server.sockets[0].getsockname()[1]
    yield stand_in
    server.close()
    await stand_in.stop()


@pytest.fixture(params=["httpx", "aiohttp"])
async def http(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client as the host does, once for each transport it may be built with."""
    transport = AiohttpTransport() if request.param == "aiohttp" else None
    async with httpx.AsyncClient(transport=transport) as client:
        yield client


@pytest.fixture
def told() -> Told:
    """Collect what the channel asks of the host."""
    return Told()


@pytest.fixture
def settings(meta: StandIn) -> WhatsAppSettings:
    """Point the channel at the stand-in; no application is configured for token look-ups."""
    return WhatsAppSettings(
        app_secret=SECRET, verify_token="word-of-ours", graph_url=f"http://127.0.0.1:{meta.port}"
    )


@pytest.fixture
def clock() -> ManualClock:
    """Hold the time still."""
    return ManualClock(NOW)


async def _no_lane(*_: object) -> None:
    """Let no lane follow: lanes are tested elsewhere."""


@asynccontextmanager
async def _no_database() -> AsyncIterator[Transaction]:
    raise AssertionError("this test has no database")
    yield


@pytest.fixture
def host(
    http: httpx.AsyncClient, told: Told, settings: WhatsAppSettings, clock: ManualClock
) -> Host:
    """Build a host without a database."""
    return build_host(http, told, settings, clock, _no_database)


@pytest.fixture
async def plain_http() -> AsyncIterator[httpx.AsyncClient]:
    """Lend one client, where the transport does not matter."""
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


@pytest.fixture
def stored_host(
    plain_http: httpx.AsyncClient,
    told: Told,
    settings: WhatsAppSettings,
    clock: ManualClock,
    database: Database,
) -> Host:
    """Build a host with the real tables, the real walls and the engine's rights."""
    return build_host(plain_http, told, settings, clock, database.engine)


def build_host(
    http: httpx.AsyncClient,
    told: Told,
    settings: WhatsAppSettings,
    clock: ManualClock,
    begin: Any,
) -> Host:
    """Put a host together."""

    def options(shape: type[Shape], /) -> Shape:
        assert isinstance(settings, shape)
        return settings

    key = SecretKey(id="k1", encoded=Secret(base64.b64encode(bytes(range(32))).decode()))
    return Host(
        slug="whatsapp",
        clock=clock,
        http=http,
        vault=Vault([key]),
        options=options,
        begin=begin,
        enqueue=told.enqueue,
        report=told.report,
        catalogue=Catalogue("whatsapp", _no_lane),
        public_url="http://127.0.0.1:8000",
    )


@pytest.fixture(scope="session")
def migrated(postgres: Any) -> Any:
    """Migrate one database for all tests of the channel."""
    made = new_database(postgres, "whatsapp_tests")
    environment = {
        **os.environ,
        "PATCHBAY_DATABASE_URL": made.database_url,
        "PATCHBAY_MIGRATIONS_DATABASE_URL": made.migrations_url,
        "PATCHBAY_SECRET_KEYS": f"k1:{base64.b64encode(os.urandom(32)).decode()}",
        "PATCHBAY_CHANNELS": "whatsapp",
    }
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MIGRATE], cwd=ROOT, env=environment, check=True
    )
    return made


@pytest.fixture(scope="session")
async def opened(migrated: Any) -> AsyncIterator[Database]:
    """Open the migrated database."""
    database = Database(url=migrated.database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def database(migrated: Any, opened: Database) -> Database:
    """Lend the database with the channel's tables and the catalogue empty."""
    connection = await asyncpg.connect(migrated.superuser_url)
    try:
        await connection.execute(
            "TRUNCATE business_whatsapp_config, whatsapp_templates, whatsapp_message_log, "
            "channel_connection, channel_template"
        )
    finally:
        await connection.close()
    return opened


@pytest.fixture
def new_business(database: Database) -> Callable[[str], Awaitable[BusinessId]]:
    """Add businesses."""

    async def add(ref: str) -> BusinessId:
        made = BusinessId(new_uuid())
        async with database.platform() as transaction:
            await transaction.execute(
                "INSERT INTO business (id, ref, name, timezone, country, default_locale, mode, "
                "settings, created_at, updated_at) "
                "VALUES ($1, $2, $3, 'UTC', 'IT', 'it', 'live', '{}'::text::jsonb, now(), now())",
                made,
                f"{ref}-{made}",
                ref,
            )
        return made

    return add


@pytest.fixture
def hold_account(meta: StandIn) -> Callable[..., None]:
    """Let the stand-in hold accounts; each has one number and one template."""

    def hold(waba: str = WABA, phone: str = PHONE) -> None:
        number = {**NUMBER, "id": phone}
        meta.on(f"GET {phone}", number)
        meta.on(f"GET {waba}/phone_numbers", {"data": [number]})
        meta.on(f"GET {waba}/message_templates", {"data": [TEMPLATE]})
        meta.on(f"POST {waba}/subscribed_apps", {"success": True})
        meta.on(f"GET {waba}/subscribed_apps", {"data": [{"whatsapp_business_api_data": {}}]})
        meta.on(f"POST {phone}/messages", {"messages": [{"id": f"wamid.{phone}"}]})

    return hold


@pytest.fixture
async def business(
    stored_host: Host,
    hold_account: Callable[..., None],
    new_business: Callable[[str], Awaitable[BusinessId]],
) -> BusinessId:
    """Connect one business."""
    hold_account()
    made = await new_business("aurora")
    assert all(c.passed for c in await connect(stored_host, made, WABA, PHONE, TOKEN))
    return made


@pytest.fixture
def channel(stored_host: Host) -> WhatsAppChannel:
    """Build the channel under test."""
    return WhatsAppChannel(stored_host)
