"""Finds, checks and keeps the channels: in `plugins/`, in add-on folders, as installed packages.

A plugin that cannot be loaded is left out and named; it never stops the host.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import plugins
from core.channels.plugin import CONTRACT, ChannelPlugin, EventType
from core.errors import ConfigurationError, PluginContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from piccolo.table import Table

GROUP: Final = "patchbay.channels"
_EVENT_TYPE: Final = re.compile(r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
_LONGEST_TYPE: Final = 64
_HOSTS_OWN: Final = frozenset({"booking", "customer", "notification"})
"""What event types of the host begin with."""

_SLUG: Final = re.compile(r"^[a-z][a-z0-9_]{1,30}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A plugin that was seen, before anything of it was imported.

    Attributes:
        origin: where it is, for people: a folder or a distribution.
        module: what to import; holds an attribute `plugin`.
    """

    slug: str
    origin: str
    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginState:
    """What became of one plugin.

    Attributes:
        state: loaded, failed or disabled.
        reason: why it failed, in one line; empty otherwise.
        trace: the traceback for the log, never for an answer.
    """

    slug: str
    title: str
    version: str
    origin: str
    state: str
    reason: str = ""
    trace: str = ""


@dataclass(slots=True)
class Registry:
    """The loaded plugins by slug, and the state of every plugin that was found."""

    plugins: dict[str, ChannelPlugin] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    states: dict[str, PluginState] = field(default_factory=dict)

    def event_types(self) -> dict[str, EventType]:
        """Return the kinds of events that the loaded plugins add, by name."""
        return {one.name: one for plugin in self.plugins.values() for one in plugin.event_types()}

    def fail(self, slug: str, reason: str, trace: str = "") -> None:
        """Take a plugin out of service and remember why."""
        before = self.states[slug]
        self.plugins.pop(slug, None)
        self.states[slug] = PluginState(
            slug=slug,
            title=before.title,
            version=before.version,
            origin=before.origin,
            state="failed",
            reason=reason,
            trace=trace,
        )


def load(addon_paths: Sequence[Path] = (), only: Sequence[str] | None = None) -> Registry:
    """Find and load every channel that is switched on.

    Args:
        addon_paths: further folders; each of their sub-folders is a channel.
        only: the slugs to load; None loads all that are found.

    Raises:
        ConfigurationError: two plugins claim one slug, or `only` names one that is not there.
    """
    found = _unique([*_in_folders(addon_paths), *_installed()])
    if only is not None and (missing := sorted(set(only) - set(found))):
        known = ", ".join(sorted(found)) or "none"
        raise ConfigurationError(
            *(
                f"PATCHBAY_CHANNELS names {slug!r}; the channels found are: {known}."
                for slug in missing
            )
        )
    registry = Registry()
    for slug, candidate in found.items():
        if only is not None and slug not in only:
            registry.states[slug] = _state(candidate, state="disabled")
        else:
            _load_one(registry, candidate)
    _drop_unmet(registry)
    return registry


def piccolo_apps(registry: Registry) -> list[str]:
    """Return the dotted Piccolo apps of the loaded plugins that bring tables."""
    packages = (registry.packages[slug] for slug in registry.plugins)
    return [f"{package}.piccolo_app" for package in packages if _has_app(package)]


def check_tables(slug: str, tables: Iterable[type[Table]]) -> None:
    """Refuse a table outside the plugin's own names (rulings A4).

    Raises:
        PluginContractError: a table begins neither with `<slug>_` nor with `business_<slug>_`.
    """
    for table in tables:
        name = table._meta.tablename  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no public name
        if not name.startswith((f"{slug}_", f"business_{slug}_")):
            raise PluginContractError(f"table {name} must begin with {slug}_ or business_{slug}_")


def _in_folders(addon_paths: Sequence[Path]) -> Iterator[Found]:
    for folder in addon_paths:
        if str(folder) not in plugins.__path__:
            plugins.__path__.append(str(folder))
    for root in list(plugins.__path__):
        for entry in sorted(Path(root).glob("*/plugin.py")):
            slug = entry.parent.name
            yield Found(slug=slug, origin=str(entry.parent), module=f"plugins.{slug}.plugin")


def _installed() -> Iterator[Found]:
    for point in entry_points(group=GROUP):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        yield Found(slug=point.name, origin=origin, module=point.value.partition(":")[0])


def _unique(candidates: Iterable[Found]) -> Mapping[str, Found]:
    found: dict[str, Found] = {}
    clashes: list[str] = []
    for candidate in candidates:
        first = found.setdefault(candidate.slug, candidate)
        if first is not candidate:
            clashes.append(
                f"Two plugins call themselves {candidate.slug!r}: "
                f"{first.origin} and {candidate.origin}. Remove or rename one."
            )
    if clashes:
        raise ConfigurationError(*clashes)
    return found


def _load_one(registry: Registry, candidate: Found) -> None:
    registry.states[candidate.slug] = _state(candidate, state="failed")
    package = candidate.module.rpartition(".")[0] or candidate.module
    try:
        plugin = import_module(candidate.module).plugin
        _check(candidate.slug, plugin)
        _check_app(candidate.slug, package)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - no plugin stops the host
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        registry.fail(candidate.slug, reason, traceback.format_exc())
        return
    registry.plugins[candidate.slug] = plugin
    registry.packages[candidate.slug] = package
    registry.states[candidate.slug] = _state(candidate, state="loaded", plugin=plugin)


def _check(slug: str, plugin: object) -> None:
    if not isinstance(plugin, ChannelPlugin):
        raise PluginContractError(f"`plugin` must be a ChannelPlugin, not {type(plugin).__name__}")
    if plugin.contract != CONTRACT:
        raise PluginContractError(
            f"written for contract {plugin.contract}; this host speaks contract {CONTRACT}"
        )
    if not _SLUG.match(slug):
        raise PluginContractError(f"{slug!r} is no slug: lower-case letters, digits, underscores")
    if plugin.name != slug:
        raise PluginContractError(f"calls itself {plugin.name!r} but is found as {slug!r}")
    for action in plugin.actions():
        if not action.name.startswith(f"{slug}."):
            raise PluginContractError(f"action {action.name!r} must begin with {slug}.")
    _check_event_types(slug, plugin.event_types())
    check_tables(slug, (screen.table for screen in plugin.screens()))


def _check_event_types(slug: str, kinds: Sequence[EventType]) -> None:
    names = [kind.name for kind in kinds]
    for kind in kinds:
        fits = _EVENT_TYPE.match(kind.name) and len(kind.name) <= _LONGEST_TYPE
        if not fits or not kind.name.startswith(f"{slug}.") or slug in _HOSTS_OWN:
            raise PluginContractError(f"event type {kind.name!r} must begin with {slug}.")
        if names.count(kind.name) > 1:
            raise PluginContractError(f"event type {kind.name!r} is there twice")
        if not kind.details.__struct_config__.forbid_unknown_fields:
            raise PluginContractError(
                f"the details of {kind.name} must be a Struct with forbid_unknown_fields"
            )
        msgspec.json.schema(kind.details)  # raises for what cannot be described


def _has_app(package: str) -> bool:
    place = import_module(package).__file__
    return place is not None and (Path(place).parent / "piccolo_app.py").is_file()


def _check_app(slug: str, package: str) -> None:
    """Import the tables now: later they would take the core's migrations down with them."""
    if not _has_app(package):
        return
    config = import_module(f"{package}.piccolo_app").APP_CONFIG
    if config.app_name != slug:
        raise PluginContractError(f"its Piccolo app calls itself {config.app_name!r}")
    check_tables(slug, config.table_classes)


def _drop_unmet(registry: Registry) -> None:
    changed = True
    while changed:
        changed = False
        for slug, plugin in list(registry.plugins.items()):
            missing = [name for name in plugin.requires if name not in registry.plugins]
            if missing:
                registry.fail(slug, f"needs the plugin {', '.join(missing)}, which is not loaded")
                changed = True


def _state(candidate: Found, *, state: str, plugin: ChannelPlugin | None = None) -> PluginState:
    return PluginState(
        slug=candidate.slug,
        title=plugin.title if plugin else candidate.slug,
        version=plugin.version if plugin else "",
        origin=candidate.origin,
        state=state,
    )
