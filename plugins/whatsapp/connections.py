"""The rows of `business_whatsapp_config`, and the picture of them that the core gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.channels.host import Connection
from core.channels.messages import ConnectionState
from core.ids import BusinessId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Host, Transaction, Vault

TABLE: Final = "business_whatsapp_config"

_COLUMNS: Final = """
    id, business_id, waba_id, phone_number_id, status, state_reason, quality_rating,
    token_version, token_expires_at, connected_at, display_phone_sealed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number of a business, without its secrets."""

    id: UUID
    business_id: BusinessId
    waba_id: str
    phone_number_id: str
    state: ConnectionState
    reason: str
    quality: str
    token_version: int
    token_expires_at: datetime | None
    connected_at: datetime
    display_phone_sealed: bytes | None = field(repr=False)


async def numbers_of(transaction: Transaction, business_id: BusinessId) -> list[Number]:
    """Return a business's numbers, the oldest first."""
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS} FROM business_whatsapp_config WHERE business_id = $1 "
        "ORDER BY created_at, id",
        business_id,
    )
    return [_number(row) for row in rows]


async def numbers_on(transaction: Transaction, account: str) -> list[Number]:
    """Return the numbers that news about a WhatsApp account, or about one number, concern."""
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS} FROM business_whatsapp_config "
        "WHERE waba_id = $1 OR phone_number_id = $1 ORDER BY created_at, id",
        account,
    )
    return [_number(row) for row in rows]


async def businesses(transaction: Transaction) -> list[BusinessId]:
    """Return every business that has a number with a token."""
    rows = await transaction.fetch(
        "SELECT DISTINCT business_id FROM business_whatsapp_config "
        "WHERE access_token_encrypted IS NOT NULL ORDER BY business_id"
    )
    return [BusinessId(row["business_id"]) for row in rows]


async def change_state(
    transaction: Transaction,
    number_ids: Sequence[UUID],
    state: ConnectionState,
    reason: str,
    at: datetime,
) -> None:
    """Set the state of numbers; one without a token cannot become active."""
    await transaction.execute(
        "UPDATE business_whatsapp_config SET status = $2, state_reason = $3, updated_at = $4 "
        "WHERE id = ANY($1::uuid[]) AND ($2 <> 'active' OR access_token_encrypted IS NOT NULL)",
        list(number_ids),
        state.value,
        reason[:64],
        at,
    )


async def forget_tokens(
    transaction: Transaction, number_ids: Sequence[UUID], reason: str, at: datetime
) -> None:
    """Disable numbers for good and overwrite their tokens: Meta says we have none any more."""
    await transaction.execute(
        "UPDATE business_whatsapp_config SET status = 'disabled', state_reason = $2, "
        "access_token_encrypted = NULL, token_expires_at = NULL, "
        "token_version = token_version + 1, updated_at = $3 WHERE id = ANY($1::uuid[])",
        list(number_ids),
        reason[:64],
        at,
    )


async def rate(
    transaction: Transaction, number_ids: Sequence[UUID], quality: str, at: datetime
) -> None:
    """Keep what Meta says of the quality of numbers."""
    await transaction.execute(
        "UPDATE business_whatsapp_config SET quality_rating = $2, updated_at = $3 "
        "WHERE id = ANY($1::uuid[])",
        list(number_ids),
        quality,
        at,
    )


async def publish(host: Host, transaction: Transaction, business_id: BusinessId) -> None:
    """Give the core its picture of a business's numbers; the oldest one is the default."""
    numbers = await numbers_of(transaction, business_id)
    await host.catalogue.put_connections(
        transaction,
        [
            Connection(
                business_id=business_id,
                account_ref=number.phone_number_id,
                state=number.state,
                reason=number.reason,
                quality=number.quality,
                is_default=place == 0,
            )
            for place, number in enumerate(numbers)
        ],
    )


def context(column: str, business_id: BusinessId, row: UUID) -> tuple[str, ...]:
    """Return the place a sealed value is bound to."""
    return (TABLE, column, str(business_id), str(row))


def is_called(vault: Vault, number: Number, phone: str) -> bool:
    """Tell whether a number has these digits: some news name it in no other way."""
    if number.display_phone_sealed is None:
        return False
    place = context("display_phone_sealed", number.business_id, number.id)
    shown = vault.open(number.display_phone_sealed, context=place).decode()
    return _digits(shown) == _digits(phone) != ""


def masked_phone(vault: Vault, number: Number) -> str:
    """Return what people may see of a number: the country's digits and the last four."""
    if number.display_phone_sealed is None:
        return ""
    place = context("display_phone_sealed", number.business_id, number.id)
    return mask_phone(vault.open(number.display_phone_sealed, context=place).decode())


def mask_phone(phone: str) -> str:
    """Mask the middle of a phone number: `+39 *** 4411`."""
    digits = _digits(phone)
    return f"+{digits[:2]} *** {digits[-4:]}" if len(digits) > 6 else "***"  # noqa: PLR2004


def _number(row: Any) -> Number:
    return Number(
        id=row["id"],
        business_id=BusinessId(row["business_id"]),
        waba_id=row["waba_id"],
        phone_number_id=row["phone_number_id"],
        state=ConnectionState(row["status"]),
        reason=row["state_reason"],
        quality=row["quality_rating"],
        token_version=row["token_version"],
        token_expires_at=row["token_expires_at"],
        connected_at=row["connected_at"],
        display_phone_sealed=row["display_phone_sealed"],
    )


def _digits(phone: str) -> str:
    return "".join(character for character in phone if character.isdigit())
