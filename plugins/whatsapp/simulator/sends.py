"""Accepts or refuses a message, in Meta's order: form, number, template, window, limits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.simulator.conversations import Bubble
from plugins.whatsapp.simulator.delivery import Track
from plugins.whatsapp.simulator.errors import KNOWN, GraphError
from plugins.whatsapp.simulator.faults import STATUSES
from plugins.whatsapp.simulator.journal import Accepted
from plugins.whatsapp.simulator.magic import plan_statuses
from plugins.whatsapp.simulator.rendering import Rendered, render_message, render_template
from plugins.whatsapp.simulator.template_parameters import read_parameters
from plugins.whatsapp.simulator.validation import Envelope, read_envelope, require_product

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.accounts import Number
    from plugins.whatsapp.simulator.faults import Fault
    from plugins.whatsapp.simulator.message_templates import MessageTemplate
    from plugins.whatsapp.simulator.simulator import Simulator

_FREE_SERVICE_MESSAGES: Final = 1000
_UNDELIVERABLE: Final = (131026, "Message Undeliverable.")


def accept_message(
    simulator: Simulator,
    number: Number,
    body: dict[str, Any],
    version: int,
) -> dict[str, Any]:
    """Take a message: journal it, plan its statuses, return the answer's body."""
    if "status" in body:
        return _mark_read(simulator, body)
    envelope = read_envelope(body, number.digits)
    if not number.registered:
        raise GraphError(133010, "The phone number is not registered")
    simulator.magic.refuse(number.id, envelope.to, envelope.callback or "")
    template: MessageTemplate | None = None
    if envelope.kind == "template":
        template = _find_template(number, envelope)
        filling = read_parameters(template, envelope.content.get("components"), version)
        rendered = render_template(template, filling)
    else:
        _require_window(simulator, number, envelope)
        rendered = render_message(envelope.kind, envelope.content)
    simulator.limits.count(number.id, envelope.to)
    bubble = _write_down(simulator, number, envelope, rendered)
    pricing = _price(number, template)
    _plan_statuses(simulator, number, envelope, bubble, pricing)
    return _describe_answer(envelope, bubble.id)


def _mark_read(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    require_product(body)
    bubble = simulator.conversations.find(str(body.get("message_id", "")))
    if body["status"] != "read" or bubble is None or not bubble.is_inbound:
        raise GraphError(131009, "message_id is not the id of a message that was received")
    bubble.advance("read")
    return {"success": True}


def _find_template(number: Number, envelope: Envelope) -> MessageTemplate:
    name, language = envelope.content["name"], envelope.content["language"]["code"]
    template = number.waba.templates.get((name, language))
    if template is None:
        raise GraphError(132001, f"template name ({name}) does not exist in {language}")
    if template.status == "APPROVED":
        if envelope.is_scoped and template.category == "AUTHENTICATION":
            raise GraphError(131062, "Send authentication templates to a phone number")
        return template
    if template.status == "PAUSED":
        raise GraphError(132015, f"Template {name} is paused due to low quality")
    if template.status == "DISABLED":
        raise GraphError(132016, f"Template {name} is disabled due to low quality")
    raise GraphError(132001, f"template name ({name}) is not approved in {language}")


def _require_window(simulator: Simulator, number: Number, envelope: Envelope) -> None:
    at = simulator.clock.timestamp()
    if not simulator.conversations.is_open(number.id, envelope.to, at):
        raise GraphError(
            131047,
            "Message failed to send because more than 24 hours have passed since the customer"
            " last replied to this number.",
        )


def _write_down(
    simulator: Simulator,
    number: Number,
    envelope: Envelope,
    rendered: Rendered,
) -> Bubble:
    now = simulator.clock.now()
    bubble = Bubble(
        id=simulator.identifiers.draw_outbound(envelope.to),
        phone_number_id=number.id,
        customer=envelope.to,
        rendered=rendered,
        written_at=now.timestamp(),
    )
    content = envelope.content if envelope.kind == "template" else {}
    simulator.journal.add(
        Accepted(
            sequence=0,
            wamid=bubble.id,
            accepted_at=now.isoformat(),
            monotonic=simulator.clock.monotonic(),
            waba_id=number.waba.id,
            phone_number_id=number.id,
            to=envelope.to,
            type=envelope.kind,
            template=content.get("name"),
            language=content["language"]["code"] if content else None,
            components=content.get("components"),
            text=rendered.body,
            rendered=rendered,
            biz_opaque_callback_data=envelope.callback,
        ),
    )
    simulator.conversations.add(bubble)
    return bubble


def _price(number: Number, template: MessageTemplate | None) -> dict[str, Any]:
    category, is_free = "service", False
    if template is not None:
        category = template.category.lower()
    else:
        number.service_messages += 1
        is_free = number.service_messages <= _FREE_SERVICE_MESSAGES
    return {
        "billable": not is_free,
        "pricing_model": "PMP",
        "type": "free_customer_service" if is_free else "regular",
        "category": category,
    }


def _plan_statuses(
    simulator: Simulator,
    number: Number,
    envelope: Envelope,
    bubble: Bubble,
    pricing: dict[str, Any],
) -> None:
    delay = simulator.options.delay_ms / 1000
    track = Track(
        number=number,
        bubble=bubble,
        callback=envelope.callback,
        pricing=pricing,
        failure=_UNDELIVERABLE,
        steps=deque(plan_statuses(envelope.to, delay)),
    )
    fault = simulator.faults.take(STATUSES, "messages", envelope.to)
    if fault is not None:
        _bend_plan(track, fault, delay)
        if fault.kind == "hold_statuses" and fault.ms is None:
            simulator.delivery.hold(track)
            return
    simulator.delivery.follow(track)


def _bend_plan(track: Track, fault: Fault, delay: float) -> None:
    steps = list(track.steps)
    if fault.kind == "duplicate_statuses":
        steps = [step for step in steps for _ in range(2)]
    elif fault.kind == "reverse_statuses":
        steps.reverse()
    elif fault.kind == "fail_status":
        title = KNOWN.get(fault.code, (400, "Unknown error"))[1]
        track.failure = (fault.code, fault.details or title)
        steps = [(delay, "failed")]
    elif steps and fault.ms is not None:
        steps[0] = (fault.ms / 1000, steps[0][1])
    track.steps = deque(steps)


def _describe_answer(envelope: Envelope, identifier: str) -> dict[str, Any]:
    contact = {"input": envelope.given}
    contact["user_id" if envelope.is_scoped else "wa_id"] = envelope.to
    message = {"id": identifier}
    if envelope.kind == "template":
        message["message_status"] = "accepted"
    return {"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]}
