"""One example of every callback, made by the function that makes the real ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from core.api import examples
from core.callbacks.deliveries import Delivery
from core.callbacks.messages import render

_AT: Final = datetime(2026, 11, 22, 9, 2, 12, tzinfo=UTC)
_ID: Final = UUID("019ab000-0000-7000-8000-00000000b001")
_PERSON: Final = {"customer_id": examples.CUSTOMER}
_NOTIFICATION: Final = {
    **_PERSON,
    "booking_ref": examples.BOOKING,
    "channel": "whatsapp",
    "template": "booking_confirmed",
    "event_type": "booking.confirmed",
    "code": None,
    "provider_code": None,
}
_CHANNEL: Final = {"channel": "whatsapp", "account": "106540352242922"}
_CONNECTION: Final = {**_CHANNEL, "state": "active", "code": None, "quality": "GREEN"}
_TEMPLATE: Final = {
    "channel": "whatsapp",
    "template": "reminder_24h",
    "language": "it",
    "code": None,
}
_CODES: Final = {"failed": "recipient-not-reachable", "canceled": "consent-revoked"}
_FACTS: Final[dict[str, dict[str, Any]]] = {
    "notification.suppressed": {
        **_PERSON,
        "booking_ref": examples.BOOKING,
        "channel": "whatsapp",
        "template": "booking_confirmed",
        "status": "suppressed",
        "code": "consent-missing",
    },
    "message.received": {
        **_PERSON,
        "booking_ref": examples.BOOKING,
        "channel": "whatsapp",
        "message_type": "button",
        "button": "CONFIRM:B-1001",
    },
    "channel.connected": _CONNECTION,
    "channel.disconnected": _CONNECTION | {"state": "error", "code": "credentials-rejected"},
    "channel.quality_changed": _CONNECTION | {"quality": "YELLOW"},
    "channel.suspended": {"channel": "whatsapp", "code": "too-many-failures"},
    "channel.resumed": {"channel": "whatsapp", "code": None},
    "channel.token_expiring": {**_CHANNEL, "expires_at": "2026-11-29T00:00:00Z"},
    "template.approved": _TEMPLATE | {"status": "approved"},
    "template.rejected": _TEMPLATE | {"status": "rejected", "code": "template-rejected"},
    "template.paused": _TEMPLATE | {"status": "paused", "code": "template-paused"},
}
_SUBJECTS: Final = {
    "notification": ("notification", examples.NOTIFICATION_UUID),
    "consent": ("consent", examples.CONSENT_UUID),
    "message": ("notification", examples.NOTIFICATION_UUID),
    "alert": ("alert", examples.ALERT_UUID),
}


def example_of(kind: str) -> dict[str, Any]:
    """Return what arrives when this is told."""
    area, _, what = kind.partition(".")
    subject, subject_id = _SUBJECTS.get(area, (area, None))
    if kind == "notification.suppressed":
        subject, subject_id = "decision", examples.DECISION_UUID
    told: dict[str, Any] = msgspec.json.decode(
        render(
            "https://patchbay.example.com",
            Delivery(
                id=_ID,
                business_id=None,
                endpoint_id=_ID,
                type=kind,
                subject=subject,
                subject_id=subject_id,
                sequence=3,
                body={"business_id": examples.BUSINESS, **_facts_of(kind, area, what)},
                occurred_at=_AT,
                state="leased",
                attempt=1,
                next_at=None,
                last_status=None,
                last_error="",
                tries=[],
                created_at=_AT,
                ended_at=None,
            ),
        )
    )
    return told


def _facts_of(kind: str, area: str, what: str) -> dict[str, Any]:
    if kind in _FACTS:
        return _FACTS[kind]
    if area == "consent":
        return {**_PERSON, "channel": "whatsapp", "purpose": "transactional", "state": what}
    if area == "alert":
        state = "open" if what == "raised" else "resolved"
        return {"kind": "channel-suspended", "about": "whatsapp", "state": state}
    return _NOTIFICATION | {"status": what, "code": _CODES.get(what)}
