"""Text that must not be seen: it shows as stars wherever it lands by accident."""

from __future__ import annotations

from hmac import compare_digest
from typing import NoReturn
from urllib.parse import urlsplit, urlunsplit


class Secret:
    """A text that is masked in `repr`, `str` and format, and is neither encoded nor pickled.

    Args:
        value: the text; only `reveal` gives it back.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the text; call it at the last moment and keep the result nowhere."""
        return self.__value

    def __repr__(self) -> str:
        """Return stars."""
        return "Secret('***')"

    def __str__(self) -> str:
        """Return stars."""
        return "***"

    def __bool__(self) -> bool:
        """Tell whether there is any text."""
        return bool(self.__value)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self.__value.encode(), other.reveal().encode())

    def __hash__(self) -> int:
        """Hash like the text, so that equal secrets are one key."""
        return hash((Secret, self.__value))

    def __copy__(self) -> Secret:
        """Return itself: it cannot change."""
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        """Return itself: it cannot change."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("A Secret is not pickled.")


def without_password(url: str) -> str:
    """Return a URL that may be shown: its password and its query are masked."""
    parts = urlsplit(url)
    login, at, address = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    netloc = f"{user}{colon and ':***'}{at}{address}"
    query = "***" if parts.query else ""  # libpq and Redis take a password there too
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))
