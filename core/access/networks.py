"""The networks from which a key may be used."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def read_network(text: str) -> str:
    """Return an address or a network in its one right form.

    Raises:
        InvalidInputError: it is neither.
    """
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise InvalidInputError(f"{text!r} is no address and no network.") from None


def is_within(address: str | None, networks: Sequence[str]) -> bool:
    """Tell whether an address lies in one of the networks; one that is not known does not."""
    try:
        known = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return any(known in ipaddress.ip_network(one) for one in networks)
