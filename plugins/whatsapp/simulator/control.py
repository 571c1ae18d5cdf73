"""The control API: what a test or a demo uses to set the stage and to look behind it."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from plugins.whatsapp.simulator.accounts import AccountDefinition, Number, describe_account
from plugins.whatsapp.simulator.errors import GraphError
from plugins.whatsapp.simulator.faults import Fault
from plugins.whatsapp.simulator.journal import Accepted, Attempt
from plugins.whatsapp.simulator.numbers import read_customer, strip_number
from plugins.whatsapp.simulator.simulator import Simulator

_LIMIT = 10_000


class ButtonPress(msgspec.Struct, forbid_unknown_fields=True):
    """A quick reply that a customer pressed."""

    payload: Annotated[str, msgspec.Meta(max_length=256)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    context_id: str = ""


class InboundDefinition(msgspec.Struct, forbid_unknown_fields=True):
    """A message from a customer: a text or a button press."""

    phone_number_id: str
    sender: Annotated[str, msgspec.Meta(min_length=7, max_length=32)] = msgspec.field(name="from")
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    button: ButtonPress | None = None


class WebhookDefinition(msgspec.Struct, forbid_unknown_fields=True):
    """A webhook of any shape; a wrong signature shows whether the receiver looks."""

    payload: dict[str, Any]
    signed: bool = True


class Advance(msgspec.Struct, forbid_unknown_fields=True):
    """How far the simulator's time of day moves."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=366 * 24 * 3600)]


class JournalPage(msgspec.Struct):
    """Accepted messages; ask again with ``since`` set to ``last``."""

    messages: Sequence[Accepted]
    last: int


class RequestPage(msgspec.Struct):
    """Requests to Graph; ask again with ``since`` set to ``last``."""

    requests: Sequence[Attempt]
    last: int


def find_simulator(request: Request[Any, Any, Any]) -> Simulator:
    """Return the simulator behind this application."""
    simulator: Simulator = request.app.state.simulator
    return simulator


def find_sender(simulator: Simulator, phone_number_id: str) -> Number:
    """Return a business's number, or refuse in plain words."""
    number = simulator.accounts.numbers.get(phone_number_id)
    if number is None:
        raise GraphError(100, message=f"There is no phone number {phone_number_id}.")
    return number


def find_customer(text: str) -> str:
    """Return a customer's digits or user id, or refuse in plain words."""
    customer = read_customer(text)
    if customer is None:
        raise GraphError(100, message="A customer's number has 7 to 15 digits.")
    return customer


@post("/simulator/accounts", status_code=200)
async def put_account(
    request: Request[Any, Any, Any], data: JSONBody[AccountDefinition]
) -> dict[str, Any]:
    """Create or change an account."""
    return describe_account(find_simulator(request).accounts.upsert(data))


@get("/simulator/accounts")
async def list_accounts(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the accounts, without their tokens."""
    numbers = find_simulator(request).accounts.numbers.values()
    return {"accounts": [describe_account(number) for number in numbers]}


@post("/simulator/reset", status_code=200)
async def reset_state(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Forget everything."""
    find_simulator(request).reset()
    return {"reset": True}


@get("/simulator/journal")
async def read_journal(
    request: Request[Any, Any, Any],
    since: FromQuery[int] = 0,
    limit: FromQuery[int] = _LIMIT,
    to: FromQuery[str] = "",
) -> JournalPage:
    """Return what was accepted."""
    journal = find_simulator(request).journal
    found = journal.list_since(max(0, since), max(1, limit), strip_number(to))
    return JournalPage(found, found[-1].sequence if found else since)


@get("/simulator/requests")
async def read_requests(
    request: Request[Any, Any, Any],
    since: FromQuery[int] = 0,
    limit: FromQuery[int] = _LIMIT,
) -> RequestPage:
    """Return every request to Graph, refused ones too."""
    found = find_simulator(request).journal.list_attempts(max(0, since), max(1, limit))
    return RequestPage(found, found[-1].sequence if found else since)


@post("/simulator/inbound", status_code=202)
async def write_inbound(
    request: Request[Any, Any, Any], data: JSONBody[InboundDefinition]
) -> dict[str, Any]:
    """Let a customer write."""
    simulator = find_simulator(request)
    number, customer = find_sender(simulator, data.phone_number_id), find_customer(data.sender)
    if (data.text is None) == (data.button is None):
        raise GraphError(100, message="Give either text or button.")
    if data.button is None:
        identifier = simulator.write_text(number, customer, data.text or "")
    else:
        press = data.button
        identifier = simulator.press_button(
            number, customer, press.payload, press.text, press.context_id
        )
    return {"message_id": identifier}


@post("/simulator/webhooks", status_code=202)
async def send_webhook(
    request: Request[Any, Any, Any], data: JSONBody[WebhookDefinition]
) -> dict[str, Any]:
    """Send a webhook of the caller's making; a forged one only once."""
    find_simulator(request).delivery.post(data.payload, is_signed=data.signed)
    return {"sending": True}


@get("/simulator/faults")
async def list_faults(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the faults that wait."""
    return {"faults": find_simulator(request).faults.waiting}


@post("/simulator/faults", status_code=200)
async def add_faults(
    request: Request[Any, Any, Any],
    data: JSONBody[list[Fault] | Fault],
) -> dict[str, Any]:
    """Append faults: a list, or one."""
    faults = find_simulator(request).faults
    faults.add(data if isinstance(data, list) else [data])
    return {"waiting": len(faults.waiting)}


@delete("/simulator/faults", status_code=200)
async def drop_faults(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Drop the faults that wait."""
    find_simulator(request).faults.clear()
    return {"waiting": 0}


@post("/simulator/statuses/release", status_code=200)
async def release_statuses(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Let go of the statuses that a fault holds."""
    return {"released": find_simulator(request).delivery.release()}


@post("/simulator/clock/advance", status_code=200)
async def advance_clock(
    request: Request[Any, Any, Any], data: JSONBody[Advance]
) -> dict[str, Any]:
    """Move the simulator's time of day forward."""
    clock = find_simulator(request).clock
    clock.advance(data.seconds)
    return {"now": clock.now().isoformat()}


@post("/simulator/verify-webhook", status_code=200)
async def verify_webhook(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Send the webhook challenge now."""
    simulator = find_simulator(request)
    return {"passed": await simulator.verify_webhook(), "challenge": simulator.challenge}


@get("/simulator/health")
async def show_health(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Tell how the simulator is."""
    simulator = find_simulator(request)
    delivery = simulator.delivery
    return {
        "status": "ok",
        "accounts": len(simulator.accounts.numbers),
        "accepted": len(simulator.journal.accepted),
        "webhook": {
            "url": simulator.options.webhook_url or None,
            "challenge": simulator.challenge,
            "delivered": delivery.counts["delivered"],
            "failed_attempts": delivery.counts["failed"],
            "dropped": delivery.counts["dropped"],
            "pending": delivery.pending,
            "last_error": delivery.last_error or None,
        },
    }


@get("/simulator/{tail:path}")
async def refuse_control_path(tail: FromPath[str]) -> Response[dict[str, str]]:
    """Answer control paths that do not exist."""
    return Response({"error": f"The control API has no {tail}."}, status_code=404)


CONTROL_HANDLERS = [
    put_account,
    list_accounts,
    reset_state,
    read_journal,
    read_requests,
    write_inbound,
    send_webhook,
    list_faults,
    add_faults,
    drop_faults,
    release_statuses,
    advance_clock,
    verify_webhook,
    show_health,
    refuse_control_path,
]
