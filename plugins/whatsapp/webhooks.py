"""Reads Meta's webhooks: who signed them, and what they tell; pure.

The signature is checked over the bytes as they came, before anything is parsed. Nothing in a
body can make the rest of it unread: an item that does not parse becomes a "malformed" event.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.channels.messages import ChannelEvent
from core.errors import WebhookRejectedError
from plugins.whatsapp.conversations import inbound_news, refusal_news, status_news
from plugins.whatsapp.fields import EPOCH, MalformedError, as_list, as_object, moment, text_of
from plugins.whatsapp.notices import notice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from core.channels.messages import ProviderEvent, WebhookRequest
    from plugins.whatsapp.settings import WhatsAppSettings

SIGNATURE_HEADER: Final = "x-hub-signature-256"
_SIGNATURE: Final = re.compile(r"sha256=[0-9a-f]{64}\Z")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


def verify(request: WebhookRequest, settings: WhatsAppSettings) -> None:
    """Check that the holder of the app secret signed these bytes.

    Raises:
        WebhookRejectedError: no secret is configured, or the signature is missing or wrong.
    """
    if not settings.app_secret:
        raise WebhookRejectedError("No app secret is configured, so no webhook can be trusted.")
    given = request.headers.get(SIGNATURE_HEADER, "")
    if not _SIGNATURE.match(given):
        raise WebhookRejectedError("The signature is missing or has the wrong form.")
    if not hmac.compare_digest(given.encode(), signature(settings.app_secret, request.body)):
        raise WebhookRejectedError("The signature does not fit the body.")


def signature(secret: str, body: bytes) -> bytes:
    """Return the header's value for these bytes."""
    return b"sha256=" + hmac.digest(secret.encode(), body, "sha256").hex().encode()


def challenge(query: Mapping[str, str], settings: WhatsAppSettings) -> str | None:
    """Answer Meta's check of our address, or None when it is not Meta asking."""
    word = query.get("hub.challenge", "")
    expected = settings.verify_token.encode()
    # Compare always, so that the time taken tells nothing about which part was wrong.
    fits = hmac.compare_digest(query.get("hub.verify_token", "").encode(), expected)
    if not expected or not fits or query.get("hub.mode") != "subscribe":
        return None
    return word if _CHALLENGE.match(word) else None


def parse(body: bytes) -> list[ProviderEvent]:
    """Translate a whole body into news; it never raises."""
    try:
        envelope = as_object(_decoded(body))
        entries = as_list(envelope.get("entry"))
    except MalformedError as error:
        return [_malformed("", body, str(error), EPOCH)]
    news: list[ProviderEvent] = []
    for entry in entries:
        news.extend(_entry(entry))
    return news


def _entry(entry: object) -> Iterator[ProviderEvent]:
    try:
        waba = text_of(as_object(entry).get("id"), 64)
        changes = as_list(as_object(entry).get("changes"))
    except MalformedError as error:
        yield _malformed("", entry, str(error), EPOCH)
        return
    happened = _entry_time(entry)
    for change in changes:
        try:
            field = text_of(as_object(change).get("field"), 64)
            value = as_object(as_object(change).get("value"))
        except MalformedError as error:
            yield _malformed(waba, change, str(error), happened)
            continue
        if field == "messages":
            yield from _messages(waba, value, happened)
        else:
            yield _guarded(waba, change, happened, partial(notice, field, waba, value, happened))


def _messages(waba: str, value: dict[str, Any], happened: datetime) -> Iterator[ProviderEvent]:
    metadata = value.get("metadata")
    account = text_of(metadata.get("phone_number_id"), 64) if isinstance(metadata, dict) else ""
    where = account or waba
    told = False
    for key, translate in (("statuses", status_news), ("messages", inbound_news)):
        listed = value.get(key)
        if listed is None:
            continue
        told = True
        if not account or not isinstance(listed, list):
            yield _malformed(where, listed, f"{key} without a list or a number", happened)
            continue
        for item in listed:
            news = _guarded(where, item, happened, partial(_item, translate, account, item))
            yield news
            if (refusal := refusal_news(news)) is not None:
                yield refusal
    if not told:
        kind = "errors" if "errors" in value else "messages"
        yield ChannelEvent(
            kind=kind,
            account=where,
            dedupe=digest(kind, where, value),
            occurred_at=happened,
            known=False,
            data=value,
        )


def _guarded(
    account: str,
    item: object,
    happened: datetime,
    translate: Callable[[], ProviderEvent],
) -> ProviderEvent:
    try:
        return translate()
    except MalformedError as error:
        return _malformed(account, item, str(error), happened)


def _item(
    translate: Callable[[str, dict[str, Any]], ProviderEvent], account: str, item: object
) -> ProviderEvent:
    return translate(account, as_object(item))


def _malformed(account: str, item: object, reason: str, happened: datetime) -> ChannelEvent:
    return ChannelEvent(
        kind="malformed",
        account=account,
        dedupe=digest("malformed", account, item),
        occurred_at=happened,
        known=False,
        data={"reason": reason},
    )


def _entry_time(entry: object) -> datetime:
    try:
        return moment(as_object(entry).get("time"))
    except MalformedError:
        return EPOCH


def digest(kind: str, account: str, item: object) -> str:
    """Return the word by which the same news told twice is recognised."""
    written = item if isinstance(item, bytes) else json.dumps(item, sort_keys=True).encode()
    joined = b"\0".join((kind.encode(), account.encode(errors="replace"), written))
    return f"{kind[:32]}:{hashlib.sha256(joined).hexdigest()}"


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        # Python's own reader takes what the stricter one refuses, such as half a surrogate pair:
        # one odd character must not cost the whole batch.
        lenient = json.dumps(json.loads(body), ensure_ascii=False)
        return msgspec.json.decode(lenient.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON") from None
