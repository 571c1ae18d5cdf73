"""Pages by opaque cursors: the last row of a page, never a number of rows to skip."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from msgspec import Meta

from core.errors import FieldFault, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_LIMIT: Final = 50
Limit = Annotated[int, Meta(ge=1, le=200, description="How many rows, 200 at most.")]
Cursor = Annotated[
    str, Meta(max_length=64, description="`next_cursor` of the page before, as it came.")
]

_VERSION: Final = b"\x01"
_BYTES: Final = 17


def read_cursor(cursor: str | None) -> UUID | None:
    """Return the row that a cursor names.

    Raises:
        InvalidInputError: it is none of ours.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _BYTES or raw[:1] != _VERSION:
        fault = FieldFault("?cursor", "invalid", "This is no cursor of ours.")
        raise InvalidInputError(fault.message, errors=[fault])
    return UUID(bytes=raw[1:])


def page(
    rows: Sequence[Any], limit: int, show: Callable[[Any], Any], key: Callable[[Any], UUID]
) -> dict[str, Any]:
    """Build the answer; `rows` holds one row more than `limit` if there are more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {
        "data": [show(row) for row in shown],
        "next_cursor": _cursor(key(shown[-1])) if more else None,
        "has_more": more,
    }


def _cursor(row_id: UUID) -> str:
    return base64.urlsafe_b64encode(_VERSION + row_id.bytes).decode().rstrip("=")
