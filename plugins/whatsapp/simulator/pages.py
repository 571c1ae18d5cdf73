"""The pages: the customer's phone in a browser."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from markupsafe import Markup, escape

from plugins.whatsapp.simulator.control import find_customer, find_sender, find_simulator
from plugins.whatsapp.simulator.conversations import Bubble
from plugins.whatsapp.simulator.numbers import read_calling_code
from plugins.whatsapp.simulator.simulator import Simulator

FOLDER: Final = Path(__file__).parent
_SHOWN: Final = 200
_FORM_LIMIT: Final = 16_384
_TEXT_LIMIT: Final = 4096
_MARKS: Final = (
    (re.compile(r"(?<![\w*])\*(\S(?:[^*\n]*\S)?)\*(?![\w*])"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w_])_(\S(?:[^_\n]*\S)?)_(?![\w_])"), r"<em>\1</em>"),
    (re.compile(r"(?<![\w~])~(\S(?:[^~\n]*\S)?)~(?![\w~])"), r"<s>\1</s>"),
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self';"
    " img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class PhoneLine:
    """One line of the list of phones."""

    number: str
    label: str
    preview: str
    at: float
    is_inbound: bool


def mark_text(text: str) -> Markup:
    """Escape a text and show WhatsApp's marks for bold, italic and struck through."""
    html = str(escape(text))
    for pattern, replacement in _MARKS:
        html = pattern.sub(replacement, html)
    return Markup(html)  # noqa: S704 - escaped above, only our own tags were added


def write_time(at: float) -> str:
    """Return hours and minutes, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def write_day(at: float) -> str:
    """Return the day, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %B %Y").lstrip("0")


def write_number(customer: str) -> str:
    """Return a number as people read it."""
    if not customer.isdigit():
        return customer
    code = read_calling_code(customer)
    rest = customer[len(code) :]
    ends = [*range(3, len(rest) - 2, 3), len(rest)]
    groups = [rest[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    return " ".join((f"+{code}", *groups))


def is_link(target: str) -> bool:
    """Tell whether a button's target may be opened in a browser."""
    return target.startswith(("https://", "http://"))


def _build_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        marked=mark_text, clock=write_time, day=write_day, number=write_number
    )
    environment.tests["link"] = is_link
    return environment


_ENVIRONMENT: Final = _build_environment()


def render_lost(text: str, status: int) -> Response[str]:
    """Return the page of an address that leads nowhere."""
    return _render("lost.html", status, text=text)


def _render(template: str, status: int = 200, /, **values: Any) -> Response[str]:
    text = _ENVIRONMENT.get_template(template).render(**values)
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)


def _list_phones(simulator: Simulator) -> list[PhoneLine]:
    lines = []
    for customer, bubble in simulator.conversations.list_customers()[:_SHOWN]:
        number = simulator.accounts.numbers.get(bubble.phone_number_id)
        lines.append(
            PhoneLine(
                number=customer,
                label=number.verified_name if number else "Unknown business",
                preview=bubble.rendered.body or bubble.rendered.header,
                at=bubble.written_at,
                is_inbound=bubble.is_inbound,
            ),
        )
    return lines


def _list_bubbles(simulator: Simulator, customer: str) -> list[Bubble]:
    bubbles = simulator.conversations.list_messages(customer, _SHOWN)
    if not bubbles:
        raise NotFoundException("This phone has no messages yet.")
    return bubbles


@get("/")
async def show_phones(request: Request[Any, Any, Any]) -> Response[str]:
    """Show the phones that have messages."""
    simulator = find_simulator(request)
    return _render(
        "index.html",
        phones=_list_phones(simulator),
        numbers=list(simulator.accounts.numbers.values()),
        current="",
    )


@get("/phones/{customer:str}")
async def show_phone(request: Request[Any, Any, Any], customer: FromPath[str]) -> Response[str]:
    """Show one customer's phone."""
    simulator = find_simulator(request)
    customer = customer.removeprefix("+")
    bubbles = _list_bubbles(simulator, customer)
    numbers = simulator.accounts.numbers
    business = numbers.get(bubbles[-1].phone_number_id)
    return _render(
        "phone.html",
        phones=_list_phones(simulator),
        bubbles=bubbles,
        business=business,
        numbers=list(numbers.values()),
        names={number.id: number.verified_name for number in numbers.values()},
        is_open=business is not None
        and simulator.conversations.is_open(business.id, customer, simulator.clock.timestamp()),
        current=customer,
    )


@post("/phones/{customer:str}/messages", request_max_body_size=_FORM_LIMIT)
async def write_message(
    request: Request[Any, Any, Any], customer: FromPath[str]
) -> Response[None]:
    """Write to the business as this customer, or press a button of its message."""
    simulator = find_simulator(request)
    form = dict(parse_qsl((await request.body()).decode(errors="replace")))
    number = find_sender(simulator, form.get("phone_number_id", ""))
    customer = find_customer(customer)
    text = form.get("text", "").strip()[:_TEXT_LIMIT]
    if "payload" in form and text:
        payload, context = form["payload"], form.get("context_id", "")
        simulator.press_button(number, customer, payload, text, context)
    elif text:
        simulator.write_text(number, customer, text)
    headers = {"Location": f"/phones/{customer}#newest"}
    return Response(None, status_code=303, headers=headers)


PAGE_HANDLERS = [show_phones, show_phone, write_message]
