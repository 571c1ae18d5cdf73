"""What a reader looks up is there: settings, errors, and the contract of a channel."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from core import errors
from core.channels import channel, host, plugin, registry
from core.settings import VARIABLES, Variable, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROBLEMS = [
    "validation",
    "malformed",
    "unauthenticated",
    "key-expired",
    "scope-missing",
    "not-found",
    "idempotency-missing",
    "idempotency-in-progress",
    "idempotency-mismatch",
    "business-not-connected",
    "channel-disabled",
    "business-suspended",
    "template-unknown",
    "template-not-approved",
    "template-paused",
    "variable-missing",
    "consent-missing",
    "consent-revoked",
    "marketing-consent-missing",
    "limit-minute",
    "limit-day",
    "quality-stop",
    "already-final",
    "too-large",
    "rate-limited",
    "unavailable",
]
"""The fixed catalogue that booking systems rely on; more may come, none may go."""


def headings(page: str) -> set[str]:
    """Return a page's headings without their marks."""
    text = (DOCS / page).read_text()
    return {
        line.lstrip("#").strip().replace("`", "")
        for line in text.splitlines()
        if line.startswith("#")
    }


def public_methods() -> Iterator[str]:
    """Return what a channel's author implements, declares or calls."""
    for kind in (plugin.ChannelPlugin, channel.Channel, host.Host):
        for name in [*vars(kind), *vars(kind).get("__annotations__", {})]:
            if not name.startswith("_"):
                yield f"{kind.__name__}.{name}"


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_setting_is_documented(variable: Variable) -> None:
    """The page's row says what the code says."""
    row = f"| `{variable.name}` | {variable.meaning} | {variable.default or 'none'} |"
    assert row in (DOCS / "settings.md").read_text()


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """A variable that is gone leaves the page, too."""
    page = (DOCS / "settings.md").read_text()
    channels = registry.load().plugins
    own = {variable.name for variable in VARIABLES}
    theirs = {
        variable_of(slug, entry.name)
        for slug, found in channels.items()
        if found.settings
        for entry in msgspec.structs.fields(found.settings)
    }
    rows = set(re.findall(r"^\| `(PATCHBAY_\w+)`", page, re.MULTILINE))
    assert rows - own - theirs == set()


def test_every_option_of_a_channel_is_documented() -> None:
    """A channel's own variables stand in its README."""
    missing = [
        name
        for slug, found in registry.load().plugins.items()
        if found.settings
        for entry in msgspec.structs.fields(found.settings)
        if (name := variable_of(slug, entry.name))
        not in (Path(inspect.getfile(type(found))).parent / "README.md").read_text()
        and entry.name != "environment"
    ]
    assert missing == []


def test_every_error_has_its_heading() -> None:
    """Each error type is explained as the instruction that it is."""
    names = {
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.PatchbayError)
    }
    found = headings("errors.md")
    assert names - found == set()
    assert {name for name in found if name.endswith("Error")} - names == set()


def test_every_problem_has_its_heading() -> None:
    """A caller finds each code of an answer: the catalogue's and those the code raises."""
    raised = {
        code
        for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
        for call in re.findall(
            r"(?:PermissionDenied|NotFound|Conflict|InvalidInput|Problem)Error\(((?:[^()]|\([^()]*\))*)\)",
            path.read_text(),
        )
        for code in re.findall(r"\bcode=\"([a-z-]+)\"", call)
    }
    classes = {
        thing.code
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, errors.ProblemError)
    }
    assert (set(PROBLEMS) | raised | classes) - headings("problems.md") == set()


def test_the_whole_contract_is_documented() -> None:
    """Every method and attribute a channel's author may use has its heading."""
    wanted = set(public_methods())
    assert len(wanted) > 20
    assert wanted - headings("plugins.md") == set()


def test_links_between_pages_lead_somewhere() -> None:
    """No page points at a file that is not there."""
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "plugins").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
        and not target.startswith("mailto:")
        and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_is_in_the_index_and_complete() -> None:
    """A record of a decision has context, decision and consequences, and is listed."""
    records = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    index = (DOCS / "decisions" / "README.md").read_text()
    assert len(records) >= 12
    for number, record in enumerate(records, start=1):
        assert record.name.startswith(f"{number:04}-")
        assert f"({record.name})" in index
        found = {line.strip("# ") for line in record.read_text().splitlines() if line[:3] == "## "}
        assert found >= {"Context", "Decision", "Consequences"}, record.name
