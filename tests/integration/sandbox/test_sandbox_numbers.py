"""The numbers of the sandbox: each does what the table says, and nothing leaves the house."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_world import CHANNEL, TEMPLATES, connect
from engine_steps import send_all

from core.api import examples
from core.channels.messages import OutboundMessage
from core.clock import ManualClock
from core.db import Database, PoolSizes
from core.errors import RetryableError
from core.ids import CustomerId
from core.notify.inbox import apply_waiting
from core.notify.wording import preview
from core.sandbox.channel import SandboxedChannel
from core.sandbox.provider import SandboxProvider

if TYPE_CHECKING:
    from trial_world import Trial


async def callbacks(trial: Trial) -> list[str]:
    """Return the types of the callbacks that were written, in their order."""
    rows = await trial.api.superuser.fetch("SELECT type FROM callback_delivery ORDER BY id")
    return [row["type"] for row in rows]


async def listen(trial: Trial) -> None:
    """Ask for the callbacks of test businesses."""
    body = {"url": "https://93.184.215.14/hooks", "events": ["*"]}
    answer = await trial.call("POST", "/v1/webhook-endpoints", json=body)
    assert answer.status_code == 201, answer.text


async def test_the_first_number_is_read_and_called_back(trial: Trial) -> None:
    """Sent, delivered, read, with callbacks; the words can be seen; the provider saw nothing."""
    await listen(trial)
    confirmation = await trial.confirmation("00")
    assert await trial.work() == 1
    assert (await trial.story(confirmation))["status"] == "sent"
    await trial.hear()
    story = await trial.story(confirmation)
    assert (story["status"], story["final"]) == ("read", True)
    assert {"notification.sent", "notification.read"} <= set(await callbacks(trial))
    shown = await trial.call("GET", "/v1/sandbox/messages", params={"business_id": examples.TRIAL})
    [bubble] = shown.json()["data"]
    assert bubble["notification_id"] == confirmation
    assert "Ada" in bubble["text"]
    assert "Salone Aurora" in bubble["text"]
    assert bubble["address"].endswith("100")
    assert "+12025550100" not in shown.text
    assert trial.provider.sent == []


async def test_the_news_waits_in_the_database_for_its_moment(trial: Trial) -> None:
    """Not before it is due, and whichever process looks then: none of it is in memory."""
    confirmation = await trial.confirmation("00")
    await trial.work()
    await trial.api.superuser.execute("UPDATE provider_inbox SET due_at = now() + '1 h'::interval")
    assert await apply_waiting(trial.services, CHANNEL) == 0
    assert (await trial.story(confirmation))["status"] == "sent"
    assert await trial.hear() == 3
    assert (await trial.story(confirmation))["status"] == "read"


async def test_the_numbers_that_end_at_once(trial: Trial) -> None:
    """01 is never read, 02 and 05 fail for good with their codes, 08 is never heard of again."""
    ids = {number: await trial.confirmation(number) for number in ("01", "02", "05", "08", "07")}
    assert await trial.work() == 5
    await trial.hear()
    stories = {number: await trial.story(one) for number, one in ids.items()}
    assert stories["01"]["status"] == "delivered"
    assert stories["02"]["status"] == "failed"
    assert stories["02"]["explanation"]["code"] == "recipient-not-reachable"
    assert stories["02"]["explanation"]["provider_code"] == "131026"
    assert stories["05"]["status"] == "failed"
    assert stories["05"]["explanation"]["provider_code"] == "132015"
    assert stories["08"]["status"] == "sent"
    assert stories["07"]["status"] == "read", "out of order and twice changes nothing"
    assert trial.provider.sent == []


async def test_a_number_that_fails_twice_is_then_sent(trial: Trial) -> None:
    """The retries are the real ones; the clock need not be waited for."""
    confirmation = await trial.confirmation("03")
    for tries in (1, 2):
        assert await trial.work() == 1
        assert (await trial.story(confirmation))["attempts"] == tries
        assert await trial.work() == 0, "it waits for its retry"
        await trial.advance("PT5M")
    assert await trial.work() == 1
    await trial.hear()
    story = await trial.story(confirmation)
    assert (story["status"], story["attempts"]) == ("read", 3)
    listed = await trial.call("GET", f"/v1/notifications/{confirmation}/attempts")
    assert [one["outcome"] for one in listed.json()["data"]] == ["retry", "retry", "accepted"]


async def test_a_throttled_number_is_sent_after_its_minute(trial: Trial) -> None:
    """The provider's wait is kept, and moves with the clock; it counts as no retry."""
    confirmation = await trial.confirmation("04")
    assert await trial.work() == 1
    assert (await trial.story(confirmation))["status"] == "queued"
    await trial.advance("PT30S")
    assert await trial.work() == 0
    await trial.advance("PT31S")
    assert await trial.work() == 1
    assert (await trial.story(confirmation))["status"] == "sent"
    retries = await trial.api.superuser.fetchval(
        "SELECT retry_count FROM notification_outbox WHERE status = 'sent'"
    )
    assert retries == 0


async def test_a_number_answers_stop(trial: Trial) -> None:
    """The answer takes the way of any customer's message: revoked, confirmed once, told."""
    await listen(trial)
    confirmation = await trial.confirmation("06")
    await trial.work()
    assert await trial.hear() == 3
    assert (await trial.story(confirmation))["status"] == "delivered"
    assert "message.received" in await callbacks(trial)
    row = await trial.api.superuser.fetchrow(
        "SELECT * FROM whatsapp_message_log WHERE direction = 'inbound'"
    )
    assert row["business_id"] == trial.business.id
    assert row["notification_id"] is not None
    assert "consent.revoked" in await callbacks(trial)
    told = await trial.tell("06", ref="B-again")
    assert {one["outcome"] for one in told["decisions"]} == {"suppressed"}
    assert await trial.work() == 1, "the confirmation of the stop"
    assert await trial.hear() == 2, "to which nobody answers"
    assert await trial.work() == 0


async def test_rejected_credentials_stop_the_channel_until_it_is_connected_again(
    trial: Trial,
) -> None:
    """Nothing is lost: the message goes out once the business is put again."""
    confirmation = await trial.confirmation("09")
    await trial.work()
    path = f"/v1/businesses/{examples.TRIAL}"
    channels = (await trial.call("GET", f"{path}/channels")).json()["data"]
    assert {one["channel"]: one["status"] for one in channels}["whatsapp"] == "error"
    assert (await trial.story(confirmation))["status"] == "queued"
    assert await send_all(trial.services) == 0
    await trial.call("PUT", path, json=examples.BUSINESS_BODY)
    channels = (await trial.call("GET", f"{path}/channels")).json()["data"]
    assert {one["channel"]: one["status"] for one in channels}["whatsapp"] == "active"
    assert await send_all(trial.services) == 1


async def test_a_live_business_goes_to_the_provider(trial: Trial) -> None:
    """The sandbox stands in nobody's way, also for its own numbers."""
    await connect(trial.services, trial.api.own, TEMPLATES)
    phone = {"phone": "+12025550102", "locale": "it"}
    granted = await trial.api.grant(customer={"first_name": "Ada", **phone})
    assert granted.status_code == 201, granted.text
    customer = {"id": examples.CUSTOMER, **phone}
    told = await trial.api.tell(data={**examples.EVENT_BODY["data"], "customer": customer})
    assert told.status_code == 202, told.text
    assert await trial.work() == 1
    assert [one.address for one in trial.provider.sent] == ["+12025550102"]
    assert await trial.api.count("sandbox_message") == 0


async def test_nothing_is_sent_while_it_is_not_known_whose_it_is(trial: Trial) -> None:
    """A database that is gone, or that answers too late, keeps live messages back as well."""
    message = OutboundMessage(
        callback_id="ntf_0",
        business_id=trial.api.own.id,
        customer_id=CustomerId(trial.api.own.id),
        account="account",
        address="+12025550100",
    )
    clock = ManualClock(trial.services.clock.now())

    class Slow(Database):
        """Answers after three seconds."""

        def engine(self) -> Any:
            """Let the time pass."""
            clock.advance(timedelta(seconds=3))
            return trial.services.database.engine()

    class Gone(Database):
        """Is not there."""

        def engine(self) -> Any:
            """Refuse."""
            raise ConnectionRefusedError

    for database in (Gone("", PoolSizes()), Slow("", PoolSizes())):
        sandbox = SandboxProvider(database, trial.services.vault, clock, preview)
        channel = SandboxedChannel(CHANNEL, trial.provider, sandbox)
        with pytest.raises(RetryableError):
            await channel.send(message)
    assert trial.provider.sent == []
    assert (await channel.send(message)).provider_message_id, "it is known by now"
