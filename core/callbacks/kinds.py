"""What can be told, and which of it an endpoint wants."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TEST: Final = "endpoint.test"
"""The type of a test delivery; it goes to the endpoint that was asked for, whatever it wants."""

KINDS: Final = MappingProxyType(
    {
        "notification.queued": "A notification was queued.",
        "notification.sent": "The provider took it over.",
        "notification.delivered": "It reached the customer's device.",
        "notification.read": "The customer saw it.",
        "notification.failed": "It could not be sent; `code` says why.",
        "notification.canceled": "It was stopped before it was sent; `code` says why.",
        "notification.suppressed": "A notice was not queued at all; `code` says why.",
        "consent.granted": "A customer agreed.",
        "consent.revoked": "A customer took the consent back.",
        "message.received": "A customer wrote, or pressed a button.",
    }
)
"""Every type that can be subscribed to, and its meaning."""

_AREAS: Final = frozenset(kind.partition(".")[0] for kind in KINDS)


def unknown_patterns(events: Iterable[str]) -> list[str]:
    """Return what is neither a type nor `area.*` nor `*`; the database matches the same way."""
    patterns = {"*", *KINDS, *(f"{area}.*" for area in _AREAS)}
    return [event for event in events if event not in patterns]
