"""Each type about alerts, channels and templates is written once, with the change it tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine_steps import TOMORROW, send_all

from core.alerts.kinds import KINDS
from core.alerts.store import Matter, raise_alert, raise_alerts, resolve_alert, resolve_alerts
from core.api.callback_examples import example_of
from core.callbacks import endpoints
from core.callbacks import kinds as callback_kinds
from core.callbacks.deliveries import Delivery
from core.callbacks.messages import render
from core.catalogue.store import Catalogue
from core.channels.host import Connection, Template
from core.channels.messages import ConnectionState
from core.errors import (
    CredentialsRejectedError,
    OutcomeUnknownError,
)
from core.ids import WEBHOOK_ENDPOINT, outward
from core.limits import suspension
from core.limits.pauses import Reach
from core.notify import aftermath
from core.notify.connections import lane_follows
from core.notify.intake import take_in
from core.notify.pausing import resume_sending

if TYPE_CHECKING:
    from conftest import Wire

ACTIVE, ERROR = ConnectionState.ACTIVE, ConnectionState.ERROR
WORDS = ("approved", "rejected", "paused")
CATALOGUE = Catalogue("scripted", lane_follows)


async def told(wire: Wire, *types: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what was written since the last look, and forget it."""
    rows = await wire.superuser.fetch(
        "DELETE FROM callback_delivery WHERE endpoint_id = $1 RETURNING type, body, id",
        wire.endpoint_id,
    )
    found = [(row["type"], json.loads(row["body"])) for row in sorted(rows, key=lambda r: r["id"])]
    return [one for one in found if not types or one[0] in types]


async def put(wire: Wire, state: ConnectionState, reason: str = "", quality: str = "") -> None:
    """Let the channel tell of its account."""
    account = Connection(
        business_id=wire.salon.business.id,
        account_ref="account-salon-a",
        state=state,
        reason=reason,
        quality=quality,
    )
    async with wire.services.database.engine() as transaction:
        await CATALOGUE.put_connections(transaction, [account])


async def put_template(wire: Wire, *, usable: bool, reason: str = "", name: str = "news") -> None:
    """Let the channel tell of a template."""
    template = Template(
        business_id=wire.salon.business.id,
        name=name,
        language="it",
        usable=usable,
        reason=reason,
        body="Ciao",
    )
    async with wire.services.database.engine() as transaction:
        await CATALOGUE.put_templates(transaction, [template])


async def states(wire: Wire) -> dict[str, str]:
    """Return the newest alert's state of each kind."""
    rows = await wire.superuser.fetch("SELECT kind, state FROM alert ORDER BY id")
    return {row["kind"]: row["state"] for row in rows}


async def test_an_alert_is_told_when_raised_and_when_over(wire: Wire) -> None:
    """Once each, to the business and the platform; taking it on is not told; no rollback leaks."""
    platform, _ = await wire.add("alert.*")
    business = wire.salon.business.id
    await told(wire)
    async with wire.services.database.engine() as transaction:
        for _ in range(2):
            await raise_alert(transaction, business, "channel-suspended", "scripted")
    await wire.superuser.execute("UPDATE alert SET state = 'acked', acked_by = 'anna'")
    async with wire.services.database.engine() as transaction:
        for _ in range(2):
            await resolve_alert(transaction, business, "channel-suspended", "scripted")
    await wire.superuser.execute("BEGIN")
    await wire.superuser.execute("SELECT alert_raise($1, 'quality-low', 'x', '{}')", business)
    await wire.superuser.execute("ROLLBACK")
    assert [row["type"] for row in await wire.rows(platform)] == ["alert.raised", "alert.resolved"]
    first, second = await told(wire)
    assert first[0] == "alert.raised"
    assert first[1] == {
        "business_id": "salon-a",
        "kind": "channel-suspended",
        "about": "scripted",
        "state": "open",
    }
    assert (second[0], second[1]["state"]) == ("alert.resolved", "resolved")


async def test_the_platforms_alerts_reach_the_platform_only(wire: Wire) -> None:
    """No business hears of them; the body says null where the business stands."""
    platform, _ = await wire.add("*")
    await told(wire)
    async with wire.services.database.engine() as transaction:
        await raise_alert(transaction, None, "webhook-not-applied", "scripted")
        await resolve_alerts(transaction, [(None, "webhook-not-applied", "scripted")])
    assert await told(wire) == []
    rows = await wire.rows(platform)
    assert [row["type"] for row in rows] == ["alert.raised", "alert.resolved"]
    row = rows[0] | {name: json.loads(rows[0][name]) for name in ("body", "tries")}
    sent = json.loads(
        render("x", Delivery(**{name: row[name] for name in Delivery.__struct_fields__}))
    )
    assert sent["data"]["business_id"] is None
    assert sent["data"]["severity"] == "warning"
    assert sent["data"]["alert_id"].startswith("alr_")
    assert sent["subject"] == f"alert/{sent['data']['alert_id']}"


async def test_a_thousand_alerts_are_one_statement(wire: Wire) -> None:
    """Raised, told and ended in sets; a second time nothing."""
    business = wire.salon.business.id
    await told(wire)
    matters = [
        Matter(business_id=business, kind="template-withdrawn", subject=f"t-{number}")
        for number in range(1000)
    ]
    async with wire.services.database.engine() as transaction:
        assert await raise_alerts(transaction, [*matters, *matters[:10]]) == 1000
        assert await raise_alerts(transaction, matters) == 0
    assert len(await told(wire, "alert.raised")) == 1000
    async with wire.services.database.engine() as transaction:
        over = [(one.business_id, one.kind, one.subject) for one in matters]
        assert await resolve_alerts(transaction, over) == 1000
    assert len(await told(wire, "alert.resolved")) == 1000


async def test_an_account_that_stops_and_works_again_is_told(wire: Wire) -> None:
    """Connected, disconnected with the reason, quality changed; the same again is no news."""
    await told(wire)
    await put(wire, ERROR, "credentials-rejected")
    await put(wire, ERROR, "credentials-rejected")
    await put(wire, ACTIVE, quality="GREEN")
    await put(wire, ACTIVE, quality="GREEN")
    channel = await told(
        wire, "channel.connected", "channel.disconnected", "channel.quality_changed"
    )
    assert sorted(kind for kind, _ in channel) == [
        "channel.connected",
        "channel.disconnected",
        "channel.quality_changed",
    ]
    lost = next(body for kind, body in channel if kind == "channel.disconnected")
    assert lost["code"] == "credentials-rejected"
    assert lost["account"] == "account-salon-a"
    assert lost["channel"] == "scripted"


async def test_a_fallen_quality_is_an_alert_until_it_recovers(wire: Wire) -> None:
    """Yellow, red, green: one alert per step down, over with the next word; told as it stops."""
    await told(wire)
    await put(wire, ACTIVE, quality="YELLOW")
    assert await states(wire) == {"quality-warning": "open"}
    for _ in range(2):
        await put(wire, ACTIVE, quality="RED")
    assert await states(wire) == {"quality-warning": "resolved", "quality-low": "open"}
    await put(wire, ACTIVE, quality="GREEN")
    assert set((await states(wire)).values()) == {"resolved"}
    assert await wire.superuser.fetchval("SELECT count(*) FROM alert") == 2
    channel = [one for one in await told(wire) if one[0].startswith("channel.")]
    kinds = [kind for kind, _ in channel]
    assert kinds.count("channel.quality_changed") == 3
    assert kinds.count("channel.suspended") == kinds.count("channel.resumed") == 1
    assert dict(channel)["channel.suspended"]["code"] == "quality-low"


async def test_templates_are_told_as_they_come_and_go(wire: Wire) -> None:
    """Once each; what is still looked at is no news; an alert while it is away."""
    await told(wire)
    await put_template(wire, usable=False, reason="template-pending")
    assert await told(wire) == []
    for usable, reason, kind in (
        (True, "", "template.approved"),
        (False, "template-paused", "template.paused"),
        (True, "", "template.approved"),
        (False, "template-rejected", "template.rejected"),
    ):
        for _ in range(2):
            await put_template(wire, usable=usable, reason=reason)
        [(one, body)] = await told(wire, *(f"template.{word}" for word in WORDS))
        assert (one, body["template"], body["language"]) == (kind, "news", "it")
        state = "resolved" if usable else "open"
        assert (await states(wire)).get("template-withdrawn", "resolved") == state
    assert await wire.superuser.fetchval("SELECT count(*) FROM alert") == 2


async def test_a_refused_token_is_an_alert_until_the_account_works(wire: Wire) -> None:
    """Disconnected and raised in one transaction; connecting again ends it by itself."""
    await wire.salon.customer()
    event = wire.salon.event(starts_at=TOMORROW, kind="booking.canceled")
    await take_in(wire.services, wire.salon.business, [event])
    await told(wire)
    wire.salon.sender.answers = [CredentialsRejectedError("no", code="190")]
    await send_all(wire.services)
    assert [kind for kind, _ in await told(wire, "channel.disconnected", "alert.raised")].count(
        "channel.disconnected"
    ) == 1
    assert await states(wire) == {"credentials-rejected": "open"}
    await put(wire, ACTIVE)
    assert await states(wire) == {"credentials-rejected": "resolved"}
    news = await told(wire, "channel.connected", "alert.resolved")
    assert sorted(kind for kind, _ in news) == ["alert.resolved", "channel.connected"]


async def test_suspension_and_the_way_back_are_told(wire: Wire) -> None:
    """Once when it trips, once when a person lifts it; with its alert."""
    business = wire.salon.business.id
    await told(wire)
    async with wire.services.database.engine() as transaction:
        marks = {(business, "scripted"): suspension.FAILED * 30}
        [verdict] = await suspension.judge(transaction, marks)
        await raise_alert(transaction, business, aftermath.SUSPENDED, verdict.channel)
    suspended = await told(wire)
    assert sorted(kind for kind, _ in suspended) == ["alert.raised", "channel.suspended"]
    assert dict(suspended)["channel.suspended"]["code"] == "too-many-failures"
    for _ in range(2):
        await resume_sending(wire.services.database, Reach(business, None), actor="anna")
    assert sorted(kind for kind, _ in await told(wire)) == ["alert.resolved", "channel.resumed"]


async def test_a_token_that_ends_soon_is_told_once(wire: Wire) -> None:
    """As an alert and as news of its channel, with the day."""
    await told(wire)
    async with wire.services.database.engine() as transaction:
        for _ in range(2):
            await raise_alerts(
                transaction,
                [
                    Matter(
                        business_id=wire.salon.business.id,
                        kind="scripted.token-expiring",
                        subject="account-1",
                        arguments={"expires_at": "2026-11-29T00:00:00Z"},
                    )
                ],
            )
    news = dict(await told(wire))
    assert set(news) == {"alert.raised", "channel.token_expiring"}
    assert news["channel.token_expiring"] == {
        "business_id": "salon-a",
        "channel": "scripted",
        "account": "account-1",
        "expires_at": "2026-11-29T00:00:00Z",
    }


async def test_lost_answers_are_one_alert_until_the_last_is_known(wire: Wire) -> None:
    """Raised by the first, ended with the last; the belt mends what was missed."""
    await wire.salon.customer()
    events = [
        wire.salon.event(f"e-{n}", starts_at=TOMORROW, kind="booking.canceled", booking=f"B-{n}")
        for n in range(2)
    ]
    await take_in(wire.services, wire.salon.business, events)
    wire.salon.sender.answers = [OutcomeUnknownError("lost", code="no-answer")] * 2
    for _ in range(2):
        await wire.superuser.execute("UPDATE recipient_pace SET next_at = NULL")
        await wire.superuser.execute("UPDATE lane SET next_at = now()")
        await send_all(wire.services)
    run = wire.superuser.execute
    ids = await wire.superuser.fetch(
        "SELECT id FROM notification_outbox WHERE phase = 'unconfirmed' ORDER BY id"
    )
    assert len(ids) == 2
    assert await states(wire) == {"unconfirmed-messages": "open"}
    settle = "UPDATE notification_outbox SET phase = 'final', status = 'sent' WHERE id = $1"
    await run(settle, ids[0]["id"])
    assert await states(wire) == {"unconfirmed-messages": "open"}
    await run("ALTER TABLE notification_outbox DISABLE TRIGGER alert_settled")
    await run(settle, ids[1]["id"])
    assert await states(wire) == {"unconfirmed-messages": "open"}
    await run("ALTER TABLE notification_outbox ENABLE TRIGGER alert_settled")
    review = "SELECT alert_review()"
    assert await wire.superuser.fetchval(review) == 1
    assert await states(wire) == {"unconfirmed-messages": "resolved"}
    back = "UPDATE notification_outbox SET phase = 'unconfirmed', begun_at = now() WHERE id = $1"
    await run(back, ids[0]["id"])
    assert await wire.superuser.fetchval(review) == 1
    assert await wire.superuser.fetchval(review) == 0
    over = "UPDATE alert SET state = 'resolved', resolved_by = 'anna' WHERE state <> 'resolved'"
    await run(over)
    assert await wire.superuser.fetchval(review) == 0
    await run(settle, ids[0]["id"])
    assert set((await states(wire)).values()) == {"resolved"}


async def test_an_endpoint_that_is_switched_off_is_told_to_the_others(wire: Wire) -> None:
    """By the alert, to the business's other endpoint; not to itself; and again when it is back."""
    other, _ = await wire.add(
        "alert.*", url=f"{wire.receiver.url}/other", business_id=wire.salon.business.id
    )
    wire.receiver.script = ["410"]
    await wire.tell()
    await wire.run(rounds=1)
    await wire.run(lambda: len(wire.receiver.calls) == 2)
    call = wire.receiver.calls[1]
    assert call.path.endswith("/other")
    assert call.told["type"] == "alert.raised"
    assert call.told["data"]["kind"] == endpoints.ALERT
    assert call.told["data"]["severity"] == "warning"
    assert call.told["data"]["about"] == outward(WEBHOOK_ENDPOINT, wire.endpoint_id)
    assert "alert.raised" not in [row["type"] for row in await wire.rows()]
    async with wire.services.database.engine() as transaction:
        found = await endpoints.get_endpoint(transaction, wire.endpoint_id)
        await endpoints.change_endpoint(
            transaction,
            found,
            url=found.url,
            events=found.events,
            description="",
            state="active",
            now=wire.services.clock.now(),
        )
    assert [row["type"] for row in await wire.rows(other)] == ["alert.raised", "alert.resolved"]


def test_every_type_has_an_example_that_is_its_own() -> None:
    """Made by the function that makes the real ones; alerts are of a kind that exists."""
    for kind in callback_kinds.KINDS:
        sent = example_of(kind)
        assert sent["type"] == kind
        assert sent["data"]["business_id"] == "salon-aurora"
        if kind.startswith("alert."):
            assert sent["data"]["kind"] in KINDS
            assert sent["data"]["severity"] == "critical"
    assert example_of("channel.connected")["subject"] == "channel/whatsapp"
    assert example_of("template.paused")["subject"] == "template/reminder_24h"
