"""Takes Meta's news about accounts, templates and numbers into our tables and the catalogue.

Runs inside the host's inbox transaction and may run twice. News that is older than what we hold
changes nothing but asks for a fresh reading, because webhooks come in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from core.channels.messages import ConnectionState
from plugins.whatsapp import connections, notices, shelf, templates
from plugins.whatsapp.failures import report_for, stops_connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from core.channels.host import Host, Transaction
    from core.channels.messages import ChannelEvent
    from core.ids import BusinessId
    from plugins.whatsapp.connections import Number

RESTRICTED: Final = "account-restricted"
OFFBOARDED: Final = "account-offboarded"

_BLOCKING: Final = frozenset(
    {"RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_UTILITY_TEMPLATES"}
)
_GONE: Final = {
    "ACCOUNT_DELETED": "account-deleted",
    "PARTNER_REMOVED": "access-withdrawn",
    "PARTNER_APP_UNINSTALLED": "access-withdrawn",
}
# "Usable again" is read back from Meta rather than believed.
_READ_BACK: Final = frozenset({"REINSTATED", "UNARCHIVED"})

_log: Final = structlog.get_logger(__name__)


async def apply(host: Host, transaction: Transaction, events: Sequence[ChannelEvent]) -> list[str]:
    """Act on the known events; return the accounts whose open tokens must be forgotten."""
    stale: list[str] = []
    refused: set[tuple[str, str]] = set()
    for event in events:
        act = _ACTS.get(event.kind)
        if act is None or not event.known:
            continue
        if event.kind == notices.SEND_REFUSED:
            # A batch repeats the refusal for every message that failed; once is enough.
            if (event.account, event.data["code"]) in refused:
                continue
            refused.add((event.account, event.data["code"]))
        numbers = await connections.numbers_on(transaction, event.account)
        if numbers:
            await act(host, transaction, numbers, event)
            stale.extend(number.phone_number_id for number in numbers)
    return stale


async def _template_status(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    word = event.data["status"]
    changed = await _change_template(
        transaction,
        event,
        "meta_status = $5, status = $6, rejected_reason = $7",
        word,
        templates.status(word).value,
        event.data["reason"],
    )
    await _after_template(host, transaction, numbers, event, changed=changed)
    if changed and word in _READ_BACK:
        await _read_again(host, numbers)


async def _template_quality(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    changed = await _change_template(transaction, event, "quality = $5", event.data["quality"])
    await _after_template(host, transaction, numbers, event, changed=changed)


async def _template_category(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    category = templates.category(event.data["category"]).value
    changed = await _change_template(transaction, event, "category = $5", category)
    await _after_template(host, transaction, numbers, event, changed=changed)
    if event.data["announced"]:
        for business_id in _businesses(numbers):
            await _tell(
                host,
                transaction,
                business_id,
                "template-category-announced",
                subject=event.data["name"],
                template=event.data["name"],
                category=event.data["announced"],
            )


async def _reading(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    del transaction, event
    await _read_again(host, numbers)


async def _phone_quality(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    """A flagged number stops at once; whatever else is told is read back from Meta."""
    flagged = [
        number
        for number in numbers
        if event.data["event"] == "FLAGGED"
        and (len(numbers) == 1 or connections.is_called(host.vault, number, event.data["number"]))
    ]
    if not flagged:
        await _read_again(host, numbers)
        return
    await connections.rate(transaction, [number.id for number in flagged], "RED", host.clock.now())
    for business_id in _businesses(flagged):
        await connections.publish(host, transaction, business_id)


async def _account(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    word, at = event.data["event"], host.clock.now()
    ids = [number.id for number in numbers]
    told = ""
    if word in _GONE:
        told = _GONE[word]
        await connections.forget_tokens(transaction, ids, told, at)
    elif word == "DISABLED_UPDATE" and event.data["ban"] == "DISABLE":
        told = "account-disabled"
        await connections.change_state(transaction, ids, ConnectionState.DISABLED, told, at)
    elif word == "ACCOUNT_RESTRICTION" and _BLOCKING.intersection(event.data["restrictions"]):
        told = RESTRICTED
        await connections.change_state(transaction, ids, ConnectionState.ERROR, told, at)
    elif word == "ACCOUNT_OFFBOARDED":
        told = OFFBOARDED
        await connections.change_state(transaction, ids, ConnectionState.DISABLED, told, at)
    elif word == "ACCOUNT_RECONNECTED":
        # Only what the offboarding stopped; what a person or a policy stopped stays stopped.
        back = [number.id for number in numbers if number.reason == OFFBOARDED]
        await connections.change_state(transaction, back, ConnectionState.ACTIVE, "", at)
    else:
        told = "account-warning"
    for business_id in _businesses(numbers):
        await connections.publish(host, transaction, business_id)
        if told:
            await _tell(
                host, transaction, business_id, told, event=word, violation=event.data["violation"]
            )


async def _refusal(
    host: Host, transaction: Transaction, numbers: Sequence[Number], event: ChannelEvent
) -> None:
    """Act on a failed status whose reason is the number, not the message."""
    code = event.data["code"]
    fact = report_for(code)
    running = [number for number in numbers if number.state is ConnectionState.ACTIVE]
    if stops_connection(code) and running:
        await connections.change_state(
            transaction,
            [number.id for number in running],
            ConnectionState.ERROR,
            fact,
            host.clock.now(),
        )
        for business_id in _businesses(running):
            await connections.publish(host, transaction, business_id)
    for business_id in _businesses(numbers):
        await _tell(host, transaction, business_id, fact, code=code)


async def _change_template(
    transaction: Transaction, event: ChannelEvent, assignments: str, *values: str
) -> bool:
    """Change one template unless we know something newer; return whether it changed."""
    tag = await transaction.execute(
        f"UPDATE whatsapp_templates SET {assignments}, version = version + 1, "
        "updated_at = greatest(updated_at, $4) WHERE waba_id = $1 AND template_name = $2 "
        # Meta's times are whole seconds, ours are not.
        "AND language_code = $3 AND date_trunc('second', updated_at) <= $4",
        event.account,
        event.data["name"],
        event.data["language"],
        event.occurred_at,
        *values,
    )
    return tag != "UPDATE 0"


async def _after_template(
    host: Host,
    transaction: Transaction,
    numbers: Sequence[Number],
    event: ChannelEvent,
    *,
    changed: bool,
) -> None:
    if not changed:
        await _read_again(host, numbers)
        return
    for business_id in _businesses(numbers):
        await shelf.publish(
            host,
            transaction,
            business_id,
            name=event.data["name"],
            language=event.data["language"],
        )


async def _read_again(host: Host, numbers: Sequence[Number]) -> None:
    for business_id in _businesses(numbers):
        try:
            await host.enqueue("sync_templates", business_id=str(business_id))
        except Exception as error:  # noqa: BLE001 - a queue that stands still must not lose the news
            # The nightly run reads everything anyway.
            _log.warning("reading-not-queued", error=type(error).__name__)


async def _tell(
    host: Host, transaction: Transaction, business_id: BusinessId, fact: str, /, **details: str
) -> None:
    told = {name: value for name, value in details.items() if value}
    try:
        await host.report(business_id, fact, transaction=transaction, **told)
    except Exception as error:  # noqa: BLE001 - telling comes second to keeping what Meta said
        _log.warning("fact-not-reported", fact=fact, error=type(error).__name__)


def _businesses(numbers: Sequence[Number]) -> list[BusinessId]:
    return list(dict.fromkeys(number.business_id for number in numbers))


_ACTS: Final[
    dict[str, Callable[[Host, Transaction, Sequence[Number], ChannelEvent], Awaitable[None]]]
] = {
    notices.TEMPLATE_STATUS: _template_status,
    notices.TEMPLATE_QUALITY: _template_quality,
    notices.TEMPLATE_CATEGORY: _template_category,
    notices.TEMPLATE_COMPONENTS: _reading,
    notices.PHONE_QUALITY: _phone_quality,
    notices.ACCOUNT_UPDATE: _account,
    notices.SEND_REFUSED: _refusal,
}
