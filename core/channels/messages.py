"""What passes between the host and a channel."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from core.ids import BusinessId, CustomerId


class Status(StrEnum):
    """The life of a notification as the specification names it; it only moves forward."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class ConnectionState(StrEnum):
    """Whether a business can use this channel right now."""

    ACTIVE = "active"
    DISABLED = "disabled"
    ERROR = "error"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a template.

    Attributes:
        name: the placeholder as the template holds it: `first_name`, or `1` where placeholders
            are numbered.
        value: the finished text, already in the customer's language.
    """

    name: str
    value: str


class OutboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, ready to be handed to a provider.

    Attributes:
        callback_id: our id (`ntf_...`); a provider that echoes it lets lost answers be settled.
        account: the business's own account with the provider, as the channel named it in the
            catalogue (`account_ref`).
        address: where to send, in the channel's normal form (E.164 for phones).
        template: the template's name; empty for a free text.
        parameters: the template's values in its own order.
        text: the words of a free text; empty for a template.
        template_version: the catalogue's version the values were rendered for.
    """

    callback_id: str
    business_id: BusinessId
    customer_id: CustomerId
    account: str
    address: str
    template: str = ""
    language: str = ""
    parameters: tuple[Parameter, ...] = ()
    parameter_format: str = "named"
    text: str = ""
    template_version: int = 0


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took the message over."""

    provider_message_id: str


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's call, as raw as it came; header names are lower case."""

    headers: dict[str, str]
    query: dict[str, str]
    body: bytes


class StatusUpdate(msgspec.Struct, frozen=True, kw_only=True, tag="status"):
    """The provider's news about a message we sent, in our words.

    Attributes:
        account: the `account_ref` it concerns; routing goes by it, never by the address called.
        callback_id: our id if the provider echoes it, else empty.
        dedupe: the same news told twice carries the same word.
        error_code: the provider's own code of a failure.
        recipient_fault: the failure says something of the recipient, not of the channel or the
            account; it does not count toward a suspension.
    """

    account: str
    callback_id: str = ""
    dedupe: str
    provider_message_id: str
    status: Status
    occurred_at: datetime
    error_code: str = ""
    error_detail: str = ""
    recipient_fault: bool = False


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True, tag="inbound"):
    """A customer wrote to a business.

    Attributes:
        sender: the address in the channel's normal form.
        answers: the provider's id of our message that this one answers, else empty.
        button: the payload of a pressed button, else empty.
    """

    account: str
    callback_id: str = ""
    dedupe: str
    provider_message_id: str
    sender: str
    message_type: str
    text: str
    answers: str = ""
    button: str = ""
    occurred_at: datetime


class ChannelEvent(msgspec.Struct, frozen=True, kw_only=True, tag="event"):
    """Other news about an account, a template or a number, for the channel's own tables.

    Attributes:
        kind: the channel's word, for example `template_status`; unknown ones are kept and counted.
        known: False when the channel acts on nothing of this kind.
    """

    kind: str
    account: str
    callback_id: str = ""
    dedupe: str
    occurred_at: datetime
    known: bool = True
    data: dict[str, Any]


ProviderEvent = StatusUpdate | InboundMessage | ChannelEvent


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer would see."""

    text: str
    header: str = ""
    footer: str = ""
    buttons: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One health check of a connection, with advice where it is red."""

    name: str
    passed: bool
    detail: str
    advice: str = ""
