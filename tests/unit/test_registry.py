"""Channels are found in three places, and a broken one is left out and named."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from piccolo.table import create_table_class

import plugins
from core.channels import registry
from core.channels.plugin import CONTRACT
from core.errors import ConfigurationError, PluginContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLUGIN = """
from core.channels.plugin import Action, ChannelPlugin


class Sample(ChannelPlugin):
    name = "{slug}"
    title = "Sample"
    {more}

    def channel(self, host):
        return None


plugin = Sample()
"""
SITE = Path(__file__).parents[2]


@pytest.fixture
def addons(tmp_path: Path) -> Iterator[Path]:
    """Give an add-on folder; what was loaded from it is forgotten afterwards."""
    before, paths = set(sys.modules), list(plugins.__path__)
    yield tmp_path
    plugins.__path__[:] = paths
    for name in set(sys.modules) - before:
        if name.startswith("plugins."):
            del sys.modules[name]


@pytest.fixture
def add(addons: Path) -> Callable[..., Path]:
    """Write a channel into the add-on folder: `add("paper", more="contract = 99")`."""

    def write(slug: str, text: str = PLUGIN, *, root: Path = addons, more: str = "pass") -> Path:
        folder = root / slug
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "plugin.py").write_text(text.replace("{slug}", slug).replace("{more}", more))
        return folder

    return write


def test_the_channels_of_the_house_are_found() -> None:
    """The folder `plugins/` needs no list of what is in it."""
    found = registry.load()
    assert {"console", "whatsapp"} <= set(found.plugins)
    assert found.states["console"].state == "loaded"
    assert Path(found.states["console"].origin) == SITE / "plugins" / "console"


def test_a_channel_in_an_addon_folder_is_found(add: Callable[..., Path], addons: Path) -> None:
    """A folder dropped into an add-on path is a channel."""
    folder = add("paper")
    found = registry.load([addons])
    assert found.plugins["paper"].title == "Sample"
    assert found.packages["paper"] == "plugins.paper"
    assert found.states["paper"].origin == str(folder)


@pytest.mark.parametrize(
    ("text", "more", "named"),
    [
        ("import does_not_exist\n", "pass", "ModuleNotFoundError: No module named"),
        ("def broken(:\n", "pass", "SyntaxError: "),
        ("raise RuntimeError('no')\n", "pass", "RuntimeError: no"),
        ("raise SystemExit(3)\n", "pass", "SystemExit: 3"),
        ("plugin = 7\n", "pass", "must be a ChannelPlugin, not int"),
        ("x = 1\n", "pass", "has no attribute 'plugin'"),
        (PLUGIN, "contract = 99", f"contract 99; this host speaks contract {CONTRACT}"),
        (PLUGIN, 'name = "other"', "calls itself 'other' but is found as 'paper'"),
        (PLUGIN, 'requires = ("ink",)', "needs the plugin ink, which is not loaded"),
        (
            PLUGIN,
            'def actions(self): return [Action(name="events.read", description="all")]',
            "action 'events.read' must begin with paper.",
        ),
    ],
)
def test_a_broken_channel_is_named_and_the_others_work(
    add: Callable[..., Path], addons: Path, text: str, more: str, named: str
) -> None:
    """Whatever a plugin does at import, the host goes on without it and says why."""
    add("paper", text, more=more)
    add("stone")
    found = registry.load([addons])
    assert found.states["paper"].state == "failed"
    assert named in found.states["paper"].reason
    assert "paper" not in found.plugins
    assert {"console", "whatsapp", "stone"} <= set(found.plugins)


def test_a_reason_is_one_line(add: Callable[..., Path], addons: Path) -> None:
    """The reason fits a list; the traceback is for the log."""
    add("paper", "raise ValueError('first\\nsecond')\n")
    state = registry.load([addons]).states["paper"]
    assert state.reason == "ValueError: first"
    assert "Traceback" in state.trace


SCREEN = """
from piccolo.columns import Varchar
from piccolo.table import Table
from core.channels.plugin import ChannelPlugin, Screen


class Strange(Table, tablename="customer"):
    word = Varchar()


class Sample(ChannelPlugin):
    name = "{slug}"
    title = "Sample"

    def channel(self, host):
        return None

    def screens(self):
        return [
            Screen(table=Strange, title="All", columns=(Strange.word,), link=Strange.word)
        ]


plugin = Sample()
"""


def test_a_screen_on_another_ones_table_is_refused(add: Callable[..., Path], addons: Path) -> None:
    """A channel shows its own tables, not the core's."""
    add("paper", SCREEN)
    found = registry.load([addons])
    assert found.states["paper"].state == "failed"
    assert "table customer must begin with paper_ or business_paper_" in (
        found.states["paper"].reason
    )


@pytest.mark.parametrize(
    "table", ["paperclip", "entry_paper_", "business_config", "business_paper", "customer"]
)
def test_tables_outside_a_plugins_prefix_are_refused(table: str) -> None:
    """A plugin's table begins with its slug, or with `business_` and its slug."""
    for name in ("paper_entry", "business_paper_config"):
        registry.check_tables("paper", [create_table_class("S", class_kwargs={"tablename": name})])
    made = create_table_class("Sample", class_kwargs={"tablename": table})
    with pytest.raises(PluginContractError, match=f"table {table} must begin"):
        registry.check_tables("paper", [made])


def test_two_channels_of_one_name_stop_the_start_and_both_are_named(
    add: Callable[..., Path], addons: Path
) -> None:
    """Nobody guesses which of two is meant: both places are said."""
    first = add("paper", root=addons / "one")
    second = add("paper", root=addons / "two")
    with pytest.raises(ConfigurationError) as caught:
        registry.load([addons / "one", addons / "two"])
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert "'paper'" in str(caught.value)


def test_an_installed_package_is_found_by_its_entry_point(
    addons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution with an entry point in `patchbay.channels` is a channel."""
    site = addons / "site"
    package = site / "patchbay_channel_paper"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(PLUGIN.replace("{slug}", "paper").replace("{more}", ""))
    facts = site / "patchbay_channel_paper-1.2.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: patchbay-channel-paper\nVersion: 1.2.3\n"
    )
    (facts / "entry_points.txt").write_text(
        "[patchbay.channels]\npaper = patchbay_channel_paper:plugin\n"
    )
    monkeypatch.syspath_prepend(str(site))
    found = registry.load()
    assert found.states["paper"].state == "loaded"
    assert found.states["paper"].origin == "patchbay-channel-paper 1.2.3"
    assert found.packages["paper"] == "patchbay_channel_paper"


def test_an_installed_package_and_a_folder_of_one_name_clash(
    add: Callable[..., Path], addons: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder and a package go through one door: the same name twice is refused."""
    add("paper")
    point = EntryPoint("paper", "patchbay_channel_paper:plugin", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group else [])
    with pytest.raises(ConfigurationError, match="Two plugins call themselves 'paper'"):
        registry.load([addons])


def test_only_the_named_channels_are_loaded(add: Callable[..., Path], addons: Path) -> None:
    """A channel that is switched off is listed and not imported."""
    add("paper", "raise RuntimeError('imported')\n")
    found = registry.load([addons], only=("console",))
    assert set(found.plugins) == {"console"}
    assert found.states["paper"].state == "disabled"


def test_a_name_that_nobody_has_is_refused() -> None:
    """A slip of the pen in PATCHBAY_CHANNELS does not silently switch a channel off."""
    with pytest.raises(ConfigurationError, match=r"'consle'; the channels found are: .*console"):
        registry.load(only=("consle",))


def test_a_channel_written_in_an_unfit_name_is_refused(
    add: Callable[..., Path], addons: Path
) -> None:
    """A slug becomes part of table names and addresses, so its form is fixed."""
    add("Paper2")
    found = registry.load([addons])
    assert "is no slug" in found.states["Paper2"].reason


def test_finding_channels_loads_neither_the_web_nor_the_admin() -> None:
    """A migration or a command must not wait for what it never uses."""
    program = (
        "import sys; from core.channels.registry import load; load();"
        "print([m for m in ('litestar', 'piccolo_admin', 'saq', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=SITE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("raise RuntimeError('broken')\n", "RuntimeError: broken"),
        ("from piccolo.conf.apps import AppConfig\nAPP_CONFIG = AppConfig('ink', '.')\n", "'ink'"),
        (
            (
                "from piccolo.conf.apps import AppConfig\n"
                "from piccolo.table import create_table_class\n"
                "T = create_table_class('T', class_kwargs={'tablename': 'customer'})\n"
                "APP_CONFIG = AppConfig('paper', '.', table_classes=[T])\n"
            ),
            "table customer must begin with paper_",
        ),
    ],
)
def test_a_channel_with_broken_tables_is_named(
    add: Callable[..., Path], addons: Path, text: str, named: str
) -> None:
    """What would take the migrations of all others down is seen when the channel is loaded."""
    (add("paper") / "piccolo_app.py").write_text(text)
    found = registry.load([addons])
    assert named in found.states["paper"].reason
    assert registry.piccolo_apps(found) == [
        "plugins.console.piccolo_app",
        "plugins.whatsapp.piccolo_app",
    ]
