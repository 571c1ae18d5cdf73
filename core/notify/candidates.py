"""The facts behind decisions: one statement for all notices of a request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from core.notify.policy import Facts
from core.notify.rules import REMINDER
from core.notify.wording import Source, language_chain, parameters, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.notify.events import NotificationEvent
    from core.notify.rules import Rule
    from core.notify.services import Services
    from core.notify.timing import Timing

_FACTS: Final = """
SELECT k.place, n.id AS connection_id, t.id AS template_id, t.usable, t.language, t.category,
       t.parameters, t.version, t.body, a.id AS address_id, u.id AS suppression_id,
       c.id AS consent_id, c.opt_in, c.revoked_at, m.opt_in AND m.revoked_at IS NULL AS marketing,
       k.once AND EXISTS (
           SELECT FROM notification_outbox o
           WHERE o.business_id = $1 AND o.customer_id = k.customer_id
             AND o.booking_ref = k.booking_ref AND o.rule_key = k.rule_key
             AND o.generation = k.generation
             AND o.status <> 'canceled' AND o.status <> 'failed' AND o.phase <> 'waiting'
             AND o.phase <> 'leased') AS already_sent
FROM unnest($2::int[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::int[], $11::boolean[])
    AS k(place, customer_id, channel, kind, template, languages, booking_ref, rule_key,
         generation, once)
LEFT JOIN LATERAL (
    SELECT x.id FROM channel_connection x
    WHERE x.business_id = $1 AND x.channel = k.channel AND x.state = 'active'
    ORDER BY x.is_default DESC, x.id LIMIT 1) n ON true
LEFT JOIN LATERAL (
    SELECT x.* FROM channel_template x
    WHERE x.business_id = $1 AND x.channel = k.channel AND x.name = k.template
      AND x.language = ANY (string_to_array(k.languages, ','))
    ORDER BY x.usable DESC, array_position(string_to_array(k.languages, ','), x.language::text)
    LIMIT 1) t ON true
LEFT JOIN LATERAL (
    SELECT x.id FROM customer_address x
    WHERE x.business_id = $1 AND x.customer_id = k.customer_id AND x.kind = k.kind
      AND x.address_sealed IS NOT NULL
    ORDER BY x.is_primary DESC, x.id DESC LIMIT 1) a ON true
LEFT JOIN LATERAL (
    SELECT y.id FROM customer_address x
    JOIN suppression y ON y.business_id = $1 AND y.channel = k.channel
        AND y.address_hash = x.address_hash
    WHERE x.business_id = $1 AND x.customer_id = k.customer_id LIMIT 1) u ON true
LEFT JOIN customer_consents c ON c.business_id = $1 AND c.customer_id = k.customer_id
    AND c.channel = k.channel AND c.purpose = 'transactional'
LEFT JOIN customer_consents m ON m.business_id = $1 AND m.customer_id = k.customer_id
    AND m.channel = k.channel AND m.purpose = 'marketing'
ORDER BY k.place
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The customer of an event, as stored."""

    id: UUID
    locale: str | None
    timezone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message that an event asks for, before anything is decided.

    Attributes:
        fallbacks: the channels behind this one, best first; a no that is this channel's own
            passes the notice on to the first of them.
        fallback_after: how long it may take to arrive before the next channel follows.
        follows: the message that did not arrive, whose place this one takes.
        follows_decision: the decision about that message.
        generation: of the booking's plan; 0 where there is none.
        superseded: newer news of the booking is known already.
    """

    event: NotificationEvent
    event_id: UUID | None
    rule: Rule
    channel: str
    person: Person
    source: Source
    timing: Timing
    generation: int = 0
    superseded: bool = False
    fallbacks: tuple[str, ...] = ()
    fallback_after: timedelta | None = None
    follows: UUID | None = None
    follows_decision: UUID | None = None


def on_each(notice: Notice, channels: Sequence[str]) -> list[Notice]:
    """Return a notice once per channel, in the order in which they may take over."""
    return [
        replace(notice, channel=channel, fallbacks=tuple(channels[place:]))
        for place, channel in enumerate(channels, start=1)
    ] or [notice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A notice with the facts about it, and what the outbox row needs if all say yes.

    Attributes:
        tells_arrival: the channel's provider sends news, so that silence means something.
    """

    notice: Notice
    facts: Facts
    language: str
    template_version: int
    body: str
    parameters: tuple[str, ...]
    address_id: UUID | None
    connection_id: UUID | None
    marketing: bool
    tells_arrival: bool = False


async def channel_order(
    transaction: Transaction, services: Services, business: BusinessRow
) -> tuple[str, ...]:
    """Return the channels to use for a business: its own order, else the best connected one.

    Only an order that somebody chose is one to fall back along.
    """
    if business.settings.channels:
        return business.settings.channels
    rows = await transaction.fetch(
        """
        SELECT channel FROM channel_connection WHERE business_id = $1
        GROUP BY channel ORDER BY bool_or(state = 'active') DESC, channel DESC
        """,
        business.id,
    )
    connected = tuple(row["channel"] for row in rows)
    return (connected or tuple(sorted(services.channels, reverse=True)))[:1]


async def look_up(
    transaction: Transaction,
    services: Services,
    business: BusinessRow,
    notices: Sequence[Notice],
    now: datetime,
) -> list[Candidate]:
    """Collect the facts about every notice of a request in one statement."""
    if not notices:
        return []
    chains = [
        language_chain(
            notice.person.locale, *(notice.rule.languages or (business.default_locale,))
        )
        for notice in notices
    ]
    plugins = services.registry.plugins
    rows = await transaction.fetch(
        _FACTS,
        business.id,
        list(range(len(notices))),
        [notice.person.id for notice in notices],
        [notice.channel for notice in notices],
        [
            plugins[notice.channel].address_kind if notice.channel in plugins else "phone"
            for notice in notices
        ],
        [notice.rule.template for notice in notices],
        [",".join(chain) for chain in chains],
        [notice.event.booking.ref if notice.event.booking else None for notice in notices],
        [notice.rule.key for notice in notices],
        [notice.generation for notice in notices],
        # A follower takes the place of what was sent before it.
        [notice.event.type == REMINDER and notice.follows is None for notice in notices],
    )
    return [
        _candidate(services, business, notice, row, chain[0], now)
        for notice, row, chain in zip(notices, rows, chains, strict=True)
    ]


def _candidate(
    services: Services,
    business: BusinessRow,
    notice: Notice,
    row: Mapping[str, Any],
    preferred: str,
    now: datetime,
) -> Candidate:
    language = row["language"] or preferred
    wanted = tuple(row["parameters"] or ())
    _, missing = parameters(wanted, values(notice.source, language))
    facts = Facts(
        now=now,
        due_at=notice.timing.due_at,
        rule_enabled=notice.rule.enabled,
        too_late=notice.timing.too_late,
        quiet=notice.timing.quiet,
        already_sent=bool(row["already_sent"]),
        channel_loaded=notice.channel in services.channels,
        channel_enabled=business.killed_at is None
        and notice.channel not in business.settings.channels_off,
        connected=row["connection_id"] is not None,
        connection=str(row["connection_id"] or ""),
        template_found=row["template_id"] is not None,
        template_usable=bool(row["usable"]),
        template=f"{notice.rule.template} ({language}) version {row['version'] or 0}",
        marketing=row["category"] == "marketing",
        consent_id=str(row["consent_id"] or ""),
        opted_in=bool(row["opt_in"]) and row["revoked_at"] is None,
        revoked=row["revoked_at"] is not None,
        marketing_opted_in=bool(row["marketing"]),
        address_known=row["address_id"] is not None,
        address_suppressed=row["suppression_id"] is not None,
        missing=missing if row["template_id"] is not None else (),
        useful_until=notice.timing.useful_until,
        superseded=notice.superseded,
    )
    return Candidate(
        notice=notice,
        facts=facts,
        language=language,
        template_version=row["version"] or 0,
        body=row["body"] or "",
        parameters=wanted,
        address_id=row["address_id"],
        connection_id=row["connection_id"],
        marketing=row["category"] == "marketing",
        tells_arrival=notice.channel in services.registry.plugins
        and services.registry.plugins[notice.channel].settles_by_callback,
    )
