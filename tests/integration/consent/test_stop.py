"""STOP and START: what a customer's reply ends, what it brings back, and the one answer to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.consent.revocation import revoke
from core.ids import new_uuid

if TYPE_CHECKING:
    from talking_salon import Talk

BOTH = ("transactional", "marketing")
OTHER = "+393339999999"


async def test_a_stop_ends_everything_and_is_confirmed_once(talk: Talk) -> None:
    """Exam C04: consents revoked, waiting messages canceled, the address marked, one answer."""
    await talk.person(purposes=BOTH)
    await talk.book()
    await talk.hear("Stop, per favore!")
    assert await talk.holds() == [("cus-1", "marketing", False), ("cus-1", "transactional", False)]
    assert await talk.superuser.fetchval("SELECT reason FROM suppression") == "stop"
    assert ("template", "canceled", "consent-revoked") in await talk.outbox()
    assert await talk.send() == 1
    assert await talk.send() == 0
    [message] = talk.salon.sender.sent
    assert message.template == ""
    assert message.text.startswith("Non riceverai più messaggi da Salon salon-a")
    line = await talk.superuser.fetchrow("SELECT * FROM consent_event WHERE action = 'revoke'")
    assert (line["source"], line["actor"]) == ("whatsapp", "customer:scripted")
    assert set(line["proof"]) >= {"reply", "word"} or "reply" in line["proof"]
    assert await talk.unequal() == []
    counted = await talk.superuser.fetch("SELECT kind, seen FROM inbox_counter")
    kinds = {row["kind"]: row["seen"] for row in counted}
    assert (kinds["reply:stop"], kinds["reply:confirmed"]) == (1, 1)


async def test_a_second_stop_is_not_answered(talk: Talk) -> None:
    """Once per revocation: neither the same message told twice nor another STOP is answered."""
    await talk.person()
    await talk.hear("stop", "STOP", "basta")
    await talk.hear("stop")
    assert await talk.send() == 1
    assert [kind for kind, *_ in await talk.outbox()] == ["confirmation"]
    assert await talk.superuser.fetchval("SELECT count(*) FROM consent_event") == 2


async def test_two_customers_with_one_number_get_one_answer(talk: Talk) -> None:
    """A STOP reaches every customer with that address; others, and other businesses, go on."""
    await talk.person("cus-1")
    await talk.person("cus-2")
    await talk.person("cus-3", OTHER)
    await talk.hear("stop")
    assert [held for *_, held in await talk.holds()] == [False, False, True]
    assert await talk.send() == 1
    assert await talk.book("cus-2") == "address-suppressed"


async def test_any_address_of_a_person_stops_all_of_them(talk: Talk) -> None:
    """A STOP from an old number ends the messages to the new one, also when it comes first."""
    await talk.person("cus-1", OTHER, "+393331234567")
    await talk.book()
    await talk.hear("stop", sender=OTHER)
    assert await talk.holds() == [("cus-1", "transactional", False)]
    assert ("template", "canceled", "consent-revoked") in await talk.outbox()
    # The number that said stop before we knew whose it is, told of later:
    await talk.hear("stop", sender="+393337777777")
    await talk.person("cus-2", "+393337777777", "+393331111111")
    assert await talk.book("cus-2") == "address-suppressed"


async def test_begin_asks_for_every_address(talk: Talk) -> None:
    """A mark on another number of the person, set after the claim, stops the message at begin."""
    customer = await talk.person("cus-1", OTHER, "+393331234567")
    assert await talk.book() == "queued"
    await talk.superuser.execute(
        "INSERT INTO suppression (id, business_id, channel, address_hash, reason) "
        "SELECT $2, business_id, 'scripted', address_hash, 'stop' FROM customer_address "
        "WHERE customer_id = $1 AND NOT is_primary",
        customer,
        new_uuid(),
    )
    assert await talk.send() == 0
    assert await talk.outbox() == [("template", "canceled", "address-suppressed")]


async def test_an_old_stop_counts_and_is_not_answered(talk: Talk) -> None:
    """The provider's window is over: the consent is revoked, and nothing is sent."""
    await talk.person()
    await talk.hear("stop", occurred_at=datetime.now(UTC) - timedelta(hours=25))
    assert await talk.holds() == [("cus-1", "transactional", False)]
    assert await talk.outbox() == []
    assert await talk.unequal() == []


async def test_a_stop_of_a_stranger_marks_the_address(talk: Talk) -> None:
    """Nobody is answered whom we do not know; whoever turns out to own the number is not sent."""
    await talk.hear("stop", sender=OTHER)
    assert await talk.outbox() == []
    await talk.person("cus-9", OTHER, purposes=())
    assert await talk.superuser.fetchval("SELECT count(*) FROM suppression") == 1


async def test_ordinary_replies_change_nothing(talk: Talk) -> None:
    """A reply with the word inside a sentence, a picture's caption: no revocation, no mark."""
    await talk.person()
    await talk.hear("I can't stop by today", "non fermare", "para mañana")
    await talk.hear("stop", message_type="image")
    assert await talk.holds() == [("cus-1", "transactional", True)]
    assert await talk.superuser.fetchval("SELECT count(*) FROM suppression") == 0


async def test_stop_promotions_ends_advertising_only(talk: Talk) -> None:
    """The quick reply under advertising revokes marketing; reminders go on, and it is said so."""
    await talk.person(purposes=BOTH)
    await talk.hear("Stop promotions", message_type="button", button="STOP_PROMOTIONS")
    assert await talk.holds() == [("cus-1", "marketing", False), ("cus-1", "transactional", True)]
    assert await talk.book() == "queued"
    await talk.send()
    said = [message.text for message in talk.salon.sender.sent if message.text]
    assert len(said) == 1
    assert "offerte" in said[0]


async def test_a_stop_button_under_advertising_ends_advertising(talk: Talk) -> None:
    """A pressed Stop belongs to the message it stands under; a typed one to everything."""
    await talk.person(purposes=BOTH)
    await talk.book()
    await talk.send()
    await talk.superuser.execute("UPDATE notification_outbox SET purpose = 'marketing'")
    first = talk.salon.sender.sent[0]
    answers = f"provider-1-{first.callback_id}"
    await talk.hear("Stop", message_type="button", button="STOP", answers=answers)
    assert await talk.holds() == [("cus-1", "marketing", False), ("cus-1", "transactional", True)]
    await talk.hear("Stop", answers=answers)
    assert await talk.holds() == [("cus-1", "marketing", False), ("cus-1", "transactional", False)]


async def test_start_brings_back_what_a_stop_ended(talk: Talk) -> None:
    """The mark goes, both consents hold again with the message as proof, the text is kept."""
    await talk.person(purposes=BOTH)
    await talk.hear("stop", occurred_at=datetime.now(UTC) - timedelta(minutes=5))
    await talk.hear("START")
    assert [held for *_, held in await talk.holds()] == [True, True]
    assert await talk.superuser.fetchval("SELECT count(*) FROM suppression") == 0
    line = await talk.superuser.fetchrow(
        "SELECT * FROM consent_event WHERE action = 'grant' ORDER BY at DESC LIMIT 1"
    )
    assert (line["source"], line["text_version"], line["locale"]) == ("whatsapp", "it-v1", "it")
    assert '"word":"start"' in str(line["proof"]).replace(" ", "")
    assert await talk.book() == "queued"
    assert await talk.send() == 1, "the confirmation of a stop that was taken back is not sent"
    assert talk.salon.sender.sent[0].template == "booking_confirmed"
    assert await talk.unequal() == []


async def test_start_grants_nothing_by_itself(talk: Talk) -> None:
    """No consent for a stranger, none for who never agreed, none after another revocation."""
    never = await talk.person("cus-1", purposes=())
    await talk.hear("start", sender=OTHER)
    await talk.hear("start")
    assert await talk.holds() == []
    services, business = talk.salon.services, talk.salon.business.id
    async with services.database.business(business) as transaction:
        await talk.agree(transaction, never)
        await revoke(
            transaction,
            business,
            [never],
            "scripted",
            purposes=BOTH,
            source="app",
            actor="test",
            now=datetime.now(UTC),
        )
    await talk.hear("stop")
    await talk.hear("start")
    assert await talk.holds() == [("cus-1", "transactional", False)]


async def test_start_from_another_number_brings_nothing_back(talk: Talk) -> None:
    """Only the address that said stop can take it back."""
    await talk.person("cus-1", OTHER, "+393331234567")
    await talk.hear("stop", occurred_at=datetime.now(UTC) - timedelta(minutes=5))
    await talk.hear("start", sender=OTHER)
    assert await talk.holds() == [("cus-1", "transactional", False)]


async def test_one_kind_of_message_stands_outside_the_consent_gate(talk: Talk) -> None:
    """Rulings B6: of all kinds the table allows, only the confirmation of a STOP goes unconsented.

    And it goes on the strength of the STOP's own line alone: not of a revocation over the
    interface, not of somebody else's STOP, not a day later.
    """
    customer = await talk.person()
    await talk.hear("stop")
    row = await talk.superuser.fetchrow("SELECT * FROM notification_outbox")
    allowed = await talk.superuser.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'outbox_kind_check'"
    )
    kinds = [word for word in allowed.split("'") if word.isalpha()]
    assert sorted(kinds) == ["confirmation", "template", "text"], "a new kind needs a ruling"

    async def begun(**changes: Any) -> bool:
        """Tell whether a row like the confirmation, with these changes, goes out."""
        sent = len(talk.salon.sender.sent)
        await talk.superuser.execute("DELETE FROM send_attempt")
        await talk.superuser.execute("TRUNCATE notification_outbox CASCADE")
        made = {name: row[name] for name in row.keys()} | {"id": new_uuid()} | changes  # noqa: SIM118
        names = ", ".join(made)
        places = ", ".join(f"${place}" for place in range(1, len(made) + 1))
        await talk.superuser.execute(
            f"INSERT INTO notification_outbox ({names}) VALUES ({places})", *made.values()
        )
        talk.salon.services.ring.woken.append((row["business_id"], "scripted"))  # type: ignore[attr-defined]
        await talk.send()
        return len(talk.salon.sender.sent) > sent

    assert await begun()
    assert not await begun(kind="text")
    assert not await begun(kind="template", template_name="booking_confirmed", language_code="it")
    assert not await begun(in_reply_to=new_uuid())
    assert not await begun(useful_until=datetime.now(UTC) + timedelta(hours=25))
    other = await talk.person("cus-2")
    assert not await begun(customer_id=other)
    services, business = talk.salon.services, talk.salon.business.id
    async with services.database.business(business) as transaction:
        await talk.agree(transaction, customer, granted_at=datetime.now(UTC))
        await revoke(
            transaction,
            business,
            [customer],
            "scripted",
            purposes=BOTH,
            source="app",
            actor="test",
            now=datetime.now(UTC),
        )
    plain = await talk.superuser.fetchval(
        "SELECT last_event_id FROM customer_consents WHERE customer_id = $1", customer
    )
    assert not await begun(in_reply_to=plain)


async def test_the_confirmation_is_logged_and_accounted_for(talk: Talk) -> None:
    """It has an account like every message, with its own kind, and counts for no recipient."""
    await talk.person()
    await talk.hear("stop")
    await talk.send()
    assert await talk.outbox() == [("confirmation", "sent", "")]
    counted = await talk.superuser.fetchval("SELECT coalesce(sum(count), 0) FROM recipient_pace")
    assert counted == 0
