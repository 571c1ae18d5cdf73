"""The pages about the interface say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from core.access.keys import SCOPES
from core.api.problem_page import problem_page
from core.api.snapshot import snapshot

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_problems_is_the_catalogue() -> None:
    """Each problem type has its heading and its words."""
    kept = (DOCS / "problems.md").read_text()
    assert kept == problem_page(), (
        "write it anew: python -m core.api.problem_page docs/problems.md"
    )


def test_the_kept_description_is_the_interfaces() -> None:
    """docs/openapi.json is written, never edited."""
    kept = (DOCS / "openapi.json").read_bytes()
    assert kept == snapshot(), "write it anew: python -m core.api.snapshot docs/openapi.json"


def test_every_scope_is_explained() -> None:
    """The table of scopes is complete and names nothing else."""
    rows = set(
        re.findall(r"^\| `([a-z]+:[a-z]+)` \|", (DOCS / "rest.md").read_text(), re.MULTILINE)
    )
    assert rows == set(SCOPES)


def test_every_path_of_the_page_exists() -> None:
    """A call that the page speaks of is in the description."""
    paths = msgspec.json.decode((DOCS / "openapi.json").read_bytes())["paths"]
    text = (DOCS / "rest.md").read_text()
    spoken = set(re.findall(r"`(?:GET|POST|PUT) (/v1/[^`? ]+)`", text))
    assert spoken
    for path in spoken:
        shape = re.sub(r"\{\w+\}", "{}", path)
        assert shape in {re.sub(r"\{\w+\}", "{}", one) for one in paths}, path
