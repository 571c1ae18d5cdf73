"""The loop that writes to people about alerts; outside of any transaction while it sends."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from core.alerts import mail_outbox
from core.alerts.kinds import kinds_of
from core.alerts.mail_text import compose
from core.alerts.smtp import FAILED, SENT, Handed, Letter, hand_over
from core.ids import new_uuid

if TYPE_CHECKING:
    import ssl
    from datetime import timedelta

    from core.alerts.kinds import Kind
    from core.alerts.mail_outbox import Mail
    from core.mailserver import MailServer
    from core.notify.services import Services

POLL_SECONDS: Final = 5.0
AT_ONCE: Final = 20

_LOCK: Final = 781_004
_random: Final = random.SystemRandom().random

_log = structlog.get_logger("patchbay.mailing")


@dataclass(slots=True)
class Mailer:
    """Makes mails of the alerts that are due, claims them, hands them over, records it.

    Args:
        services: the process's parts.
        server: where mails go.
        calm: how long news is let grow.
        context: whom to trust; the system's authorities by default.
    """

    services: Services
    server: MailServer
    calm: timedelta = mail_outbox.CALM
    context: ssl.SSLContext | None = None
    _kinds: dict[str, Kind] = field(init=False)
    _failing: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Read the catalogue."""
        self._kinds = kinds_of(self.services.registry)

    async def step(self) -> bool:
        """Do one round; True if there may be more."""
        token = new_uuid()
        silent = [name for name, kind in self._kinds.items() if not kind.by_mail]
        async with self.services.database.engine() as transaction:
            if await transaction.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                await mail_outbox.gather(transaction, silent, self.calm)
        async with self.services.database.engine() as transaction:
            mails = await mail_outbox.claim(transaction, token, AT_ONCE)
        if not mails:
            return False
        handed = await self._hand_over(mails)
        async with self.services.database.engine() as transaction:
            await mail_outbox.record(transaction, token, mails, handed, _random)
        self._note(handed)
        return len(mails) == AT_ONCE

    async def _hand_over(self, mails: list[Mail]) -> list[Handed]:
        letters: list[Letter] = []
        handed: list[Handed] = []
        for mail in mails:
            if not mail.address:
                handed.append(Handed(mail.id, FAILED, "recipient-gone"))
                continue
            try:
                content = compose(mail, self._kinds, self.server, self.services.public_url)
            except Exception as error:  # noqa: BLE001 - one odd row must not cost the others
                _log.warning("mail-not-written", kind=mail.kind, error=type(error).__name__)
                handed.append(Handed(mail.id, FAILED, "address-unfit"))
            else:
                letters.append(Letter(mail.id, mail.address, content))
        if letters:
            handed += await hand_over(self.server, letters, context=self.context)
        return handed

    def _note(self, handed: list[Handed]) -> None:
        """Log the first fault and the way back; never an address."""
        faults = sorted({one.error for one in handed if one.error})
        if faults and not self._failing:
            _log.warning("mail-not-sent", errors=faults, count=len(handed))
        elif self._failing and not faults:
            _log.info("mail-sent-again")
        if faults or any(one.outcome == SENT for one in handed):
            self._failing = bool(faults)
