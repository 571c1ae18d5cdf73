"""`docs/exam.md` has a line for each exercise that must be sat, and names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from exam_sizes import SIZES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "exam.md"
MUST = {
    "A": range(1, 14),
    "B": range(1, 6),
    "C": range(1, 8),
    "D": (*range(1, 7), *range(8, 11)),
    "E": (*range(1, 12), 13),
    "F": (1, 2, 3, 5, 6),
}
"""The exercises without which there is no release."""


def lines() -> dict[str, str]:
    """Return the page's exercises with what shows them."""
    table = PAGE.read_text().partition("## Latest figures")[0]
    rows = re.findall(r"^\| ([A-N]\d\d) \| [^|]+ \| ([^|]+) \|", table, re.MULTILINE)
    return {exam_id: shown.strip() for exam_id, shown in rows}


def claimed() -> set[str]:
    """Return the areas that the page says are done."""
    line = r"^Areas claimed done: ([A-N](?:, [A-N])*)\.$"
    found = re.search(line, PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return set(found[1].split(", "))


def exercises() -> dict[str, set[str]]:
    """Return the exam's test functions by file, each with its docstring."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "tests" / "exam").glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), node.name
                found.setdefault(file.name, set()).add(node.name)
    return found


def test_every_exercise_has_its_line() -> None:
    """Each id that must be sat stands on the page, with a test or the words: not yet."""
    wanted = {f"{area}{number:02}" for area, numbers in MUST.items() for number in numbers}
    assert wanted - lines().keys() == set()


def test_what_is_claimed_is_shown() -> None:
    """An area that is claimed done has a test for each of its exercises."""
    missing = [
        exam_id
        for exam_id, shown in lines().items()
        if shown == "not yet" and exam_id[0] in claimed()
    ]
    assert missing == []


def test_named_tests_exist() -> None:
    """What the page names is a test of that file."""
    for exam_id, shown in lines().items():
        if shown == "not yet":
            continue
        named = re.findall(r"`([^`:]+)::(\w+)`", shown)
        assert named, exam_id
        for path, test in named:
            text = (ROOT / path).read_text()
            assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), test


def test_every_exercise_says_which_line_it_shows() -> None:
    """A test of the exam bears its ids in its name and stands in those ids' lines."""
    shown = lines()
    for file, names in exercises().items():
        for name in names:
            ids = re.findall(r"(?<=_)[a-n]\d\d(?=_)", name)
            assert ids, name
            for exam_id in ids:
                assert f"{file}::{name}`" in shown[exam_id.upper()], name


def test_the_written_sizes_are_the_larger_ones() -> None:
    """Each size has the same names small and written, and nothing shrinks at the written size."""
    for exam_id, (small, written) in SIZES.items():
        assert small.keys() == written.keys(), exam_id
        for name, value in small.items():
            assert written[name] == value or isinstance(value, list) or written[name] > value
