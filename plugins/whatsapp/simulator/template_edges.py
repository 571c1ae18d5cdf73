"""Lists, creates and deletes message templates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.simulator.errors import GraphError, refuse_parameter
from plugins.whatsapp.simulator.message_templates import compile_template
from plugins.whatsapp.simulator.nodes import page, pick_fields
from plugins.whatsapp.simulator.payloads import describe_review

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugins.whatsapp.simulator.accounts import Waba
    from plugins.whatsapp.simulator.calls import Call
    from plugins.whatsapp.simulator.message_templates import MessageTemplate
    from plugins.whatsapp.simulator.simulator import Simulator

_FIELDS: Final = "name,parameter_format,components,language,status,category,id"
_FILTERS: Final = ("name", "language", "status", "category")
_LIMIT: Final = 250
_DUPLICATE: Final = 2388024
# A name with this ending is rejected by the review; every other is approved.
_REJECTED_ENDING: Final = "_rejected"


def list_templates(_simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer GET: pages of templates, filtered, with the summary some clients insist on."""
    rows = [
        pick_fields(call, _describe(template), _FIELDS, "WhatsAppMessageTemplate")
        for template in waba.templates.values()
        if _matches(template, call)
    ]
    answer = page(call, rows, f"/v{call.version}.0/{waba.id}/message_templates")
    if "summary" in call.query:
        answer["summary"] = {
            "total_count": len(rows),
            "message_template_count": len(waba.templates),
            "message_template_limit": _LIMIT,
            "are_translations_complete": True,
        }
    return answer


def create_template(simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer POST: the template waits for its review, which ends a moment later."""
    template = compile_template(call.body, simulator.identifiers.draw_object(), "PENDING")
    if (template.name, template.language) in waba.templates:
        raise GraphError(
            100,
            "Content in this language already exists",
            message="Invalid parameter",
            subcode=_DUPLICATE,
        )
    if len(waba.templates) >= _LIMIT:
        raise GraphError(100, "The account has reached its limit of templates")
    simulator.accounts.put_template(waba, template)
    delay = simulator.options.delay_ms / 1000
    asyncio.get_running_loop().call_later(delay, _review, simulator, waba, template)
    return {"id": template.id, "status": "PENDING", "category": template.category}


def delete_template(_simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    """Answer DELETE: every language of a name goes, or the one with ``hsm_id``."""
    name, identifier = call.read("name"), call.read("hsm_id")
    if not name:
        raise refuse_parameter("The parameter name is required.")
    found = [
        key
        for key, template in waba.templates.items()
        if template.name == name and identifier in {"", template.id}
    ]
    if not found:
        raise GraphError(100, f"Message template {name} was not found", subcode=2593002)
    for key in found:
        del waba.templates[key]
    return {"success": True}


def _review(simulator: Simulator, waba: Waba, template: MessageTemplate) -> None:
    if waba.templates.get((template.name, template.language)) is not template:
        return
    is_rejected = template.name.endswith(_REJECTED_ENDING)
    template.status = "REJECTED" if is_rejected else "APPROVED"
    payload = describe_review(waba.id, template, int(simulator.clock.timestamp()))
    simulator.delivery.post(payload, is_subscribed=waba.subscribed)


def _matches(template: MessageTemplate, call: Call) -> bool:
    for name in _FILTERS:
        wanted = call.query.get(name)
        if not wanted:
            continue
        value = str(getattr(template, name))
        if value.lower() != wanted.lower() and not (name == "name" and wanted in value):
            return False
    return True


def _describe(template: MessageTemplate) -> dict[str, Any]:
    return {
        "id": template.id,
        "name": template.name,
        "language": template.language,
        "status": template.status,
        "category": template.category,
        "sub_category": "",
        "previous_category": "",
        "correct_category": "",
        "parameter_format": template.parameter_format,
        "components": template.components,
        "quality_score": {"score": "UNKNOWN", "date": 0},
        "rejected_reason": "INVALID_FORMAT" if template.status == "REJECTED" else "NONE",
        "message_send_ttl_seconds": -1,
        "library_template_name": "",
    }


TEMPLATE_CALLS: Final[dict[tuple[str, str], Callable[[Simulator, Waba, Call], dict[str, Any]]]] = {
    ("GET", "message_templates"): list_templates,
    ("POST", "message_templates"): create_template,
    ("DELETE", "message_templates"): delete_template,
}
