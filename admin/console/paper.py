"""Fills the templates: everything is escaped, times stand in the business's zone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from datetime import datetime

FOLDER: Final = Path(__file__).parent

_STATUS_TONES: Final = {
    "queued": "waiting",
    "sent": "good",
    "delivered": "good",
    "read": "good",
    "failed": "bad",
    "canceled": "stopped",
    "suppressed": "stopped",
}


def fill(template: str, **content: Any) -> str:
    """Fill a template; a name that was forgotten is an error, not a gap."""
    return _environment.get_template(template).render(**content)


def in_zone(at: datetime | None, zone: str, *, seconds: bool = True) -> str:
    """Write a time as people there read it."""
    if at is None:
        return ""
    local = at.astimezone(_zone(zone))
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return f"{local.day} {local:%b %Y}, {clock}"


def tone_of(status: str) -> str:
    """Return how a status should look."""
    return _STATUS_TONES.get(status, "stopped")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"in_zone": in_zone, "tone": tone_of}
