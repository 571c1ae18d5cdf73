"""What the embedded PostgreSQL needs of the machine: an account, a folder, a lock, a port."""

from __future__ import annotations

import fcntl
import os
import pwd
import socket
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
LOCK_FILE = "patchbay.lock"
ADVICE = "set PATCHBAY_DATABASE_URL to use a PostgreSQL server of your own"

_LOCK_SECONDS = 60.0


def open_to_all(path: Path) -> bool:
    """Tell whether every account of the machine may enter this folder."""
    real = path.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents))


def is_at_work(*marks: str) -> bool:
    """Tell whether a living PostgreSQL process shows one of these marks, as far as /proc tells."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it ended while we looked
        program = title.split("\0", 1)[0].split(":", 1)[0]
        if program.rsplit("/", 1)[-1] == "postgres" and any(mark in title for mark in marks):
            return True
    return False


def _account() -> pwd.struct_passwd | None:
    """Return the account PostgreSQL runs as when we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root and there is no user 'nobody': {ADVICE}."
        ) from None


def account_options() -> dict[str, Any]:
    """Return the options of ``subprocess`` that make a program run as PostgreSQL's account."""
    account = _account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def hand_over(path: Path) -> None:
    """Give a file to the account PostgreSQL runs as."""
    account = _account()
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def prepare_home(home: Path) -> None:
    """Make our folder, or check that it is ours and that PostgreSQL can get into it.

    Raises:
        ConfigurationError: it holds something else, or cannot be made or entered.
    """
    root = os.geteuid() == 0
    try:
        missing = [each for each in (home, *home.parents) if not each.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            if root:
                folder.chmod(0o711)
        if not is_ours(home) and any(home.iterdir()):
            raise ConfigurationError(
                f"The data folder {home} holds something else: name an empty one."
            )
        (home / LOCK_FILE).touch(mode=0o600)
        if root:
            home.chmod(0o711)
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {home} cannot be used: {error.strerror}."
        ) from error
    if root and not open_to_all(home):
        raise ConfigurationError(
            f"PostgreSQL runs as 'nobody' when started by root, and 'nobody' cannot enter {home}: "
            f"set PATCHBAY_DATA_DIR to a folder below ones that everybody may enter, or {ADVICE}."
        )


def is_ours(home: Path) -> bool:
    """Tell whether this folder was made by us."""
    return (home / LOCK_FILE).is_file()


@contextmanager
def hold_lock(home: Path) -> Iterator[None]:
    """Keep every other starter of this folder waiting.

    Raises:
        ConfigurationError: somebody else held the lock for a minute.
    """
    ends_at = time.monotonic() + _LOCK_SECONDS
    with (home / LOCK_FILE).open("a", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends_at:
                    raise ConfigurationError(
                        f"Another process has been starting the database in {home} for a minute."
                    ) from None
                time.sleep(0.05)
        yield


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this loopback port right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Tell whether somebody accepts connections on this loopback port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
