"""The database roles and the SQL that makes them: one place, for every kind of server.

The embedded database runs these statements by itself; ``patchbay migrate`` runs them on a real
server, or prints them for a database administrator when it may not.

* owner   migrations only; owns the database, is no superuser and cannot step over a policy
* login   what the processes connect as; may do nothing until it has chosen one of the groups
* groups  four sets of rights (rulings, B8), chosen by connection or by transaction
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

OWNER = "patchbay_owner"
LOGIN = "patchbay_login"
APP = "patchbay_app"
BATCH = "patchbay_batch"
PLATFORM = "patchbay_platform"
ENGINE = "patchbay_engine"
GROUPS = (APP, BATCH, PLATFORM, ENGINE)
QUEUE_SCHEMA = "saq"

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,62}")
# PostgreSQL 16 moved inheritance from the role to the single membership.
_FIRST_WITH_GRANT_OPTIONS = 160000


def role_statements(
    owner: str = OWNER,
    login: str = LOGIN,
    *,
    owner_password: str | None = None,
    login_password: str | None = None,
) -> list[str]:
    """Return the statements that make the roles of a server; safe to repeat.

    They need the right to create roles, and are the same for every database of the server.

    Args:
        owner: the role of migrations.
        login: the role the processes connect as.
        owner_password: set as the owner's password; None leaves it as it is.
        login_password: set as the login's password; None leaves it as it is.

    Raises:
        ConfigurationError: a name holds more than letters, digits, ``_ . @ -``.
    """
    # The owner does not inherit either: it is a member of the engine role only to hand functions
    # over to it, and must not read other people's rows by that.
    return [
        *(_create(group, "NOLOGIN") for group in GROUPS),
        _create(owner, "LOGIN NOINHERIT"),
        _create(login, "LOGIN NOINHERIT"),
        f"ALTER ROLE {_quoted(login)} NOINHERIT",
        *(_refuse_powers(role) for role in (*GROUPS, login)),
        *(
            f"ALTER ROLE {_quoted(role)} PASSWORD {_literal(password)}"
            for role, password in ((owner, owner_password), (login, login_password))
            if password is not None
        ),
        *(_grant(group, login) for group in GROUPS),
        _grant(ENGINE, owner),
    ]


def database_statements(
    database: str, owner: str = OWNER, login: str = LOGIN, *, groups: Iterable[str] = GROUPS
) -> list[str]:
    """Return the statements that close one database to everybody but our roles; safe to repeat.

    They are run inside that database by a role that may give it away.

    Raises:
        ConfigurationError: a name holds more than letters, digits, ``_ . @ -``.
    """
    base, boss, user = (_quoted(name) for name in (database, owner, login))
    members = ", ".join(_quoted(group) for group in groups)
    return [
        f"REVOKE ALL ON DATABASE {base} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {base} TO {user}",
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {base} TO {boss}",
        f"ALTER SCHEMA public OWNER TO {boss}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {members}",
    ]


def queue_schema_statements(login: str = LOGIN, *, schema: str = QUEUE_SCHEMA) -> list[str]:
    """Return the statements, run as the owner, that give SAQ a schema of its own.

    SAQ's own pool connects as the login and chooses no role, so the schema is the login's.

    Raises:
        ConfigurationError: a name holds more than letters, digits, ``_ . @ -``.
    """
    place, user = _quoted(schema), _quoted(login)
    return [
        f"CREATE SCHEMA IF NOT EXISTS {place}",
        f"GRANT USAGE, CREATE ON SCHEMA {place} TO {user}",
    ]


def _create(role: str, attributes: str) -> str:
    return (
        f"DO $$ BEGIN CREATE ROLE {_quoted(role)} {attributes}; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


def _refuse_powers(role: str) -> str:
    # A role that was there before us is not changed behind its owner's back, only refused.
    return (
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles "
        f"WHERE rolname = {_literal(_plain(role))} AND (rolsuper OR rolbypassrls)) THEN "
        f"RAISE EXCEPTION 'role {_plain(role)} may step over row-level security'; END IF; END $$"
    )


def _grant(group: str, member: str) -> str:
    grant = f"GRANT {_quoted(group)} TO {_quoted(member)}"
    return (
        "DO $$ BEGIN "
        f"IF current_setting('server_version_num')::int >= {_FIRST_WITH_GRANT_OPTIONS} "
        f"THEN EXECUTE '{grant} WITH INHERIT FALSE, SET TRUE'; "
        f"ELSE EXECUTE '{grant}'; END IF; END $$"
    )


def _plain(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise ConfigurationError(
            f"The database name or role {name!r} may hold only letters, digits, _ . @ and -."
        )
    return name


def _quoted(name: str) -> str:
    return f'"{_plain(name)}"'


def _literal(text: str) -> str:
    if "\\" in text or "\0" in text:
        raise ConfigurationError("A database password may hold neither a backslash nor a NUL.")
    return "'" + text.replace("'", "''") + "'"
