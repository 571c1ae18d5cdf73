"""The mail server of the deployment: how its address is written, and what makes it unfit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from core.secret import Secret

_PORTS: Final = {"smtp": 587, "smtps": 465}
_NEAR: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_STARTTLS: Final = ("required", "off")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]+")
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mails are handed over.

    Attributes:
        tls: encrypted from the first byte (`smtps`).
        starttls: refuse to go on where the connection cannot be encrypted.
        user: empty without a login.
        sender: the address mails come from.
        sender_name: what people see beside it.
    """

    host: str
    port: int
    tls: bool
    starttls: bool
    user: str
    password: Secret = field(repr=False)
    sender: str
    sender_name: str

    @property
    def domain(self) -> str:
        """Return the sender's domain: the right side of our message ids."""
        return self.sender.rpartition("@")[2]


def is_mail_address(text: str) -> bool:
    """Tell whether a mail can be addressed to this: no line feed, no space, nothing odd."""
    return _ADDRESS.fullmatch(text) is not None


def read_mail_server(
    url: str | None, sender: str | None, names: tuple[str, str], faults: list[str]
) -> MailServer | None:
    """Read the two settings; what is wrong is added to `faults`, without the values."""
    url_name, from_name = names
    if url is None:
        if sender is not None:
            faults.append(f"{from_name} is of no use without {url_name}.")
        return None
    name, address = parseaddr(sender or "")
    if sender is None:
        faults.append(f"{from_name} is required with {url_name}.")
    elif not is_mail_address(address) or not sender.isprintable():
        faults.append(f"{from_name} must be an e-mail address, or: Name <address>.")
    parts = _parts(url)
    if parts is None:
        faults.append(f"{url_name} must be a URL that begins with smtp:// or smtps://.")
        return None
    starttls = _starttls(parts, url_name, faults)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        faults.append(f"{url_name} must hold a user and a password, or neither.")
    if not ((user + password).isascii() and (user + password).isprintable()):
        faults.append(f"{url_name}: user and password may hold visible ASCII characters only.")
    tls = parts.scheme == "smtps"
    host = parts.hostname or ""
    if user and not tls and not starttls and host not in _NEAR:
        faults.append(f"{url_name} would send the password unencrypted; leave starttls=off out.")
    return MailServer(
        host=host,
        port=parts.port or _PORTS[parts.scheme],
        tls=tls,
        starttls=starttls,
        user=user,
        password=Secret(password),
        sender=address,
        sender_name=name,
    )


def _parts(url: str) -> SplitResult | None:
    """Return a URL's parts, or None when this is no address of a mail server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    fits = (
        parts.scheme in _PORTS
        and port != 0
        and _HOST.fullmatch(parts.hostname or "")
        and parts.path in ("", "/")
        and not parts.fragment
    )
    return parts if fits else None


def _starttls(parts: SplitResult, name: str, faults: list[str]) -> bool:
    """Tell whether the connection must be encrypted; on this machine it need not be."""
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    wanted = given.pop("starttls", "")
    if given or (wanted and (wanted not in _STARTTLS or parts.scheme == "smtps")):
        faults.append(f"{name} may end in ?starttls=required or ?starttls=off, smtp:// only.")
    if wanted:
        return wanted == "required"
    return parts.scheme == "smtp" and parts.hostname not in _NEAR
