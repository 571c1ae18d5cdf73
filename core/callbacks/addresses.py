"""Where callbacks may go: nowhere near our own network (server-side request forgery).

A URL is looked at when it is given, and its addresses again whenever a connection is made: after
the name was resolved, and the connection goes to one of the addresses that were looked at. So a
name that answers differently the second time gains nothing.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from core.errors import PatchbayError

LONGEST_URL: Final = 2_000

_PORTS: Final = frozenset({80, 443, *range(8000, 10_000)})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_NAME: Final = re.compile(
    r"(?=.{1,253}\.?$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
# What C libraries read as an IPv4 address in other clothes: 2130706433, 0x7f.1, 0177.0.0.1
_NUMBERS: Final = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)(\.(0[xX][0-9A-Fa-f]*|[0-9]+))*\.?")

_INNER_4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of version 6 only what is given out for the open network, and of that not what leads back into
# version 4 or into papers: Teredo and other protocols, documentation, 6to4.
_OPEN_6: Final = IPv6Network("2000::/3")
_INNER_6: Final = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


class ForbiddenAddressError(PatchbayError, OSError):
    """A callback may not go there.

    An OSError too, because that is what a resolver may raise.
    """


def check_url(url: str, *, local: bool) -> SplitResult:
    """Look at a URL before anything is resolved.

    Args:
        url: as it was given.
        local: whether the deployment is not production: this machine and any port are allowed.

    Returns:
        Its parts.

    Raises:
        ForbiddenAddressError: the sentence says why.
    """
    if len(url) > LONGEST_URL or not _VISIBLE.fullmatch(url) or "\\" in url:
        raise ForbiddenAddressError("A URL is up to 2,000 visible ASCII characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ForbiddenAddressError("This is no URL.") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ForbiddenAddressError("The URL must begin with https:// or http://.")
    if "@" in parts.netloc:
        raise ForbiddenAddressError("The URL may hold no user and no password.")
    if "#" in url:
        raise ForbiddenAddressError("The URL may hold no fragment.")
    if port == 0 or (not local and (port or _DEFAULT_PORTS[parts.scheme]) not in _PORTS):
        raise ForbiddenAddressError("The port must be 443, 80, or between 8000 and 9999.")
    _check_host(parts, local=local)
    return parts


def check_address(address: str, *, local: bool) -> None:
    """Look at a resolved address.

    Raises:
        ForbiddenAddressError: it does not belong to the open network.
    """
    if "%" in address:
        raise ForbiddenAddressError("The address is bound to one network of a machine.")
    try:
        resolved = ip_address(address)
    except ValueError:
        raise ForbiddenAddressError("This is no address.") from None
    if not (is_open(resolved) or (local and resolved.is_loopback)):
        raise ForbiddenAddressError("The address does not belong to the open network.")


def is_open(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to the open network."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _INNER_4) and address.is_global
    return (
        address in _OPEN_6
        and not any(address in network for network in _INNER_6)
        and address.is_global
    )


def _check_host(parts: SplitResult, *, local: bool) -> None:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        check_address(host, local=local)
    elif _NUMBERS.fullmatch(host):
        try:
            plain = str(IPv4Address(host)) == host
        except ValueError:
            plain = False
        if not plain:
            raise ForbiddenAddressError("An address is written as four numbers with dots.")
        check_address(host, local=local)
    elif not _NAME.fullmatch(host):
        raise ForbiddenAddressError("This is no name of a host.")
