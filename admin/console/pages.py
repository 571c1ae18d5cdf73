"""The console's pages: the same login as Piccolo Admin, server-rendered, strict policy."""

# No `from __future__ import annotations`: Litestar reads the annotations of the handlers.

import hmac
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency, Provide
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from admin.accounts import LOGIN_PAGE, Accounts
from admin.console.paper import FOLDER, fill
from admin.console.reading import door, latest, read_story
from core.access.audit import record
from core.access.roles import Actor, allowed
from core.access.sessions import COOKIE
from core.channels.host import Transaction
from core.errors import NotFoundError, PermissionDeniedError
from core.ids import BusinessId
from core.notify.services import Services

NEWEST: Final = 50
PLATFORM_CHOICE: Final = "platform"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_TABLES: Final = (
    ("Outbox table", "notification_outbox", "notifications.read"),
    ("Decisions", "decision", "notifications.read"),
    ("Consents", "customer_consents", "consents.read"),
    ("Templates", "channel_template", "channels.read"),
    ("Connections", "channel_connection", "channels.read"),
    ("Limits", "lane", "limits.read"),
    ("Alerts", "alert", "alerts.read"),
    ("Audit trail", "audit_log", "audit.read"),
)

Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


class SignInError(Exception):
    """Nobody is signed in; the browser is sent to the login."""


class Visitor:
    """A signed-in person in front of a page; no dataclass, else Litestar would take it apart."""

    __slots__ = ("actor", "address", "cookie", "form_key")

    def __init__(self, actor: Actor, cookie: str, form_key: str, address: str) -> None:
        self.actor = actor
        self.cookie = cookie
        self.form_key = form_key
        self.address = address


class Console:
    """What the handlers share."""

    def __init__(self, services: Services, accounts: Accounts) -> None:
        self.services = services
        self.accounts = accounts

    async def visitor(self, request: Request[Any, Any, Any]) -> Visitor:
        """Find out who asks."""
        cookie = request.cookies.get(COOKIE, "")
        actor = await self.accounts.sessions.find(cookie) if cookie else None
        if actor is None:
            raise SignInError
        key = self.services.vault.keyed_hash("console-form", cookie.encode()).hex()
        return Visitor(actor, cookie, key, _address(request))

    def page(
        self, template: str, visitor: Visitor, status: int = 200, **content: Any
    ) -> Response[str]:
        """Fill a page with what every page needs."""
        actor = visitor.actor
        tables = [
            (title, table)
            for title, table, action in _TABLES
            if allowed(actor, action, actor.business_id)
        ]
        places = [(str(one.business_id), one.business_name) for one in actor.businesses]
        if any(one.business_id is None for one in actor.held):
            places.append((PLATFORM_CHOICE, "The platform"))
        body = fill(
            template,
            actor=actor,
            form_key=visitor.form_key,
            tables=tables,
            places=places,
            place=str(actor.business_id or PLATFORM_CHOICE),
            **content,
        )
        return html(body, status)


Lent = NamedDependency[Console]
Known = NamedDependency[Visitor]


def console_handlers(services: Services, accounts: Accounts) -> list[ControllerRouterHandler]:
    """Return the start page, the console and its files."""
    console = Console(services, accounts)

    # Plain functions: Litestar copies bound methods with all they are bound to.
    def lend_console() -> Console:
        return console

    async def find_visitor(request: Request[Any, Any, Any]) -> Visitor:
        return await console.visitor(request)

    router = Router(
        path="/console",
        route_handlers=[show_latest, show_story, choose_business, sign_out, show_nothing],
        dependencies={
            "console": Provide(lend_console, sync_to_thread=False),
            "visitor": Provide(find_visitor),
        },
        exception_handlers={
            SignInError: _to_login,
            NotFoundError: _not_found,
            PermissionDeniedError: _forbidden,
        },
        opt={"exclude_from_csrf": True},
        include_in_schema=False,
    )
    files = create_static_files_router(
        path="/console/static",
        directories=[FOLDER / "static"],
        cache_control=CacheControlHeader(no_cache=True),
        include_in_schema=False,
    )
    return [start, router, files]


@get("/", include_in_schema=False)
async def start() -> Response[str]:
    """Say what this is and where to go; no data."""
    return html(fill("start.html"))


@get("/")
async def show_latest(console: Lent, visitor: Known) -> Response[str]:
    """Show the newest notices."""
    _require(visitor.actor)
    async with door(console.services, visitor.actor) as transaction:
        lines = await latest(transaction, NEWEST)
        if visitor.actor.on_platform:
            await _leave_trace(transaction, visitor, None, "notifications")
    return console.page("latest.html", visitor, lines=lines, newest=NEWEST)


@get("/notifications/{public_id:str}")
async def show_story(console: Lent, visitor: Known, public_id: FromPath[str]) -> Response[str]:
    """Show why one notice was sent, or was not."""
    actor = visitor.actor
    _require(actor)
    story = await read_story(console.services, actor, public_id)
    if actor.on_platform:
        async with console.services.database.platform() as transaction:
            await _leave_trace(transaction, visitor, story.business_id, story.account.id)
    return console.page("story.html", visitor, story=story, account=story.account)


@post("/business")
async def choose_business(console: Lent, visitor: Known, data: Form) -> Response[str]:
    """Work in another business from now on."""
    _same_form(visitor, data)
    chosen = data.get("business", "")
    business = None if chosen == PLATFORM_CHOICE else _business(chosen)
    await console.accounts.sessions.choose_business(visitor.cookie, business)
    return redirect("/console/")


@post("/sign-out")
async def sign_out(console: Lent, visitor: Known, data: Form) -> Response[str]:
    """End the session."""
    _same_form(visitor, data)
    await console.accounts.sessions.end(visitor.cookie)
    response = redirect(LOGIN_PAGE)
    response.delete_cookie(COOKIE)
    return response


@get("/{rest:path}")
async def show_nothing(visitor: Known, rest: FromPath[str]) -> Response[str]:
    """Answer addresses that do not exist."""
    del visitor, rest
    raise NotFoundError("There is no such page.")


def html(body: str, status: int = 200) -> Response[str]:
    """Answer with a page."""
    return Response(body, media_type=MediaType.HTML, status_code=status, headers=HEADERS)


def redirect(location: str) -> Response[str]:
    """Send the browser elsewhere by GET."""
    return Response("", status_code=303, headers={**HEADERS, "location": location})


def _require(actor: Actor) -> None:
    if not (verdict := allowed(actor, "notifications.read", actor.business_id)):
        raise PermissionDeniedError(verdict.why)


async def _leave_trace(
    transaction: Transaction, visitor: Visitor, business_id: UUID | None, target: str
) -> None:
    """Write down what somebody looked at who may see everything (rulings B8)."""
    await record(
        transaction,
        business_id=business_id,
        actor=f"user:{visitor.actor.user_id}",
        action="console.read",
        target=target,
        ip=visitor.address,
    )


def _same_form(visitor: Visitor, data: dict[str, str]) -> None:
    """Refuse forms that another site has sent in this person's name."""
    if not hmac.compare_digest(data.get("form_key", ""), visitor.form_key):
        raise PermissionDeniedError("The form is too old; open the page again.")


def _address(request: Request[Any, Any, Any]) -> str:
    return request.client.host if request.client else ""


def _business(text: str) -> BusinessId:
    try:
        return BusinessId(UUID(text))
    except ValueError:
        raise NotFoundError("There is no such business.") from None


def _to_login(request: Request[Any, Any, Any], fault: SignInError) -> Response[str]:
    del request, fault
    return redirect(LOGIN_PAGE)


def _not_found(request: Request[Any, Any, Any], fault: NotFoundError) -> Response[str]:
    del request
    return html(fill("fault.html", title="There is nothing here", detail=fault.detail), 404)


def _forbidden(request: Request[Any, Any, Any], fault: PermissionDeniedError) -> Response[str]:
    del request
    return html(
        fill("fault.html", title="Your role does not allow this", detail=fault.detail), 403
    )
