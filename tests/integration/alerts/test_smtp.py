"""Mails are handed to a real server on this machine, which accepts, refuses, hangs and drops."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from smtp_receiver import MailReceiver, contexts, receiving

from core.alerts import smtp
from core.alerts.smtp import FAILED, RETRY, SENT, Handed, Letter, hand_over
from core.mailserver import MailServer
from core.secret import Secret

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

CONTENT = b"Subject: x\r\nMessage-ID: <1@example.com>\r\n\r\n.dots\r\n..stay\r\n"


def server_of(receiver: MailReceiver, **changes: Any) -> MailServer:
    """Return the settings of a stand-in."""
    plain = MailServer(
        host="127.0.0.1",
        port=receiver.port,
        tls=False,
        starttls=False,
        user="",
        password=Secret(""),
        sender="alerts@example.com",
        sender_name="",
    )
    return replace(plain, **changes)


async def hand(
    receiver: MailReceiver,
    count: int = 1,
    *,
    context: ssl.SSLContext | None = None,
    to: str = "anna@example.com",
    **changes: Any,
) -> list[tuple[str, str]]:
    """Hand some mails over; return outcome and word of each."""
    letters = [Letter(uuid4(), to, CONTENT) for _ in range(count)]
    handed = await hand_over(server_of(receiver, **changes), letters, context=context)
    assert [one.id for one in handed] == [one.id for one in letters]
    return [(one.outcome, one.error) for one in handed]


async def test_mails_share_a_connection_and_arrive_as_they_are() -> None:
    """Dots and all; one connection for three."""
    async with receiving() as receiver:
        assert await hand(receiver, 3) == [(SENT, "")] * 3
        assert receiver.mails == [("anna@example.com", CONTENT)] * 3
        assert receiver.connections == 1


@pytest.mark.parametrize(
    ("word", "outcome", "error"),
    [
        ("550", FAILED, "recipient-550"),
        ("451", RETRY, "recipient-451"),
        ("554", FAILED, "content-554"),
        ("530", RETRY, "sender-530"),
        ("drop-rcpt", RETRY, "dropped"),
        ("drop-data", RETRY, "unknown-outcome"),
        ("drop-after", RETRY, "unknown-outcome"),
    ],
)
async def test_each_misbehaviour_has_its_verdict(word: str, outcome: str, error: str) -> None:
    """A lasting no is the end, everything else gets another turn; the next mail is not harmed."""
    async with receiving(script=[word]) as receiver:
        assert await hand(receiver, 2) == [(outcome, error), (SENT, "")]
        taken = 2 if word == "drop-after" else 1
        assert len(receiver.mails) == taken


@pytest.mark.parametrize(
    "fields", [{"greeting": "hang"}, {"greeting": "drip"}, {"always": "hang"}]
)
async def test_a_server_that_hangs_or_drips_is_given_up(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole connection has one limit; the thread is free again, every mail keeps its turn."""
    monkeypatch.setattr(smtp, "TOTAL_SECONDS", 0.4)
    async with receiving(**fields) as receiver:
        began = time.monotonic()
        results = await hand(receiver, 3)
        assert time.monotonic() - began < 8
        assert {outcome for outcome, _ in results} == {RETRY}
        assert {error for _, error in results} == {"timeout"}


async def test_nobody_there_and_no_mail_server() -> None:
    """A refused connection and a stranger's greeting cost a turn, nothing more."""
    async with receiving() as closed:
        pass
    assert await hand(closed, 2) == [(RETRY, "not-connected")] * 2
    async with receiving(greeting="554 go away\r\n") as receiver:
        assert await hand(receiver) == [(RETRY, "greeting-554")]


async def test_starttls_hides_everything_after_it(tmp_path: Path) -> None:
    """Login and mail go encrypted; what is asked in the clear is EHLO and STARTTLS alone."""
    theirs, trust = contexts(tmp_path)
    login: dict[str, Any] = {"user": "anna@x", "password": Secret("p@ss:w/rd%")}
    async with receiving(context=theirs, login=("anna@x", "p@ss:w/rd%")) as receiver:
        assert await hand(receiver, context=trust, starttls=True, **login) == [(SENT, "")]
        assert receiver.in_clear == ["EHLO", "STARTTLS"]
        wrong = login | {"password": Secret("other")}
        assert await hand(receiver, context=trust, starttls=True, **wrong) == [
            (RETRY, "login-refused")
        ]
        assert await hand(receiver, starttls=True, **login) == [(RETRY, "certificate")]
    async with receiving(login=("a", "b")) as bare:
        assert await hand(bare, starttls=True, user="a", password=Secret("b")) == [
            (RETRY, "starttls-missing")
        ]
        assert "AUTH" not in bare.in_clear


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    """`smtps`: nothing at all in the clear."""
    theirs, trust = contexts(tmp_path)
    async with receiving(context=theirs, tls=True) as receiver:
        assert await hand(receiver, context=trust, tls=True) == [(SENT, "")]
        assert receiver.in_clear == []


async def test_an_address_cannot_smuggle_a_command() -> None:
    """Line feeds, brackets and spaces never reach the wire."""
    async with receiving() as receiver:
        for to in ("a@b.c>\r\nRCPT TO:<x@y.z", "a b@c.d", "a@b.c\n", "", "<a@b.c>"):
            assert await hand(receiver, to=to) == [(FAILED, "address-unfit")]
        assert receiver.recipients == []


async def test_two_batches_run_side_by_side() -> None:
    """A slow server for one does not mix up the verdicts of the other."""
    async with receiving(script=["550"]) as one, receiving() as other:
        both = await asyncio.gather(hand(one), hand(other))
    assert list(both) == [[(FAILED, "recipient-550")], [(SENT, "")]]


def test_a_verdict_says_nothing_of_the_person() -> None:
    """Neither the mail's text nor the address is in what is logged."""
    assert "secret" not in repr(Letter(uuid4(), "a@b.c", b"secret"))
    assert "@" not in repr(Handed(uuid4(), SENT))
