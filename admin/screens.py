"""The channels' tables in the admin: taken as they declare them, or left out and named."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

from piccolo.columns import Bytea

from admin.core_screens import core_screens
from admin.shown import Shown
from core.channels.registry import check_tables
from core.errors import PluginContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.channels.plugin import ChannelPlugin, Screen
    from core.channels.registry import Registry

MOST_COLUMNS: Final = 7


def channel_screens(registry: Registry) -> tuple[Shown, ...]:
    """Return the tables of the loaded channels; one that fails here is named and left out."""
    taken = {shown.name for shown in core_screens()}
    found: list[Shown] = []
    for slug, plugin in list(registry.plugins.items()):
        try:
            screens = [_shown(plugin, screen) for screen in plugin.screens()]
            _refuse_unfit(slug, screens, taken)
        except Exception as error:  # noqa: BLE001 - whatever a plugin raises must not stop the host
            reason = f"screens: {type(error).__name__}: {error}".splitlines()[0]
            registry.fail(slug, reason, traceback.format_exc())
            continue
        taken |= {shown.name for shown in screens}
        found += screens
    return tuple(found)


def _shown(plugin: ChannelPlugin, screen: Screen) -> Shown:
    change = "channels.change" if screen.editable else ""
    return Shown(
        table=screen.table,
        group=plugin.title,
        columns=screen.columns,
        link=screen.link,
        filters=screen.filters,
        newest_first=screen.newest_first,
        read="channels.read",
        change=change,
        add=change,
        changeable=None if screen.editable else frozenset(),
    )


def _refuse_unfit(slug: str, screens: Iterable[Shown], taken: set[str]) -> None:
    seen = set(taken)
    check_tables(slug, (shown.table for shown in screens))
    for shown in screens:
        if shown.name in seen:
            raise PluginContractError(f"the table {shown.name} has a screen already")
        seen.add(shown.name)
        meta = shown.table._meta  # noqa: SLF001 - Piccolo offers no public way to its columns
        for column in meta.columns:
            if isinstance(column, Bytea) or column._meta.secret:  # noqa: SLF001 - see above
                raise PluginContractError(
                    f"the screen of {shown.name} would show the sealed column "
                    f"{column._meta.name}; show a class without it"  # noqa: SLF001 - see above
                )
        names = {column._meta.name for column in shown.columns}  # noqa: SLF001 - see above
        if len(names) > MOST_COLUMNS or meta.primary_key._meta.name in names:  # noqa: SLF001
            raise PluginContractError(
                f"the screen of {shown.name} shows more than {MOST_COLUMNS} columns, "
                "or the primary key"
            )
