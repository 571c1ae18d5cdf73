"""The channel as the host drives it: send, render, states, news, tasks and its own address."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.di import Provide

from core.channels.messages import OutboundMessage, Parameter
from core.errors import (
    CredentialsRejectedError,
    OutcomeUnknownError,
    PolicyViolationError,
    TemplateRejectedError,
)
from core.ids import BusinessId, CustomerId, new_uuid
from plugins.whatsapp.connect import connect
from plugins.whatsapp.plugin import plugin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.channels.host import Host
    from core.db import Database
    from plugins.whatsapp.channel import WhatsAppChannel

    NewBusiness = Callable[[str], Awaitable[BusinessId]]

WABA, PHONE, TOKEN = "700100200300400", "500600700800900", "EAAfakeToken123"
SENDS = f"POST {PHONE}/messages"
NUMBER = {
    "id": PHONE,
    "display_phone_number": "+39 055 000 4411",
    "quality_rating": "GREEN",
    "status": "CONNECTED",
}


def message(business: BusinessId, **changes: Any) -> OutboundMessage:
    """Build a message for the connected number."""
    built = OutboundMessage(
        callback_id="ntf_abc",
        business_id=business,
        customer_id=CustomerId(new_uuid()),
        account=PHONE,
        address="+34600111222",
        template="reminder_24h",
        language="en_US",
        parameters=(
            Parameter(name="first_name", value="Zoë"),
            Parameter(name="time", value="10:30"),
        ),
    )
    return msgspec.structs.replace(built, **changes)


async def test_a_message_is_handed_over_once(
    channel: WhatsAppChannel, meta: Any, business: BusinessId
) -> None:
    """One call, the sealed token opened, our id on it, Meta's id back."""
    receipt = await channel.send(message(business))
    assert receipt.provider_message_id == f"wamid.{PHONE}"
    (call,) = meta.sent(SENDS)
    assert call.headers["authorization"] == f"Bearer {TOKEN}"
    assert call.body["biz_opaque_callback_data"] == "ntf_abc"
    assert call.body["template"]["name"] == "reminder_24h"


@pytest.mark.parametrize("answer", [{}, {"messages": []}, {"messages": [{}]}, {"messages": "x"}])
async def test_a_success_without_an_id_is_unknown(
    channel: WhatsAppChannel, meta: Any, business: BusinessId, answer: Any
) -> None:
    """Meta said 200 but named no message: it may have been sent."""
    meta.on(SENDS, answer)
    with pytest.raises(OutcomeUnknownError):
        await channel.send(message(business))


async def test_a_token_serves_its_own_business_only(
    channel: WhatsAppChannel, meta: Any, business: BusinessId, new_business: NewBusiness
) -> None:
    """Another business that names this number gets nothing, with a warm cache and a cold one."""
    other = await new_business("other")
    with pytest.raises(CredentialsRejectedError):
        await channel.send(message(other))
    await channel.send(message(business))
    with pytest.raises(CredentialsRejectedError):
        await channel.send(message(other))
    assert len(meta.sent(SENDS)) == 1


async def test_a_replaced_token_gets_its_turn_at_once(
    channel: WhatsAppChannel, stored_host: Host, meta: Any, business: BusinessId
) -> None:
    """A send caught with the old token in hand is repeated with the new one, and only then."""
    await channel.send(message(business))
    await connect(stored_host, business, WABA, PHONE, "EAAsecondToken")
    refused = (401, {"error": {"code": 190}})
    meta.on(SENDS, refused, {"messages": [{"id": "wamid.2"}]})
    assert (await channel.send(message(business))).provider_message_id == "wamid.2"
    used = [call.headers["authorization"] for call in meta.sent(SENDS)]
    assert used == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer EAAsecondToken"]
    meta.on(SENDS, refused)
    with pytest.raises(CredentialsRejectedError):
        await channel.send(message(business))
    assert len(meta.sent(SENDS)) == 4


async def test_an_open_token_is_kept_for_seconds(
    channel: WhatsAppChannel,
    stored_host: Host,
    clock: Any,
    business: BusinessId,
    database: Database,
) -> None:
    """Within seconds of a change the old token is gone from memory."""
    await channel.send(message(business))
    async with database.engine() as transaction:
        await transaction.execute(
            "UPDATE business_whatsapp_config SET access_token_encrypted = NULL"
        )
    await channel.send(message(business))
    clock.advance(timedelta(seconds=6))
    with pytest.raises(CredentialsRejectedError):
        await channel.send(message(business))
    assert stored_host.clock is clock


async def test_a_policy_refusal_is_reported(
    channel: WhatsAppChannel, meta: Any, business: BusinessId, told: Any
) -> None:
    """When Meta restricts a number, the host learns it with the first refusal."""
    meta.on(SENDS, (400, {"error": {"code": 131048}}))
    with pytest.raises(PolicyViolationError):
        await channel.send(message(business))
    assert told.reported == [(business, "sending-restricted", {"code": "131048"})]


async def test_a_preview_needs_no_provider(
    channel: WhatsAppChannel, meta: Any, business: BusinessId
) -> None:
    """What the customer would see comes from our own rows."""
    asked = len(meta.calls)
    assert (await channel.render(message(business))).text == "Hello Zoë, at 10:30 then."
    assert (await channel.render(message(business, template="", text="Ciao"))).text == "Ciao"
    with pytest.raises(TemplateRejectedError):
        await channel.render(message(business, template="nowhere"))
    assert len(meta.calls) == asked


async def test_a_probe_says_what_is_wrong(
    channel: WhatsAppChannel, meta: Any, business: BusinessId, new_business: NewBusiness
) -> None:
    """Healthy is all green; a red rating, missing news and a refused token come with advice."""
    assert all(check.passed for check in await channel.probe(business))
    meta.on(f"GET {PHONE}", {**NUMBER, "quality_rating": "RED", "status": "FLAGGED"})
    meta.on(f"GET {WABA}/subscribed_apps", {"data": []})
    wrong = [check for check in await channel.probe(business) if not check.passed]
    assert [check.name for check in wrong] == ["number", "quality", "webhooks"]
    assert all(check.advice for check in wrong)
    meta.on(f"GET {PHONE}", (401, {"error": {"code": 190}}))
    (wrong_token,) = [check for check in await channel.probe(business) if not check.passed]
    assert (wrong_token.name, bool(wrong_token.advice)) == ("token", True)
    (nothing,) = await channel.probe(await new_business("empty"))
    assert (nothing.name, nothing.passed) == ("connection", False)


async def test_the_numbers_of_a_business_are_listed_masked(
    stored_host: Host, business: BusinessId, new_business: NewBusiness
) -> None:
    """A caller sees its own numbers, no token, and of the phone only the ends."""
    other = await new_business("other")
    for who, shown in ((business, ["+39 *** 4411"]), (other, [])):
        app: Any = Litestar(
            route_handlers=plugin.routes(stored_host),
            dependencies={"business_id": Provide(_giving(who), sync_to_thread=False)},
        )
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as caller:
            answer = await caller.get("/numbers")
        assert answer.status_code == 200
        assert [one["display_phone"] for one in answer.json()["data"]] == shown
        assert TOKEN not in answer.text
        assert "0004411" not in answer.text


def _giving(who: BusinessId) -> Callable[[], BusinessId]:
    def give() -> BusinessId:
        return who

    return give


async def test_closing_forgets_the_tokens(
    channel: WhatsAppChannel, meta: Any, business: BusinessId
) -> None:
    """Nothing open is left in memory."""
    await channel.send(message(business))
    await channel.close()
    assert channel._credentials._kept == {}
    assert len(meta.sent(SENDS)) == 1
