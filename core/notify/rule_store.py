"""A business's own rules: the SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from core.ids import new_uuid
from core.notify.rules import BUILT_IN, QuietHours, Rule, merged

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction

_COLUMNS: Final = (
    "key, event_type, template_name, channels, lead, quiet_from, quiet_to, quiet_mode, "
    "minimum_notice, languages, variables, enabled, fallback_after, version, updated_at"
)


@dataclass(frozen=True, slots=True)
class KeptRule:
    """A rule that holds for a business; `updated_at` is None while it is the built-in one."""

    rule: Rule
    updated_at: datetime | None = None


async def rules_of(transaction: Transaction, business_id: UUID) -> tuple[Rule, ...]:
    """Return the rules that hold for a business."""
    rows = await _rows(transaction, business_id, None)
    return merged(_rule(row) for row in rows)


async def list_rules(transaction: Transaction, business_id: UUID) -> list[KeptRule]:
    """Return the rules that hold for a business, each with its last change."""
    rows = await _rows(transaction, business_id, None)
    changed_at = {row["key"]: row["updated_at"] for row in rows}
    return [
        KeptRule(rule, changed_at.get(rule.key)) for rule in merged(_rule(row) for row in rows)
    ]


async def find_rule(transaction: Transaction, business_id: UUID, key: str) -> KeptRule | None:
    """Return one rule that holds for a business."""
    rows = await _rows(transaction, business_id, key)
    if rows:
        return KeptRule(_rule(rows[0]), rows[0]["updated_at"])
    built_in = BUILT_IN.get(key)
    return KeptRule(built_in) if built_in else None


async def put_rule(
    transaction: Transaction, business_id: UUID, rule: Rule, now: datetime
) -> KeptRule | None:
    """Write a rule over the version it names; None if another version stands there by now."""
    quiet = rule.quiet
    row = await transaction.fetchrow(
        f"""
        INSERT INTO notification_rule AS r (id, business_id, {_COLUMNS})
        SELECT $1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::jsonb, $7::interval,
               $8::time, $9::time, $10::text, $11::interval, $12::jsonb, $13::jsonb,
               $14::boolean, $17::interval, 1, $16::timestamptz
        WHERE $15::int = 0 OR EXISTS (
            SELECT FROM notification_rule x
            WHERE x.business_id = $2 AND x.key = $3 AND x.version = $15)
        ON CONFLICT (business_id, key) DO UPDATE SET
            event_type = excluded.event_type, template_name = excluded.template_name,
            channels = excluded.channels, lead = excluded.lead,
            quiet_from = excluded.quiet_from, quiet_to = excluded.quiet_to,
            quiet_mode = excluded.quiet_mode, minimum_notice = excluded.minimum_notice,
            languages = excluded.languages, variables = excluded.variables,
            enabled = excluded.enabled, fallback_after = excluded.fallback_after,
            version = r.version + 1, updated_at = excluded.updated_at
        WHERE r.version = $15
        RETURNING {_COLUMNS}
        """,
        new_uuid(),
        business_id,
        rule.key,
        rule.event_type,
        rule.template,
        list(rule.channels),
        rule.lead,
        quiet.start if quiet else None,
        quiet.end if quiet else None,
        quiet.mode if quiet else "defer",
        rule.minimum_notice or None,
        list(rule.languages),
        rule.variables,
        rule.enabled,
        rule.version,
        now,
        rule.fallback_after,
    )
    return KeptRule(_rule(row), row["updated_at"]) if row else None


async def _rows(
    transaction: Transaction, business_id: UUID, key: str | None
) -> list[Mapping[str, Any]]:
    return list(
        await transaction.fetch(
            f"SELECT {_COLUMNS} FROM notification_rule "
            "WHERE business_id = $1 AND ($2::text IS NULL OR key = $2) ORDER BY key",
            business_id,
            key,
        )
    )


def _rule(row: Mapping[str, Any]) -> Rule:
    quiet = None
    if row["quiet_from"] is not None:
        quiet = QuietHours(start=row["quiet_from"], end=row["quiet_to"], mode=row["quiet_mode"])
    return Rule(
        key=row["key"],
        event_type=row["event_type"],
        template=row["template_name"],
        channels=tuple(row["channels"]),
        lead=row["lead"],
        minimum_notice=row["minimum_notice"] or timedelta(),
        quiet=quiet,
        languages=tuple(row["languages"]),
        variables=row["variables"],
        enabled=row["enabled"],
        version=row["version"],
        fallback_after=row["fallback_after"],
    )
