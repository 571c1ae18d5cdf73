"""Reads what the console shows, inside the wall of whoever asks."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from core.channels.messages import OutboundMessage, Rendered
from core.customers.phones import mask_phone
from core.customers.store import address_context
from core.errors import NotFoundError, PatchbayError
from core.ids import DECISION, NOTIFICATION, BusinessId, CustomerId, inward, outward
from core.notify.chains import links_of
from core.notify.explain import Account, explain_decision, explain_notification
from core.notify.reasons import REASONS
from core.notify.source_sealing import open_source
from core.notify.wording import parameters, values
from core.vault import VaultError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from core.access.roles import Actor
    from core.channels.host import Transaction
    from core.notify.services import Services

_LATEST: Final = """
SELECT x.*, b.name AS business_name, b.timezone, c.ref AS customer_ref
FROM (
    (SELECT 'ntf' AS kind, o.id, o.business_id, o.customer_id, o.created_at, o.event_type,
            o.template_name, o.channel, o.booking_ref, o.status, o.reason
     FROM notification_outbox o ORDER BY o.id DESC LIMIT $1)
    UNION ALL
    (SELECT 'dec', d.id, d.business_id, d.customer_id, d.created_at, e.type,
            d.template_name, d.channel, d.booking_ref, 'suppressed', d.reason
     FROM decision d JOIN event e ON e.business_id = d.business_id AND e.id = d.event_id
     WHERE d.outcome = 'suppressed' ORDER BY d.id DESC LIMIT $1)
) x
JOIN business b ON b.id = x.business_id
LEFT JOIN customer c ON c.business_id = x.business_id AND c.id = x.customer_id
ORDER BY x.created_at DESC, x.id DESC LIMIT $1
"""
_ONE: Final = """
SELECT o.*, b.name AS business_name, b.timezone, c.ref AS customer_ref,
       a.kind AS address_kind, a.address_sealed,
       n.account_ref, t.parameters AS template_parameters, t.parameter_format
FROM notification_outbox o
JOIN business b ON b.id = o.business_id
LEFT JOIN customer c ON c.business_id = o.business_id AND c.id = o.customer_id
LEFT JOIN customer_address a ON a.business_id = o.business_id AND a.id = o.address_id
LEFT JOIN channel_connection n ON n.business_id = o.business_id AND n.id = o.connection_id
LEFT JOIN channel_template t ON t.business_id = o.business_id AND t.channel = o.channel
    AND t.name = o.template_name AND t.language = o.language_code
WHERE o.id = $1
"""
_DECISION: Final = """
SELECT d.*, e.type AS event_type, b.name AS business_name, b.timezone, c.ref AS customer_ref
FROM decision d
JOIN event e ON e.business_id = d.business_id AND e.id = d.event_id
JOIN business b ON b.id = d.business_id
LEFT JOIN customer c ON c.business_id = d.business_id AND c.id = d.customer_id
WHERE d.id = $1
"""

_NO_NOTICE: Final = "There is no such notice, or it is not yours to see."

_log = structlog.get_logger(__name__)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list."""

    id: str
    at: datetime
    business_id: UUID
    business_name: str
    timezone: str
    customer_ref: str
    event_type: str
    template: str
    channel: str
    booking_ref: str
    status: str
    why: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of one notice shows.

    Attributes:
        address: where it goes, masked.
        bubble: the message as the customer sees it; None where it cannot be told.
        bubble_missing: why it cannot be told.
        row_id: the row in Piccolo Admin.
    """

    account: Account
    business_id: UUID
    business_name: str
    timezone: str
    customer_ref: str
    address: str
    bubble: Rendered | None
    bubble_missing: str
    row_id: UUID
    table: str


def door(services: Services, actor: Actor) -> AbstractAsyncContextManager[Transaction]:
    """Open the transaction this person may read in.

    Raises:
        NotFoundError: they work in no business and not for the platform.
    """
    if actor.business_id is not None:
        return services.database.business(actor.business_id)
    if actor.on_platform:
        return services.database.platform()
    raise NotFoundError("You have no role yet; ask an owner to add you.")


async def latest(transaction: Transaction, limit: int) -> list[Line]:
    """Return the newest notices, queued or not."""
    rows = await transaction.fetch(_LATEST, limit)
    return [
        Line(
            id=outward(NOTIFICATION if row["kind"] == NOTIFICATION else DECISION, row["id"]),
            at=row["created_at"],
            business_id=row["business_id"],
            business_name=row["business_name"],
            timezone=row["timezone"],
            customer_ref=row["customer_ref"] or "",
            event_type=row["event_type"],
            template=row["template_name"],
            channel=row["channel"],
            booking_ref=row["booking_ref"] or "",
            status=row["status"],
            why=REASONS[row["reason"]].summary if row["reason"] in REASONS else row["reason"],
        )
        for row in rows
    ]


async def read_story(services: Services, actor: Actor, public_id: str) -> Story:
    """Return the story of one notice.

    Args:
        services: the process's parts.
        actor: who asks.
        public_id: `ntf_...` or `dec_...`.

    Raises:
        NotFoundError: there is no such notice, or it is another business's.
    """
    prefix = NOTIFICATION if public_id.startswith(f"{NOTIFICATION}_") else DECISION
    try:
        row_id = inward(prefix, public_id)
    except NotFoundError:
        raise NotFoundError(_NO_NOTICE) from None
    if prefix == NOTIFICATION:
        return await _notification(services, actor, row_id)
    async with door(services, actor) as transaction:
        row = await transaction.fetchrow(_DECISION, row_id)
        if row is None:
            raise NotFoundError(_NO_NOTICE)
        links = await links_of(transaction, row["business_id"], None, row)
    if row["notification_id"] is not None:
        return await _notification(services, actor, row["notification_id"])
    return Story(
        account=explain_decision(row, row["event_type"], links),
        business_id=row["business_id"],
        business_name=row["business_name"],
        timezone=row["timezone"],
        customer_ref=row["customer_ref"] or "",
        address="",
        bubble=None,
        bubble_missing="It was never written, because it was never queued.",
        row_id=row["id"],
        table="decision",
    )


async def _notification(services: Services, actor: Actor, row_id: UUID) -> Story:
    async with door(services, actor) as transaction:
        row = await transaction.fetchrow(_ONE, row_id)
        if row is None:
            raise NotFoundError(_NO_NOTICE)
        decision = await transaction.fetchrow(
            "SELECT id, checks, fallback_of FROM decision "
            "WHERE business_id = $1 AND notification_id = $2",
            row["business_id"],
            row_id,
        )
        attempts = await transaction.fetch(
            "SELECT number, begun_at, ended_at, outcome, error_code, http_status "
            "FROM send_attempt WHERE business_id = $1 AND notification_id = $2 ORDER BY number",
            row["business_id"],
            row_id,
        )
        news = await transaction.fetch(
            "SELECT status, occurred_at, error_code FROM status_update "
            "WHERE business_id = $1 AND notification_id = $2 ORDER BY occurred_at, id",
            row["business_id"],
            row_id,
        )
        links = await links_of(transaction, row["business_id"], row, decision)
    words = _words(services, row["channel"])
    address = _address(services, row)
    bubble, missing = await _bubble(services, row)
    return Story(
        account=explain_notification(row, decision, attempts, news, words, links),
        business_id=row["business_id"],
        business_name=row["business_name"],
        timezone=row["timezone"],
        customer_ref=row["customer_ref"] or "",
        address=address,
        bubble=bubble,
        bubble_missing=missing,
        row_id=row_id,
        table="notification_outbox",
    )


def _words(services: Services, channel: str) -> Mapping[str, tuple[str, str]]:
    plugin = services.registry.plugins.get(channel)
    try:
        return plugin.error_words() if plugin is not None else {}
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; the page goes on
        _log.warning("words-not-given", channel=channel, error=type(error).__name__)
        return {}


def _address(services: Services, row: Mapping[str, Any]) -> str:
    if row["address_sealed"] is None:
        return "erased" if row["address_id"] else ""
    context = address_context(row["business_id"], row["address_id"])
    try:
        plain = services.vault.open_text(row["address_sealed"], context=context)
    except VaultError:
        return "not readable with the keys of this process"
    return mask_phone(plain) if row["address_kind"] == "phone" else _mask(plain)


def _mask(address: str) -> str:
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}***{at}{domain}" if at else f"{address[:1]}***"


async def _bubble(services: Services, row: Mapping[str, Any]) -> tuple[Rendered | None, str]:
    """Let the channel write the message as the customer sees it."""
    channel = services.channels.get(row["channel"])
    if channel is None:
        return None, "The channel is not loaded, so nobody can write it out."
    if row["variables_sealed"] is None:
        return None, "Its values were erased."
    try:
        message = _message(services, row)
        return await channel.render(message), ""
    except VaultError:
        return None, "Its values are not readable with the keys of this process."
    except PatchbayError:
        return None, "The template is not there any more."
    except Exception as error:  # noqa: BLE001 - a channel may raise anything; the page goes on
        _log.warning("message-not-rendered", channel=row["channel"], error=type(error).__name__)
        return None, "The channel could not write it out."


def _message(services: Services, row: Mapping[str, Any]) -> OutboundMessage:
    sealed = row["variables_sealed"]
    source = open_source(services.vault, row["business_id"], row["id"], sealed)
    filled, _ = parameters(
        row["template_parameters"] or (), values(source, row["language_code"] or "en")
    )
    return OutboundMessage(
        callback_id=outward(NOTIFICATION, row["id"]),
        business_id=BusinessId(row["business_id"]),
        customer_id=CustomerId(row["customer_id"]),
        account=row["account_ref"] or "",
        address="",
        template=row["template_name"],
        language=row["language_code"],
        parameters=filled,
        parameter_format=row["parameter_format"] or "named",
        template_version=row["template_version"],
    )
