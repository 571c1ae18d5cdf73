"""The wall around each tenant: row-level security and grants, driven by classification files.

`core/classification.toml`, and a file of the same name in each plugin's folder, say for every
table who may see it and for every column what it holds. `secure` turns that into policies and
grants; nobody writes a policy by hand (rulings B8).

Letters: T  the business's own rows · Tr  the same, read-only for the business
         E  the engine only         · G   global: no business may see it unless the file says so

Policies stand apart per role: an OR inside one policy costs a scan of the whole table.
"""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from piccolo.engine import engine_finder

from core.errors import PluginContractError
from core.roles import APP, BATCH, ENGINE, PLATFORM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FILE: Final = "classification.toml"
KINDS: Final = ("none", "pseudonym", "direct", "secret")

_TENANT: Final = "(SELECT NULLIF(current_setting('app.business_id', true), '')::uuid)"
_TENANTS: Final = "(SELECT NULLIF(current_setting('app.business_ids', true), '')::uuid[])::uuid[]"
_WRITES: Final = ("select", "insert", "update", "delete")
_APP_RIGHTS: Final = {"T": _WRITES, "Tr": ("select",), "E": (), "G": ()}


class _Connection(Protocol):
    async def execute(self, query: str, /) -> object: ...
    async def fetch(self, query: str, /, *arguments: object) -> list[Any]: ...
    async def fetchval(self, query: str, /, *arguments: object) -> object: ...


class TableClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a classification file says of one table.

    Attributes:
        wall: one of the letters above.
        tenant: the column that names the business.
        columns: column -> none, pseudonym, direct or secret; secret is for the engine alone.
        app: rights of a business in place of the letter's own, such as `update(status, reason)`.
        platform: rights of operators beside reading; reading is taken away by `platform_reads`.
        using: a condition in place of the tenant's, for tables that have no such column.
    """

    wall: str
    columns: dict[str, str]
    tenant: str = "business_id"
    app: tuple[str, ...] | None = None
    platform: tuple[str, ...] = ()
    platform_reads: bool = True
    engine: tuple[str, ...] = _WRITES
    using: str = ""


def read_classification(folder: Path, slug: str = "") -> dict[str, TableClass]:
    """Read a folder's file; `{slug}` in a table's name stands for the plugin's own name.

    Raises:
        PluginContractError: the file is not as it should be.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text())
        tables = msgspec.convert(content, dict[str, TableClass])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PluginContractError(f"{path.name}: {error}") from error
    for name, table in tables.items():
        if table.wall not in _APP_RIGHTS:
            raise PluginContractError(f"{path.name}: {name} has the unknown wall {table.wall!r}")
        if wrong := sorted(set(table.columns.values()) - set(KINDS)):
            raise PluginContractError(f"{path.name}: {name} has the unknown kind {wrong[0]!r}")
    return {name.replace("{slug}", slug): table for name, table in tables.items()}


async def secure(connection: _Connection, tables: Mapping[str, TableClass]) -> list[str]:
    """Put walls around tables; what already stands as described is left alone.

    Args:
        connection: the owner's, inside a transaction.
        tables: table name -> its class; tables that do not exist are passed over.

    Returns:
        The tables whose wall was built anew.
    """
    built: list[str] = []
    for name, table in sorted(tables.items()):
        script = wall_script(name, table)
        mark = f"patchbay wall {hashlib.sha256(script.encode()).hexdigest()[:32]}"
        standing = await connection.fetchval(
            "SELECT coalesce(obj_description(to_regclass($1), 'pg_class'), '')", name
        )
        if standing is None or standing == mark:
            continue
        if await connection.fetchval("SELECT to_regclass($1)", name) is None:
            continue
        await connection.execute(f"{script}\nCOMMENT ON TABLE {name} IS '{mark}'")
        built.append(name)
    return built


async def check_columns(connection: _Connection, tables: Mapping[str, TableClass]) -> None:
    """Compare a classification with the tables as they are.

    Raises:
        PluginContractError: a column has no kind, or a kind is given to no column.
    """
    rows = await connection.fetch(
        """
        SELECT c.table_name, array_agg(c.column_name::text) AS columns
        FROM information_schema.columns c
        WHERE c.table_schema = 'public' AND c.table_name = ANY ($1) GROUP BY 1
        """,
        list(tables),
    )
    there = {row["table_name"]: set(row["columns"]) for row in rows}
    for name, table in tables.items():
        if different := there.get(name, set()) ^ set(table.columns):
            listed = ", ".join(sorted(different))
            raise PluginContractError(f"{FILE} and the table {name} differ in: {listed}")


def wall_script(name: str, table: TableClass) -> str:
    """Write the statements that build one wall from scratch."""
    own = table.using or f"{table.tenant} = {_TENANT}"
    group = table.using or f"{table.tenant} = ANY ({_TENANTS})"
    app = _APP_RIGHTS[table.wall] if table.app is None else table.app
    rights = {
        APP: (app, own),
        BATCH: (() if table.using else app, group),
        PLATFORM: ((("select",) if table.platform_reads else ()) + table.platform, "true"),
        ENGINE: (table.engine, "true"),
    }
    lines = [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"REVOKE ALL ON {name} FROM PUBLIC, {', '.join(rights)}",
    ]
    for role, (rights_of_role, condition) in rights.items():
        granted = () if table.wall == "E" and role != ENGINE else rights_of_role
        policy = f"wall_{role.removeprefix('patchbay_')}"
        lines.append(f"DROP POLICY IF EXISTS {policy} ON {name}")
        if granted:
            lines += _grants(name, table, role, granted)
            if "insert" in granted:
                lines.append(_sequence_grant(name, role))
            lines.append(
                f"CREATE POLICY {policy} ON {name} TO {role} "
                f"USING ({condition}) WITH CHECK ({condition})"
            )
    return ";\n".join(lines) + ";"


def _sequence_grant(name: str, role: str) -> str:
    """Let a role that inserts draw the numbers of the table's serial columns."""
    return (
        "DO $$ DECLARE s regclass; BEGIN FOR s IN SELECT d.objid FROM pg_depend d "
        "JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' "
        f"WHERE d.refobjid = to_regclass('{name}') AND d.deptype IN ('a', 'i') "
        f"LOOP EXECUTE format('GRANT USAGE ON SEQUENCE %s TO {role}', s); END LOOP; END $$"
    )


async def run_script(script: str) -> None:
    """Run several statements inside the migration that is under way.

    Raises:
        RuntimeError: no migration is under way.
    """
    engine = engine_finder()
    transaction = engine.current_transaction.get() if engine else None
    if transaction is None:
        raise RuntimeError("A script runs inside a migration's transaction only.")
    await transaction.connection.execute(script)


def _grants(name: str, table: TableClass, role: str, granted: Iterable[str]) -> list[str]:
    """Grant by column where the table has secrets, unless it is the engine that asks."""
    open_columns = [column for column, kind in table.columns.items() if kind != "secret"]
    by_column = role != ENGINE and len(open_columns) < len(table.columns)
    lines: list[str] = []
    for right in granted:
        verb, _, columns = right.partition("(")
        listed = columns.rstrip(") ") if columns else ""
        if not listed and by_column and verb != "delete":
            listed = ", ".join(open_columns)
        lines.append(f"GRANT {verb.upper()}{f' ({listed})' if listed else ''} ON {name} TO {role}")
    return lines
