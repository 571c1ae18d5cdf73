"""The tables of people and their addresses."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import UUID, Boolean, Bytea, Timestamptz, Varchar
from piccolo.table import Table

from core.channels.columns import BusinessRow


class AddressKind(StrEnum):
    """How an address is written: E.164, RFC 5322, or a provider's business-scoped user id."""

    PHONE = "phone"
    EMAIL = "email"
    BSUID = "bsuid"


class Customer(BusinessRow, Table, tablename="customer"):
    """A person as one business knows them; `ref` is the booking system's id."""

    ref = Varchar(length=64)  # type: ignore[assignment]  # Table.ref is not used
    name_sealed = Bytea(null=True, default=None)
    locale = Varchar(length=16, null=True, default=None)
    timezone = Varchar(length=64, null=True, default=None)
    erased_at = Timestamptz(null=True, default=None)


class CustomerAddress(BusinessRow, Table, tablename="customer_address"):
    """One way to reach a person; the hash is keyed per business, so it links nothing."""

    customer_id = UUID(null=False, default=None)
    kind = Varchar(length=8, choices=AddressKind)
    address_sealed = Bytea(null=True, default=None)
    address_hash = Bytea()
    is_primary = Boolean(default=True)


class Suppression(BusinessRow, Table, tablename="suppression"):
    """An address that said stop: nobody writes to it again on this channel."""

    channel = Varchar(length=32)
    address_hash = Bytea()
    reason = Varchar(length=64)
