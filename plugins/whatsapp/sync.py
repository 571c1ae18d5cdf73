"""Reads a business's templates and numbers back from Meta and keeps what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp import connections, shelf, templates
from plugins.whatsapp.fields import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.channels.host import Host, Transaction
    from core.ids import BusinessId
    from plugins.whatsapp.client import GraphClient
    from plugins.whatsapp.credentials import Credentials

TEMPLATE_FIELDS: Final = (
    "id,name,language,status,category,parameter_format,components,quality_score,rejected_reason"
)
NUMBER_FIELDS: Final = "id,display_phone_number,verified_name,quality_rating,status"
_PAGE: Final = "100"


async def read_templates(graph: GraphClient, waba_id: str, token: str) -> list[templates.Draft]:
    """Return every template of a WhatsApp account.

    Raises:
        SendError: Meta did not give the whole listing.
    """
    rows = await graph.read_all(
        f"{waba_id}/message_templates",
        token=token,
        parameters={"fields": TEMPLATE_FIELDS, "limit": _PAGE},
    )
    return [draft for row in rows if (draft := templates.read(row)) is not None]


async def read_numbers(graph: GraphClient, waba_id: str, token: str) -> list[dict[str, Any]]:
    """Return every number of a WhatsApp account.

    Raises:
        SendError: Meta did not give the whole listing.
    """
    return await graph.read_all(
        f"{waba_id}/phone_numbers",
        token=token,
        parameters={"fields": NUMBER_FIELDS, "limit": _PAGE},
    )


async def sync(
    host: Host, graph: GraphClient, credentials: Credentials, business_id: BusinessId
) -> int:
    """Bring templates and quality ratings of one business up to date; return the usable ones.

    No transaction is open while Meta is asked (rulings B11).

    Raises:
        SendError: Meta did not answer, or no longer accepts the token.
    """
    async with host.begin() as transaction:
        numbers = await connections.numbers_of(transaction, business_id)
    accounts = {number.waba_id: number for number in reversed(numbers)}
    read: dict[str, tuple[list[templates.Draft], list[dict[str, Any]]]] = {}
    for waba_id, number in accounts.items():
        credential = await credentials.of(business_id, number.phone_number_id)
        read[waba_id] = (
            await read_templates(graph, waba_id, credential.token),
            await read_numbers(graph, waba_id, credential.token),
        )
    async with host.begin() as transaction:
        for waba_id, (drafts, listed) in read.items():
            await shelf.put(transaction, business_id, waba_id, drafts, host.clock.now())
            await _keep_quality(host, transaction, business_id, listed)
        await connections.publish(host, transaction, business_id)
        return await shelf.publish(host, transaction, business_id)


async def _keep_quality(
    host: Host,
    transaction: Transaction,
    business_id: BusinessId,
    listed: Iterable[dict[str, Any]],
) -> None:
    for row in listed:
        quality = text_of(row.get("quality_rating"), 16).upper()
        if quality:
            await transaction.execute(
                "UPDATE business_whatsapp_config SET quality_rating = $3, updated_at = $4 "
                "WHERE business_id = $1 AND phone_number_id = $2 AND quality_rating <> $3",
                business_id,
                text_of(row.get("id"), 64),
                quality,
                host.clock.now(),
            )
