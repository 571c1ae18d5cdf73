"""Consents as they go over the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.api.schemas import In, Locale, Out, Slug
from core.notify.events import CustomerIn, Line, Moment, Name, Ref

Purpose = Literal["transactional", "marketing"]
Source = Literal["web", "app", "whatsapp", "paper"]
TextVersion = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[\x21-\x7e]+$(?!\n)",
        description="Which sentence the customer saw; see the consent text.",
        examples=["en-v1"],
    ),
]


class ConsentTextQuery(In, frozen=True, kw_only=True):
    """Which sentence."""

    channel: Slug = "whatsapp"
    purpose: Purpose = "transactional"
    language: Locale | None = None


class ConsentTextOut(Out, frozen=True, kw_only=True):
    """The sentence to show, and the version that a grant must name."""

    channel: str
    purpose: str
    language: str
    text_version: str
    text: str


class ConsentCustomer(In, frozen=True, kw_only=True):
    """The customer, if they are new or something about them is."""

    id: Ref | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    phone: Annotated[str, Meta(max_length=40, examples=["+393331234567"])] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    locale: Locale | None = None
    timezone: Annotated[str, Meta(max_length=64)] | None = None

    def as_told(self, customer_id: str) -> CustomerIn:
        """Return it as an event would tell it."""
        fields: dict[str, Any] = msgspec.structs.asdict(self)
        return CustomerIn(**(fields | {"id": customer_id}))


class ConsentBody(In, frozen=True, kw_only=True):
    """A customer's yes, with what proves it."""

    customer_id: Ref
    channel: Slug
    source: Source
    granted_at: Moment
    text_version: TextVersion
    business_id: Ref | None = None
    purpose: Purpose = "transactional"
    locale: Locale | None = None
    proof_reference: Line | None = None
    proof: dict[str, Any] | None = None
    customer: ConsentCustomer | None = None


class ConsentOut(Out, frozen=True, kw_only=True):
    """What holds now; `state` is granted or revoked."""

    id: str
    business_id: str
    customer_id: str
    channel: str
    purpose: str
    state: str
    source: str
    granted_at: datetime | None
    revoked_at: datetime | None
    text_version: str | None
    locale: str | None
    proof_reference: str | None
    created_at: datetime
    updated_at: datetime


class RevokeBody(In, frozen=True, kw_only=True):
    """A customer's no; everything about it may be left out."""

    source: Source = "app"
    at: Moment | None = None


class RevokedOut(Out, frozen=True, kw_only=True):
    """Acknowledged: from now on nothing is sent."""

    canceled_notifications: int
    state: str = "revoked"


class RevokingOut(Out, frozen=True, kw_only=True):
    """Not acknowledged yet: so many messages are being sent at this moment; ask again."""

    draining: int
    state: str = "revoking"


class ConsentsQuery(In, frozen=True, kw_only=True):
    """Whose consents."""

    customer_id: Ref
    business_id: Ref | None = None


class LedgerOut(Out, frozen=True, kw_only=True):
    """One line of the history: what was said, when, and who told us."""

    action: str
    channel: str
    purpose: str
    occurred_at: datetime
    recorded_at: datetime
    source: str
    actor: str
    text_version: str | None
    locale: str | None
    proof_reference: str | None


class ConsentsOut(Out, frozen=True, kw_only=True):
    """What holds now, and how it came to it, the newest first."""

    data: list[ConsentOut]
    history: list[LedgerOut]


class ConsentPair(In, frozen=True, kw_only=True):
    """One question."""

    customer_id: Ref
    channel: Slug
    purpose: Purpose = "transactional"


class ConsentCheckBody(In, frozen=True, kw_only=True):
    """Up to 500 questions about one business's customers."""

    pairs: Annotated[list[ConsentPair], Meta(min_length=1, max_length=500)]
    business_id: Ref | None = None


class ConsentCheckItem(Out, frozen=True, kw_only=True):
    """One answer; no row means no."""

    customer_id: str
    channel: str
    purpose: str
    allowed: bool
    reason: str | None
    id: str | None


class ConsentCheckOut(Out, frozen=True, kw_only=True):
    """The answers, in the order of the questions."""

    data: list[ConsentCheckItem]
