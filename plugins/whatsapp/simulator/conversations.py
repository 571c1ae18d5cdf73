"""Conversations: what both sides wrote, how far it got, and the 24-hour window."""

from __future__ import annotations

from typing import Final

import msgspec

from plugins.whatsapp.simulator.rendering import Rendered

WINDOW_SECONDS: Final = 24 * 3600
_RANKS: Final = {"accepted": 0, "sent": 1, "delivered": 2, "read": 3, "failed": 4}


class Bubble(msgspec.Struct):
    """One message on the customer's phone."""

    id: str
    phone_number_id: str
    customer: str
    rendered: Rendered
    written_at: float
    is_inbound: bool = False
    status: str = "accepted"
    failure: str = ""

    def advance(self, status: str) -> None:
        """Move the status forward; it never goes back."""
        if _RANKS[status] > _RANKS[self.status]:
            self.status = status


class Conversations:
    """All conversations, by customer and by message."""

    def __init__(self) -> None:
        self._by_customer: dict[str, list[Bubble]] = {}
        self._by_id: dict[str, Bubble] = {}
        self._windows: dict[tuple[str, str], float] = {}

    def add(self, bubble: Bubble) -> None:
        """Add a message at the end of its customer's conversation."""
        self._by_customer.setdefault(bubble.customer, []).append(bubble)
        self._by_id[bubble.id] = bubble
        if bubble.is_inbound:
            self._windows[bubble.phone_number_id, bubble.customer] = bubble.written_at

    def find(self, identifier: str) -> Bubble | None:
        """Return the message with this id."""
        return self._by_id.get(identifier)

    def is_open(self, phone_number_id: str, customer: str, at: float) -> bool:
        """Tell whether the customer wrote within the last 24 hours."""
        opened = self._windows.get((phone_number_id, customer))
        return opened is not None and at - opened < WINDOW_SECONDS

    def list_customers(self) -> list[tuple[str, Bubble]]:
        """Return each customer with the newest message, newest first."""
        newest = [(customer, bubbles[-1]) for customer, bubbles in self._by_customer.items()]
        return sorted(newest, key=lambda pair: pair[1].written_at, reverse=True)

    def list_messages(self, customer: str, limit: int) -> list[Bubble]:
        """Return the customer's newest messages, oldest first."""
        return self._by_customer.get(customer, [])[-limit:]

    def clear(self) -> None:
        """Forget everything."""
        self._by_customer.clear()
        self._by_id.clear()
        self._windows.clear()
