"""The rows of `whatsapp_templates`, and the picture of them that the core gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.channels.host import Template
from core.ids import new_uuid
from plugins.whatsapp import templates
from plugins.whatsapp.connections import numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from core.channels.host import Host, Transaction
    from core.ids import BusinessId

_PUT: Final = """
INSERT INTO whatsapp_templates AS held (
    id, business_id, waba_id, template_name, language_code, category, status, meta_id,
    meta_status, components, parameter_format, quality, rejected_reason, version,
    created_at, updated_at)
SELECT given.id, $1, $2, given.name, given.language, given.category, given.status, given.meta_id,
    given.meta_status, given.components, given.parameter_format, given.quality,
    given.rejected_reason, 1, $4, $4
FROM jsonb_to_recordset($3::text::jsonb) AS given (
    id uuid, name text, language text, category text, status text, meta_id text,
    meta_status text, components jsonb, parameter_format text, quality text,
    rejected_reason text)
ON CONFLICT (business_id, waba_id, template_name, language_code) DO UPDATE SET
    category = EXCLUDED.category, status = EXCLUDED.status, meta_id = EXCLUDED.meta_id,
    meta_status = EXCLUDED.meta_status, components = EXCLUDED.components,
    parameter_format = EXCLUDED.parameter_format, quality = EXCLUDED.quality,
    rejected_reason = EXCLUDED.rejected_reason, updated_at = EXCLUDED.updated_at,
    version = held.version + CASE WHEN
        (held.category, held.status, held.components, held.parameter_format) IS DISTINCT FROM
        (EXCLUDED.category, EXCLUDED.status, EXCLUDED.components, EXCLUDED.parameter_format)
        THEN 1 ELSE 0 END
"""
_REMOVE: Final = """
UPDATE whatsapp_templates
SET status = 'disabled', meta_status = 'DELETED', version = version + 1, updated_at = $4
WHERE business_id = $1 AND waba_id = $2 AND meta_status <> 'DELETED'
    AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset($3::text::jsonb) AS given (name text, language text)
        WHERE given.name = template_name AND given.language = language_code)
"""
_HELD: Final = """
SELECT DISTINCT ON (template_name, language_code)
    template_name, language_code, category, status, meta_id, meta_status, parameter_format,
    components::text AS components
FROM whatsapp_templates
WHERE business_id = $1 AND ($3 = '' OR (template_name = $3 AND language_code = $4))
ORDER BY template_name, language_code, (waba_id = $2) DESC, updated_at DESC
"""


async def put(
    transaction: Transaction,
    business_id: BusinessId,
    waba_id: str,
    drafts: Iterable[templates.Draft],
    at: datetime,
) -> None:
    """Make our rows of one WhatsApp account equal to Meta's complete listing."""
    listing = _written(drafts)
    await transaction.execute(_PUT, business_id, waba_id, listing, at)
    await transaction.execute(_REMOVE, business_id, waba_id, listing, at)


async def publish(
    host: Host,
    transaction: Transaction,
    business_id: BusinessId,
    *,
    name: str = "",
    language: str = "",
) -> int:
    """Give the core its picture of a business's templates, or of one; return how many are usable.

    Where two accounts of the business hold the same template, that of the default number counts.
    """
    numbers = await numbers_of(transaction, business_id)
    first = numbers[0].waba_id if numbers else ""
    rows = await transaction.fetch(_HELD, business_id, first, name, language)
    drafts = [held for row in rows if (held := _draft(row)) is not None]
    await host.catalogue.put_templates(
        transaction,
        [
            Template(
                business_id=business_id,
                name=draft.name,
                language=draft.language,
                usable=draft.usable,
                reason=draft.reason,
                category=draft.category,
                parameter_format=draft.parameter_format,
                parameters=draft.parameters,
                body=draft.body,
            )
            for draft in drafts
        ],
    )
    return sum(draft.usable for draft in drafts)


async def find(
    transaction: Transaction, business_id: BusinessId, name: str, language: str
) -> templates.Draft | None:
    """Return one template of a business as we hold it."""
    numbers = await numbers_of(transaction, business_id)
    first = numbers[0].waba_id if numbers else ""
    row = await transaction.fetchrow(_HELD, business_id, first, name, language)
    return None if row is None else _draft(row)


def _draft(row: Any) -> templates.Draft | None:
    return templates.read(
        {
            "name": row["template_name"],
            "language": row["language_code"],
            "category": row["category"],
            "status": row["meta_status"],
            "id": row["meta_id"],
            "parameter_format": row["parameter_format"],
            "components": msgspec.json.decode(row["components"]),
        }
    )


def _written(drafts: Iterable[templates.Draft]) -> str:
    """Write the listing as JSON, each template once; PostgreSQL's JSON takes no NUL."""
    unique = {(draft.name, draft.language): draft for draft in drafts}
    rows = [{"id": str(new_uuid()), **msgspec.structs.asdict(draft)} for draft in unique.values()]
    return msgspec.json.encode(rows).decode().replace("\\u0000", "")
