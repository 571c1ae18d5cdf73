"""Make the project's own environment in ``.venv``; needs nothing but Python and its library.

Run by make before every target: ``python3 deploy/bootstrap.py [--dev] [--verify]``.

* the first run installs the locked packages, each with its hash, and shows how far it is
* a second run compares a stamp and is done at once
* an installation that was stopped leaves nothing half made: the next run begins anew

The file has to parse on Python 3.6, so that an old Python gets a sentence and not a traceback.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

OLDEST = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14")
PROJECT = Path(__file__).resolve().parent.parent
ENVIRONMENT = PROJECT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / "patchbay-stamp.json"
UNFINISHED = ENVIRONMENT / "patchbay-unfinished"
WORK = PROJECT / ".patchbay"
LOG = WORK / "install.log"
if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[ \t]*(;?)", re.MULTILINE)
FETCHED = re.compile(r"^(?:Collecting|Processing|Requirement already satisfied:)\s+(\S+)")
UNREACHABLE = (
    "name resolution|name or service not known|nodename nor servname|new connection|"
    "network is unreachable|connection (?:refused|reset|aborted)|timed out|proxyerror|"
    r"max retries|retrying \("
)
WAYS_TO_FAIL = {
    "no space left on device": "the disk is full.",
    "do not match the hashes": "a package that came over the network is not the locked one.",
    "permission denied": "a file in the project folder may not be written.",
    "no module named pip": "the environment in .venv has no pip; delete it and try again.",
    UNREACHABLE: "the package index cannot be reached; the first installation needs the network.",
}


class InstallError(Exception):
    """The environment cannot be made; the text is a sentence for the person who waits."""


def too_old(version: "tuple[int, int]") -> str:
    """Return the sentence for a Python that is too old, "" for one that will do."""
    if version >= OLDEST:
        return ""
    has, needs = (".".join(map(str, each)) for each in (version, OLDEST))
    return f"Python {has} is too old: Patchbay needs {needs} or newer (make PYTHON=python3.12)."


def use_newer_python() -> None:
    """Go on with a newer Python if one is on the path, else say that this one is too old."""
    refusal = too_old(sys.version_info[:2])
    for name in CANDIDATES:
        found = shutil.which(name)
        if found and works(found):
            sys.stderr.write(f"{refusal} Going on with {found}.\n")
            os.execv(found, [found, *sys.argv])  # noqa: S606 -- a Python found on the path
    sys.exit(refusal)


def works(python: str) -> bool:
    """Tell whether this command is a Python that is new enough; version shims may be empty."""
    check = f"import sys; sys.exit(sys.version_info < {OLDEST!r})"
    try:
        return subprocess.call([python, "-c", check], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def digest(*names: str) -> str:
    """Return one hash over files of the project."""
    total = hashlib.sha256()
    for name in names:
        total.update(hashlib.sha256((PROJECT / name).read_bytes()).digest())
    return total.hexdigest()


def wanted_stamp(kind: str) -> "dict[str, str]":
    """Return what the stamp says when the environment is as it should be.

    The place is part of it, because the programs in an environment name it.
    """
    return {
        "place": str(ENVIRONMENT),
        "python": "{}.{}".format(*sys.version_info[:2]),
        "project": digest("pyproject.toml", "deploy/bootstrap.py"),
        kind: digest(LOCKS[kind]),
    }


def read_stamp() -> "dict[str, str]":
    """Return the stamp of the last finished installation, empty if there was none."""
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def is_current(kind: str) -> bool:
    """Tell whether nothing has to be done."""
    stamp = read_stamp()
    return PYTHON.exists() and wanted_stamp(kind).items() <= stamp.items()


def pinned(kind: str) -> "dict[str, tuple[str, bool]]":
    """Return name -> (version, is it for some machines only) of a lock."""
    found = PINNED.findall((PROJECT / LOCKS[kind]).read_text(encoding="utf-8"))
    return {plain(name): (version, bool(mark)) for name, version, mark in found}


def plain(name: str) -> str:
    """Return a distribution's name in the one spelling that can be compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> "dict[str, str]":
    """Return name -> version of what is in the environment."""
    from importlib.metadata import distributions  # noqa: PLC0415 -- not in Python 3.6

    found = distributions(path=[str(packages())])
    return {plain(each.metadata["Name"]): each.version for each in found}


def differences(kind: str) -> "list[str]":
    """Return in words how the environment differs from the lock."""
    here = installed()
    return [
        f"{name}: locked {version}, installed {here.get(name, 'not at all')}"
        for name, (version, sometimes) in sorted(pinned(kind).items())
        if here.get(name, version if sometimes else "") != version
    ]


def packages() -> Path:
    """Return the folder of the environment's packages."""
    base = str(ENVIRONMENT)
    return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))


def prepare(kind: str) -> None:
    """Bring the environment to where the lock wants it, from wherever it is."""
    stamp, wanted = read_stamp(), wanted_stamp(kind)
    moved = stamp and any(stamp.get(key) != wanted[key] for key in ("place", "python"))
    if UNFINISHED.exists() or moved:
        shutil.rmtree(ENVIRONMENT)
        stamp = {}
    fresh = not PYTHON.exists()
    if fresh or (stamp.get(kind) != wanted[kind] and differences(kind)):
        with cleaned_up_after_failure():
            if fresh:
                make_environment()
            install(kind)
    register()
    # The locks agree with each other, so the greater one holds all of the smaller.
    if kind == "dev":
        wanted["run"] = digest(LOCKS["run"])
    STAMP.write_text(json.dumps(dict(stamp, **wanted)), encoding="utf-8")


@contextlib.contextmanager
def cleaned_up_after_failure() -> "Iterator[None]":
    """Mark the environment as unfinished, and remove it unless the work within is done."""
    ENVIRONMENT.mkdir(exist_ok=True)
    UNFINISHED.touch()
    try:
        yield
    except BaseException:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        raise
    UNFINISHED.unlink()


def make_environment() -> None:
    """Make the empty environment."""
    from importlib.util import find_spec  # noqa: PLC0415 -- kept beside its use

    if not (find_spec("venv") and find_spec("ensurepip")):
        version = "{}.{}".format(*sys.version_info[:2])
        raise InstallError(
            f"this Python {version} lacks its venv module; on Debian or Ubuntu: "
            f"apt install python{version}-venv"
        )
    done = subprocess.run(
        [sys.executable, "-m", "venv", str(ENVIRONMENT)],
        env=clean_variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InstallError(why(done.stdout, "the environment"))


def install(kind: str) -> None:
    """Install the locked packages, each checked against its hash."""
    total = len(pinned(kind))
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps"]
    command += ["--no-compile", "--progress-bar=off", "--retries=2"]
    command += ["--requirement", str(PROJECT / LOCKS[kind])]
    lines = []  # type: list[str]
    with subprocess.Popen(
        command,
        env=clean_variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        reader = threading.Thread(target=lines.extend, args=(pip.stdout,), daemon=True)
        reader.start()
        try:
            watch(pip, lines, total)
        except BaseException:
            pip.terminate()
            raise
        reader.join()
    output = "".join(lines)
    with contextlib.suppress(OSError):
        LOG.write_text(output, encoding="utf-8")
    if pip.returncode != 0:
        raise InstallError(why(output, "the packages"))


def watch(pip: "subprocess.Popen[str]", lines: "list[str]", total: int) -> None:
    """Show how far pip is until it ends: a live bar, or a line now and then."""
    live, begun, told = sys.stderr.isatty(), time.monotonic(), 0.0
    while pip.poll() is None:
        time.sleep(0.1)
        seconds = time.monotonic() - begun
        found = [match.group(1) for match in map(FETCHED.match, list(lines)) if match]
        ready = count_installed()
        share = min(1.0, (len(found) + ready) / (2 * total))
        last = re.split(r"[=<>~;\[]|-\d", Path(found[-1]).name)[0] if found else ""
        text = f"{min(len(found), total)} of {total} fetched, {ready} installed, {seconds:.0f} s"
        if live:
            bar = ("#" * round(share * 20)).ljust(20, ".")
            sys.stderr.write(f"\r[{bar}] {text} {last[:12]:12}")
        elif seconds - told >= 5:  # noqa: PLR2004 -- seconds between two plain lines
            told = seconds
            sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()
    if live:
        sys.stderr.write("\r\033[K")


def count_installed() -> int:
    """Return how many packages have arrived in the environment."""
    try:
        return sum(1 for _ in packages().glob("*.dist-info"))
    except OSError:
        return 0


def clean_variables() -> "dict[str, str]":
    """Return the environment's variables without those that lead pip or Python elsewhere."""
    astray = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in astray}
    return dict(kept, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")


def why(output: str, what: str) -> str:
    """Return in one sentence why something could not be installed."""
    for pattern, sentence in WAYS_TO_FAIL.items():
        if re.search(pattern, output, re.IGNORECASE):
            return sentence
    faults = re.findall(r"^ERROR: (.+)$", output, re.MULTILINE) or output.split("\n")[-2:]
    return f"{what} could not be installed: {faults[0].strip()} (all of it: {LOG})"


def register() -> None:
    """Make the project itself known to the environment: its path, its name, its commands.

    This is what an editable installation does, without a build tool and without the network.
    """
    import tomllib  # noqa: PLC0415 -- came with Python 3.11

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    folder = packages()
    for old in folder.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    facts = f"{name}-{version}.dist-info"
    (folder / facts).mkdir()
    needs = "".join(f"Requires-Dist: {each}\n" for each in project["dependencies"])
    groups = dict(project.get("entry-points", {}), console_scripts=project.get("scripts", {}))
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {target}\n" for key, target in entries.items()) + "\n"
        for group, entries in groups.items()
    )
    files = {
        f"{name}.pth": f"{PROJECT}\n",
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{facts}/INSTALLER": "bootstrap\n",
        f"{facts}/entry_points.txt": points,
    }
    files[f"{facts}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{facts}/RECORD"])
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    for command, target in project.get("scripts", {}).items():
        write_command(command, *target.split(":"))


def write_command(name: str, module: str, function: str) -> None:
    """Write a command that works in folders whose path has blanks, which ``#!`` cannot name."""
    path = ENVIRONMENT / "bin" / name
    path.write_text(
        f"#!/bin/sh\n'''exec' \"{PYTHON}\" \"$0\" \"$@\"\n' '''\n"
        f"import sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def verify(kind: str) -> None:
    """Fail when the environment is not exactly what the lock says."""
    found = differences(kind)
    if found:
        raise InstallError("the environment differs from the lock: " + "; ".join(found))
    print(f"{len(pinned(kind))} locked packages, all installed as locked")


def run(kind: str) -> None:
    """Make the environment current; one at a time."""
    if is_current(kind):
        return
    WORK.mkdir(exist_ok=True)
    with (WORK / "install.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(kind):
            return
        begun = time.monotonic()
        sys.stderr.write(
            "Preparing the environment in .venv (the first time takes a minute) ...\n"
        )
        prepare(kind)
        sys.stderr.write(f"Installed in {time.monotonic() - begun:.1f} s.\n")


def interrupt(_number: int, _frame: object) -> None:
    """Treat a polite end like Ctrl-C."""
    raise KeyboardInterrupt


def main() -> None:
    """Do what the command line asks; every failure is one sentence."""
    kind = "dev" if "--dev" in sys.argv[1:] else "run"
    signal.signal(signal.SIGTERM, interrupt)
    try:
        if "--verify" in sys.argv[1:]:
            verify(kind)
        else:
            run(kind)
    except InstallError as error:
        sys.exit(f"Patchbay cannot be installed: {error}")
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; nothing is left half installed. Run it again any time.\n")
        sys.exit(130)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full." if full else f"{error.strerror}: {error.filename}"
        sys.exit(f"Patchbay cannot be installed: {reason}")


if __name__ == "__main__":
    if too_old(sys.version_info[:2]):
        use_newer_python()
    main()
