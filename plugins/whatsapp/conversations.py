"""Translates news about messages, sent and received, into the host's words; pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from core.channels.messages import ChannelEvent, InboundMessage, Status, StatusUpdate
from plugins.whatsapp.failures import is_recipients, mask_numbers, report_for
from plugins.whatsapp.fields import address, first_error, moment, part, required, text_of
from plugins.whatsapp.notices import SEND_REFUSED

if TYPE_CHECKING:
    from core.channels.messages import ProviderEvent

_STATUSES: Final = {
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    # Somebody who has played a voice message has seen it.
    "played": Status.READ,
    "failed": Status.FAILED,
}
_WRITTEN_IN: Final = {
    "text": ("body",),
    "button": ("text",),
    "image": ("caption",),
    "video": ("caption",),
    "document": ("caption",),
    "reaction": ("emoji",),
    "location": ("name", "address"),
    "order": ("text",),
}
# Nobody wrote these: WhatsApp itself tells them in the form of a message.
_NOT_WRITTEN: Final = frozenset({"system", "revoke"})
_KIND_LENGTH: Final = 32


def status_news(account: str, item: dict[str, Any]) -> ProviderEvent:
    """Translate one status of a message we sent.

    Raises:
        MalformedError: the message id or the time is missing.
    """
    wamid = required(item.get("id"), "id")
    word = required(item.get("status"), "status", 64)
    happened = moment(item.get("timestamp"))
    code, words = first_error(item.get("errors"))
    callback = text_of(item.get("biz_opaque_callback_data"), 512)
    dedupe = _word("status", wamid, word, text_of(item.get("timestamp"), 32), code)
    if word not in _STATUSES:
        return ChannelEvent(
            kind=f"status_{word}"[:_KIND_LENGTH],
            account=account,
            callback_id=callback,
            dedupe=dedupe,
            occurred_at=happened,
            known=False,
            data=item,
        )
    return StatusUpdate(
        account=account,
        callback_id=callback,
        dedupe=dedupe,
        provider_message_id=wamid,
        status=_STATUSES[word],
        occurred_at=happened,
        error_code=code,
        error_detail=mask_numbers(words),
        recipient_fault=is_recipients(code),
    )


def refusal_news(update: ProviderEvent) -> ChannelEvent | None:
    """Return what a failed status says about the number itself, such as an unpaid bill."""
    if not isinstance(update, StatusUpdate) or not report_for(update.error_code):
        return None
    return ChannelEvent(
        kind=SEND_REFUSED,
        account=update.account,
        callback_id=update.callback_id,
        dedupe=f"refused:{update.dedupe}",
        occurred_at=update.occurred_at,
        data={"code": update.error_code},
    )


def inbound_news(account: str, item: dict[str, Any]) -> ProviderEvent:
    """Translate one message that a customer wrote.

    Raises:
        MalformedError: the message id or the time is missing.
    """
    wamid = required(item.get("id"), "id")
    kind = required(item.get("type"), "type", 64)[:_KIND_LENGTH]
    happened = moment(item.get("timestamp"))
    if kind in _NOT_WRITTEN:
        return ChannelEvent(
            kind=f"message_{kind}",
            account=account,
            dedupe=_word("inbound", wamid),
            occurred_at=happened,
            known=False,
            data=item,
        )
    return InboundMessage(
        account=account,
        dedupe=_word("inbound", wamid),
        provider_message_id=wamid,
        # Who has a user name may stay without a number: then WhatsApp's own id names them.
        sender=address(item.get("from")) or address(item.get("from_user_id")),
        message_type=kind,
        text=_words(kind, item),
        answers=_answers(kind, item),
        button=_button(kind, item),
        occurred_at=happened,
    )


def _words(kind: str, item: dict[str, Any]) -> str:
    if kind == "interactive":
        return text_of(_reply(item).get("title")) or text_of(_reply(item).get("body"))
    inner = part(item, kind)
    if kind == "edit":
        return text_of(part(part(inner, "message"), "text").get("body"))
    found = (text_of(inner.get(key)) for key in _WRITTEN_IN.get(kind, ()))
    return ", ".join(filter(None, found))


def _reply(item: dict[str, Any]) -> dict[str, Any]:
    inner = part(item, "interactive")
    return part(inner, text_of(inner.get("type"), 64))


def _button(kind: str, item: dict[str, Any]) -> str:
    if kind == "button":
        return text_of(part(item, "button").get("payload"), 256)
    return text_of(_reply(item).get("id"), 256) if kind == "interactive" else ""


def _answers(kind: str, item: dict[str, Any]) -> str:
    if kind == "reaction":
        return text_of(part(item, "reaction").get("message_id"), 255)
    return text_of(part(item, "context").get("id"), 255)


def _word(*parts: str) -> str:
    """Return a word for deduplication; hashed, because a wamid holds the phone number."""
    return f"{parts[0]}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"
