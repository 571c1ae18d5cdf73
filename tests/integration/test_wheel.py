"""The wheel is the whole product: not only Python files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGES = ("core", "plugins", "admin", "tasks")


def test_the_wheel_holds_everything_the_product_reads(tmp_path: Path) -> None:
    """Migrations, templates, static files and locales are in it; tests and tools are not."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("patchbay-*.whl")
    with zipfile.ZipFile(wheel) as file:
        packed = set(file.namelist())
    needed = {
        path.relative_to(PROJECT).as_posix()
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert needed - packed == set()
    assert "piccolo_conf.py" in packed
    strange = {name.partition("/")[0] for name in packed} - {*PACKAGES, "piccolo_conf.py"}
    assert {name for name in strange if not name.endswith(".dist-info")} == set()
