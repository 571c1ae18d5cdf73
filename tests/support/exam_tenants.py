"""Makes the exam's tenants: copies of the one business that the product's own commands made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from fixture_house import TEST_KEYS
from psycopg.rows import dict_row

from core.ids import new_uuid
from core.keyring import SecretKey
from core.secret import Secret
from core.vault import Vault
from plugins.whatsapp.connections import context

if TYPE_CHECKING:
    from collections.abc import Mapping

COPIED = ("channel_connection", "channel_template", "whatsapp_templates", "lane")
MODEL_TEMPLATE = "booking_confirmed"
UNLIMITED = {
    "per_minute": 60_000,
    "per_day": 100_000,
    "per_recipient_day": 100_000,
    "suspend_percent": 0,
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A business with a number of its own at the provider."""

    ref: str
    id: UUID
    number: str

    @property
    def customer(self) -> str:
        """Name its first customer."""
        return f"{self.ref}-c0"

    def phone(self, place: int = 0) -> str:
        """Return the phone of one of its customers, unlike any other tenant's."""
        return f"+39333{int(self.number[-4:]):04d}{place:03d}"


def ring_vault() -> Vault:
    """Return the vault of the tests' key ring."""
    key_id, _, encoded = TEST_KEYS.partition(":")
    return Vault((SecretKey(key_id, Secret(encoded)),))


def copy_tenant(
    connection: psycopg.Connection[Any],
    model: str,
    place: int,
    settings: Mapping[str, Any],
    *,
    reminders: bool = False,
) -> Tenant:
    """Copy the model business with its connection, templates and lane under a new name."""
    tenant = Tenant(f"exam-{place}", new_uuid(), f"77700{place:04d}")
    with connection.cursor(row_factory=dict_row) as rows:
        [business] = rows.execute("SELECT * FROM business WHERE ref = %s", (model,)).fetchall()
        old = business["id"]
        limits = UNLIMITED | dict(settings)
        _put(rows, "business", business, id=tenant.id, ref=tenant.ref, settings=limits)
        [config] = rows.execute(
            "SELECT * FROM business_whatsapp_config WHERE business_id = %s", (old,)
        ).fetchall()
        row_id, column, vault = new_uuid(), "access_token_encrypted", ring_vault()
        token = vault.open(bytes(config[column]), context=context(column, old, config["id"]))
        _put(
            rows,
            "business_whatsapp_config",
            config,
            id=row_id,
            business_id=tenant.id,
            phone_number_id=tenant.number,
            access_token_encrypted=vault.seal(
                token, context=context(column, tenant.id, row_id)
            ),
            display_phone_sealed=None,
            pin_sealed=None,
        )
        cap = int(limits["per_minute"])
        burst = max(1, cap // 10)
        changes = {
            "channel_connection": {"account_ref": tenant.number},
            "lane": {"cap_minute": cap, "burst": burst, "tokens": burst,
                     "cap_day": limits["per_day"]},
        }  # fmt: skip
        # A lane asleep for ever has a time that Python cannot hold.
        rows.execute("UPDATE lane SET next_at = now() WHERE business_id = %s", (old,))
        for table in COPIED:
            for row in rows.execute(
                f"SELECT * FROM {table} WHERE business_id = %s", (old,)
            ).fetchall():
                changed = {"id": new_uuid(), "business_id": tenant.id} | changes.get(table, {})
                _put(rows, table, row, **changed)
                if reminders and table == "channel_template" and row["name"] == MODEL_TEMPLATE:
                    for name in ("reminder_24h", "reminder_2h"):
                        _put(rows, table, row, **changed | {"id": new_uuid(), "name": name})
    return tenant


def _put(rows: Any, table: str, row: Mapping[str, Any], **changes: Any) -> None:
    whole = {**row, **changes}
    values = [
        json.dumps(value) if isinstance(value, dict | list) and name in _JSON else value
        for name, value in whole.items()
    ]
    names = ", ".join(f'"{name}"' for name in whole)
    rows.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(whole))})", values
    )


_JSON = frozenset({"settings", "components", "proof_json", "payload_json"})
