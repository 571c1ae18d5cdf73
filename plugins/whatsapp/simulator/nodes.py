"""Reads accounts, numbers and tokens, and registers and subscribes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.simulator.accounts import MANAGEMENT, require_scope
from plugins.whatsapp.simulator.errors import METHOD, GraphError, refuse_object, refuse_parameter
from plugins.whatsapp.simulator.signing import is_same
from plugins.whatsapp.simulator.validation import require_product

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugins.whatsapp.simulator.accounts import Number, Waba
    from plugins.whatsapp.simulator.calls import Call
    from plugins.whatsapp.simulator.simulator import Simulator

_PIN: Final = re.compile(r"[0-9]{6}")
_INNER_FIELDS: Final = re.compile(r"\{[^{}]*\}|\([^()]*\)|\.[a-z_]+")
_NUMBER_FIELDS: Final = (
    "verified_name,code_verification_status,display_phone_number,quality_rating"
)
_WABA_FIELDS: Final = "id,name,timezone_id,message_template_namespace"
_ISSUED_AT: Final = 1_795_000_000
_DATA_ACCESS_ENDS_AT: Final = 1_987_000_000


def pick_fields(call: Call, known: dict[str, Any], default: str, node_type: str) -> dict[str, Any]:
    """Return the fields a call asks for; the id is always there."""
    wanted = _INNER_FIELDS.sub("", call.query.get("fields") or default).split(",")
    picked: dict[str, Any] = {}
    for name in (text.strip() for text in wanted):
        if name not in known:
            raise refuse_parameter(
                f"Tried accessing nonexisting field ({name}) on node type ({node_type})",
            )
        picked[name] = known[name]
    picked["id"] = known["id"]
    return picked


def page(call: Call, rows: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """Return one page of a list with cursors; ``next`` is absent on the last."""
    limit = call.query.get("limit", "25")
    after = call.query.get("after", "0")
    if not _is_number(limit) or not 1 <= int(limit) <= 1000:  # noqa: PLR2004 - Meta's own bound
        raise refuse_parameter("Param limit must be a number from 1 to 1000")
    if not _is_number(after):
        raise refuse_parameter("Invalid cursors values")
    first = int(after)
    chosen = rows[first : first + int(limit)]
    answer: dict[str, Any] = {"data": chosen}
    if chosen:
        last = first + len(chosen)
        answer["paging"] = {"cursors": {"before": str(first), "after": str(last)}}
        if last < len(rows):
            answer["paging"]["next"] = f"{path}?limit={limit}&after={last}"
    return answer


def show_number(_simulator: Simulator, number: Number, call: Call) -> dict[str, Any]:
    """Answer GET on a phone number."""
    return pick_fields(
        call, describe_number(number), _NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber"
    )


def register_number(_simulator: Simulator, number: Number, call: Call) -> dict[str, Any]:
    """Answer POST register; the first PIN is kept, later ones must match it."""
    require_product(call.body)
    pin = call.read("pin")
    if not _PIN.fullmatch(pin):
        raise refuse_parameter("Param pin must be 6 digits")
    if number.pin and not is_same(number.pin, pin):
        raise GraphError(133005, "Two step verification PIN mismatch")
    number.pin, number.registered = pin, True
    return {"success": True}


def deregister_number(_simulator: Simulator, number: Number, _call: Call) -> dict[str, Any]:
    """Answer POST deregister."""
    number.registered = False
    return {"success": True}


def show_waba(_simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer GET on an account."""
    name = next((number.verified_name for number in waba.numbers.values()), "Simulated business")
    known = {
        "id": waba.id,
        "name": name,
        "timezone_id": "1",
        "message_template_namespace": f"simulated_{waba.id}",
        "currency": "USD",
        "country": "US",
        "account_review_status": "APPROVED",
        "business_verification_status": "verified",
        "ownership_type": "SELF",
        "status": "ACTIVE",
        "health_status": {
            "can_send_message": "AVAILABLE",
            "entities": [
                {"entity_type": "WABA", "id": waba.id, "can_send_message": "AVAILABLE"},
            ],
        },
    }
    return pick_fields(call, known, _WABA_FIELDS, "WhatsAppBusinessAccount")


def list_numbers(_simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer GET on an account's phone numbers."""
    rows = [
        pick_fields(call, describe_number(number), _NUMBER_FIELDS, "WhatsAppBusinessPhoneNumber")
        for number in waba.numbers.values()
    ]
    return page(call, rows, f"/v{call.version}.0/{waba.id}/phone_numbers")


def list_subscriptions(simulator: Simulator, waba: Waba, _call: Call) -> dict[str, Any]:
    """Answer GET on the apps that get an account's webhooks."""
    app = {
        "link": "https://www.facebook.com/games/?app_id=" + simulator.options.app_id,
        "name": "Simulated app",
        "id": simulator.options.app_id,
    }
    return {"data": [{"whatsapp_business_api_data": app}] if waba.subscribed else []}


def subscribe(_simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer POST: webhooks of the account are sent from now on."""
    if call.read("override_callback_uri"):
        raise refuse_parameter("override_callback_uri is not played by this simulator")
    waba.subscribed = True
    return {"success": True}


def unsubscribe(_simulator: Simulator, waba: Waba, _call: Call) -> dict[str, Any]:
    """Answer DELETE: no webhooks of the account are sent from now on."""
    waba.subscribed = False
    return {"success": True}


def describe_number(number: Number) -> dict[str, Any]:
    """Return every field of a number that can be asked for."""
    return {
        "id": number.id,
        "verified_name": number.verified_name,
        "display_phone_number": number.display,
        "code_verification_status": "VERIFIED",
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API" if number.registered else "NOT_APPLICABLE",
        "throughput": {"level": "STANDARD"},
        "status": "CONNECTED" if number.registered else "DISCONNECTED",
        "name_status": "APPROVED",
        "messaging_limit_tier": "TIER_250",
        "whatsapp_business_manager_messaging_limit": "TIER_250",
        "is_official_business_account": False,
        "is_pin_enabled": bool(number.pin),
        "account_mode": "LIVE",
        "country_dial_code": number.digits[:1],
    }


def debug_token(simulator: Simulator, call: Call) -> dict[str, Any]:
    """Answer GET /debug_token; the caller must show the app token."""
    options = simulator.options
    if not call.token:
        raise GraphError(104)
    if not is_same(call.token, f"{options.app_id}|{options.app_secret}"):
        raise refuse_parameter(
            "You must provide an app access token, or a user access token that is an owner or"
            " developer of the app",
        )
    token = call.query.get("input_token", "")
    if not token:
        raise refuse_parameter("The parameter input_token is required.")
    waba = simulator.accounts.find_by_token(token)
    if waba is None:
        error = {"code": 190, "message": "Invalid OAuth access token."}
        return {"data": {"error": error, "is_valid": False, "scopes": []}}
    scopes = sorted(waba.scopes)
    is_valid = waba.access == "valid"
    described: dict[str, Any] = {
        "app_id": options.app_id,
        "type": "SYSTEM_USER",
        "application": "Simulated app",
        "is_valid": is_valid,
        "issued_at": _ISSUED_AT,
        "expires_at": _ISSUED_AT if waba.access == "expired" else waba.token_expires_at,
        "data_access_expires_at": _DATA_ACCESS_ENDS_AT,
        "user_id": "122100000000001",
        "scopes": scopes,
        "granular_scopes": [{"scope": scope, "target_ids": [waba.id]} for scope in scopes],
    }
    if not is_valid:
        subcode = 463 if waba.access == "expired" else 467
        message = "Error validating access token"
        described["error"] = {"code": 190, "message": message, "subcode": subcode}
    return {"data": described}


def require_management(waba: Waba) -> None:
    """Refuse a token without the management permission."""
    require_scope(waba, MANAGEMENT)


def refuse_unknown(call: Call) -> GraphError:
    """Return the refusal of a path that leads nowhere."""
    if not call.edge:
        return refuse_object(call.method, call.node)
    return GraphError(
        100,
        message=f"Unsupported {call.method.lower()} request. Unknown path components:"
        f" /{call.edge}",
        kind=METHOD,
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004 - fits an int


NUMBER_CALLS: Final[dict[tuple[str, str], Callable[[Simulator, Number, Call], dict[str, Any]]]] = {
    ("GET", ""): show_number,
    ("POST", "register"): register_number,
    ("POST", "deregister"): deregister_number,
}
WABA_CALLS: Final[dict[tuple[str, str], Callable[[Simulator, Waba, Call], dict[str, Any]]]] = {
    ("GET", ""): show_waba,
    ("GET", "phone_numbers"): list_numbers,
    ("GET", "subscribed_apps"): list_subscriptions,
    ("POST", "subscribed_apps"): subscribe,
    ("DELETE", "subscribed_apps"): unsubscribe,
}
