"""A mail server on this machine that speaks the protocol and misbehaves by a script."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage
    from pathlib import Path


@dataclass
class MailReceiver:
    """Answers each mail by the next word of its script, and takes it when that is used up.

    Words: `550`, `451` refuse or put off the recipient; `554` refuses the content, `530` the
    sender; `hang` says nothing after RCPT; `drop-rcpt` ends the connection there; `drop-data` ends
    it in the middle of DATA; `drop-after` takes the whole mail, keeps it, and ends without a word.

    Attributes:
        greeting: what the server says first; `hang` says nothing, `drip` says it for ever.
        context: offers STARTTLS with this; `tls` speaks it from the first byte.
        login: the one user and password it takes; asked for before any mail.
        mails: what was taken, whole: (recipient, bytes).
        recipients: every RCPT that was asked.
        in_clear: the commands that came unencrypted.
    """

    port: int = 0
    script: list[str] = field(default_factory=list)
    always: str = ""
    greeting: str = "220 here\r\n"
    context: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    mails: list[tuple[str, bytes]] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    in_clear: list[str] = field(default_factory=list)
    connections: int = 0
    lines: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def letters(self) -> list[EmailMessage]:
        """Return the mails, read."""
        return [message_from_bytes(raw, policy=policy.default) for _, raw in self.mails]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it ends."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.lines[task] = writer
        try:
            await self._greet(reader, writer)
            await _Talk(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            del self.lines[task]

    async def stop(self) -> None:
        """Hang up on everybody and wait until nobody is served any more."""
        lines = dict(self.lines)
        for writer in lines.values():
            writer.transport.abort()
        await asyncio.gather(*lines)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.greeting == "hang":
            await reader.read()
        while self.greeting == "drip":
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(self.greeting.encode())


class _Talk:
    """One conversation: a method for each command, which answers or ends it with an error."""

    def __init__(
        self, receiver: MailReceiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.receiver, self.reader, self.writer = receiver, reader, writer
        self.word = self.recipient = ""
        self.signed_in = receiver.login is None

    @property
    def encrypted(self) -> bool:
        """Tell whether the line is encrypted by now."""
        return self.writer.get_extra_info("ssl_object") is not None

    async def run(self) -> None:
        """Answer commands until the client goes."""
        while line := (await self.reader.readline()).decode().strip():
            verb = line.partition(" ")[0].upper()
            if not self.encrypted:
                self.receiver.in_clear.append(verb)
            act = getattr(self, f"_{verb.lower()}", None)
            answer = "250 fine" if act is None else await act(line)
            if answer:
                await self._say(answer)

    async def _say(self, answer: str) -> None:
        self.writer.write(f"{answer}\r\n".encode())
        await self.writer.drain()

    async def _ehlo(self, _line: str) -> str:
        receiver, offered = self.receiver, ["here"]
        if receiver.context is not None and not self.encrypted:
            offered.append("STARTTLS")
        if receiver.login is not None and (self.encrypted or receiver.context is None):
            offered.append("AUTH PLAIN")
        heads = ["250-"] * (len(offered) - 1) + ["250 "]
        return "\r\n".join(head + word for head, word in zip(heads, offered, strict=True))

    async def _starttls(self, _line: str) -> str:
        await self._say("220 go")
        assert self.receiver.context is not None
        await self.writer.start_tls(self.receiver.context)
        return ""

    async def _auth(self, line: str) -> str:
        given = base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]
        self.signed_in = tuple(given) == self.receiver.login
        return "235 welcome" if self.signed_in else "535 no"

    async def _mail(self, _line: str) -> str:
        script = self.receiver.script
        self.word = script.pop(0) if script else self.receiver.always
        return "250 fine" if self.signed_in and self.word != "530" else "530 who are you"

    async def _rcpt(self, line: str) -> str:
        self.recipient = line.partition("<")[2].partition(">")[0]
        self.receiver.recipients.append(self.recipient)
        if self.word == "hang":
            await self.reader.read()
        if self.word in ("hang", "drop-rcpt"):
            raise ConnectionResetError
        return f"{self.word} no" if self.word in ("550", "451") else "250 fine"

    async def _data(self, _line: str) -> str:
        await self._say("354 speak")
        if self.word == "drop-data":
            await self.reader.readline()
            raise ConnectionResetError
        content = (await self.reader.readuntil(b"\r\n.\r\n"))[:-3]
        if self.word == "554":
            return "554 no"
        self.receiver.mails.append((self.recipient, content.replace(b"\r\n..", b"\r\n.")))
        if self.word == "drop-after":
            raise ConnectionResetError
        return "250 mine now"

    async def _quit(self, _line: str) -> str:
        return "221 bye"


@contextlib.asynccontextmanager
async def receiving(*, tls: bool = False, **fields: Any) -> AsyncIterator[MailReceiver]:
    """Run a server on a port of its own."""
    receiver = MailReceiver(**fields)
    server = await asyncio.start_server(
        receiver.serve, "127.0.0.1", 0, ssl=receiver.context if tls else None
    )
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.stop()


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate of this machine; return the server's context and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(encoding, form, plain) + certificate.public_bytes(encoding))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))
