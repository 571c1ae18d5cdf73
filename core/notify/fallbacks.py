"""The next channel takes over where one could not deliver: decided, written, and called back.

A message is followed once, in the transaction that finds out that it failed. The follower passes
the same gates as any notice, on its own channel, and is looked at again at begin. What was not
answered is never followed: it may have arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import structlog

from core.alerts.store import Matter, raise_alerts
from core.businesses.store import get_business
from core.ids import NOTIFICATION, outward
from core.notify import deciding, rule_store
from core.notify.candidates import Notice, Person, look_up, on_each
from core.notify.events import NotificationEvent
from core.notify.rules import Rule
from core.notify.source_sealing import open_source
from core.notify.timing import Timing, after_quiet
from core.outbox import followers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey
    from core.notify.services import Services
    from core.notify.wording import Source

DELIVERED_TWICE: Final = "delivered-twice"
"""The alert that a message arrived after its follower had left."""

_log = structlog.get_logger()

_WITHDRAWN: Final = frozenset({"opted-out", "consent-revoked", "address-suppressed"})
"""Somebody said stop: another channel is no answer to that."""


async def follow(
    services: Services, transaction: Transaction, ids: Sequence[UUID]
) -> set[LaneKey]:
    """Let the next channels take over from those of these messages that failed for good.

    Returns:
        The lanes to wake after the commit.
    """
    if not ids:
        return set()
    return await _follow(services, transaction, await followers.take(transaction, ids))


async def follow_overdue(services: Services, transaction: Transaction, limit: int) -> set[LaneKey]:
    """Do the same for what has not arrived in time, and for what nobody followed up yet."""
    return await _follow(services, transaction, await followers.take_overdue(transaction, limit))


async def call_back(transaction: Transaction, arrived: Sequence[UUID]) -> None:
    """Cancel the followers of messages that arrived after all; report those that had left."""
    late = await followers.call_back(transaction, arrived)
    doubled = sorted({(one.business_id, one.channel) for one in late})
    await raise_alerts(
        transaction,
        [
            Matter(business_id=business_id, kind=DELIVERED_TWICE, subject=channel)
            for business_id, channel in doubled
        ],
    )


async def _follow(
    services: Services, transaction: Transaction, rows: Sequence[Mapping[str, Any]]
) -> set[LaneKey]:
    by_business: dict[UUID, list[Mapping[str, Any]]] = {}
    for row in rows:
        if _is_to_be_followed(row):
            by_business.setdefault(row["business_id"], []).append(row)
    woken: set[LaneKey] = set()
    for business_id, members in by_business.items():
        business = await get_business(transaction, business_id)
        woken |= await _decide(services, transaction, business, members)
    return woken


def _is_to_be_followed(row: Mapping[str, Any]) -> bool:
    if row["arrived"] or row["reason"] in _WITHDRAWN or row["variables_sealed"] is None:
        return False
    # It may have arrived. Only who prefers a message twice to none wants another then.
    return bool(row["reason"] != "unknown-outcome" or row["unconfirmed"] == "resend")


async def _decide(
    services: Services,
    transaction: Transaction,
    business: BusinessRow,
    rows: Sequence[Mapping[str, Any]],
) -> set[LaneKey]:
    """Ask the gates of the next channels, and write what they say."""
    now = services.clock.now() + business.ahead
    rules = {rule.key: rule for rule in await rule_store.rules_of(transaction, business.id)}
    notices: list[Notice] = []
    for row in rows:
        source = _open(services, row)
        if source is not None:
            notice = _notice(business, row, source, rules.get(row["rule_key"]), now)
            notices += on_each(notice, tuple(row["fallbacks"]))
    candidates = await look_up(transaction, services, business, notices, now)
    verdicts = deciding.decide(candidates)
    await deciding.write(transaction, services.vault, business.id, verdicts, ahead=business.ahead)
    return {(business.id, one.candidate.notice.channel) for one in verdicts if one.notification_id}


def _open(services: Services, row: Mapping[str, Any]) -> Source | None:
    """Open what a message was made of; one that cannot be opened must not cost the others."""
    try:
        sealed = row["variables_sealed"]
        return open_source(services.vault, row["business_id"], row["id"], sealed)
    except Exception:  # noqa: BLE001 - a lost key, a damaged row: as in delivery, it ends here
        _log.exception("fallback.not_prepared", id=outward(NOTIFICATION, row["id"]))
        return None


def _notice(
    business: BusinessRow,
    row: Mapping[str, Any],
    source: Source,
    rule: Rule | None,
    now: datetime,
) -> Notice:
    """Return the notice that takes a message's place, as it was asked for then."""
    asked = Rule(
        key=row["rule_key"],
        event_type=row["event_type"],
        template=row["template_name"],
        languages=(*(rule.languages if rule else ()), business.default_locale),
        quiet=rule.quiet if rule else None,
    )
    zone = ZoneInfo(row["customer_timezone"] or business.timezone)
    useful_until = row["useful_until"] + business.ahead if row["useful_until"] else None
    return Notice(
        event=NotificationEvent(
            id=str(row["payload_json"].get("event", "")),
            source="",
            type=row["event_type"],
            time=now,
            business_ref=business.ref,
            customer=source.customer,
            booking=source.booking,
        ),
        event_id=row["event_id"],
        rule=asked,
        channel="",
        person=Person(
            id=row["customer_id"],
            # Who sends a single message has said its language.
            locale=(row["rule_key"] and row["customer_locale"]) or row["language_code"],
            timezone=row["customer_timezone"],
        ),
        source=source,
        timing=_timing(asked, useful_until, zone, now),
        generation=row["generation"],
        superseded=row["superseded"],
        fallback_after=row["fallback_after"],
        follows=row["id"],
        follows_decision=row["decision_id"],
    )


def _timing(rule: Rule, useful_until: datetime | None, zone: ZoneInfo, now: datetime) -> Timing:
    """At once, but not in the customer's quiet hours, and only while it is useful."""
    due_at = after_quiet(now, rule.quiet, zone) if rule.quiet else now
    if due_at == now:
        return Timing(due_at=now, useful_until=useful_until)
    skipped = rule.quiet is not None and rule.quiet.mode == "skip"
    late = useful_until is not None and due_at >= useful_until
    return Timing(due_at=due_at, useful_until=useful_until, quiet=skipped or late)
