"""What we depend on is declared, explained, and really used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("core", "plugins", "admin", "tasks")
CARD = (
    "litestar",
    "piccolo",
    "piccolo-admin",
    "saq",
    "redis",
    "msgspec",
    "httpx",
    "cryptography",
    "structlog",
    "pytest",
)
BROUGHT_ALONG = frozenset(
    {"asyncpg", "psycopg-pool", "fastapi", "starlette", "pydantic", "markupsafe"}
)
"""Parts of declared packages: extras by name, and what Piccolo Admin and Jinja are made of."""


def declared() -> set[str]:
    """Return the direct dependencies of the product."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {_plain(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in project["dependencies"]}


def imported() -> dict[str, set[str]]:
    """Return what product code imports when it runs: the distribution and by which files."""
    owners = packages_distributions()
    found: dict[str, set[str]] = {}
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for module in _modules(ast.parse(path.read_text())):
                top = module.partition(".")[0]
                if top in sys.stdlib_module_names or top in (*PRODUCT, "piccolo_conf"):
                    continue
                for owner in owners.get(top, [top]):
                    found.setdefault(_plain(owner), set()).add(path.relative_to(ROOT).as_posix())
    return found


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = list(node.orelse)
    return [module for child in children for module in _modules(child)]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", CARD)
def test_the_packages_of_the_design_are_used(package: str) -> None:
    """All ten are direct dependencies, and product code imports each (pytest: the test kit)."""
    assert package in declared()
    users = imported().get(package, set())
    if package == "pytest":
        users = {user for user in users if user.startswith("core/testing/")}
    assert users


def test_what_is_imported_is_declared() -> None:
    """No package is used that only happens to be installed."""
    undeclared = {
        package: sorted(files)
        for package, files in imported().items()
        if package not in declared() | BROUGHT_ALONG
    }
    assert undeclared == {}


def test_every_dependency_is_explained() -> None:
    """DEPENDENCIES.md has one line for each direct dependency, and none for what is gone."""
    page = (ROOT / "DEPENDENCIES.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    development = {
        _plain(re.split(r"[^\w.-]", line, maxsplit=1)[0])
        for line in project["dependency-groups"]["dev"]
    }
    explained = [
        _plain(name)
        for name in re.findall(r"^\| *`?([\w.-]+)(?:\[[^\]]*\])?`?", page, re.MULTILINE)
    ]
    assert sorted(declared() - set(explained)) == []
    assert sorted(name for name in declared() if explained.count(name) > 1) == []
    headings = {"package", "name", "dependency", "tool"}
    strange = {name for name in explained if re.search(r"\w", name)} - declared() - development
    assert sorted(strange - headings) == []


def test_the_locks_hold_hashes_and_no_addresses() -> None:
    """An installation gets exactly these files, from wherever the machine gets its packages."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        pinned = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==", text, re.MULTILINE)
        assert len(pinned) > 10
        entries = re.split(r"^(?=[\w.-]+(?:\[[^\]]*\])?==)", text, flags=re.MULTILINE)[1:]
        assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []
        if name == "requirements.lock":
            assert declared() - {_plain(pin) for pin in pinned} == set()
