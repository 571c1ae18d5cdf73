"""A single message that a caller asks for, outside the rules: the same gates, the same rows.

It is stored as an event of a type of its own, so that it has its decision and its explanation like
any other message; no plan of a booking makes it old.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.customers.store import CustomerIn, put_customers
from core.errors import FieldFault, InvalidInputError
from core.ids import EVENT, new_uuid, outward
from core.notify import deciding, event_store
from core.notify.candidates import Notice, Person, look_up, on_each
from core.notify.events import Booking, EventCustomer, NotificationEvent
from core.notify.reasons import REASONS
from core.notify.rules import Rule
from core.notify.timing import Timing
from core.notify.wording import Source, language_chain, meaning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.customers.store import CustomerOut
    from core.notify.candidates import Candidate
    from core.notify.deciding import Verdict
    from core.notify.services import Services

REQUESTED: Final = "notification.requested"
"""The type of the event that stands for a direct send; callers cannot tell it."""

_SOURCE: Final = "/patchbay/notifications"
_PROBLEMS: Final = {
    "channel-unavailable": "channel-disabled",
    "address-suppressed": "consent-revoked",
    "address-missing": "validation",
    "expired": "validation",
}
"""Reasons that callers of the interface know under another problem's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller wants to be sent.

    Attributes:
        language: of the template; without it the customer's, then the business's.
        variables: the values by the template's placeholders; others are made as for events.
        send_at: without it, at once.
        expires_at: after this it would only annoy.
        metadata: what the caller wants to read again with the message; sealed.
        fallback: the channels that take over where one cannot deliver, best first.
    """

    channel: str
    template: str
    customer: EventCustomer
    language: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    booking_ref: str | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()


async def send_direct(
    services: Services, transaction: Transaction, business: BusinessRow, wanted: Request
) -> Verdict:
    """Queue one message; wake its lane after the commit.

    Raises:
        InvalidInputError: a gate said no; the code says which. Roll the transaction back.
    """
    now = services.clock.now() + business.ahead
    due_at = max(wanted.send_at or now, now)
    if wanted.expires_at is not None and wanted.expires_at <= due_at:
        raise _expired()
    told = wanted.customer
    [stored] = await put_customers(
        transaction,
        services.vault,
        business.id,
        [CustomerIn(ref=told.id, phone=told.phone, email=told.email)],
    )
    event_id = new_uuid()
    notice = _notice(business, wanted, stored, event_id, due_at, now)
    key = (notice.event.source, notice.event.id)
    await event_store.insert(
        transaction, services.vault, business.id, {key: notice.event}, {key: event_id}
    )
    await event_store.name_customers(transaction, business.id, {key: stored.id})
    notices = on_each(notice, (wanted.channel, *wanted.fallback))
    candidates = await look_up(transaction, services, business, notices, now)
    verdicts = deciding.decide(candidates)
    _check_language(wanted, verdicts[-1].candidate)
    if verdicts[-1].reason:
        raise _refusal(verdicts[0], business, told)
    await deciding.write(transaction, services.vault, business.id, verdicts, ahead=business.ahead)
    return verdicts[-1]


def _notice(
    business: BusinessRow,
    wanted: Request,
    stored: CustomerOut,
    event_id: UUID,
    due_at: datetime,
    now: datetime,
) -> Notice:
    customer = EventCustomer(
        id=stored.ref,
        first_name=stored.name.get("first_name"),
        last_name=stored.name.get("last_name"),
    )
    booking = Booking(ref=wanted.booking_ref) if wanted.booking_ref else None
    return Notice(
        event=NotificationEvent(
            id=outward(EVENT, event_id),
            source=_SOURCE,
            type=REQUESTED,
            time=now,
            business_ref=business.ref,
            customer=customer,
            booking=booking,
        ),
        event_id=event_id,
        rule=Rule(
            key="",
            event_type=REQUESTED,
            template=wanted.template,
            channels=(wanted.channel,),
            languages=(wanted.language,) if wanted.language else (),
        ),
        channel=wanted.channel,
        person=Person(
            id=stored.id,
            locale=wanted.language or stored.locale,
            timezone=stored.timezone,
        ),
        source=Source(
            business_name=business.name,
            timezone=business.timezone,
            customer=customer,
            booking=booking,
            given={meaning(name): value for name, value in wanted.variables.items()},
            metadata=dict(wanted.metadata),
        ),
        timing=Timing(due_at=due_at, useful_until=wanted.expires_at),
    )


def _check_language(wanted: Request, candidate: Candidate) -> None:
    """Refuse a template that stands in for one in the language that was asked for."""
    if wanted.language is None or not candidate.facts.template_found:
        return
    asked = language_chain(wanted.language)
    if candidate.language not in asked or (
        candidate.language == "en" and wanted.language.partition("-")[0] != "en"
    ):
        raise InvalidInputError(
            f"There is no template {wanted.template} in {wanted.language}.",
            code="template-unknown",
        )


def _refusal(
    verdict: Verdict, business: BusinessRow, customer: EventCustomer
) -> InvalidInputError:
    reason = verdict.reason
    if reason == "channel-disabled" and business.killed_at is not None:
        reason = "business-suspended"
    about = REASONS.get(reason)
    detail = f"{customer.id}: {about.summary}" if about else "The business is suspended."
    faults: list[FieldFault] = []
    if reason == "variable-missing":
        faults = [
            FieldFault(f"/variables/{name}", "missing", "The template needs this value.")
            for name in verdict.candidate.facts.missing
        ]
    elif reason == "address-missing":
        faults = [FieldFault("/to", "missing", "No address of this customer is known.")]
    return InvalidInputError(detail, code=_PROBLEMS.get(reason, reason), errors=faults)


def _expired() -> InvalidInputError:
    fault = FieldFault("/expires_at", "out-of-range", "It must lie behind the time of sending.")
    return InvalidInputError(fault.message, errors=[fault])
