"""From an alert to a person's mailbox: once per transition, counted together, never lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from smtp_receiver import MailReceiver, receiving

from core.access.tables import Role
from core.access.users import add_membership
from core.alerts.store import Matter, raise_alert, raise_alerts, resolve_alert
from core.mailserver import MailServer
from core.secret import Secret
from tasks.mailing import Mailer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from core.notify.services import Services

NOW = timedelta(0)


class Post:
    """A business with people, a mail server, and a mailer to step by hand."""

    def __init__(self, services: Services, superuser: Any, receiver: MailReceiver) -> None:
        self.services, self.superuser, self.receiver = services, superuser, receiver
        self.business: Any = None

    def mailer(self) -> Mailer:
        """Return a mailer as a worker would have it."""
        server = MailServer(
            host="127.0.0.1",
            port=self.receiver.port,
            tls=False,
            starttls=False,
            user="",
            password=Secret(""),
            sender="alerts@example.com",
            sender_name="Patchbay",
        )
        return Mailer(self.services, server, NOW)

    async def person(self, name: str, role: Role, locale: str = "en", **where: UUID | None) -> int:
        """Add somebody with a role."""
        user_id: int = await self.superuser.fetchval(
            "INSERT INTO app_user (username, password, email, locale, active) "
            "VALUES ($1::text, 'x', $1::text || '@example.com', $2, true) RETURNING id",
            name,
            locale,
        )
        place = where.get("business_id", self.business.id)
        await add_membership(self.services.database, user_id, role, place)
        return user_id

    async def raised(self, kind: str = "channel-suspended", subject: str = "whatsapp") -> None:
        """Raise an alert of the business."""
        async with self.services.database.engine() as transaction:
            await raise_alert(transaction, self.business.id, kind, subject, {"reason": "r"})

    async def over(self, kind: str = "channel-suspended", subject: str = "whatsapp") -> None:
        """End it."""
        async with self.services.database.engine() as transaction:
            assert await resolve_alert(transaction, self.business.id, kind, subject)

    async def later(self, minutes: int) -> None:
        """Let time pass for everything that waits."""
        wait = timedelta(minutes=minutes)
        await self.superuser.execute(
            "UPDATE alert_mail SET created_at = created_at - $1::interval, "
            "next_at = next_at - $1::interval, lease_until = lease_until - $1::interval",
            wait,
        )

    async def rows(self) -> list[Any]:
        """Return the mails as they stand."""
        found: list[Any] = await self.superuser.fetch("SELECT * FROM alert_mail ORDER BY id")
        return found

    def taken(self) -> list[str]:
        """Return who got what, and forget it."""
        told = sorted(f"{one['To']} | {one['Subject']}" for one in self.receiver.letters)
        self.receiver.mails.clear()
        return told


@pytest.fixture
async def post(
    services: Services, superuser: Any, add_business: Callable[..., Any]
) -> AsyncIterator[Post]:
    """Build it, with an owner who reads Italian."""
    async with receiving() as receiver:
        built = Post(services, superuser, receiver)
        built.business = await add_business("salon-a", name="Salone Aurora")
        await built.person("anna", Role.OWNER, "it")
        yield built


async def test_owners_and_managers_are_written_once_per_transition(post: Post) -> None:
    """Each in their language; nobody else; raised once and over once, however often one looks."""
    await post.person("ben", Role.MANAGER, "en-GB")
    await post.person("cora", Role.MANAGER, "es")
    await post.person("dora", Role.MANAGER, "de")
    for name, role in (("eve", Role.VIEWER), ("fay", Role.SUPPORT)):
        await post.person(name, role)
    await post.person("root", Role.PLATFORM_ADMIN, business_id=None)
    gone = await post.person("gus", Role.MANAGER)
    await post.superuser.execute("UPDATE app_user SET active = false WHERE id = $1", gone)
    for _ in range(3):
        await post.raised()
        await post.mailer().step()
    [letter] = [one for one in post.receiver.letters if "anna" in one["To"]]
    assert letter["From"] == "Patchbay <alerts@example.com>"
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_content()
    assert "Salone Aurora" in text
    assert "Che cosa fare" in text
    assert "whatsapp" in text
    assert [one.partition(" | ")[0].partition("@")[0] for one in post.taken()] == [
        "anna",
        "ben",
        "cora",
        "dora",
    ]
    await post.superuser.execute("UPDATE alert SET state = 'acked', acked_by = 'anna'")
    await post.mailer().step()
    assert post.taken() == []
    await post.over()
    await post.mailer().step()
    assert post.taken() == []
    await post.later(16)
    await post.mailer().step()
    told = post.taken()
    assert len(told) == 4
    assert "Risolto" in told[0]
    assert "Over: Too many messages" in told[1]
    assert {row["state"] for row in await post.rows()} == {"sent"}


async def test_the_platforms_alerts_go_to_its_admins(post: Post) -> None:
    """Not to operators and not to businesses."""
    await post.person("root", Role.PLATFORM_ADMIN, business_id=None)
    await post.person("oli", Role.PLATFORM_OPERATOR, business_id=None)
    async with post.services.database.engine() as transaction:
        await raise_alert(transaction, None, "webhook-not-applied", "whatsapp")
    await post.mailer().step()
    [told] = post.taken()
    assert told.startswith("root@example.com | [Patchbay] the platform: A provider's call")


async def test_a_storm_is_one_mail_and_then_a_digest(post: Post) -> None:
    """1,000 alerts: one mail now, one after the quarter of an hour with all that came since."""
    await post.raised("template-withdrawn", "t-first")
    await post.mailer().step()
    assert len(post.taken()) == 1
    matters = [
        Matter(business_id=post.business.id, kind="template-withdrawn", subject=f"t-{number}")
        for number in range(1000)
    ]
    async with post.services.database.engine() as transaction:
        await raise_alerts(transaction, matters)
    await post.over("template-withdrawn", "t-first")
    for _ in range(3):
        await post.mailer().step()
    assert post.taken() == []
    await post.later(16)
    await asyncio.gather(*(post.mailer().step() for _ in range(3)))
    await post.mailer().step()
    [letter] = post.receiver.letters
    text = letter.get_content()
    assert "1000" in text
    assert "\n" not in letter["Subject"]
    assert text.count("\n  t-") == 10
    other = await post.mailer().step()
    assert not other


async def test_another_kind_does_not_wait(post: Post) -> None:
    """The quarter of an hour holds for one kind in one business."""
    await post.raised()
    await post.mailer().step()
    await post.raised("quality-low", "whatsapp:1")
    await post.mailer().step()
    assert len(post.taken()) == 2


async def test_what_is_put_off_is_tried_again_under_the_same_id(post: Post) -> None:
    """Greylisted, dropped after the whole mail, then taken: the same bytes each time."""
    post.receiver.script = ["451", "drop-after"]
    await post.raised()
    await post.mailer().step()
    [row] = await post.rows()
    assert (row["state"], row["last_error"], row["attempt"]) == ("waiting", "recipient-451", 1)
    assert row["next_at"] > row["created_at"] + timedelta(seconds=50)
    await post.mailer().step()
    assert (await post.rows())[0]["attempt"] == 1
    await post.superuser.execute("UPDATE alert_mail SET next_at = now()")
    await post.mailer().step()
    [row] = await post.rows()
    assert (row["state"], row["last_error"]) == ("waiting", "unknown-outcome")
    await post.superuser.execute("UPDATE alert_mail SET next_at = now()")
    await post.mailer().step()
    [row] = await post.rows()
    assert (row["state"], row["attempt"]) == ("sent", 3)
    first, second = post.receiver.mails
    assert first == second
    assert post.receiver.letters[0]["Message-ID"].endswith("@example.com>")


async def test_a_lasting_no_and_a_day_of_trying_are_marked(post: Post) -> None:
    """The mail has failed, an alert of the platform says so, and ends with the next delivery."""
    post.receiver.script = ["550"]
    await post.raised()
    await post.mailer().step()
    [row] = await post.rows()
    assert (row["state"], row["last_error"]) == ("failed", "recipient-550")
    marks = "SELECT state FROM alert WHERE kind = 'mail-not-delivered' ORDER BY id"
    assert [one["state"] for one in await post.superuser.fetch(marks)] == ["open"]
    await post.mailer().step()
    assert len(await post.rows()) == 1
    await post.raised("quality-low")
    await post.mailer().step()
    assert [one["state"] for one in await post.superuser.fetch(marks)] == ["resolved"]
    post.receiver.always = "451"
    await post.raised("quality-warning")
    await post.mailer().step()
    await post.later(24 * 60)
    await post.mailer().step()
    row = (await post.rows())[-1]
    assert (row["state"], row["attempt"], row["last_error"]) == ("failed", 2, "recipient-451")
    states = [one["state"] for one in await post.superuser.fetch(marks)]
    assert states == ["resolved", "open"]


async def test_a_worker_that_dies_costs_a_lease_not_the_mail(post: Post) -> None:
    """What was claimed is free again when the lease ends; the late record is passed over."""
    await post.raised()
    mailer = post.mailer()
    post.receiver.script = ["drop-data"]
    await mailer.step()
    await post.superuser.execute(
        "UPDATE alert_mail SET state = 'leased', lease_token = gen_random_uuid(), "
        "lease_until = now() + interval '1 minute'"
    )
    await post.mailer().step()
    assert post.taken() == []
    await post.later(5)
    await post.mailer().step()
    assert len(post.taken()) == 1


async def test_who_left_is_not_written(post: Post) -> None:
    """Between the alert and the mail somebody lost their role: no mail, and no address kept."""
    await post.raised()
    post.receiver.always = "451"
    await post.mailer().step()
    await post.superuser.execute("DELETE FROM membership")
    await post.later(10)
    asked = len(post.receiver.recipients)
    await post.mailer().step()
    [row] = await post.rows()
    assert (row["state"], row["last_error"]) == ("failed", "recipient-gone")
    assert len(post.receiver.recipients) == asked
    assert "@" not in str([dict(one) for one in await post.rows()])


async def test_a_name_cannot_become_a_header(post: Post) -> None:
    """Line feeds in a business's name or in what an alert is about stay text."""
    evil = "Aurora\r\nBcc: eve@example.com\r\n\r\nHello"
    await post.superuser.execute("UPDATE business SET name = $1", evil)
    await post.raised(subject="x\r\nBcc: eve@example.com")
    await post.mailer().step()
    [letter] = post.receiver.letters
    assert letter["Bcc"] is None
    assert letter["To"] == "anna@example.com"
    assert letter["Subject"].startswith("[Patchbay] Aurora Bcc: eve@example.com Hello:")
    assert post.receiver.recipients == ["anna@example.com"]


async def test_nothing_is_held_while_the_server_is_spoken_to(post: Post) -> None:
    """No transaction is open during the exchange, and the alert can be ended meanwhile."""
    post.receiver.always = "hang"
    await post.raised()
    sending = asyncio.create_task(post.mailer().step())
    while not post.receiver.recipients:
        await asyncio.sleep(0.02)
    open_now = await post.superuser.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%'"
    )
    assert open_now == 0
    await post.over()
    await post.receiver.stop()
    await sending
    [row] = await post.rows()
    assert (row["state"], row["last_error"]) == ("waiting", "dropped")


async def test_old_news_is_passed_over(post: Post) -> None:
    """A deployment that gets its mail server later is not told of last week."""
    await post.raised()
    await post.superuser.execute("UPDATE alert SET created_at = now() - interval '25 hours'")
    await post.mailer().step()
    assert await post.rows() == []
    calm = replace(post.mailer(), calm=timedelta(minutes=1))
    await post.raised("quality-low")
    await calm.step()
    assert await post.rows() == []
