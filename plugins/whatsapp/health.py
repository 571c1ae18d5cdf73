"""Looks at a business's numbers from the outside and says what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.channels.messages import Check
from core.errors import SendError
from plugins.whatsapp import connections
from plugins.whatsapp.failures import words
from plugins.whatsapp.fields import text_of
from plugins.whatsapp.sync import NUMBER_FIELDS

if TYPE_CHECKING:
    from core.channels.host import Host
    from core.ids import BusinessId
    from plugins.whatsapp.client import GraphClient
    from plugins.whatsapp.connections import Number
    from plugins.whatsapp.credentials import Credentials

_POOR: Final = frozenset({"RED"})


async def probe(
    host: Host, graph: GraphClient, credentials: Credentials, business_id: BusinessId
) -> list[Check]:
    """Check every number of a business: token, state, quality, webhooks, templates."""
    async with host.begin() as transaction:
        numbers = await connections.numbers_of(transaction, business_id)
        usable = await transaction.fetchval(
            "SELECT count(*) FROM whatsapp_templates "
            "WHERE business_id = $1 AND status = 'approved'",
            business_id,
        )
    if not numbers:
        return [
            Check(
                name="connection",
                passed=False,
                detail="No WhatsApp number is connected.",
                advice="Connect one.",
            )
        ]
    checks = [
        Check(
            name="templates",
            passed=bool(usable),
            detail=f"{usable} approved templates.",
            advice="" if usable else "Have the templates approved at Meta, then synchronise.",
        )
    ]
    for number in numbers:
        checks.extend(await _probe_number(graph, credentials, number))
    return checks


async def _probe_number(
    graph: GraphClient, credentials: Credentials, number: Number
) -> list[Check]:
    account = number.phone_number_id
    try:
        credential = await credentials.of(number.business_id, account)
        found = await graph.read(
            account, token=credential.token, parameters={"fields": NUMBER_FIELDS}
        )
        subscribed = await graph.read(f"{number.waba_id}/subscribed_apps", token=credential.token)
    except SendError as error:
        advice = words().get(error.code, ("", "Try again in a minute."))[1]
        return [Check(name="token", passed=False, detail=error.detail, advice=advice)]
    state = text_of(found.get("status"), 32) or "UNKNOWN"
    quality = text_of(found.get("quality_rating"), 16).upper() or "UNKNOWN"
    return [
        Check(name="token", passed=True, detail="Meta accepts the token."),
        Check(
            name="number",
            passed=state in {"CONNECTED", "UNKNOWN"},
            detail=f"Meta calls the number {state}.",
            advice="" if state == "CONNECTED" else "Look at the number in WhatsApp Manager.",
        ),
        Check(
            name="quality",
            passed=quality not in _POOR,
            detail=f"The quality rating is {quality}.",
            advice="Send less, and only what people asked for." if quality in _POOR else "",
        ),
        Check(
            name="webhooks",
            passed=bool(subscribed.get("data")),
            detail="Meta sends its news." if subscribed.get("data") else "Meta sends no news.",
            advice="" if subscribed.get("data") else "Connect the number again.",
        ),
    ]
