"""The house stays readable: short files, telling names, nothing left half done."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("core", "plugins", "admin", "tasks")
LONGEST = 400
EMPTY_NAMES = frozenset(
    (
        "manager",
        "managers",
        "helper",
        "helpers",
        "util",
        "utils",
        "common",
        "data",
        "info",
        "process",
    )
)
HALF_DONE = re.compile(r"\b(?:TO[D]O|FIXM[E]|XX[X]|NotImplemente[d]Error)\b")
SKIPS = re.compile(r"\b(?:pytest\.(?:skip|xfail|importorskip)|mark\.(?:skip|skipif|xfail))\b")


def sources(*folders: str, ending: str = "*.py") -> list[Path]:
    """Return the files below these folders, without the vendored ones."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob(ending))]
    return [path for path in found if not {"static", "__pycache__"} & set(path.parts)]


def short(path: Path) -> str:
    """Name a file for people."""
    return path.relative_to(ROOT).as_posix()


def test_files_are_short() -> None:
    """A longer file does two jobs; give one of them its own file."""
    lengths = {
        short(path): len(path.read_text().splitlines())
        for path in sources(*PRODUCT, "tests", "bench", "deploy", "examples")
        if "migrations" not in path.parts
    }
    assert len(lengths) > 10
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_names_say_what_is_inside() -> None:
    """A file called after nothing in particular collects everything."""
    empty = [
        short(path)
        for path in sources(*PRODUCT, "tests", "bench", "deploy", "examples")
        for word in re.split(r"[_/.]", short(path).removesuffix(".py"))
        if word in EMPTY_NAMES and not path.name.startswith("test_")
    ]
    assert empty == []


def test_nothing_is_left_half_done() -> None:
    """No marks of unfinished work: what is missing is named in the specification's page."""
    marked = [
        f"{short(path)}:{number}"
        for ending in ("*.py", "*.md", "*.html", "*.sql", "*.js", "*.css", "*.yml", "*.toml")
        for path in sources(
            *PRODUCT, "tests", "docs", "bench", "deploy", "examples", ending=ending
        )
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if HALF_DONE.search(line)
    ]
    assert marked == []


def test_only_browser_tests_may_be_skipped() -> None:
    """A test that does not run keeps no promise; only a missing Chromium excuses one."""
    skipped = [
        f"{short(path)}:{number}"
        for path in sources("tests")
        if "browser" not in path.relative_to(ROOT).parts
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if SKIPS.search(line) and "Chromium" not in line
    ]
    assert skipped == []


def test_the_environment_has_one_reader() -> None:
    """Settings come from one place; the simulator, a program of its own, reads its options."""
    readers = {
        short(path)
        for path in sources(*PRODUCT)
        if "simulator" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert readers == {"core/settings.py"}


def test_tests_are_functions_in_files_of_their_own_name() -> None:
    """`tests/` is no package, so names are unique, and no class holds tests."""
    files = [path for path in sources("tests") if path.name != "conftest.py"]
    assert [short(path) for path in files if path.name == "__init__.py"] == []
    names = [path.name for path in files]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
    assert [
        f"{short(path)}:{node.lineno}"
        for path in files
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
    ] == []
