"""One database transaction around each request to the admin's API.

The session's cookie says who asks, their membership says which wall they stand behind: business
roles see one business, platform roles see all. The answer is held back until the transaction is
committed, so that nobody is told of a change that was then lost; at 400 and above everything is
rolled back, and what was refused is written to the audit trail afterwards (rulings A19, B8).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from admin.visit import KEY, PlainTransaction, Visit
from core.access.audit import record, record_refusal
from core.access.sessions import COOKIE
from core.roles import APP, PLATFORM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from core.access.roles import Actor
    from core.access.sessions import Sessions
    from core.db import Database

METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE")
PASSWORD_PATH: Final = "/api/change-password/"  # noqa: S105 - an address
TABLES: Final = "/api/tables/"
BODY_LIMIT: Final = 64_000
HIDDEN: Final = ("/api/docs", "/public/docs", "/docs", "/redoc")

_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
_POOL: Final = 5
_READS_WITHOUT_ROWS: Final = ("", "grouped", "count", "schema", "new", "references")
# Piccolo Admin sets styles on elements; scripts come from its own files only.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SECURITY: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)

_log = structlog.get_logger(__name__)


class AdminEngine(PostgresEngine):
    """Piccolo's engine on the login's address; it connects only when it is opened."""

    async def check_version(self) -> None:
        """Skip Piccolo's look at the server: it opens a connection of its own."""

    async def prep_database(self) -> None:
        """Skip extensions: the migrations make what is needed."""


class AdminDatabase:
    """The admin's own connections; each transaction chooses its role and its business."""

    def __init__(self, url: str) -> None:
        self.engine = AdminEngine(config={"dsn": url}, extensions=())

    async def open(self) -> None:
        """Open the pool."""
        await self.engine.start_connection_pool(
            min_size=0,
            max_size=_POOL,
            command_timeout=60,
            server_settings={
                "application_name": "patchbay admin",
                "timezone": "UTC",
                "lock_timeout": "5000",
                "statement_timeout": "30000",
                "idle_in_transaction_session_timeout": "30000",
            },
        )

    async def close(self) -> None:
        """Close the pool."""
        if self.engine.pool is not None:
            await self.engine.close_connection_pool()

    @asynccontextmanager
    async def begin(self, actor: Actor) -> AsyncIterator[PlainTransaction]:
        """Open a transaction behind the actor's wall; an exception rolls it back.

        Piccolo's own transaction keeps its connection and its context for ever when the COMMIT
        itself fails. Here asyncpg runs it and both are given back in any case.
        """
        pool = self.engine.pool
        assert pool is not None  # noqa: S101 - the site is opened before it serves
        connection = await pool.acquire(timeout=10)
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT set_config('role', $1, true), set_config('app.business_id', $2, true)",
                    PLATFORM if actor.on_platform else APP,
                    str(actor.business_id or ""),
                )
                current = PostgresTransaction(engine=self.engine, allow_nested=False)
                current.connection = connection
                token = self.engine.current_transaction.set(current)
                try:
                    yield PlainTransaction(connection)
                finally:
                    self.engine.current_transaction.reset(token)
        finally:
            await pool.release(connection)


class _RollBackError(Exception):
    """Leaves the transaction without its changes; the answer is ready already."""


@dataclass(slots=True)
class _Answer:
    """An answer that is held back."""

    messages: list[Message] = field(default_factory=list)

    async def hold(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def status(self) -> int:
        starts = (one for one in self.messages if one["type"] == "http.response.start")
        return int(next((one["status"] for one in starts), 500))

    def become(self, status: int, sentence: str) -> None:
        self.messages = _plain(status, sentence)

    async def replay(self, send: Send) -> None:
        for message in self.messages:
            await send(message)


class TransactionMiddleware:
    """Stands between Litestar's mount and Piccolo Admin."""

    def __init__(
        self, app: ASGIApp, admin: AdminDatabase, database: Database, sessions: Sessions
    ) -> None:
        self._app = app
        self._admin = admin
        self._database = database
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        send = _guarded(send, private=path.startswith(("/api/", "/public/")))
        if path.startswith(HIDDEN) or path.rstrip("/").endswith("/openapi.json"):
            # Piccolo's own API pages load scripts from a public server.
            await _reply(send, 404, "There is nothing here.")
        elif (whole := await _whole_body(receive, scope["method"])) is None:
            await _reply(send, 413, "That is more than a form can hold.")
        elif path.startswith("/api/"):
            await self._private(scope, whole, send, path)
        else:
            await self._app(scope, whole, send)

    async def _private(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        cookie = session_cookie(scope)
        actor = await self._sessions.find(cookie) if cookie else None
        if actor is None:
            await self._app(scope, receive, send)  # Piccolo answers 401 and shows the login
            return
        address = client_address(scope)
        answer = _Answer()
        if scope["method"] not in METHODS:
            answer.become(405, f"{scope['method']} is switched off: rows are changed by PATCH.")
        elif not actor.held:
            answer.become(403, "You have no role yet; ask an owner to add you.")
        elif path == PASSWORD_PATH:
            scope[KEY] = Visit(actor, address)
            await self._app(scope, receive, answer.hold)
        else:
            await self._work(scope, receive, answer, Visit(actor, address), path)
        if _is_refusal(scope["method"], answer.status):
            await self._note_refusal(actor, scope["method"], path, answer.status, address)
        await answer.replay(send)

    async def _work(
        self, scope: Scope, receive: Receive, answer: _Answer, visit: Visit, path: str
    ) -> None:
        try:
            async with self._admin.begin(visit.actor) as transaction:
                scope[KEY] = replace(visit, transaction=transaction)
                await self._app(scope, receive, answer.hold)
                if answer.status >= 400:  # noqa: PLR2004 - where HTTP's errors begin
                    raise _RollBackError  # noqa: TRY301 - the way out of the block is the point
                if visit.actor.on_platform and scope["method"] == "GET":
                    await _note_reading(transaction, visit, path)
        except _RollBackError:
            pass
        except asyncpg.InsufficientPrivilegeError:
            answer.become(403, "The database does not allow this.")
        except TimeoutError:
            answer.become(503, "The database is busy; try again in a moment.")
        except Exception:  # noqa: BLE001 - the edge: nothing of the fault may reach the browser
            _log.exception("admin request failed", method=scope["method"])
            answer.become(500, "Something went wrong here; it was written to the log.")

    async def _note_refusal(
        self, actor: Actor, method: str, path: str, status: int, address: str
    ) -> None:
        await record_refusal(
            self._database,
            business_id=actor.business_id,
            actor=f"user:{actor.user_id}",
            action=f"admin.{method.lower()}",
            target=path.removeprefix("/api/"),
            reason=str(status),
            ip=address,
        )


async def _note_reading(transaction: PlainTransaction, visit: Visit, path: str) -> None:
    """Write down what an operator of the platform looked at (rulings B8)."""
    target = path.removeprefix(TABLES).strip("/").split("/")
    if not path.startswith(TABLES) or target[-1] in _READS_WITHOUT_ROWS:
        return
    await record(
        transaction,
        business_id=None,
        actor=f"user:{visit.actor.user_id}",
        action="admin.read",
        target="/".join(target),
        ip=visit.address,
    )


async def _whole_body(receive: Receive, method: str) -> Receive | None:
    """Take the body in before a connection is held for it; None where it is too large."""
    if method not in _WRITES:
        return receive
    messages: list[Message] = []
    size = 0
    more = True
    while more:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > BODY_LIMIT:
            return None
        more = bool(message.get("more_body"))
    messages.reverse()

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def session_cookie(scope: Scope) -> str:
    """Return the session's cookie, or an empty string."""
    headers = (value for name, value in scope["headers"] if name == b"cookie")
    jar = SimpleCookie()
    try:
        jar.load("; ".join(value.decode("latin-1") for value in headers))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def client_address(scope: Scope) -> str:
    """Return where the request came from, as the server says."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _is_refusal(method: str, status: int) -> bool:
    return status in (403, 405) or (method in _WRITES and status == 404)  # noqa: PLR2004


def _plain(status: int, sentence: str) -> list[Message]:
    body = sentence.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    return [
        {"type": "http.response.start", "status": status, "headers": headers},
        {"type": "http.response.body", "body": body},
    ]


async def _reply(send: Send, status: int, sentence: str) -> None:
    for message in _plain(status, sentence):
        await send(message)


def _guarded(send: Send, *, private: bool) -> Send:
    """Add the security headers to whatever is answered."""
    extra: list[Any] = list(_SECURITY)
    if private:
        extra.append((b"cache-control", b"no-store"))

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return guarded
