"""The interface in this process, with keys, a connected business and a foreign one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from litestar import Litestar

from core.access.keys import create_key
from core.api import examples
from core.api.application import exception_handlers, finish, mount_plugin_routes, routes
from core.businesses.store import BusinessIn, BusinessRow, add_business
from core.catalogue.store import Catalogue
from core.channels.host import Connection, Template
from core.channels.messages import ConnectionState
from core.notify.connections import lane_follows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fixture_house import QuietRing

    from core.notify.services import Services

CHANNEL = "whatsapp"
TEMPLATES = ("booking_confirmed", "booking_rescheduled", "booking_canceled")


@dataclass
class Api:
    """The application, and calls to it.

    Attributes:
        own: the business of the examples, connected; `foreign` is somebody else's.
        keys: plaintext keys by name: platform, bound, foreign, test, and reader (one scope).
    """

    app: Litestar
    services: Services
    superuser: Any
    own: BusinessRow
    foreign: BusinessRow
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def ring(self) -> QuietRing:
        """Return the ring that remembers."""
        return self.services.ring  # type: ignore[return-value]

    async def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = "platform",
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Send one call with one of the keys, or with none."""
        sent = dict(headers or {})
        if key is not None:
            sent.setdefault("Authorization", f"Bearer {self.keys.get(key, key)}")
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://patchbay") as client:
            return await client.request(method, path, headers=sent, **more)

    async def grant(
        self, idempotency_key: str = "grant-1", *, key: str = "platform", **changes: Any
    ) -> httpx.Response:
        """Record the examples' consent, or one that differs."""
        body = {**examples.CONSENT_BODY, **changes}
        headers = {"Idempotency-Key": idempotency_key}
        return await self.call("POST", "/v1/consents", key=key, json=body, headers=headers)

    async def tell(self, *, key: str = "platform", **changes: Any) -> httpx.Response:
        """Tell the examples' event, or one that differs."""
        body = {**examples.EVENT_BODY, **changes}
        return await self.call("POST", "/v1/events", key=key, json=body)

    async def count(self, table: str) -> int:
        """Count rows behind all walls."""
        counted: int = await self.superuser.fetchval(f"SELECT count(*) FROM {table}")
        return counted


def build_app(services: Services) -> Litestar:
    """Put the application together as the web process does."""
    handlers = [*routes(services), *mount_plugin_routes(services, {})]
    app = Litestar(handlers, exception_handlers=exception_handlers(services), openapi_config=None)
    return finish(app)


async def make_keys(services: Services, kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Make keys and return their plaintexts."""
    made: dict[str, str] = {}
    async with services.database.engine() as transaction:
        for name, kind in kinds.items():
            new = await create_key(transaction, services.vault, name=name, **kind)
            made[name] = new.plaintext.reveal()
    return made


async def put_up_business(services: Services, ref: str, mode: str = "live") -> BusinessRow:
    """Make a business like the examples' own."""
    told = BusinessIn(**examples.BUSINESS_BODY)
    async with services.database.platform() as transaction:
        made = await add_business(transaction, ref, told, mode=mode, now=services.clock.now())
    assert made is not None
    return made


async def connect(services: Services, business: BusinessRow, names: Sequence[str]) -> None:
    """Connect a business, with usable templates of these names."""
    catalogue = Catalogue(CHANNEL, lane_follows)
    connection = Connection(
        business_id=business.id,
        account_ref=f"account-{business.ref}",
        state=ConnectionState.ACTIVE,
    )
    templates = [
        Template(
            business_id=business.id,
            name=name,
            language="it",
            usable=True,
            parameters=("first_name", "business_name", "date", "time"),
            body="Ciao {{first_name}}, {{business_name}}: {{date}} {{time}}",
        )
        for name in names
    ]
    async with services.database.engine() as transaction:
        await catalogue.put_connections(transaction, [connection])
        await catalogue.put_templates(transaction, templates)
