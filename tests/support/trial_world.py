"""A test business behind the interface, its sandbox, and the steps of a worker."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from api_world import CHANNEL, Api, build_app, make_keys
from engine_steps import send_all

from core.api import examples
from core.businesses.store import BusinessRow, find_business
from core.channels.registry import load
from core.notify.inbox import apply_waiting
from core.notify.wording import preview
from core.sandbox.channel import SandboxedChannel
from core.sandbox.provider import SandboxProvider
from core.testing.channels import ScriptedChannel

if TYPE_CHECKING:
    import httpx

    from core.notify.services import Services

NUMBER = "+120255501"
HEARD = "https://93.184.215.14/hooks"


@dataclass
class Trial:
    """The interface, a test business on it, and the real channel that must stay silent.

    Attributes:
        provider: the channel behind the sandbox.
        sent: how many messages the worker's steps have begun.
    """

    api: Api
    provider: ScriptedChannel
    business: BusinessRow
    sent: int = 0
    _words: list[str] = field(default_factory=list)

    @property
    def services(self) -> Services:
        """Return the process's parts."""
        return self.api.services

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call with the test key."""
        return await self.api.call(method, path, **{"key": "test", **more})

    async def agree(self, number: str) -> str:
        """Let the customer of this number agree; returns the customer's id."""
        customer = f"cus-{number}"
        body = {
            **examples.CONSENT_BODY,
            "business_id": examples.TRIAL,
            "customer_id": customer,
            "customer": {"first_name": "Ada", "phone": f"{NUMBER}{number}", "locale": "en"},
        }
        headers = {"Idempotency-Key": f"agree-{uuid.uuid4()}"}
        answer = await self.call("POST", "/v1/consents", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return customer

    async def tell(self, number: str, **booking: Any) -> dict[str, Any]:
        """Tell of a confirmed booking of this number's customer; returns the answer."""
        starts_at = booking.pop("starts_at", datetime.now(UTC) + timedelta(days=3))
        body = {
            "id": f"e-{uuid.uuid4()}",
            "source": "/trial",
            "type": booking.pop("type", "booking.confirmed"),
            "data": {
                "business_id": examples.TRIAL,
                "booking": {
                    "ref": f"B-{number}",
                    "starts_at": starts_at.isoformat(),
                    "service": "Haircut",
                    **booking,
                },
                "customer": {
                    "id": f"cus-{number}",
                    "first_name": "Ada",
                    "phone": f"{NUMBER}{number}",
                    "locale": "en",
                },
            },
        }
        answer = await self.call("POST", "/v1/events", json=body)
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def confirmation(self, number: str) -> str:
        """Agree and book; returns the id of the confirmation."""
        await self.agree(number)
        told = await self.tell(number)
        [one] = [d for d in told["decisions"] if d["template"] == "booking_confirmed"]
        assert one["outcome"] == "queued", one
        found: str = one["notification_id"]
        return found

    async def work(self) -> int:
        """Send what is due, as a worker does."""
        return await send_all(self.services)

    async def hear(self) -> int:
        """Let the delayed news come, and apply it as a worker does."""
        await self.api.superuser.execute(
            "UPDATE provider_inbox SET due_at = now() - '1 s'::interval"
        )
        return await apply_waiting(self.services, CHANNEL)

    async def advance(self, by: str) -> dict[str, Any]:
        """Move the clock."""
        body = {"business_id": examples.TRIAL, "by": by}
        answer = await self.call("POST", "/v1/sandbox/clock/advance", json=body)
        assert answer.status_code == 200, answer.text
        moved: dict[str, Any] = answer.json()
        return moved

    async def story(self, notification: str) -> dict[str, Any]:
        """Read a notification."""
        answer = await self.call("GET", f"/v1/notifications/{notification}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


async def open_trial(services: Services, superuser: Any) -> Trial:
    """Put up a live and a test business with their keys, and the sandbox before the channel."""
    provider = ScriptedChannel()
    sandbox = SandboxProvider(services.database, services.vault, services.clock, preview)
    whole = dataclasses.replace(
        services,
        registry=load(only=("console", CHANNEL)),
        channels={CHANNEL: SandboxedChannel(CHANNEL, provider, sandbox)},
    )
    keys = await make_keys(
        whole, {"test": {"scopes": ["*"], "mode": "test"}, "platform": {"scopes": ["*"]}}
    )
    api = Api(
        app=build_app(whole),
        services=whole,
        superuser=superuser,
        own=None,  # type: ignore[arg-type]  # put up below
        foreign=None,  # type: ignore[arg-type]  # put up below
        keys=keys,
    )
    rows: list[BusinessRow] = []
    for ref, key in (
        (examples.TRIAL, "test"),
        ("salon-other", "test"),
        (examples.BUSINESS, "platform"),
    ):
        path = f"/v1/businesses/{ref}"
        answer = await api.call("PUT", path, key=key, json=examples.BUSINESS_BODY)
        assert answer.status_code == 201, answer.text
        async with services.database.platform() as transaction:
            row = await find_business(transaction, ref)
        assert row is not None
        rows.append(row)
    api.own, api.foreign = rows[2], rows[1]
    keys |= await make_keys(
        whole, {"stranger": {"scopes": ["*"], "mode": "test", "business_id": rows[1].id}}
    )
    return Trial(api=api, provider=provider, business=rows[0])
