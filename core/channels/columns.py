"""Column pieces that every table of the host and of the plugins uses.

Migrations import these classes by path for ever: keep their names and their place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piccolo.columns import UUID, Timestamptz
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.columns.defaults.uuid import UUID4

from core.ids import new_uuid

if TYPE_CHECKING:
    import uuid


class UUIDv7(UUID4):
    """Version 7 made in Python; SQL's own default stays that of UUID4, `gen_random_uuid()`."""

    def python(self) -> uuid.UUID:
        """Make an id that sorts by time."""
        return new_uuid()


class BusinessRow:
    """The first columns of every table whose rows belong to one business."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=False, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
