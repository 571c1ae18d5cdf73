"""One table of the admin: what its list shows, and which actions its verbs need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from piccolo.columns import Column
    from piccolo.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One table in the menu, with the actions its verbs need.

    Attributes:
        read: the action for looking.
        change: the action for changing a row; empty means nobody changes rows here.
        add: the action for adding a row; empty means nobody adds rows here.
        changeable: the columns a change may touch; None means all but the keys.
        check: looks at new values, column name -> value; returns a sentence when they do not do.
    """

    table: type[Table]
    group: str
    columns: tuple[Column, ...]
    link: Column
    read: str
    filters: tuple[Column, ...] = ()
    newest_first: Column | None = None
    change: str = ""
    add: str = ""
    changeable: frozenset[str] | None = frozenset()
    check: Callable[[dict[str, Any]], str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Return the table's name, which is also its address in the admin."""
        return str(self.table._meta.tablename)  # noqa: SLF001 - Piccolo offers no public name
