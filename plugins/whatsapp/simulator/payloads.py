"""The bodies of webhooks."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.simulator.errors import describe_failure
from plugins.whatsapp.simulator.numbers import derive_scoped_id

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.accounts import Number
    from plugins.whatsapp.simulator.message_templates import MessageTemplate

# From this version of the webhook on: contacts beside statuses, no conversation object.
NEW_STATUSES_SINCE: Final = 24
_PRICED: Final = frozenset({"sent", "delivered"})
_DAY: Final = 24 * 3600


def describe_change(waba_id: str, field: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return the whole body that carries one change."""
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": waba_id, "changes": [{"value": value, "field": field}]}],
    }


def describe_number(number: Number) -> dict[str, Any]:
    """Return the part that every change of the field ``messages`` begins with."""
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": number.digits, "phone_number_id": number.id},
    }


def describe_status(
    identifier: str,
    status: str,
    at: int,
    customer: str,
    callback: str | None,
    *,
    pricing: dict[str, Any],
    failure: tuple[int, str],
    version: int,
) -> dict[str, Any]:
    """Return one entry of ``statuses``."""
    is_scoped = not customer.isdigit()
    entry: dict[str, Any] = {"id": identifier, "status": status, "timestamp": str(at)}
    if not is_scoped:
        entry["recipient_id"] = customer
    if is_scoped or status != "failed":
        entry["recipient_user_id"] = customer if is_scoped else derive_scoped_id(customer)
    if callback is not None:
        entry["biz_opaque_callback_data"] = callback
    if status == "failed":
        entry["errors"] = [describe_failure(*failure)]
    elif status in _PRICED:
        entry["pricing"] = pricing
        if version < NEW_STATUSES_SINCE:
            entry["conversation"] = _describe_conversation(identifier, status, at, pricing)
    return entry


def _describe_conversation(
    identifier: str,
    status: str,
    at: int,
    pricing: dict[str, Any],
) -> dict[str, Any]:
    conversation: dict[str, Any] = {
        "id": sha256(identifier.encode()).hexdigest()[:32],
        "origin": {"type": pricing["category"]},
    }
    if status == "sent":
        conversation["expiration_timestamp"] = str(at + _DAY)
    return conversation


def describe_contact(customer: str, name: str = "") -> dict[str, Any]:
    """Return one entry of ``contacts``."""
    contact: dict[str, Any] = {"profile": {"name": name}} if name else {}
    if not customer.isdigit():
        return {**contact, "user_id": customer}
    return {**contact, "wa_id": customer, "user_id": derive_scoped_id(customer)}


def describe_inbound(
    number: Number,
    customer: str,
    identifier: str,
    at: int,
    content: dict[str, Any],
) -> dict[str, Any]:
    """Return the body of an inbound message; ``content`` is its type and payload."""
    value = describe_number(number)
    value["contacts"] = [describe_contact(customer, "Customer")]
    # A customer known by a user id only has no ``from``.
    message = {"from": customer} if customer.isdigit() else {}
    message["from_user_id"] = derive_scoped_id(customer) if message else customer
    value["messages"] = [{**message, "id": identifier, "timestamp": str(at), **content}]
    return describe_change(number.waba.id, "messages", value)


def describe_review(waba_id: str, template: MessageTemplate, at: int) -> dict[str, Any]:
    """Return the body that tells how a template's review ended."""
    body = describe_change(
        waba_id,
        "message_template_status_update",
        {
            "event": template.status,
            "message_template_id": int(template.id),
            "message_template_name": template.name,
            "message_template_language": template.language,
            "message_template_category": template.category,
            "reason": "INVALID_FORMAT" if template.status == "REJECTED" else "NONE",
        },
    )
    body["entry"][0]["time"] = at
    return body
