"""Many yeses at once: one statement for the ledger, one for what holds, one for the marks."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from core.consent.ledger import check_grant
from core.ids import new_uuid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.channels.host import Transaction
    from core.consent.ledger import Grant

_APPEND: Final = """
INSERT INTO consent_event (id, business_id, customer_id, channel, purpose, action, occurred_at,
    source, actor, text_version, text_hash, locale, proof_reference, proof)
SELECT n.id, $1, n.customer_id, n.channel, n.purpose, 'grant', n.occurred_at, n.source, $2,
    n.text_version, n.text_hash, n.locale, n.proof_reference, n.proof
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::text[],
            $9::text[], $10::bytea[], $11::text[], $12::text[], $13::jsonb[]) WITH ORDINALITY
    AS n(id, customer_id, channel, purpose, occurred_at, source, text_version, text_hash, locale,
         proof_reference, proof, place)
-- One look-up per line: as an anti-join it would read the business's whole ledger for each.
LEFT JOIN LATERAL (
    SELECT e.id FROM consent_event e
    WHERE e.business_id = $1 AND e.customer_id = n.customer_id AND e.channel = n.channel
      AND e.purpose = n.purpose AND e.action = 'grant' AND e.occurred_at = n.occurred_at
      AND e.source = n.source AND e.text_version = n.text_version
      AND e.locale IS NOT DISTINCT FROM n.locale
      AND e.proof_reference IS NOT DISTINCT FROM n.proof_reference
    ORDER BY e.id LIMIT 1) known ON true
WHERE known.id IS NULL
ORDER BY n.place
RETURNING id
"""

_FOLLOW: Final = """
WITH touched AS MATERIALIZED (
    SELECT DISTINCT k.customer_id, k.channel, k.purpose
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS k(customer_id, channel, purpose)
), told AS MATERIALIZED (
    SELECT k.*, l.standing FROM touched k
    CROSS JOIN LATERAL (
        SELECT consent_fold(e ORDER BY e.at, e.id) AS standing FROM consent_event e
        WHERE e.business_id = $1 AND e.customer_id = k.customer_id AND e.channel = k.channel
          AND e.purpose = k.purpose) l
), kept AS (
    INSERT INTO customer_consents AS c (id, business_id, customer_id, channel, purpose, opt_in,
        opt_in_at, source, proof_reference, revoked_at, text_version, locale, last_event_id,
        created_at, updated_at)
    SELECT gen_random_uuid(), $1, t.customer_id, t.channel, t.purpose, (t.standing).opt_in,
        (t.standing).opt_in_at, (t.standing).source, (t.standing).proof_reference,
        (t.standing).revoked_at, (t.standing).text_version, (t.standing).locale,
        (t.standing).last_event_id, $5, $5
    FROM told t ORDER BY t.customer_id, t.channel, t.purpose
    ON CONFLICT (business_id, customer_id, channel, purpose) DO UPDATE SET
        opt_in = excluded.opt_in, opt_in_at = excluded.opt_in_at, source = excluded.source,
        proof_reference = excluded.proof_reference, revoked_at = excluded.revoked_at,
        text_version = excluded.text_version, locale = excluded.locale,
        last_event_id = excluded.last_event_id, updated_at = excluded.updated_at
    WHERE c.last_event_id IS DISTINCT FROM excluded.last_event_id
)
SELECT customer_id, channel, purpose, (standing).opt_in AS opt_in FROM told
"""

_LIFT: Final = """
DELETE FROM suppression s
USING unnest($2::uuid[], $3::text[], $4::timestamptz[]) AS k(customer_id, channel, at),
    customer_address a
WHERE s.business_id = $1 AND s.channel = k.channel AND s.created_at < k.at
  AND a.business_id = $1 AND a.customer_id = k.customer_id AND a.address_hash = s.address_hash
"""


class Granted(StrEnum):
    """What became of one yes."""

    ADDED = "added"
    UNCHANGED = "unchanged"
    OVERRULED = "overruled"


async def grant_many(
    transaction: Transaction,
    business_id: UUID,
    given: Sequence[Grant],
    *,
    actor: str,
    now: datetime,
) -> list[Granted]:
    """Write yeses into the ledger, in their order, and let them hold; the answer keeps the order.

    A yes with the same content as a line of the ledger writes nothing; one that is older than a
    revocation is kept and changes nothing. The customers must be locked by the caller, as
    `put_customers` does.

    Raises:
        InvalidInputError: one of them proves nothing, see `check_grant`.
    """
    for one in given:
        check_grant(one, now)
    # A plan that was made while the ledger was small would read it whole for every line.
    await transaction.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    keys = [_content(one, now) for one in given]
    first = dict(zip(reversed(keys), reversed(range(len(keys))), strict=True))
    fresh = [place for place, key in enumerate(keys) if first[key] == place]
    ids = {new_uuid(): place for place in fresh}
    grants = [given[place] for place in fresh]
    rows = await transaction.fetch(
        _APPEND,
        business_id,
        actor,
        list(ids),
        [one.customer_id for one in grants],
        [one.channel for one in grants],
        [one.purpose for one in grants],
        [min(one.granted_at or now, now) for one in grants],
        [one.source for one in grants],
        [one.text_version for one in grants],
        [one.text_hash for one in grants],
        [one.locale for one in grants],
        [one.proof_reference for one in grants],
        [one.proof for one in grants],
    )
    added = {ids[row["id"]] for row in rows}
    outcomes = [Granted.UNCHANGED] * len(given)
    if not added:
        return outcomes
    new = [given[place] for place in sorted(added)]
    standing = await transaction.fetch(
        _FOLLOW,
        business_id,
        [one.customer_id for one in new],
        [one.channel for one in new],
        [one.purpose for one in new],
        now,
    )
    holds = {
        (row["customer_id"], row["channel"], row["purpose"]): row["opt_in"] for row in standing
    }
    for place in added:
        one = given[place]
        yes = holds[one.customer_id, one.channel, one.purpose]
        outcomes[place] = Granted.ADDED if yes else Granted.OVERRULED
    counting = [one for one in new if holds[one.customer_id, one.channel, one.purpose]]
    await transaction.execute(
        _LIFT,
        business_id,
        [one.customer_id for one in counting],
        [one.channel for one in counting],
        [min(one.granted_at or now, now) for one in counting],
    )
    return outcomes


def _content(one: Grant, now: datetime) -> tuple[Any, ...]:
    """Return what makes two yeses the same."""
    return (
        one.customer_id,
        one.channel,
        one.purpose,
        min(one.granted_at or now, now),
        one.source,
        one.text_version,
        one.locale,
        one.proof_reference,
    )
