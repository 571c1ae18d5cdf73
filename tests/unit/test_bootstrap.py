"""The program that makes the environment: what it says, what it remembers, what it writes."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "deploy/bootstrap.py"


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the program as a module that works in a folder of the test's, with a blank in it."""
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    project = tmp_path / "a project"
    environment = project / ".venv"
    for name in ("bin", "lib/python{}.{}/site-packages".format(*sys.version_info[:2])):
        (environment / name).mkdir(parents=True)
    (project / "deploy").mkdir()
    for name in ("pyproject.toml", "deploy/bootstrap.py"):
        (project / name).write_bytes((PROJECT / name).read_bytes())
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (project / lock).write_text("left-pad==1.0 \\\n    --hash=sha256:00\n")
    (environment / "bin/python").symlink_to(sys.executable)
    for name, value in {
        "PROJECT": project,
        "ENVIRONMENT": environment,
        "PYTHON": environment / "bin/python",
        "STAMP": environment / "patchbay-stamp.json",
        "UNFINISHED": environment / "patchbay-unfinished",
        "WORK": project / ".patchbay",
    }.items():
        monkeypatch.setattr(module, name, value)
    return module


def pretend_installed(bootstrap: ModuleType, name: str, version: str) -> None:
    """Put a distribution's facts into the environment, as pip does."""
    facts = bootstrap.packages() / f"{name.replace('-', '_')}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_even_an_old_python_can_read_the_program() -> None:
    """The file parses on Python 3.6, so that an old Python gets a sentence, not a traceback."""
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))
    top = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.ImportFrom)]
    assert "__future__" not in {node.module for node in top}, "unknown to Python 3.6"


def test_an_old_python_is_refused_in_one_sentence(bootstrap: ModuleType) -> None:
    """The refusal names both versions and the way out; a new Python is not refused."""
    sentence = bootstrap.too_old((3, 8))
    assert "Python 3.8 is too old" in sentence
    assert "3.11 or newer" in sentence
    assert "\n" not in sentence
    assert bootstrap.too_old((3, 11)) == ""
    assert bootstrap.too_old((4, 0)) == ""


def test_the_program_asks_for_the_python_the_project_asks_for(bootstrap: ModuleType) -> None:
    """The oldest Python in the program is the one in ``requires-python``."""
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == ">={}.{}".format(*bootstrap.OLDEST)


def test_the_second_run_finds_a_stamp_until_something_changes(bootstrap: ModuleType) -> None:
    """A finished environment is current; another lock, Python, place or project is not."""
    assert not bootstrap.is_current("run")
    pretend_installed(bootstrap, "left-pad", "1.0")
    bootstrap.prepare("run")
    assert bootstrap.is_current("run")

    stamp = json.loads(bootstrap.STAMP.read_text())
    for key in ("python", "place", "project", "run"):
        bootstrap.STAMP.write_text(json.dumps({**stamp, key: "other"}))
        assert not bootstrap.is_current("run")
    bootstrap.STAMP.write_text("half a st")
    assert not bootstrap.is_current("run")


def test_the_greater_environment_serves_the_smaller_purpose(bootstrap: ModuleType) -> None:
    """After the development packages are installed, the demo has nothing to install."""
    pretend_installed(bootstrap, "left-pad", "1.0")
    bootstrap.prepare("dev")
    assert bootstrap.is_current("dev")
    assert bootstrap.is_current("run")


def test_differences_between_lock_and_environment_are_named(bootstrap: ModuleType) -> None:
    """A wrong version and a missing package are named; one for other machines may be missing."""
    (bootstrap.PROJECT / "requirements.lock").write_text(
        "left-pad==1.0 \\\n    --hash=sha256:00\n"
        "right_pad==2.0 \\\n    --hash=sha256:00\n"
        "only-there==3.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:00\n"
    )
    pretend_installed(bootstrap, "left-pad", "1.1")
    assert bootstrap.differences("run") == [
        "left-pad: locked 1.0, installed 1.1",
        "right-pad: locked 2.0, installed not at all",
    ]
    with pytest.raises(bootstrap.InstallError, match="right-pad"):
        bootstrap.verify("run")


def test_an_interrupted_installation_leaves_no_environment(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle removes the half-made environment before it is passed on."""
    monkeypatch.setattr(bootstrap.signal, "signal", lambda *_: None)

    def interrupted() -> None:
        with bootstrap.cleaned_up_after_failure():
            assert bootstrap.UNFINISHED.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not bootstrap.ENVIRONMENT.exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying (Retry(total=1)) Temporary failure in name resolution", "network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the locked one"),
        ("noise\nERROR: No matching distribution found for x==1\n", "No matching distribution"),
    ],
)
def test_every_failure_is_one_sentence(bootstrap: ModuleType, output: str, words: str) -> None:
    """Whatever pip prints, the person who waits reads one sentence with the reason."""
    sentence = bootstrap.why(output, "the packages")
    assert words in sentence
    assert "\n" not in sentence


def test_the_project_is_known_to_its_environment(bootstrap: ModuleType) -> None:
    """Its path, name, version and command are registered; the command works beside blanks."""
    (bootstrap.PROJECT / "core").mkdir()
    (bootstrap.PROJECT / "core/cli.py").write_text("def main():\n    print('hello')\n")
    bootstrap.register()
    bootstrap.register()
    facts = list(bootstrap.packages().glob("patchbay-*.dist-info"))
    assert len(facts) == 1
    assert "patchbay = core.cli:main" in (facts[0] / "entry_points.txt").read_text()
    assert (bootstrap.packages() / "patchbay.pth").read_text() == f"{bootstrap.PROJECT}\n"

    said = run_with_path(bootstrap, str(bootstrap.ENVIRONMENT / "bin/patchbay"))
    assert said == "hello\n"


def run_with_path(bootstrap: ModuleType, command: str) -> Any:
    """Run a command with the project on Python's path, as the .pth file has it in real life."""
    return subprocess.run(
        [command],
        env={"PYTHONPATH": str(bootstrap.PROJECT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
