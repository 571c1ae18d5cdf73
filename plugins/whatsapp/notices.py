"""Translates news about accounts, templates and numbers into channel events; pure.

`changes.py` acts on the known ones. Everything else is kept and counted by its name.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from core.channels.messages import ChannelEvent
from plugins.whatsapp.fields import part, required, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

TEMPLATE_STATUS: Final = "template_status"
TEMPLATE_QUALITY: Final = "template_quality"
TEMPLATE_CATEGORY: Final = "template_category"
TEMPLATE_COMPONENTS: Final = "template_components"
PHONE_QUALITY: Final = "phone_quality"
ACCOUNT_UPDATE: Final = "account_update"
SEND_REFUSED: Final = "send_refused"
"""A failed status that says something about the whole number; its account is the number's."""

ACCOUNT_EVENTS: Final = frozenset(
    {
        "ACCOUNT_VIOLATION",
        "ACCOUNT_RESTRICTION",
        "DISABLED_UPDATE",
        "ACCOUNT_DELETED",
        "PARTNER_REMOVED",
        "PARTNER_APP_UNINSTALLED",
        "ACCOUNT_OFFBOARDED",
        "ACCOUNT_RECONNECTED",
    }
)
_KIND_LENGTH: Final = 64


def notice(field: str, waba: str, value: dict[str, Any], happened: datetime) -> ChannelEvent:
    """Translate one change of a management field.

    Raises:
        MalformedError: a value that we act on is missing.
    """
    kind, read = _READERS.get(field, (field, None))
    account = _account(waba, value)
    known = read is not None
    if field == "account_update":
        known = text_of(value.get("event"), 64).upper() in ACCOUNT_EVENTS
    return ChannelEvent(
        kind=(kind or "unnamed")[:_KIND_LENGTH],
        account=account,
        dedupe=_word(field, waba, happened, value),
        occurred_at=happened,
        known=known,
        data=read(value) if read is not None else value,
    )


def _account(waba: str, value: dict[str, Any]) -> str:
    """Return the account concerned; for partner news the entry names the partner instead."""
    return text_of(part(value, "waba_info").get("waba_id"), 64) or waba


def _template(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": required(value.get("message_template_name"), "name", 512),
        # Examples of Meta's write en-US here and en_US everywhere else.
        "language": required(value.get("message_template_language"), "language", 16).replace(
            "-", "_"
        ),
    }


def _template_status(value: dict[str, Any]) -> dict[str, Any]:
    reason = text_of(value.get("reason"), 64)
    return {
        **_template(value),
        "status": required(value.get("event"), "event", 32).upper(),
        "reason": "" if reason == "NONE" else reason,
    }


def _template_quality(value: dict[str, Any]) -> dict[str, Any]:
    quality = required(value.get("new_quality_score"), "new_quality_score", 16)
    return {**_template(value), "quality": quality.upper()}


def _template_category(value: dict[str, Any]) -> dict[str, Any]:
    return {
        **_template(value),
        "category": required(value.get("new_category"), "new_category", 32).lower(),
        "announced": text_of(value.get("correct_category"), 32).lower(),
    }


def _phone_quality(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "event": required(value.get("event"), "event", 32).upper(),
        "number": text_of(value.get("display_phone_number"), 32),
    }


def _account_update(value: dict[str, Any]) -> dict[str, Any]:
    restrictions = value.get("restriction_info")
    listed = restrictions if isinstance(restrictions, list) else []
    return {
        "event": required(value.get("event"), "event", 64).upper(),
        "violation": text_of(part(value, "violation_info").get("violation_type"), 64),
        "ban": text_of(part(value, "ban_info").get("waba_ban_state"), 64),
        "restrictions": [
            text_of(one.get("restriction_type"), 64) for one in listed if isinstance(one, dict)
        ],
    }


_READERS: Final[dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]] = {
    "message_template_status_update": (TEMPLATE_STATUS, _template_status),
    "message_template_quality_update": (TEMPLATE_QUALITY, _template_quality),
    "template_category_update": (TEMPLATE_CATEGORY, _template_category),
    "message_template_components_update": (TEMPLATE_COMPONENTS, _template),
    "phone_number_quality_update": (PHONE_QUALITY, _phone_quality),
    "account_update": (ACCOUNT_UPDATE, _account_update),
}


def _word(field: str, waba: str, happened: datetime, value: dict[str, Any]) -> str:
    written = json.dumps([field, waba, happened.timestamp(), value], sort_keys=True)
    return f"{field[:32]}:{hashlib.sha256(written.encode()).hexdigest()}"
