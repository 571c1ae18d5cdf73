"""What a mail about alerts says: plain text, in the person's language, the same each time."""

from __future__ import annotations

from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from core.alerts.kinds import kind_named
from core.ids import outward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.alerts.kinds import Kind
    from core.alerts.mail_outbox import Mail
    from core.mailserver import MailServer

MAIL: Final = "aml"
"""The prefix of our message ids."""

_LONGEST: Final = 80
_PLATFORM: Final = {"en": "the platform", "es": "la plataforma", "it": "la piattaforma"}
_OVER: Final = {"en": "Over", "es": "Resuelto", "it": "Risolto"}
_ABOUT: Final = {"en": "About", "es": "Sobre", "it": "Riguarda"}
_SINCE: Final = {"en": "Since", "es": "Desde", "it": "Dal"}
_NEXT: Final = {"en": "What to do", "es": "Qué hacer", "it": "Che cosa fare"}
_RAISED: Final = {
    "en": "{n} alerts of this kind were raised.",
    "es": "Se han producido {n} alertas de este tipo.",
    "it": "Sono stati emessi {n} avvisi di questo tipo.",
}
_RESOLVED: Final = {
    "en": "{n} of this kind are over.",
    "es": "{n} de este tipo están resueltas.",
    "it": "{n} di questo tipo sono risolti.",
}
_WHERE: Final = {
    "en": "All alerts: {url}\nYou receive this because of your role in {name}.",
    "es": "Todas las alertas: {url}\nRecibe este mensaje por su función en {name}.",
    "it": "Tutti gli avvisi: {url}\nRiceve questo messaggio per il suo ruolo in {name}.",
}


def compose(mail: Mail, kinds: Mapping[str, Kind], server: MailServer, public_url: str) -> bytes:
    """Return the bytes that go over the wire.

    Raises:
        ValueError: the person's address cannot stand in a header.
    """
    kind, language = kind_named(kinds, mail.kind), mail.language
    summary = kind.summary.in_language(language)
    name = one_line(mail.business_name) or _PLATFORM[language]
    over = "" if mail.raised else f"{_OVER[language]}: "
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = Address(server.sender_name, addr_spec=server.sender)
    message["To"] = Address(addr_spec=mail.address)
    message["Subject"] = f"[Patchbay] {name}: {over}{summary}"
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = f"<{outward(MAIL, mail.id)}@{server.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        _body(mail, kind, name, summary, public_url), cte="quoted-printable", charset="utf-8"
    )
    return message.as_bytes()


def one_line(text: str) -> str:
    """Return a stranger's words fit for a header: one line, nothing invisible, not long."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(plain.split())[:_LONGEST]


def _body(mail: Mail, kind: Kind, name: str, summary: str, public_url: str) -> str:
    language = mail.language
    lines = [name, "", summary]
    if mail.raised > 1:
        lines.append(_RAISED[language].format(n=mail.raised))
    if mail.resolved:
        lines.append(
            f"{_OVER[language]}."
            if mail.resolved == 1 and mail.raised <= 1
            else _RESOLVED[language].format(n=mail.resolved)
        )
    lines.append(f"{_SINCE[language]}: {mail.since_at:%Y-%m-%d %H:%M} UTC")
    if mail.subjects:
        lines += ["", f"{_ABOUT[language]}:", *(f"  {one_line(one)}" for one in mail.subjects)]
    if mail.raised == 1:
        lines += [
            f"  {one_line(word)}: {one_line(str(value))}"
            for word, value in sorted(mail.arguments.items())
        ]
    if mail.raised > mail.resolved:
        lines += ["", f"{_NEXT[language]}: {kind.action.in_language(language)}"]
    lines += ["", _WHERE[language].format(url=f"{public_url}/admin/", name=name), ""]
    return "\n".join(lines)
