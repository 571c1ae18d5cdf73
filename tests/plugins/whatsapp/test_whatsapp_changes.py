"""Meta's news and readings reach our tables and the core's picture, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from core.channels.messages import ChannelEvent, ConnectionState
from core.errors import (
    CredentialsRejectedError,
    OutcomeUnknownError,
)
from plugins.whatsapp.connect import connect
from plugins.whatsapp.plugin import plugin
from plugins.whatsapp.webhooks import parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.channels.host import Host
    from core.db import Database
    from core.ids import BusinessId
    from plugins.whatsapp.channel import WhatsAppChannel

    NewBusiness = Callable[[str], Awaitable[BusinessId]]

FIXTURES = Path(__file__).parent / "fixtures"
WABA, PHONE = "700100200300400", "500600700800900"
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


async def _state(database: Database) -> tuple[str, str, str, str]:
    """Return our state and reason, and the core's."""
    async with database.engine() as transaction:
        ours = await transaction.fetchrow("SELECT * FROM business_whatsapp_config")
        core = await transaction.fetchrow("SELECT * FROM channel_connection")
    return ours["status"], ours["state_reason"], core["state"], core["reason"]


async def _template(database: Database) -> tuple[Any, Any]:
    """Return our template row and the core's."""
    async with database.engine() as transaction:
        return (
            await transaction.fetchrow("SELECT * FROM whatsapp_templates"),
            await transaction.fetchrow("SELECT * FROM channel_template"),
        )


async def test_a_state_is_kept_in_both_pictures(
    channel: WhatsAppChannel, database: Database, business: BusinessId
) -> None:
    """What the host found out stands in our table and in the core's, with its reason."""
    async with database.engine() as transaction:
        await channel.set_state(transaction, business, ConnectionState.ERROR, "token-rejected")
    assert await _state(database) == ("error", "token-rejected", "error", "token-rejected")
    async with database.engine() as transaction:
        await channel.set_state(transaction, business, ConnectionState.ACTIVE, "")
    assert await _state(database) == ("active", "", "active", "")


async def test_without_a_token_nothing_becomes_active(
    channel: WhatsAppChannel, database: Database, business: BusinessId
) -> None:
    """Resuming cannot bring back a connection whose token Meta took away."""
    await _apply(channel, database, "account__partner_removed")
    async with database.engine() as transaction:
        await channel.set_state(transaction, business, ConnectionState.ACTIVE, "")
    assert (await _state(database))[0] == "disabled"


async def _apply(channel: WhatsAppChannel, database: Database, *names: str, **shift: Any) -> None:
    """Apply the news of fixtures, as if Meta told them when the clock stands."""
    at = channel._host.clock.now() + timedelta(**shift)
    for name in names:
        events = [
            msgspec.structs.replace(news, occurred_at=at)
            for news in parse((FIXTURES / f"{name}.json").read_bytes())
            if isinstance(news, ChannelEvent)
        ]
        async with database.engine() as transaction:
            await channel.apply(transaction, events)


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        ("account__disabled", "disabled", "account-disabled"),
        ("account__restricted", "error", "account-restricted"),
        ("account__partner_removed", "disabled", "access-withdrawn"),
    ],
)
async def test_account_news_stop_the_number(
    channel: WhatsAppChannel,
    database: Database,
    business: BusinessId,
    told: Any,
    name: str,
    state: str,
    reason: str,
) -> None:
    """What Meta stops is stopped here in the same transaction, told once per news, repeatable."""
    await _apply(channel, database, name)
    assert await _state(database) == (state, reason, state, reason)
    assert [(who, fact) for who, fact, _ in told.reported] == [(business, reason)]
    await _apply(channel, database, name)
    assert await _state(database) == (state, reason, state, reason)


async def test_a_flagged_number_is_red_at_once(
    channel: WhatsAppChannel, database: Database, business: BusinessId
) -> None:
    """Meta's word reaches both pictures in the transaction that takes it in; lanes follow it."""
    del business
    for _ in range(2):
        await _apply(channel, database, "phone__quality")
    async with database.engine() as transaction:
        ours = await transaction.fetchval("SELECT quality_rating FROM business_whatsapp_config")
        core = await transaction.fetchval("SELECT quality FROM channel_connection")
    assert (ours, core) == ("RED", "RED")


async def test_an_unpaid_bill_stops_the_number(
    channel: WhatsAppChannel, database: Database, business: BusinessId, told: Any
) -> None:
    """A failed status that concerns the whole number stops it and is told once per batch."""
    await _apply(channel, database, "status__failed_for_billing")
    assert await _state(database) == ("error", "billing-problem", "error", "billing-problem")
    assert told.reported == [(business, "billing-problem", {"code": "131042"})]


async def test_a_withdrawn_token_is_overwritten(
    channel: WhatsAppChannel, database: Database, business: BusinessId
) -> None:
    """A token that Meta took back is not kept, sealed or in memory."""
    assert (await channel._credentials.of(business, PHONE)).version == 1
    await _apply(channel, database, "account__partner_removed")
    async with database.engine() as transaction:
        kept = await transaction.fetchval(
            "SELECT access_token_encrypted FROM business_whatsapp_config"
        )
    assert kept is None
    with pytest.raises(CredentialsRejectedError):
        await channel._credentials.of(business, PHONE)


@pytest.mark.usefixtures("business")
async def test_news_of_a_stranger_change_nothing(
    channel: WhatsAppChannel, database: Database
) -> None:
    """Signed news about an account that nobody connected here touches nobody."""
    stranger = ChannelEvent(
        kind="account_update",
        account="999",
        dedupe="x",
        occurred_at=channel._host.clock.now(),
        data={"event": "ACCOUNT_DELETED", "violation": "", "ban": "", "restrictions": []},
    )
    async with database.engine() as transaction:
        await channel.apply(transaction, [stranger])
    assert (await _state(database))[0] == "active"


@pytest.mark.usefixtures("business")
async def test_template_news_reach_both_pictures(
    channel: WhatsAppChannel, database: Database
) -> None:
    """A pause stops the template at once, an approval brings it back, a category is Meta's."""
    await _apply(channel, database, "template__reason_null")
    ours, core = await _template(database)
    assert (ours["status"], ours["meta_status"], core["usable"]) == ("paused", "PAUSED", False)
    assert core["reason"] == "template-paused"
    await _apply(channel, database, "template__approved", seconds=1)
    ours, core = await _template(database)
    assert (ours["status"], core["usable"]) == ("approved", True)
    await _apply(channel, database, "template__category_done", "template__quality", seconds=2)
    ours, core = await _template(database)
    assert (ours["category"], core["category"], ours["quality"]) == (
        "marketing",
        "marketing",
        "RED",
    )
    await _apply(channel, database, "template__rejected", seconds=3)
    ours, core = await _template(database)
    assert (ours["status"], ours["rejected_reason"], core["usable"]) == (
        "rejected",
        "PROMOTIONAL",
        False,
    )


async def test_older_news_asks_for_a_fresh_reading(
    channel: WhatsAppChannel, database: Database, business: BusinessId, told: Any
) -> None:
    """An approval that comes late cannot bring back what was paused after it."""
    await _apply(channel, database, "template__reason_null")
    await _apply(channel, database, "template__approved", seconds=-60)
    ours, core = await _template(database)
    assert (ours["status"], core["usable"]) == ("paused", False)
    assert told.queued == [("sync_templates", {"business_id": str(business)})]


@pytest.mark.usefixtures("business")
async def test_news_survive_a_queue_that_stands_still(
    channel: WhatsAppChannel, database: Database, told: Any
) -> None:
    """A dead queue costs the early reading, not the news in the same batch."""
    told.queue_works = False
    await _apply(channel, database, "phone__quality", "template__reason_null")
    ours, _ = await _template(database)
    assert ours["status"] == "paused"


async def test_a_reading_brings_everything_up_to_date(
    channel: WhatsAppChannel, database: Database, meta: Any, business: BusinessId
) -> None:
    """New templates come, changed ones change, missing ones are disabled, quality follows."""
    added = {**TEMPLATE, "id": "2", "name": "booking_confirmed"}
    meta.on(f"GET {WABA}/message_templates", {"data": [added, added]})
    meta.on(f"GET {WABA}/phone_numbers", {"data": [{**NUMBER, "quality_rating": "YELLOW"}]})
    assert await channel.sync(business) == 1
    async with database.engine() as transaction:
        told = await transaction.fetch("SELECT * FROM channel_template ORDER BY name")
        quality = await transaction.fetchval("SELECT quality FROM channel_connection")
        gone = await transaction.fetchrow(
            "SELECT * FROM whatsapp_templates WHERE template_name = 'reminder_24h'"
        )
    assert [(one["name"], one["usable"]) for one in told] == [
        ("booking_confirmed", True),
        ("reminder_24h", False),
    ]
    assert (gone["status"], gone["meta_status"], gone["version"]) == ("disabled", "DELETED", 2)
    assert quality == "YELLOW"


async def test_half_a_listing_changes_nothing(
    channel: WhatsAppChannel, database: Database, meta: Any, business: BusinessId
) -> None:
    """When the second page cannot be read, no template is taken for deleted."""
    page = {"data": [], "paging": {"cursors": {"after": "c"}, "next": "x"}}
    meta.on(f"GET {WABA}/message_templates", page, (502, b""))
    with pytest.raises(OutcomeUnknownError):
        await channel.sync(business)
    ours, core = await _template(database)
    assert (ours["status"], core["usable"]) == ("approved", True)


async def test_the_nightly_task_reads_every_business(
    stored_host: Host,
    told: Any,
    meta: Any,
    business: BusinessId,
    new_business: NewBusiness,
    hold_account: Callable[..., None],
) -> None:
    """One business's refused token does not cost the others their reading."""
    hold_account("700200", "500200")
    second = await new_business("second")
    await connect(stored_host, second, "700200", "500200", "EAAother-token")
    refused = min((business, WABA), (second, "700200"))[1]
    meta.on(f"GET {refused}/message_templates", (401, {"error": {"code": 190}}))
    meta.calls.clear()
    (task,) = plugin.tasks(stored_host)
    (schedule,) = plugin.schedules(stored_host)
    assert schedule.task == task.name == "sync_templates"
    told.reported.clear()
    ends_at = stored_host.clock.now() + timedelta(days=6)
    async with stored_host.begin() as transaction:
        await transaction.execute(
            "UPDATE business_whatsapp_config SET token_expires_at = $1 WHERE business_id = $2",
            ends_at,
            second,
        )
    await task.function({})
    # The night also names tokens that end within a week.
    [(whom, fact, details)] = told.reported
    assert (whom, fact) == (second, "token-expiring")
    assert details["subject"] == "500200"
    assert details["expires_at"] == f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"
    # A number that is connected again, with a token that lasts, takes it back.
    await connect(stored_host, second, "700200", "500200", "EAAother-token")
    over = {"subject": "500200", "resolved": "yes"}
    assert told.reported[1:] == [(second, "token-expiring", over)]
    assert {call.path for call in meta.calls} >= {
        f"{WABA}/message_templates",
        "700200/message_templates",
    }
    meta.calls.clear()
    meta.on("GET 700200/message_templates", {"data": []})
    await task.function({}, business_id=str(second))
    assert {call.path for call in meta.calls} == {
        "700200/message_templates",
        "700200/phone_numbers",
    }
