"""A customer's news reaches what waits for them: the new address, the new language (rulings B3).

The customer is changed first, in the same transaction. What `begin` has locked is waited for: it
is either still ours afterwards, or in flight with the old address. Begin looks at the consent of
the address that it finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.notify.wording import language_chain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.notify.candidates import Person
    from core.notify.rules import Rule
    from core.notify.services import Services

_PENDING: Final = """
SELECT o.id, o.customer_id, o.channel, o.template_name, o.language_code, o.rule_key
FROM notification_outbox o
WHERE o.business_id = $1 AND o.customer_id = ANY ($2) AND o.kind = 'template'
  AND o.phase IN ('waiting', 'leased')
ORDER BY o.id FOR UPDATE
"""
_READDRESS: Final = """
UPDATE notification_outbox o
SET address_id = n.address_id, language_code = n.language, updated_at = clock_timestamp()
FROM (
    SELECT k.id, coalesce(a.id, x.address_id) AS address_id,
           coalesce(t.language, x.language_code) AS language
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS k(id, kind, languages)
    JOIN notification_outbox x ON x.business_id = $1 AND x.id = k.id
    LEFT JOIN LATERAL (
        SELECT c.id FROM customer_address c
        WHERE c.business_id = $1 AND c.customer_id = x.customer_id AND c.kind = k.kind
          AND c.address_sealed IS NOT NULL
        ORDER BY c.is_primary DESC, c.id DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (
        SELECT y.language FROM channel_template y
        WHERE y.business_id = $1 AND y.channel = x.channel AND y.name = x.template_name
          AND y.language = ANY (string_to_array(k.languages, ','))
        ORDER BY y.usable DESC,
                 array_position(string_to_array(k.languages, ','), y.language::text)
        LIMIT 1) t ON true
) n
WHERE o.business_id = $1 AND o.id = n.id AND o.phase IN ('waiting', 'leased')
  AND (o.address_id, o.language_code) IS DISTINCT FROM (n.address_id, n.language)
RETURNING o.id
"""


async def readdress(
    transaction: Transaction,
    services: Services,
    business: BusinessRow,
    people: Sequence[Person],
    rules: Sequence[Rule],
) -> list[UUID]:
    """Bring what waits for these customers to the address and language they have now.

    A message whose language its caller chose keeps it.

    Returns:
        The messages that changed.
    """
    if not people:
        return []
    locales = {person.id: person.locale for person in people}
    rows = await transaction.fetch(_PENDING, business.id, sorted(locales))
    if not rows:
        return []
    languages = {rule.key: rule.languages for rule in rules}
    plugins = services.registry.plugins

    def chain(row: Mapping[str, Any]) -> tuple[str, ...]:
        if not row["rule_key"]:
            return (row["language_code"],)
        own = languages.get(row["rule_key"]) or (business.default_locale,)
        return language_chain(locales[row["customer_id"]], *own)

    changed = await transaction.fetch(
        _READDRESS,
        business.id,
        [row["id"] for row in rows],
        [
            plugins[row["channel"]].address_kind if row["channel"] in plugins else "phone"
            for row in rows
        ],
        [",".join(chain(row)) for row in rows],
    )
    return [row["id"] for row in changed]
