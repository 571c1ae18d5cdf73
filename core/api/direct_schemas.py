"""Direct sends as they go over the wire."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from core.api.schemas import In, Locale, Out, Slug
from core.notify.events import Moment, Ref

Placeholder = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.]{1,64}$(?!\n)")]
Value = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
MetadataKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$(?!\n)")]
MetadataValue = Annotated[str, Meta(max_length=200)]


class SendTo(In, frozen=True, kw_only=True):
    """To whom; an address that is told becomes the customer's, others stay known."""

    customer_id: Ref
    phone: Annotated[str, Meta(max_length=40, examples=["+393331234567"])] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None


class SendBody(In, frozen=True, kw_only=True):
    """One message, outside the rules; `variables` by the template's placeholders.

    `fallback` names the channels that take over, in their order, where one cannot deliver.
    """

    channel: Slug
    template: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,512}$(?!\n)")]
    to: SendTo
    business_id: Ref | None = None
    language: Locale | None = None
    variables: Annotated[dict[Placeholder, Value], Meta(max_length=50)] = msgspec.field(
        default_factory=dict
    )
    fallback: Annotated[tuple[Slug, ...], Meta(max_length=7)] = ()
    send_at: Moment | None = None
    expires_at: Moment | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=20)] = msgspec.field(
        default_factory=dict
    )


class SelfLink(Out, frozen=True, kw_only=True):
    """Where to read on."""

    self: str


class SentOut(Out, frozen=True, kw_only=True):
    """The message is queued; `send_at` says when it is due, if that is not at once."""

    id: str
    status: str
    send_at: datetime | None
    links: SelfLink
