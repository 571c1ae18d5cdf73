"""Reads single values out of a decoded body that somebody else wrote; pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MILLISECOND_STAMP: Final = 10**11
_PHONE: Final = re.compile(r"^\+?[1-9][0-9]{6,14}$")


class MalformedError(Exception):
    """An item does not have the form it must have; never leaves the channel."""


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        MalformedError: it is something else.
    """
    if not isinstance(value, dict):
        raise MalformedError("an object was expected")
    return value


def as_list(value: object) -> list[Any]:
    """Return a JSON array.

    Raises:
        MalformedError: it is something else.
    """
    if not isinstance(value, list):
        raise MalformedError("a list was expected")
    return value


def part(value: object, key: str) -> dict[str, Any]:
    """Return an object's object of that name, or an empty one."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def text_of(value: object, limit: int = 4096) -> str:
    """Return text fit for the database, numbers written out, anything else as nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int) and abs(value) >= 10**30:
        return ""
    # PostgreSQL's text takes neither a NUL nor half a surrogate pair.
    written = str(value)[:limit].replace("\0", "")
    return written.encode("utf-8", "replace").decode()


def required(value: object, name: str, limit: int = 255) -> str:
    """Return text that must be there.

    Raises:
        MalformedError: it is missing or too long to be what it should be.
    """
    if isinstance(value, str) and len(value) > limit:
        raise MalformedError(f"{name} is too long")
    found = text_of(value, limit)
    if not found:
        raise MalformedError(f"{name} is missing")
    return found


def moment(value: object) -> datetime:
    """Return a time that is written as Unix seconds: text or number, or milliseconds.

    Raises:
        MalformedError: it is no such time.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedError("the time is missing")
    try:
        stamp = float(value[:32] if isinstance(value, str) else value)
        if stamp >= _FIRST_MILLISECOND_STAMP:
            stamp /= 1000
        if not 0 <= stamp < _FIRST_MILLISECOND_STAMP:
            raise MalformedError("the time is no time")
        return datetime.fromtimestamp(stamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise MalformedError("the time is no time") from None


def address(value: object) -> str:
    """Return a phone number in E.164 form, or a WhatsApp user id as it is."""
    written = text_of(value, 160).strip()
    if not _PHONE.match(written):
        return written
    return written if written.startswith("+") else f"+{written}"


def first_error(value: object) -> tuple[str, str]:
    """Return code and words of the first of Meta's errors on an item."""
    errors = value if isinstance(value, list) else []
    error = errors[0] if errors and isinstance(errors[0], dict) else {}
    words = part(error, "error_data").get("details") or error.get("message") or error.get("title")
    return text_of(error.get("code"), 64), text_of(words, 300)
