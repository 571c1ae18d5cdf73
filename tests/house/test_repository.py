"""The repository holds what belongs in it, and nothing of the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP_LEVEL = frozenset(
    [
        ".ci",
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "DEPENDENCIES.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "SECURITY.md",
        "admin",
        "bench",
        "core",
        "deploy",
        "docs",
        "examples",
        "piccolo_conf.py",
        "plugins",
        "pyproject.toml",
        "requirements-dev.lock",
        "requirements.lock",
        "tasks",
        "tests",
    ]
)
FOREIGN = re.compile(
    r"(?<![\w.])/wor[k]/|(?<![\w.])/far[m]\b|\.pyen[v]\b|--(?:extra-)?index-ur[l]|--trusted-hos[t]"
    r"|--find-link[s]|pythonhoste[d]\.org|pypi\.or[g]/simple"
)
LARGEST = 3_000_000


def tracked() -> list[Path]:
    """Return the files that are part of the project; without git, those a copy holds."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    return [
        path
        for top in sorted(TOP_LEVEL)
        for path in ([ROOT / top] if (ROOT / top).is_file() else (ROOT / top).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def test_the_top_level_is_the_agreed_one() -> None:
    """Everything has its place; nothing new appears at the top."""
    found = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert found - TOP_LEVEL == set()
    required = {"plugins", "core", "admin", "tasks", "tests", "piccolo_conf.py", "pyproject.toml"}
    assert (required | {"README.md"}) - found == set()


def test_no_file_names_a_machine_or_a_download_address() -> None:
    """A clone works anywhere: no path of one computer, no package server of one network."""
    foreign = []
    for path in tracked():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue  # pictures and fonts
        foreign += [
            f"{path.relative_to(ROOT)}:{number}"
            for number, line in enumerate(lines, start=1)
            if FOREIGN.search(line)
        ]
    assert foreign == []


def test_no_file_is_huge() -> None:
    """Text and a few pictures: what is large is made, not kept."""
    large = [str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > LARGEST]
    assert large == []
