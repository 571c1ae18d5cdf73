"""The simulator shares no code with what it tests."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[4] / "plugins" / "whatsapp" / "simulator"
ALLOWED = {
    "httpx",
    "httpx_aiohttp",
    "jinja2",
    "litestar",
    "markupsafe",
    "msgspec",
    "structlog",
    "uvicorn",
}


def list_imports(path: Path) -> set[str]:
    """Return the names of the modules a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_simulator_imports_itself_and_libraries_only() -> None:
    """Neither the host nor the rest of the plugin is imported, so no fault can hide in both."""
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) > 20
    foreign = {
        (path.name, name)
        for path in files
        for name in list_imports(path)
        if not name.startswith("plugins.whatsapp.simulator.")
        and name.split(".")[0] not in ALLOWED | sys.stdlib_module_names
    }
    assert foreign == set()
