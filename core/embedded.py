"""The embedded PostgreSQL of a first run: started by whoever comes first, shared by the rest.

The first process to ask starts the server and is the one that stops it; all others attach. When
the starter is killed the server lives on, and the next one to ask attaches to it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import platformdirs
import psycopg
from psycopg import sql

from core import roles
from core.errors import ConfigurationError

if sys.platform != "win32":
    from core import embedded_machine as machine
    from core import embedded_server as server

if TYPE_CHECKING:
    from collections.abc import Sequence

DATABASE = "patchbay"
_CONNECT_SECONDS = 10
_ROOT_PLACE = Path("/var/lib/patchbay")


@dataclass(frozen=True, slots=True)
class EmbeddedDatabase:
    """A running embedded PostgreSQL.

    Attributes:
        data_dir: our folder with everything in it.
        port: where it listens on 127.0.0.1.
        database_url: for the processes; connects as the login, which must choose a role.
        migrations_url: for migrations; connects as the owner.
        started: True when this process started it and is to stop it.
    """

    data_dir: Path
    port: int
    database_url: str
    migrations_url: str
    started: bool


class _Secrets(msgspec.Struct, frozen=True):
    """The passwords of one cluster, kept in a file that only its owner may read."""

    superuser: str
    owner: str
    login: str


class _State(msgspec.Struct, frozen=True):
    """What the next start wants to know: port, programs, and whether the roles were made."""

    port: int = 0
    binaries: str = ""
    prepared: str = ""


def default_data_dir(project: Path) -> Path:
    """Return where the data of this project folder belongs, outside the project itself."""
    place = project.resolve()
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:10]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", place.name).strip("-.") or "project"
    # PostgreSQL refuses to be root and runs as 'nobody' then, who cannot enter root's home.
    if sys.platform != "win32" and os.geteuid() == 0:
        return _ROOT_PLACE / f"{name}-{digest}"
    return platformdirs.user_data_path("patchbay") / f"{name}-{digest}"


def start(
    data_dir: Path | None = None,
    *,
    project: Path | None = None,
    durable: bool = True,
    binaries: Path | None = None,
) -> EmbeddedDatabase:
    """Start the embedded PostgreSQL, or attach to it when it runs.

    Args:
        data_dir: where the data is; by default outside the project, one per project folder.
        project: the project folder; by default the one this code is in.
        durable: False trades safety at a power cut for speed; for tests.
        binaries: another PostgreSQL's program folder instead of the wheel's.

    Raises:
        ConfigurationError: there is none for this machine, or it does not start; says what to do.
    """
    if sys.platform == "win32":
        raise ConfigurationError(
            "There is no embedded PostgreSQL for Windows: set PATCHBAY_DATABASE_URL to use a "
            "PostgreSQL server of your own."
        )
    project = project or Path(__file__).resolve().parent.parent
    home = (data_dir or default_data_dir(project)).expanduser().absolute()
    machine.prepare_home(home)
    with machine.hold_lock(home):
        keys, state = _secrets_of(home), _state_of(home)
        programs = binaries or _kept_binaries(state)
        cluster = server.find_cluster(home, programs, durable=durable)
        cluster.create(keys.superuser)
        running = cluster.answering_port()
        port = running or cluster.start(state.port)
        digest = _prepare(port, keys, state.prepared)
        now = _State(port=port, binaries=str(programs or ""), prepared=digest)
        if state != now:
            _write(home / "state.json", now)
    return EmbeddedDatabase(
        data_dir=home,
        port=port,
        database_url=_url(roles.LOGIN, keys.login, port, DATABASE),
        migrations_url=_url(roles.OWNER, keys.owner, port, DATABASE),
        started=not running,
    )


def stop(database: EmbeddedDatabase) -> None:
    """Stop the server if this process started it; whoever attached leaves it alone."""
    if not database.started or not machine.is_ours(database.data_dir):
        return
    with machine.hold_lock(database.data_dir):
        _stop_cluster(database.data_dir)


def reset(data_dir: Path) -> None:
    """Stop the server, whoever started it, and delete all its data and passwords.

    Raises:
        ConfigurationError: the folder is not one of ours.
    """
    home = data_dir.expanduser().absolute()
    if not home.exists():
        return
    if not machine.is_ours(home):
        raise ConfigurationError(f"{home} is no data folder of Patchbay; nothing was deleted.")
    with machine.hold_lock(home):
        _stop_cluster(home, at_once=True)
        for entry in home.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != machine.LOCK_FILE:
                entry.unlink()


def create_database(
    database: EmbeddedDatabase, name: str, *, template: str | None = None
) -> tuple[str, str]:
    """Make one more database in the same server and return its two addresses.

    Args:
        database: the running server.
        name: of the new database.
        template: copy this database, which nobody may be connected to; quicker than migrating.

    Returns:
        The address for the processes and the address for migrations.
    """
    keys = _secrets_of(database.data_dir)
    with _connect(database.port, keys, "postgres") as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                *(sql.Identifier(part) for part in (name, roles.OWNER, template or "template1"))
            )
        )
    with _connect(database.port, keys, name) as connection:
        _execute(connection, roles.database_statements(name))
    return (
        _url(roles.LOGIN, keys.login, database.port, name),
        _url(roles.OWNER, keys.owner, database.port, name),
    )


def drop_database(database: EmbeddedDatabase, name: str) -> None:
    """Drop a database of this server and cut off whoever is connected to it."""
    with _connect(database.port, _secrets_of(database.data_dir), "postgres") as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def superuser_url(database: EmbeddedDatabase, name: str = DATABASE) -> str:
    """Return the address of the cluster's superuser; for tests and repairs only."""
    return _url(server.SUPERUSER, _secrets_of(database.data_dir).superuser, database.port, name)


def _prepare(port: int, keys: _Secrets, prepared: str) -> str:
    """Make roles and database once, again when their statements have changed; return a digest."""
    cluster_wide = roles.role_statements(owner_password=keys.owner, login_password=keys.login)
    inside = roles.database_statements(DATABASE)
    digest = hashlib.sha256("\n".join([*cluster_wide, *inside]).encode()).hexdigest()
    with _connect(port, keys, "postgres") as connection:
        if prepared == digest:
            return digest
        _execute(connection, cluster_wide)
        query = "SELECT FROM pg_database WHERE datname = %s"
        if connection.execute(query, (DATABASE,)).fetchone() is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(roles.OWNER)
                )
            )
    with _connect(port, keys, DATABASE) as connection:
        _execute(connection, inside)
    return digest


def _execute(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _connect(port: int, keys: _Secrets, name: str) -> psycopg.Connection:
    url = _url(server.SUPERUSER, keys.superuser, port, name)
    ends_at = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        except psycopg.OperationalError as error:
            # Whoever started it may have been killed while it was still coming up.
            if time.monotonic() > ends_at or isinstance(error, psycopg.errors.InvalidPassword):
                first = str(error).strip().splitlines()[0]
                raise ConfigurationError(
                    f"The embedded PostgreSQL does not answer: {first}"
                ) from None
        time.sleep(0.1)


def _url(role: str, password: str, port: int, name: str) -> str:
    return f"postgresql://{role}:{quote(password)}@{machine.HOST}:{port}/{quote(name)}"


def _stop_cluster(home: Path, *, at_once: bool = False) -> None:
    if (home / "postgres" / "PG_VERSION").exists():
        server.find_cluster(home, _kept_binaries(_state_of(home)), durable=True).stop(
            at_once=at_once
        )


def _secrets_of(home: Path) -> _Secrets:
    path = home / "secrets.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=_Secrets)
    keys = _Secrets(*(secrets.token_urlsafe(24) for _ in range(3)))
    _write(path, keys)
    return keys


def _state_of(home: Path) -> _State:
    path = home / "state.json"
    return msgspec.json.decode(path.read_bytes(), type=_State) if path.exists() else _State()


def _kept_binaries(state: _State) -> Path | None:
    return Path(state.binaries) if state.binaries else None


def _write(path: Path, content: msgspec.Struct) -> None:
    # Written beside and renamed: a reader sees the old file or the new one, never half of it.
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
