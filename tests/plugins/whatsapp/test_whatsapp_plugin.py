"""What the channel declares: names, tables, rights, settings, and the order of its imports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

import plugins.whatsapp
from core.channels.plugin import CONTRACT
from core.channels.registry import check_tables, load
from core.ids import new_uuid
from plugins.whatsapp import admin, tables
from plugins.whatsapp.plugin import plugin
from plugins.whatsapp.settings import WhatsAppSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.db import Database
    from core.ids import BusinessId

FOLDER = Path(plugins.whatsapp.__file__).parent
TABLES = (tables.BusinessWhatsappConfig, tables.WhatsappTemplate, tables.WhatsappMessageLog)
SPECIFICATION = {
    "business_whatsapp_config": {
        "id", "business_id", "waba_id", "phone_number_id", "access_token_encrypted",
        "token_expires_at", "connected_at", "status", "quality_rating", "created_at", "updated_at",
    },
    "whatsapp_templates": {
        "id", "business_id", "template_name", "category", "language_code", "status", "created_at",
    },
    "whatsapp_message_log": {
        "id", "business_id", "customer_id", "direction", "message_type", "content_snapshot",
        "provider_message_id", "delivery_status", "timestamp",
    },
}  # fmt: skip


def _columns(table: Any) -> set[str]:
    return {column._meta.name for column in table._meta.columns}


def test_the_registry_takes_the_channel() -> None:
    """The channel keeps the contract and names its tables, actions and tasks by its prefix."""
    registry = load(only=("whatsapp",))
    assert registry.states["whatsapp"].state == "loaded"
    assert (plugin.contract, plugin.address_kind, plugin.settles_by_callback) == (
        CONTRACT,
        "phone",
        True,
    )
    check_tables("whatsapp", [*TABLES, *(screen.table for screen in plugin.screens())])


def test_the_tables_hold_the_columns_of_the_specification() -> None:
    """Every column of section 3 is there under its own name."""
    for table in TABLES:
        assert _columns(table) >= SPECIFICATION[table._meta.tablename]


def test_every_column_is_classified() -> None:
    """No column is left without a kind, and the secret ones are marked so."""
    said = tomllib.loads((FOLDER / "classification.toml").read_text(encoding="utf-8"))
    assert {name: set(table["columns"]) for name, table in said.items()} == {
        table._meta.tablename: _columns(table) for table in TABLES
    }
    secret = [
        c for c, kind in said["business_whatsapp_config"]["columns"].items() if kind == "secret"
    ]
    assert secret == ["access_token_encrypted", "pin_sealed"]


def test_no_screen_shows_a_secret_or_a_content() -> None:
    """The admin's classes lack the sealed columns altogether, so no form can wipe them."""
    hidden = {
        "access_token_encrypted", "pin_sealed", "display_phone_sealed", "content_snapshot",
        "address_hash", "provider_message_id",
    }  # fmt: skip
    for screen in admin.screens():
        assert not _columns(screen.table) & hidden
        assert 1 <= len(screen.columns) <= 7
        assert not any(column._meta.primary_key for column in screen.columns)
        assert not screen.editable


def test_the_settings_never_show_a_secret() -> None:
    """Printing the settings shows the address and stars."""
    settings = WhatsAppSettings(app_id="123", app_secret="very-hidden", verify_token="also-hidden")
    for shown in (repr(settings), str(settings), f"{settings}", repr(settings.__rich_repr__())):
        assert "hidden" not in shown
        assert "123" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"graph_url": "ftp://graph.example"},
        {"graph_url": "https://user@graph.example"},
        {"graph_url": "https://graph.example?x=1"},
        {"graph_url": "graph.example"},
        {"graph_url": "http://graph.example", "environment": "production"},
        {"appsecret_proof": True},
    ],
)
def test_unsafe_settings_are_refused(wrong: dict[str, Any]) -> None:
    """A token is not sent to an address that anybody can listen to."""
    with pytest.raises(ValueError, match=r"graph_url|appsecret_proof"):
        WhatsAppSettings(**wrong)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"graph_version": "25"}, WhatsAppSettings)


def test_a_migration_run_loads_neither_the_web_nor_the_admin() -> None:
    """Importing the plugin and its tables pulls in no web framework and no HTTP client."""
    code = (
        "import sys, plugins.whatsapp.plugin, plugins.whatsapp.piccolo_app\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'litestar', 'httpx', 'aiohttp', 'piccolo_admin', 'saq'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


async def test_a_business_role_sees_its_own_rows_and_no_secret(
    database: Database, new_business: Callable[[str], Awaitable[BusinessId]]
) -> None:
    """The wall holds in the database: other rows are not there, secret columns are refused."""
    first, second = await new_business("first"), await new_business("second")
    async with database.engine() as transaction:
        for number, business in enumerate((first, second)):
            await transaction.execute(
                "INSERT INTO business_whatsapp_config (id, business_id, waba_id, phone_number_id) "
                "VALUES ($1, $2, 'w', $3)",
                new_uuid(),
                business,
                str(number),
            )
    async with database.business(first) as transaction:
        rows = await transaction.fetch("SELECT phone_number_id FROM business_whatsapp_config")
    assert [row["phone_number_id"] for row in rows] == ["0"]
    for column in ("access_token_encrypted", "pin_sealed", "*"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.business(first) as transaction:
                await transaction.fetch(f"SELECT {column} FROM business_whatsapp_config")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.business(first) as transaction:
            await transaction.execute("UPDATE business_whatsapp_config SET status = 'active'")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE business_whatsapp_config SET status = 'odd'",
        "UPDATE business_whatsapp_config SET billing_mode = 'odd'",
        "UPDATE business_whatsapp_config SET business_id = gen_random_uuid()",
        (
            "INSERT INTO business_whatsapp_config (id, business_id, waba_id, phone_number_id) "
            "SELECT gen_random_uuid(), business_id, 'w', 'p' FROM business_whatsapp_config"
        ),
        (
            "INSERT INTO whatsapp_templates (id, business_id, template_name, language_code, "
            "waba_id, status) SELECT id, business_id, 'n', 'en', 'w', 'odd' "
            "FROM business_whatsapp_config"
        ),
        (
            "INSERT INTO whatsapp_templates (id, business_id, template_name, language_code, "
            "waba_id, category) SELECT id, business_id, 'n', 'en', 'w', 'odd' "
            "FROM business_whatsapp_config"
        ),
        (
            "INSERT INTO whatsapp_message_log (id, business_id, direction, delivery_status) "
            "SELECT id, business_id, 'sideways', 'sent' FROM business_whatsapp_config"
        ),
        (
            "INSERT INTO whatsapp_message_log (id, business_id, direction, delivery_status) "
            "SELECT id, business_id, 'inbound', 'odd' FROM business_whatsapp_config"
        ),
    ],
)
async def test_the_database_refuses_values_outside_the_specification(
    database: Database, new_business: Callable[[str], Awaitable[BusinessId]], change: str
) -> None:
    """Allowed values, one number once, and no row of a business that does not exist."""
    business = await new_business("aurora")
    async with database.engine() as transaction:
        await transaction.execute(
            "INSERT INTO business_whatsapp_config (id, business_id, waba_id, phone_number_id) "
            "VALUES ($1, $2, 'w', 'p')",
            new_uuid(),
            business,
        )
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        async with database.engine() as transaction:
            await transaction.execute(change)
