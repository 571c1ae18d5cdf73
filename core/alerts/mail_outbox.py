"""The mails' SQL: made of what is due, claimed, recorded (core/migrations/sql/alert_mail.sql)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.alerts.smtp import RETRY
from core.alerts.store import raise_alert, resolve_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.alerts.smtp import Handed
    from core.channels.host import Transaction

WINDOW: Final = timedelta(minutes=15)
"""There is no more than one mail of a kind about a business in this time."""

CALM: Final = timedelta(seconds=5)
"""How long news is let grow, so that the beginning of a storm is one mail."""

PATIENCE: Final = timedelta(days=1)
"""After this a mail is given up."""

LEASE: Final = timedelta(minutes=3)
"""Longer than one connection may take."""

UNDELIVERED: Final = "mail-not-delivered"

_WAITS: Final = tuple(timedelta(minutes=one) for one in (1, 5, 15, 30, 60))
_JITTER: Final = 0.1


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed mail.

    Attributes:
        address: empty when the person is no longer to be told.
        raised: how many alerts were raised since the mail before.
        resolved: how many ended.
    """

    id: UUID
    business_name: str
    address: str
    kind: str
    language: str
    raised: int
    resolved: int
    subjects: list[str]
    arguments: dict[str, Any]
    since_at: datetime
    created_at: datetime
    attempt: int


async def gather(transaction: Transaction, silent: Sequence[str], calm: timedelta = CALM) -> int:
    """Make mails of what is due; returns how many.

    Args:
        transaction: the engine's; one process at a time gathers.
        silent: kinds nobody is written about.
        calm: how long news is let grow.
    """
    made: int = await transaction.fetchval(
        "SELECT alert_mail_gather($1, $2, $3, $4)", list(silent), WINDOW, calm, PATIENCE
    )
    return made


async def claim(transaction: Transaction, token: UUID, limit: int) -> list[Mail]:
    """Take due mails; commit before sending them."""
    rows = await transaction.fetch(
        "SELECT * FROM alert_mail_claim($1, $2, $3)", limit, token, LEASE
    )
    return [Mail(**row) for row in rows]


async def record(
    transaction: Transaction,
    token: UUID,
    mails: Sequence[Mail],
    handed: Sequence[Handed],
    random: Callable[[], float],
) -> None:
    """Write down what became of mails; what was given up is an alert until one is delivered."""
    attempts = {one.id: one.attempt for one in mails}
    row = await transaction.fetchrow(
        "SELECT * FROM alert_mail_record($1, $2, $3, $4, $5, $6)",
        [one.id for one in handed],
        token,
        [one.outcome for one in handed],
        [one.error for one in handed],
        [
            wait_after(attempts[one.id], random) if one.outcome == RETRY else timedelta(0)
            for one in handed
        ],
        PATIENCE,
    )
    if row["failed"]:
        error = next((one.error for one in handed if one.error), "")
        await raise_alert(transaction, None, UNDELIVERED, "", {"error": error})
    elif row["sent"]:
        await resolve_alert(transaction, None, UNDELIVERED)


def wait_after(attempt: int, random: Callable[[], float]) -> timedelta:
    """Return the wait after an attempt, from 1: a minute at first, an hour in the end."""
    wait = _WAITS[min(attempt, len(_WAITS)) - 1]
    return wait * (1 + _JITTER * (2 * random() - 1))
