"""What the numbers of the sandbox do: the message's fate, from its address and the try."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from core.channels.messages import Status
from core.errors import (
    CredentialsRejectedError,
    InvalidRecipientError,
    RetryableError,
    SendError,
    TemplateRejectedError,
    ThrottledError,
    ThrottleScope,
)

PREFIX: Final = "+120255501"
STOP_WORD: Final = "STOP"

_SENT: Final = (timedelta(milliseconds=300), Status.SENT)
_DELIVERED: Final = (timedelta(seconds=1), Status.DELIVERED)
_READ: Final = (timedelta(seconds=2), Status.READ)
_REFUSED_TRIES: Final = 2
_THROTTLED_FOR: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a message that was taken over.

    Attributes:
        statuses: the provider's news and how long after the sending it comes, in the order told.
        stop_after: when the recipient answers STOP, if they do.
    """

    statuses: tuple[tuple[timedelta, Status], ...]
    stop_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table that the documentation shows.

    Attributes:
        number: the last two digits after `PREFIX`.
        meaning: what happens, for people.
    """

    number: str
    meaning: str
    fate: Fate = field(default_factory=lambda: Fate((_SENT, _DELIVERED, _READ)))


ROWS: Final = (
    Row("00", "sent, delivered and read within three seconds"),
    Row("01", "delivered, never read", Fate((_SENT, _DELIVERED))),
    Row("02", "not on WhatsApp: fails for good with 131026"),
    Row("03", "fails twice, then is sent: the way of retries"),
    Row("04", "the provider asks to wait 60 seconds, then takes it"),
    Row("05", "the template is paused: fails with 132015"),
    Row(
        "06",
        "is delivered, then the recipient answers STOP",
        Fate((_SENT, _DELIVERED), stop_after=timedelta(seconds=2)),
    ),
    Row(
        "07",
        "its statuses come out of order and twice",
        Fate((_READ, (timedelta(seconds=2), Status.SENT), _DELIVERED, _READ, _DELIVERED)),
    ),
    Row("08", "taken over, and never heard of again", Fate(())),
    Row("09", "the credentials are rejected: the channel must be connected again"),
)
"""Every number; any other address behaves as the first."""

_BY_NUMBER: Final = {f"{PREFIX}{row.number}": row for row in ROWS}


def fate_of(address: str, attempt: int) -> Fate:
    """Return what becomes of a message.

    Args:
        address: where it goes.
        attempt: which try this is, from 1.

    Raises:
        SendError: the number refuses it.
    """
    row = _BY_NUMBER.get(address, ROWS[0])
    refused = _refusal(row.number, attempt)
    if refused is not None:
        raise refused
    return row.fate


def _refusal(number: str, attempt: int) -> SendError | None:
    if number == "02":
        return InvalidRecipientError("the number is not on WhatsApp", code="131026")
    if number == "03" and attempt <= _REFUSED_TRIES:
        return RetryableError("the provider is down", code="131016")
    if number == "04" and attempt == 1:
        return ThrottledError(
            "too many messages to this number",
            scope=ThrottleScope.RECIPIENT,
            retry_after=_THROTTLED_FOR,
            code="131056",
        )
    if number == "05":
        return TemplateRejectedError("the template is paused", code="132015")
    if number == "09":
        return CredentialsRejectedError("the token is not valid", code="190")
    return None
