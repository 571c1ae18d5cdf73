"""The tables of things a person should act on, and of the mail about them."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Array, Boolean, Integer, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import UUIDv7


class AlertState(StrEnum):
    """The life of an alert."""

    OPEN = "open"
    ACKED = "acked"
    RESOLVED = "resolved"


class Alert(Table, tablename="alert"):
    """Raised once per transition; `business_id` is empty for the platform's own.

    `resolved_by` is empty where it ended by itself. `ends_with` names what ends it: `connection`
    for an account that works again. `mail_due` says that nobody was written yet about what became
    of it, `raise_mailed` that somebody was when it was raised.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    kind = Varchar(length=64)
    subject = Varchar(length=200, default="")
    state = Varchar(length=8, choices=AlertState, default=AlertState.OPEN)
    acked_by = Varchar(length=100, null=True, default=None)
    arguments = JSONB(default="{}")
    created_at = Timestamptz(default=TimestamptzNow())
    resolved_at = Timestamptz(null=True, default=None)
    acked_at = Timestamptz(null=True, default=None)
    resolved_by = Varchar(length=100, null=True, default=None)
    ends_with = Varchar(length=16, default="")
    mail_due = Boolean(default=True)
    raise_mailed = Boolean(default=False)


class MailState(StrEnum):
    """The life of one mail."""

    WAITING = "waiting"
    LEASED = "leased"
    SENT = "sent"
    FAILED = "failed"


class AlertMail(Table, tablename="alert_mail"):
    """One mail to one person about alerts of one kind in one business, counted together.

    It holds no address: whoever sends it looks up where the person is reached now.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    user_id = Integer()
    kind = Varchar(length=64)
    language = Varchar(length=2, default="en")
    raised = Integer(default=0)
    resolved = Integer(default=0)
    subjects = Array(base_column=Varchar(length=200), default=list)
    arguments = JSONB(default="{}")
    since_at = Timestamptz(default=TimestamptzNow())
    state = Varchar(length=8, choices=MailState, default=MailState.WAITING)
    attempt = Integer(default=0)
    next_at = Timestamptz(default=TimestamptzNow())
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    last_error = Varchar(length=32, default="")
    created_at = Timestamptz(default=TimestamptzNow())
    ended_at = Timestamptz(null=True, default=None)
