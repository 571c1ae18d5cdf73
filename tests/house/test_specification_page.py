"""`docs/specification.md` shows what proves each line, and names nothing that is not there.

The page holds tables with a column "shown by": tests as `tests/...py::test_name`, commands as
`make ...` or `patchbay ...`, or the words: not yet.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "specification.md"
COLUMN = "shown by"


def shown_by() -> list[tuple[int, str]]:
    """Return the proofs of the page with their line numbers."""
    proofs: list[tuple[int, str]] = []
    column: int | None = None
    for number, line in enumerate(PAGE.read_text().splitlines(), start=1):
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        lowered = [cell.lower() for cell in cells]
        if COLUMN in lowered:
            column = lowered.index(COLUMN)
        elif column is not None and not set(line) <= set("|-: "):
            proofs.append((number, cells[column] if column < len(cells) else ""))
    return proofs


def fault_of(proof: str) -> str:
    """Say what is wrong with one cell, or nothing."""
    if proof == "not yet":
        return ""
    named = re.findall(r"`([^`]+)`", proof)
    if not named:
        return "names no test and no command"
    return "; ".join(fault for name in named if (fault := _fault_of_name(name)))


def _fault_of_name(name: str) -> str:
    if name.startswith("make "):
        makefile = (ROOT / "Makefile").read_text()
        target = name.split()[1]
        return "" if re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) else f"no {name}"
    if name.startswith("patchbay "):
        return ""
    path, _, test = name.partition("::")
    file = ROOT / path
    if not path.startswith("tests/") or not file.is_file():
        return f"no file {path}"
    functions = {
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    wanted = test.partition("[")[0]
    return "" if wanted in functions and wanted.startswith("test_") else f"no test {name}"


def test_the_page_covers_the_specification() -> None:
    """Every section of the specification has its heading, and there are many lines."""
    text = PAGE.read_text()
    missing = [n for n in range(1, 18) if not re.search(rf"^#+ .*\b{n}\b", text, re.MULTILINE)]
    assert missing == []
    assert len(shown_by()) > 100


def test_every_line_names_a_proof_that_exists() -> None:
    """A named test exists; a named make target exists; the rest says: not yet."""
    faults = [
        f"line {number}: {fault}" for number, proof in shown_by() if (fault := fault_of(proof))
    ]
    assert faults == []


def test_a_missing_proof_would_be_found() -> None:
    """The check itself works: it refuses what does not exist and takes what does."""
    here = "tests/house/test_specification_page.py"
    assert fault_of(f"`{here}::test_a_missing_proof_would_be_found`") == ""
    assert fault_of("not yet") == ""
    assert fault_of("`patchbay config check`") == ""
    for wrong in ("", "surely", f"`{here}::test_no`", "`tests/no.py::test_x`", "`rm -rf`"):
        assert fault_of(wrong), wrong
