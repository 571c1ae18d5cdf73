"""The body of a callback: a CloudEvent, made from the facts that were kept with the change.

It is thin: ids, codes and times; no phone, no words. The same facts give the same bytes, so that
every attempt carries the same message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.alerts.kinds import KINDS, kind_named
from core.ids import (
    ALERT,
    CALLBACK,
    CONSENT,
    DECISION,
    NOTIFICATION,
    WEBHOOK_ENDPOINT,
    outward,
)
from core.notify.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.alerts.kinds import Kind
    from core.callbacks.deliveries import Delivery

LARGEST: Final = 20_000
"""Bytes of a body; the standard asks for less than 20 kB."""

_PREFIXES: Final = {
    "notification": NOTIFICATION,
    "decision": DECISION,
    "consent": CONSENT,
    "endpoint": WEBHOOK_ENDPOINT,
    "alert": ALERT,
}
_NAMES: Final = {
    "notification": "notification_id",
    "decision": "notification_id",
    "consent": "consent_id",
    "endpoint": "endpoint_id",
    "alert": "alert_id",
}
_NAMED_BY: Final = {"channel": "channel", "template": "template"}
"""What has no id of ours and is named by a field of its body."""

_LONGEST_VALUE: Final = 1_000


def message_id(delivery_id: UUID) -> str:
    """Return a callback's own id, the same in every attempt."""
    return outward(CALLBACK, delivery_id)


def render(source: str, delivery: Delivery, kinds: Mapping[str, Kind] = KINDS) -> bytes:
    """Return the bytes that go over the wire.

    Args:
        source: the host that tells, as the CloudEvent names it.
        delivery: the kept facts.
        kinds: the catalogue of alerts.
    """
    at = delivery.occurred_at
    subject = subject_of(delivery)
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": message_id(delivery.id),
            "source": source,
            "type": delivery.type,
            "time": at,
            # The shape that Standard Webhooks recommends, as an extension attribute of the event.
            "timestamp": at,
            **({"subject": subject} if subject else {}),
            "datacontenttype": "application/json",
            "data": _facts(delivery, kinds),
        }
    )


def subject_of(delivery: Delivery) -> str:
    """Return what a callback is about, such as `notification/ntf_...`; empty when unknown."""
    if delivery.subject in _NAMED_BY:
        return f"{delivery.subject}/{delivery.body.get(_NAMED_BY[delivery.subject], '')}"
    if delivery.subject_id is None:
        return ""
    shown = "notification" if delivery.subject == "decision" else delivery.subject
    return f"{shown}/{outward(_PREFIXES[delivery.subject], delivery.subject_id)}"


def _facts(delivery: Delivery, kinds: Mapping[str, Kind]) -> dict[str, Any]:
    kept = {name: _short(value) for name, value in sorted(delivery.body.items())}
    facts: dict[str, Any] = {}
    if delivery.subject in _NAMES and delivery.subject_id is not None:
        facts[_NAMES[delivery.subject]] = outward(_PREFIXES[delivery.subject], delivery.subject_id)
    elif delivery.subject == "message":
        facts["notification_id"] = None
    facts |= kept
    if kept.get("fallback_of"):
        facts["fallback_of"] = outward(NOTIFICATION, UUID(kept["fallback_of"]))
    if delivery.type.startswith("notification."):
        reason = REASONS.get(str(kept.get("code")))
        facts["retryable"] = bool(reason and reason.retryable)
        facts["sequence"] = delivery.sequence
    if delivery.subject == "alert":
        facts["severity"] = kind_named(kinds, str(kept.get("kind"))).severity
    return facts


def _short(value: Any) -> Any:
    """Cut what a stranger may have made long, such as the payload of a button."""
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value
