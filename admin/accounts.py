"""Signing in and out of the admin: Piccolo's three endpoints, answered in our way.

The stock ones store session tokens in clear, hash passwords on the event loop and count tries in
the memory of one process. These keep only hashes, hash on other threads, and count in the
database before anything else is done (rulings B14).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from admin.transaction import client_address
from admin.visit import KEY, SignedIn, Visit
from core.access import users
from core.access.audit import record
from core.access.logins import WINDOW, LoginLimit
from core.access.sessions import COOKIE, LONGEST, Sessions

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.types import Receive, Scope, Send

    from core.notify.services import Services

LOGIN_PAGE: Final = "/admin/#/login/"
TOO_MANY: Final = "Too many tries. Wait a quarter of an hour, then try again."


class VisitBackend(AuthenticationBackend):
    """Tells Piccolo who asks: whoever the transaction middleware found by the session."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SignedIn] | None:
        """Return the person, or refuse."""
        visit = conn.scope.get(KEY)
        if not isinstance(visit, Visit):
            raise AuthenticationError("Sign in first.")
        return AuthCredentials(scopes=["authenticated"]), SignedIn(visit)


class Accounts:
    """The endpoints of login, logout and change of password."""

    def __init__(self, services: Services, *, secure_cookie: bool) -> None:
        self.sessions = Sessions(services.database, services.clock)
        self._database = services.database
        self._limit = LoginLimit(services.database, services.clock, services.vault)
        self._secure = secure_cookie

    async def login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check name and password and open a session."""
        request = Request(scope, receive)
        if request.method == "POST":
            response = await self._login(request)
        elif request.method in ("GET", "HEAD"):
            response = RedirectResponse(LOGIN_PAGE, status_code=303)
        else:
            response = PlainTextResponse("Sign in by POST.", status_code=405)
        await response(scope, receive, send)

    async def logout(self, request: Request) -> Response:
        """End the session of the cookie."""
        if cookie := request.cookies.get(COOKIE):
            await self.sessions.end(cookie)
        response = PlainTextResponse("Successfully logged out")
        self.forget(response)
        return response

    async def change_password(self, request: Request) -> Response:
        """Set a new password and sign the person out everywhere."""
        visit = request.scope[KEY]
        body = await _body(request)
        old, new = body.get("current_password"), body.get("new_password")
        if not (isinstance(old, str) and isinstance(new, str) and old and new):
            return _detail(422, "Give the current and the new password.")
        if new != body.get("confirm_new_password"):
            return _detail(422, "The two new passwords differ.")
        if faults := users.password_faults(new):
            return _detail(422, faults[0].message)
        user_id = await self._proven(visit.actor.username, old, visit.address)
        if isinstance(user_id, Response):
            return user_id
        if user_id is None:
            return _detail(422, "The current password is wrong.")
        await users.change_password(self._database, user_id, new)
        await self.sessions.end_all(user_id)
        await self._note("user.password-changed", user_id, visit.address)
        response = JSONResponse({"message": "The password was changed; sign in again."})
        self.forget(response)
        return response

    def forget(self, response: Response) -> None:
        """Let the browser drop the cookie."""
        response.delete_cookie(
            COOKIE, path="/", httponly=True, secure=self._secure, samesite="lax"
        )

    async def _login(self, request: Request) -> Response:
        body = await _body(request)
        username, password = body.get("username"), body.get("password")
        if not (isinstance(username, str) and isinstance(password, str) and username and password):
            return _detail(422, "Give a name and a password.")
        address = client_address(request.scope)
        user_id = await self._proven(username, password, address)
        if isinstance(user_id, Response):
            return user_id
        if user_id is None:
            return _detail(401, "The name or the password is wrong.")
        if before := request.cookies.get(COOKIE):
            await self.sessions.end(before)
        cookie = await self.sessions.begin(user_id)
        await self._note("user.signed-in", user_id, address)
        response = JSONResponse({"message": "logged in"})
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=int(LONGEST.total_seconds()),
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="lax",
        )
        return response

    async def _proven(self, username: str, password: str, address: str) -> int | Response | None:
        """Return who this is; the limit comes first and costs no hashing."""
        if not await self._limit.admit(username, address):
            wait = str(int(WINDOW.total_seconds()))
            return _detail(429, TOO_MANY, headers={"Retry-After": wait})
        user_id = await users.verify(self._database, username, password)
        if user_id is not None:
            await self._limit.forgive(username, address)
        return user_id

    async def _note(self, action: str, user_id: int, address: str) -> None:
        async with self._database.engine() as transaction:
            await record(
                transaction,
                business_id=None,
                actor=f"user:{user_id}",
                action=action,
                target=f"user:{user_id}",
                ip=address,
            )


async def _body(request: Request) -> dict[str, Any]:
    form = request.scope.get("form")  # the CSRF check may have read it already
    if form:
        return dict(form)
    try:
        body = json.loads(await request.body())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _detail(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status_code=status, headers=headers)
