"""Builds Piccolo Admin from the core's screens and the channels', and the pages beside it."""

# No `from __future__ import annotations`: FastAPI reads the annotations of the overridden methods.

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
import pydantic
from piccolo_admin.endpoints import (
    AdminRouter,
    GroupedTableNamesResponseModel,
    TableConfig,
)
from piccolo_api.crud.endpoints import OrderBy
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from admin.accounts import Accounts, VisitBackend
from admin.console.pages import console_handlers
from admin.core_screens import core_screens
from admin.mount import mount
from admin.permissions import hooks_for, validators_for, visit_of
from admin.screens import channel_screens
from admin.shown import Shown
from admin.transaction import AdminDatabase, TransactionMiddleware
from core.access.roles import allowed
from core.access.sessions import IDLE, LONGEST
from core.access.tables import AppUser, UserSession

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

    from core.notify.services import Services
    from core.settings import Settings

PREFIX: Final = "/admin"
TITLE: Final = "Patchbay"
LINKS: Final = {"Notifications, and why": "/console/", "API": "/docs"}

# They log rows and parameters of refused statements; refusals are answered and audited here.
_CHATTY: Final = ("piccolo_admin.endpoints", "piccolo_api.crud.exceptions")


class AdminSite:
    """Piccolo Admin and the console of one process; open it before it serves, close it after."""

    def __init__(self, services: "Services", settings: "Settings", database_url: str) -> None:
        secure = settings.public_url.startswith("https://")
        self._database = AdminDatabase(database_url)
        self.screens = (*core_screens(), *channel_screens(services.registry))
        self.bind_tables()
        accounts = Accounts(services, secure_cookie=secure)
        router = PatchbayAdmin(
            self.screens,
            accounts,
            secure=secure,
            host=urlsplit(settings.public_url).hostname or "",
        )
        guarded = TransactionMiddleware(
            router, self._database, services.database, accounts.sessions
        )
        self.handlers: list[ControllerRouterHandler] = [
            mount(PREFIX, guarded),
            *console_handlers(services, accounts),
        ]

    def bind_tables(self) -> None:
        """Let the shown tables ask this admin's database.

        Else Piccolo would look for piccolo_conf, whose engine is the migrations' owner.
        """
        for shown in self.screens:
            shown.table._meta.db = self._database.engine  # noqa: SLF001 - Piccolo's own setter

    async def open(self) -> None:
        """Open the admin's own connections."""
        self.bind_tables()
        await self._database.open()

    async def close(self) -> None:
        """Close them."""
        await self._database.close()


class PatchbayAdmin(AdminRouter):
    """Piccolo Admin with our accounts, our permissions and a menu by role."""

    def __init__(
        self, screens: tuple[Shown, ...], accounts: Accounts, *, secure: bool, host: str
    ) -> None:
        self.screens = screens
        super().__init__(
            *(_config(shown) for shown in screens),
            auth_table=AppUser,
            session_table=UserSession,
            session_expiry=IDLE,
            max_session_expiry=LONGEST,
            increase_expiry=timedelta(0),
            production=secure,
            allowed_hosts=[host],
            site_name=TITLE,
            sidebar_links=LINKS,
        )
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.template = self.template.replace(
            "<title>Piccolo Admin</title>", f"<title>{TITLE}</title>"
        )
        self._exchange_accounts(accounts)

    def _exchange_accounts(self, accounts: Accounts) -> None:
        """Put our endpoints where Piccolo's stood: who asks, login, logout, password."""
        authentication: Any = _mounted(self.routes, "/api").app
        authentication.backend = VisitBackend()
        private = authentication.app
        _exchange(private.routes, "/change-password/", accounts.change_password)
        for fault, status, sentence in _FAULTS:
            private.add_exception_handler(fault, _sentence(status, sentence))
        private.add_exception_handler(HTTPException, _refusal)
        public: Any = _mounted(self.routes, "/public").app
        _mounted(public.routes, "/login").app = accounts.login
        _exchange(public.routes, "/logout/", accounts.logout)

    def get_table_list(self, request: Request) -> list[str]:  # type: ignore[override]  # the stock method does not know who asks
        """Return the tables this person may look at."""
        return [shown.name for shown in self._visible(request)]

    def get_table_list_grouped(self, request: Request) -> GroupedTableNamesResponseModel:  # type: ignore[override]  # see above
        """Return the menu of this person, group by group."""
        grouped: dict[str, list[str]] = {}
        for shown in self._visible(request):
            grouped.setdefault(shown.group, []).append(shown.name)
        return GroupedTableNamesResponseModel(grouped=grouped)

    def _visible(self, request: Request) -> list[Shown]:
        actor = visit_of(request).actor
        return [one for one in self.screens if allowed(actor, one.read, actor.business_id)]


_FAULTS: Final = (
    (asyncpg.InsufficientPrivilegeError, 403, "The database does not allow this."),
    (asyncpg.DataError, 422, "The database cannot work with this value."),
    (asyncpg.IntegrityConstraintViolationError, 422, "The database refuses this value."),
    (pydantic.ValidationError, 422, "A value has the wrong form."),
    (ValueError, 400, "The question was not understood."),
)


def _config(shown: Shown) -> TableConfig:
    newest = shown.newest_first
    return TableConfig(
        table_class=shown.table,
        visible_columns=list(shown.columns),
        visible_filters=list(shown.filters or shown.columns),
        link_column=shown.link,
        order_by=[OrderBy(newest, ascending=False)] if newest is not None else None,
        menu_group=shown.group,
        validators=validators_for(shown),
        hooks=hooks_for(shown),
    )


def _mounted(routes: list[Any], path: str) -> Any:
    found = [one for one in routes if isinstance(one, Mount) and one.path == path]
    return _only(found, path)


def _exchange(routes: list[Any], path: str, endpoint: Any) -> None:
    found = [one for one in routes if isinstance(one, Route) and one.path == path]
    routes[routes.index(_only(found, path))] = Route(path, endpoint, methods=["POST"])


def _only(found: list[Any], path: str) -> Any:
    if len(found) != 1:
        # A new version of Piccolo Admin moved it: better no admin than the stock accounts.
        raise RuntimeError(f"Piccolo Admin has no single {path} any more")
    return found[0]


async def _refusal(request: Request, fault: Exception) -> PlainTextResponse:
    # Plain text, because Piccolo Admin shows the body of a refusal as it comes.
    del request
    assert isinstance(fault, HTTPException)  # noqa: S101 - registered for this type
    return PlainTextResponse(fault.detail, status_code=fault.status_code, headers=fault.headers)


def _sentence(status: int, sentence: str) -> Any:
    async def answer(request: Request, fault: Exception) -> PlainTextResponse:
        del request, fault
        return PlainTextResponse(sentence, status_code=status)

    return answer
