"""Puts a row of each business into every table of businesses, whatever its columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from core.walls import TableClass

VALUES: dict[str, Callable[[], Any]] = {
    "uuid": uuid4,
    "character varying": lambda: uuid4().hex,
    "text": lambda: "x",
    "bytea": lambda: uuid4().bytes,
    "integer": lambda: 1,
    "bigint": lambda: 1,
}
"""How to make a value where a column must have one."""


async def fill_tables(
    connection: Any, tables: Mapping[str, TableClass], businesses: Iterable[UUID]
) -> None:
    """Write the rows as the superuser, past foreign keys; the checks say what is allowed."""
    await connection.execute("SET session_replication_role = replica")
    for business in businesses:
        for name, table in tables.items():
            row = await _row(connection, name)
            row[table.tenant] = business
            columns = ", ".join(row)
            places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
            await connection.execute(
                f"INSERT INTO {name} ({columns}) VALUES ({places})", *row.values()
            )
    await connection.execute("SET session_replication_role = origin")


async def _row(connection: Any, table: str) -> dict[str, Any]:
    allowed = await allowed_values(connection, table)
    columns = await connection.fetch(
        "SELECT column_name AS name, data_type AS kind, is_nullable = 'YES' AS optional, "
        "column_default AS usual, character_maximum_length AS longest "
        "FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1",
        table,
    )
    row: dict[str, Any] = {}
    for column in columns:
        name, make = column["name"], VALUES.get(column["kind"])
        if name in allowed and not column["optional"]:
            row[name] = allowed[name][0]
        elif make is not None and not column["optional"] and _plain(column["usual"]):
            made = make()
            row[name] = made[: column["longest"]] if isinstance(made, str) else made
    return row


def _plain(default: str | None) -> bool:
    return default is None or default.startswith("''")


async def allowed_values(connection: Any, table: str) -> dict[str, list[str]]:
    """Return column -> the words its checks allow, in their order."""
    checks = await connection.fetch(
        "SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint "
        "WHERE conrelid = to_regclass($1) AND contype = 'c'",
        table,
    )
    found: dict[str, list[str]] = {}
    for check in checks:
        one = re.fullmatch(
            r"CHECK \(+(\w+)\)?(?:::text)?\)? = ANY \(+ARRAY\[(.*)\].*", check["text"]
        )
        if one:
            found[one[1]] = re.findall(r"'([^']*)'", one[2])
    return found
