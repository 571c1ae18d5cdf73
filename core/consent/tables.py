"""The tables of consent: the ledger, the state it leads to, and the texts people agreed to."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Boolean, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow


class Source(StrEnum):
    """Where a consent was given (specification 3.3)."""

    WEB = "web"
    APP = "app"
    WHATSAPP = "whatsapp"
    PAPER = "paper"


class Purpose(StrEnum):
    """What a person agreed to receive."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class CustomerConsents(BusinessRow, Table, tablename="customer_consents"):
    """What holds now (specification 3.3); changed only together with the ledger."""

    customer_id = UUID(null=False, default=None)
    channel = Varchar(length=32)
    opt_in = Boolean(default=False)
    opt_in_at = Timestamptz(null=True, default=None)
    source = Varchar(length=8, choices=Source)
    proof_reference = Varchar(length=200, null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
    purpose = Varchar(length=16, choices=Purpose, default=Purpose.TRANSACTIONAL)
    text_version = Varchar(length=64, null=True, default=None)
    locale = Varchar(length=16, null=True, default=None)
    last_event_id = UUID(null=True, default=None)
    updated_at = Timestamptz(default=TimestamptzNow())


class ConsentAction(StrEnum):
    """What a line of the ledger says."""

    GRANT = "grant"
    REVOKE = "revoke"


class ConsentEvent(BusinessRow, Table, tablename="consent_event"):
    """One line of the ledger; lines are added and never changed."""

    customer_id = UUID(null=False, default=None)
    channel = Varchar(length=32)
    purpose = Varchar(length=16, choices=Purpose)
    action = Varchar(length=8, choices=ConsentAction)
    at = Timestamptz(default=TimestamptzNow())
    occurred_at = Timestamptz(default=TimestamptzNow())
    source = Varchar(length=8, choices=Source)
    actor = Varchar(length=100)
    text_version = Varchar(length=64, null=True, default=None)
    text_hash = Bytea(null=True, default=None)
    locale = Varchar(length=16, null=True, default=None)
    proof_reference = Varchar(length=200, null=True, default=None)
    proof = JSONB(null=True, default=None)
    previous_id = UUID(null=True, default=None)


class ConsentText(BusinessRow, Table, tablename="consent_text"):
    """A sentence people were shown, by version and language."""

    key = Varchar(length=64)
    version = Integer(default=1)
    locale = Varchar(length=16)
    body = Text()
    hash = Bytea()
