"""Hands mails to a server, in a thread: many on one connection, each with its own verdict.

A server that ends the connection after the whole of a mail was sent may have taken it. The mail
is then sent again under the same `Message-ID`: rather twice than never.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.errors import PatchbayError
from core.mailserver import is_mail_address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.mailserver import MailServer

SENT: Final = "sent"
RETRY: Final = "retry"
FAILED: Final = "failed"

STEP_SECONDS: Final = 10.0
"""How long the server may be silent."""

TOTAL_SECONDS: Final = 20.0
"""How long one connection may take for all of its mails."""

_READY: Final = 220
_DONE: Final = 250
_PASSED_ON: Final = 251
_CLOSING: Final = 421
_REFUSED: Final = 500

_WORDS: Final = (
    (TimeoutError, "timeout"),
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "tls"),
    (smtplib.SMTPAuthenticationError, "login-refused"),
    (smtplib.SMTPServerDisconnected, "dropped"),
    (smtplib.SMTPException, "protocol"),
    (OSError, "not-connected"),
)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="mail")


class MailLineError(PatchbayError):
    """The connection is of no use any more; the word says why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as it goes over the wire."""

    id: UUID
    to: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of one mail: sent, retry or failed, and a word for why."""

    id: UUID
    outcome: str
    error: str = ""


@dataclass(slots=True)
class _Line:
    """One connection, which the event loop may cut while the thread waits on it."""

    server: MailServer
    context: ssl.SSLContext
    socket: socket.socket | None = None
    _cut: bool = False

    def is_cut(self) -> bool:
        """Tell whether the event loop gave it up."""
        return self._cut

    def cut(self) -> None:
        """End it now; whoever waits on it gets an error."""
        self._cut = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def open(self) -> smtplib.SMTP:
        """Connect, encrypt where it is asked for, sign in.

        Raises:
            MailLineError: the server does not want us, or cannot do what must be.
            OSError, smtplib.SMTPException: it is not there, or went away.
        """
        server = self.server
        self.socket = socket.create_connection((server.host, server.port), STEP_SECONDS)
        client = smtplib.SMTP(local_hostname=server.domain, timeout=STEP_SECONDS)
        try:
            if server.tls:
                self._encrypt()
            client.sock = self.socket
            _must(client.getreply()[0], _READY, "greeting")
            client.ehlo_or_helo_if_needed()
            if server.starttls:
                self._start_tls(client)
            if server.user:
                client.login(server.user, server.password.reveal())
        except BaseException:
            client.close()
            self.socket.close()
            raise
        return client

    def _start_tls(self, client: smtplib.SMTP) -> None:
        if not client.has_extn("starttls"):
            raise MailLineError("starttls-missing")
        _must(client.docmd("STARTTLS")[0], _READY, "starttls")
        if client.file is not None:
            client.file.close()
        self._encrypt()
        # What was said in the clear is forgotten, as the standard asks.
        client.sock, client.file = self.socket, None
        client.helo_resp = client.ehlo_resp = None
        client.esmtp_features, client.does_esmtp = {}, False
        client.ehlo_or_helo_if_needed()

    def _encrypt(self) -> None:
        assert self.socket is not None  # noqa: S101 - opened just before
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.server.host)


async def hand_over(
    server: MailServer, letters: Sequence[Letter], *, context: ssl.SSLContext | None = None
) -> list[Handed]:
    """Hand mails to the server; each comes back with a verdict, whatever happens.

    Args:
        server: where to.
        letters: a few mails; they share one connection while it holds.
        context: whom to trust; the system's authorities by default.
    """
    line = _Line(server, context or ssl.create_default_context())
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(_threads, _hand_over, line, list(letters))
    done, _ = await asyncio.wait([work], timeout=TOTAL_SECONDS)
    if not done:
        line.cut()
    return await work


def _hand_over(line: _Line, letters: list[Letter]) -> list[Handed]:
    handed: list[Handed] = []
    client: smtplib.SMTP | None = None
    for place, letter in enumerate(letters):
        if line.is_cut():
            handed += [Handed(one.id, RETRY, "timeout") for one in letters[place:]]
            break
        if client is None:
            try:
                client = line.open()
            except Exception as fault:  # noqa: BLE001 - whatever it is, every mail keeps its turn
                word = "timeout" if line.is_cut() else _named(fault)
                handed += [Handed(one.id, RETRY, word) for one in letters[place:]]
                break
        try:
            handed.append(_deliver(client, line.server.sender, letter))
        except Exception as fault:  # noqa: BLE001 - one mail must not cost the others
            word = "timeout" if line.is_cut() else _named(fault)
            handed.append(Handed(letter.id, RETRY, word))
            client.close()
            client = None
    if client is not None:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client.quit()
        client.close()
    return handed


def _deliver(client: smtplib.SMTP, sender: str, letter: Letter) -> Handed:
    """Hand one mail over.

    Raises:
        MailLineError, OSError, smtplib.SMTPException: the connection does not hold.
    """
    if not is_mail_address(letter.to):
        return Handed(letter.id, FAILED, "address-unfit")
    code, _ = client.mail(sender)
    if code != _DONE:
        # Our own address is refused: a matter of settings, which a person may mend.
        return _refused(client, letter, code, "sender", lasting=False)
    code, _ = client.rcpt(letter.to)
    if code not in (_DONE, _PASSED_ON):
        return _refused(client, letter, code, "recipient")
    try:
        code, _ = client.data(letter.content)
    except smtplib.SMTPDataError as fault:
        return _refused(client, letter, fault.smtp_code, "content")
    except smtplib.SMTPServerDisconnected as fault:
        raise MailLineError("unknown-outcome") from fault
    if code != _DONE:
        return _refused(client, letter, code, "content")
    return Handed(letter.id, SENT)


def _refused(
    client: smtplib.SMTP, letter: Letter, code: int, what: str, *, lasting: bool = True
) -> Handed:
    if code == _CLOSING or code < 0:
        raise MailLineError(f"{what}-{code}")
    client.rset()
    outcome = FAILED if lasting and code >= _REFUSED else RETRY
    return Handed(letter.id, outcome, f"{what}-{code}")


def _must(code: int, wanted: int, what: str) -> None:
    if code != wanted:
        raise MailLineError(f"{what}-{code}")


def _named(fault: Exception) -> str:
    """Return a word for what went wrong; a server's own words may hold addresses."""
    if isinstance(fault, MailLineError):
        return str(fault)[:32]
    return next((word for kind, word in _WORDS if isinstance(fault, kind)), "internal")
