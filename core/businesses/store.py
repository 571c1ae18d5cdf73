"""Tenants: found by the id the booking system gave them, made and changed idempotently."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from core.businesses.places import is_country, is_locale, is_timezone
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.ids import BusinessId, new_uuid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.channels.host import Transaction

_COLUMNS: Final = (
    "id, ref, name, timezone, country, default_locale, mode, killed_at, settings, "
    "created_at, updated_at, clock_ahead_seconds"
)
_Count = Annotated[int, Meta(ge=1, le=100_000)]
_Percent = Annotated[int, Meta(ge=0, le=100)]
_Window = Annotated[int, Meta(ge=1, le=1000)]


class BusinessSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a business may change; what is not stored has these defaults.

    Attributes:
        per_minute: most messages a minute, per channel.
        per_day: most messages a day, per channel, in the business's own day.
        per_recipient_day: most messages a day to one recipient, per channel.
        suspend_percent: share of failures that stops a channel by itself; 0 switches it off.
        suspend_window: how many of the last attempts are looked at.
        suspend_minimum: fewer attempts than this never stop a channel.
        quality_stop: the provider's quality at which a channel stops.
        retry_base_seconds: wait before the first retry.
        retry_factor: each further wait is longer by this.
        retry_jitter_percent: how far a wait may differ, either way.
        retries: after so many the message has failed.
        grace_seconds: how long an unconfirmed message waits for news.
        unconfirmed: what follows then: `hold` or `resend`.
        channels: the channels to use, best first; none named means those that are connected.
        channels_off: channels that are switched off.
    """

    per_minute: _Count = 60
    per_day: Annotated[int, Meta(ge=0, le=10_000_000)] = 1000
    per_recipient_day: _Count = 20
    suspend_percent: _Percent = 50
    suspend_window: _Window = 50
    suspend_minimum: _Window = 20
    quality_stop: Literal["RED", "YELLOW", "OFF"] = "RED"
    retry_base_seconds: Annotated[int, Meta(ge=1, le=3600)] = 30
    retry_factor: Annotated[int, Meta(ge=1, le=10)] = 2
    retry_jitter_percent: Annotated[int, Meta(ge=0, le=90)] = 25
    retries: Annotated[int, Meta(ge=0, le=5)] = 5
    grace_seconds: _Count = 120
    unconfirmed: Literal["hold", "resend"] = "hold"
    channels: tuple[str, ...] = ()
    channels_off: tuple[str, ...] = ()


class BusinessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant as it stands.

    Attributes:
        clock_ahead_seconds: how far the clock of a test business was moved; 0 for a live one.
    """

    id: BusinessId
    ref: str
    name: str
    timezone: str
    country: str
    default_locale: str
    mode: str
    killed_at: datetime | None
    settings: BusinessSettings
    created_at: datetime
    updated_at: datetime
    clock_ahead_seconds: int = 0

    @property
    def ahead(self) -> timedelta:
        """Return how far the business's clock is ahead of ours."""
        return timedelta(seconds=self.clock_ahead_seconds)


class BusinessIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says of a tenant."""

    name: str
    timezone: str
    default_locale: str
    country: str


def check_business(told: BusinessIn) -> None:
    """Check what types cannot say.

    Raises:
        InvalidInputError: names every fault with its pointer.
    """
    faults: list[FieldFault] = []
    if not told.name.strip():
        faults.append(FieldFault("/name", "missing", "A business needs a name."))
    if not is_timezone(told.timezone):
        faults.append(FieldFault("/timezone", "timezone-unknown", "This is no IANA time zone."))
    if not is_locale(told.default_locale):
        message = "This is no language tag such as pt-BR."
        faults.append(FieldFault("/default_locale", "locale-invalid", message))
    if not is_country(told.country):
        message = "This is no ISO 3166 country code such as IT."
        faults.append(FieldFault("/country", "country-unknown", message))
    if faults:
        raise InvalidInputError(faults[0].message, errors=faults)


async def find_business(transaction: Transaction, ref: str) -> BusinessRow | None:
    """Return the tenant with this id, if the transaction's role can see it."""
    row = await transaction.fetchrow(f"SELECT {_COLUMNS} FROM business WHERE ref = $1", ref)
    return _business(row) if row else None


async def find_businesses(transaction: Transaction, refs: Sequence[str]) -> dict[str, BusinessRow]:
    """Return the tenants with these ids that the transaction's role can see, by id."""
    rows = await transaction.fetch(
        f"SELECT {_COLUMNS} FROM business WHERE ref = ANY ($1)", list(refs)
    )
    return {row["ref"]: _business(row) for row in rows}


async def get_business(transaction: Transaction, business_id: UUID) -> BusinessRow:
    """Return a tenant by our own id.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
    """
    row = await transaction.fetchrow(f"SELECT {_COLUMNS} FROM business WHERE id = $1", business_id)
    if row is None:
        raise NotFoundError("There is no such business.")
    return _business(row)


async def list_businesses(
    transaction: Transaction, *, limit: int, before: UUID | None = None, mode: str | None = None
) -> Sequence[BusinessRow]:
    """Return tenants, the newest first; `before` is the last one of the page before."""
    rows = await transaction.fetch(
        f"""
        SELECT {_COLUMNS} FROM business
        WHERE ($1::uuid IS NULL OR id < $1) AND ($2::text IS NULL OR mode = $2)
        ORDER BY id DESC LIMIT $3
        """,
        before,
        mode,
        limit,
    )
    return [_business(row) for row in rows]


async def add_business(
    transaction: Transaction, ref: str, told: BusinessIn, *, mode: str, now: datetime
) -> BusinessRow | None:
    """Make a tenant, as the platform; None when somebody else just made one with this id."""
    row = await transaction.fetchrow(
        f"""
        INSERT INTO business (id, ref, name, timezone, country, default_locale, mode, settings,
                              created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, '{{}}', $8, $8)
        ON CONFLICT (ref) DO NOTHING RETURNING {_COLUMNS}
        """,
        new_uuid(),
        ref,
        told.name,
        told.timezone,
        told.country,
        told.default_locale,
        mode,
        now,
    )
    return _business(row) if row else None


async def change_business(
    transaction: Transaction, business_id: UUID, told: BusinessIn, *, now: datetime
) -> BusinessRow:
    """Bring a tenant to what was told; `updated_at` moves only when something changes.

    Raises:
        NotFoundError: there is none, or it is somebody else's.
    """
    await transaction.execute(
        """
        UPDATE business SET name = $2, timezone = $3, country = $4, default_locale = $5,
                            updated_at = $6
        WHERE id = $1
          AND (name, timezone, country, default_locale) IS DISTINCT FROM ($2, $3, $4, $5)
        """,
        business_id,
        told.name,
        told.timezone,
        told.country,
        told.default_locale,
        now,
    )
    return await get_business(transaction, business_id)


def _business(row: Any) -> BusinessRow:
    fields = dict(row)
    fields["settings"] = msgspec.convert(fields["settings"] or {}, BusinessSettings)
    return BusinessRow(**fields)
