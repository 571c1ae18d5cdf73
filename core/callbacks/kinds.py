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
        "channel.connected": "An account of the business began to work, or works again.",
        "channel.disconnected": "An account stopped working; `code` says why.",
        "channel.quality_changed": "The provider rates an account anew; `quality` is its word.",
        "channel.suspended": "A channel stopped sending by itself; `code` says why.",
        "channel.resumed": "A suspended channel sends again.",
        "channel.token_expiring": "The access to an account ends soon, at `expires_at`.",
        "template.approved": "A template may be sent now.",
        "template.rejected": "A template was refused or taken back; `code` says why.",
        "template.paused": "The provider paused a template.",
        "alert.raised": "Something needs a person; `kind` says what.",
        "alert.resolved": "What an alert was about is over.",
    }
)
"""Every type that can be subscribed to, and its meaning."""

_AREAS: Final = frozenset(kind.partition(".")[0] for kind in KINDS)


def unknown_patterns(events: Iterable[str]) -> list[str]:
    """Return what is neither a type nor `area.*` nor `*`; the database matches the same way."""
    patterns = {"*", *KINDS, *(f"{area}.*" for area in _AREAS)}
    return [event for event in events if event not in patterns]
