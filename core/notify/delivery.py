"""From a claimed message to its record: begin, hand over, record.

No transaction is held while a provider is called (rulings B11): `begin_batch` commits before the
first byte leaves, and `record_batch` opens a new one for all the answers of a batch.
"""

from __future__ import annotations

from datetime import timedelta
from random import random
from typing import TYPE_CHECKING, Final

import structlog

from core.alerts.store import Matter, raise_alerts
from core.channels.messages import ConnectionState, OutboundMessage
from core.consent.ledger import record_revocation
from core.consent.revocation import cancel_waiting
from core.consent.words import confirmation
from core.crashpoint import crashpoint
from core.errors import (
    CredentialsRejectedError,
    OptedOutError,
    OutcomeUnknownError,
    RetryableError,
    SendError,
    ThrottleScope,
)
from core.ids import NOTIFICATION, BusinessId, CustomerId, outward
from core.limits import lanes, recipients
from core.limits.tables import LaneState
from core.notify import aftermath, fallbacks, limiting, message_log, wording
from core.notify.handovers import Begun, SendResult
from core.notify.outcomes import NotLeftError, ValueMissingError, is_counted, outcome_of
from core.notify.replies import CONFIRMATION
from core.notify.source_sealing import open_source
from core.outbox import followers, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from core.channels.host import Transaction
    from core.limits.lanes import LaneKey
    from core.notify.services import Services
    from core.outbox.retry import RetryPolicy

log = structlog.get_logger()

PROVIDER_SOURCE: Final = "whatsapp"
"""Where a stop told to the provider comes from, in the specification's words (3.3)."""

SAFETY: Final = store.MARGIN
"""The request must leave this long before the lease ends: longer than the HTTP timeout."""


async def begin_batch(services: Services, token: UUID, ids: Sequence[UUID]) -> list[Begun]:
    """Look a last time at claimed messages; those that may go are in flight when this returns.

    Args:
        services: the process's parts.
        token: the lease of the claim.
        ids: at most `store.MAX_BEGIN` claimed messages.
    """
    started = services.clock.monotonic()
    async with services.database.engine() as transaction:
        held = await recipients.hold_back(transaction, token, ids)
        outrun = await followers.drop_outrun(transaction, token, ids)
        rows = await store.begin(transaction, token, ids)
        failed = [row.id for row in rows if row.verdict.startswith("no:")]
        followed = await fallbacks.follow(services, transaction, failed)
        going = {
            row.id: row.attempt == 1
            for row in rows
            if row.verdict == store.GO and row.kind != CONFIRMATION
        }
        await recipients.count(transaction, going)
        crashpoint("before_begin_commit", len(going))
    crashpoint("after_begin", len(going))
    services.ring.lanes({(one.business_id, one.channel) for one in held} | followed)
    for message in outrun:
        await log.ainfo(
            "delivery.not_begun", id=outward(NOTIFICATION, message), verdict="no:outrun"
        )
    for one in held:
        await log.ainfo(
            "delivery.not_begun", id=outward(NOTIFICATION, one.id), verdict=one.verdict
        )
    begun: list[Begun] = []
    for row in rows:
        if row.verdict == store.GO:
            begun.append(await _prepare_or_give_up(services, row, started))
        else:
            await log.ainfo(
                "delivery.not_begun", id=outward(NOTIFICATION, row.id), verdict=row.verdict
            )
    return begun


async def hand_over(services: Services, begun: Begun) -> SendResult:
    """Give one message to its channel; whatever happens becomes a result."""
    channel = services.channels.get(begun.channel)
    if begun.message is None:
        return SendResult(begun=begun, error=_unsendable(begun))
    if channel is None:
        return _not_sent(begun, "the channel is not loaded here", timedelta(minutes=1))
    crashpoint("before_send")
    if services.clock.monotonic() >= begun.deadline:
        # A process that slept past its lease must not send: somebody else may decide by now.
        return _not_sent(begun, "slept past the deadline", timedelta(0))
    try:
        receipt = await channel.send(begun.message)
    except SendError as error:
        return SendResult(begun=begun, error=error)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it may have sent
        await log.aexception("delivery.channel_fault", id=begun.message.callback_id)
        return SendResult(
            begun=begun, error=OutcomeUnknownError(type(error).__name__, code="channel-fault")
        )
    crashpoint("after_answer")
    return SendResult(begun=begun, provider_message_id=receipt.provider_message_id)


async def record_batch(
    services: Services, token: UUID, results: Sequence[SendResult]
) -> set[LaneKey]:
    """Write down what became of a batch, in one transaction.

    Returns:
        The lanes to wake: those with messages that are due again.
    """
    crashpoint("before_record", len(results))
    async with services.database.engine() as transaction:
        policies = await limiting.retry_policies(
            transaction, {one.begun.business_id for one in results if is_counted(one.error)}
        )
        records = [
            _recorded(services, result, policies.get(result.begun.business_id))
            for result in results
        ]
        await _respect_stops(services, transaction, results)
        applied = await store.record(transaction, token, records)
        accepted = [one for one in results if one.error is None]
        await message_log.write_outbound(services, transaction, accepted)
        await aftermath.judge_lanes(transaction, results, records, applied)
        await _follow_up(services, transaction, results)
        await aftermath.slow_down(transaction, results)
        await aftermath.report_unheard_of(services, transaction, results)
        failed = [one.id for one in records if one.outcome == "failed" and applied.get(one.id)]
        followed = await fallbacks.follow(services, transaction, failed)
        crashpoint("before_record_commit", len(results))
    crashpoint("after_record", len(results))
    for record in records:
        if not applied.get(record.id):
            await log.awarning("delivery.fenced", id=outward(NOTIFICATION, record.id))
    return {
        (result.begun.business_id, result.begun.channel)
        for result, record in zip(results, records, strict=True)
        if record.outcome in {"retry", "wait"}
    } | followed


async def sweep(services: Services, grace: timedelta = timedelta(seconds=120)) -> set[LaneKey]:
    """Deal with leases that ended and with what stays unconfirmed; returns lanes to wake."""
    settled = {
        slug for slug, plugin in services.registry.plugins.items() if plugin.settles_by_callback
    }
    others = sorted(set(services.channels) - settled)
    async with services.database.engine() as transaction:
        touched = await store.sweep(transaction)
        again = await store.resend_unconfirmed(transaction, grace)
        closed = await store.close_unconfirmed(transaction, others, grace)
        followed = await fallbacks.follow(services, transaction, [one.id for one in closed])
        await _doubt(
            transaction,
            {(one.business_id, one.channel) for one in touched if one.became == "unconfirmed"},
        )
    waiting = [one for one in touched if one.became == "waiting"]
    return {(one.business_id, one.channel) for one in (*waiting, *again)} | followed


def _not_sent(begun: Begun, detail: str, wait: timedelta) -> SendResult:
    """A message that surely did not leave, through no fault of its own: not counted as a try."""
    scope = ThrottleScope.RECIPIENT
    return SendResult(begun=begun, error=NotLeftError(detail, scope=scope, retry_after=wait))


def _unsendable(begun: Begun) -> SendError:
    """Say why a message was not even handed over; surely it was not sent."""
    if begun.missing:
        return ValueMissingError(", ".join(begun.missing))
    return RetryableError("the message could not be prepared", code="not-prepared")


async def _prepare_or_give_up(services: Services, row: store.BegunRow, started: float) -> Begun:
    """Prepare one message; one that cannot be opened must not cost the batch its others."""
    try:
        return _prepare(services, row, started)
    except Exception:  # noqa: BLE001 - a lost key, a damaged row: recorded as not sent
        await log.aexception("delivery.not_prepared", id=outward(NOTIFICATION, row.id))
        return Begun(
            id=row.id,
            business_id=row.business_id,
            customer_id=row.customer_id,
            channel=row.channel,
            message=None,
            missing=(),
            attempt=row.attempt,
            retry_count=row.retry_count,
            deadline=started,
            text="",
            address_hash=row.address_hash,
        )


def _prepare(services: Services, row: store.BegunRow, started: float) -> Begun:
    """Open the seals, fill the template and set the deadline."""
    business = str(row.business_id)
    source = _open_source(services, row)
    known = wording.values(source, row.language_code) if source else {}
    filled, missing = wording.parameters(row.parameters or (), known)
    address = ""
    if row.address_sealed is not None:
        context = ("customer_address", "address_sealed", business, str(row.address_id))
        address = services.vault.open(row.address_sealed, context=context).decode()
    words = ""
    if row.kind == CONFIRMATION:
        purposes = tuple(row.payload_json["purposes"])
        words = confirmation(purposes, row.language_code, row.business_name)
    message = OutboundMessage(
        callback_id=outward(NOTIFICATION, row.id),
        business_id=BusinessId(row.business_id),
        customer_id=CustomerId(row.customer_id),
        account=row.account_ref or "",
        address=address,
        template=row.template_name,
        language=row.language_code,
        parameters=filled,
        parameter_format=row.parameter_format or "named",
        text=words,
        template_version=row.template_version,
    )
    left = lanes.LEASE.total_seconds() - store.PATIENCE.total_seconds() - SAFETY.total_seconds()
    return Begun(
        id=row.id,
        business_id=row.business_id,
        customer_id=row.customer_id,
        channel=row.channel,
        message=None if missing else message,
        missing=missing,
        attempt=row.attempt,
        retry_count=row.retry_count,
        deadline=started + left,
        text=words or wording.preview(row.template_body or "", filled),
        address_hash=row.address_hash,
    )


def _open_source(services: Services, row: store.BegunRow) -> wording.Source | None:
    if row.variables_sealed is None:
        return None
    return open_source(services.vault, row.business_id, row.id, row.variables_sealed)


def _recorded(
    services: Services, result: SendResult, policy: RetryPolicy | None
) -> store.Recorded:
    begun = result.begun
    if result.error is not None:
        return outcome_of(result.error, begun.id, begun.retry_count, random, policy)
    return store.Recorded(
        id=begun.id,
        outcome="accepted",
        provider_message_id=result.provider_message_id,
        provider_message_hash=services.vault.keyed_hash(
            message_log.MESSAGE_ID, result.provider_message_id.encode()
        ),
    )


async def _follow_up(
    services: Services, transaction: Transaction, results: Sequence[SendResult]
) -> None:
    """Do what an answer means beyond its own message: stop a lane, raise an alert."""
    rejected: dict[LaneKey, SendError] = {}
    doubts: set[LaneKey] = set()
    for result in results:
        key = (result.begun.business_id, result.begun.channel)
        if isinstance(result.error, CredentialsRejectedError):
            rejected[key] = result.error
        elif isinstance(result.error, OutcomeUnknownError):
            doubts.add(key)
    await _doubt(transaction, doubts)
    for key, error in sorted(rejected.items(), key=lambda item: item[0]):
        await _disconnect(services, transaction, key, error)


async def _respect_stops(
    services: Services, transaction: Transaction, results: Sequence[SendResult]
) -> None:
    """Write a revocation for whoever told the provider to stop, and cancel what waits for them."""
    now = services.clock.now()
    for result in results:
        if not isinstance(result.error, OptedOutError):
            continue
        begun, purposes = result.begun, result.error.purposes
        await record_revocation(
            transaction,
            begun.business_id,
            [begun.customer_id],
            begun.channel,
            purposes=purposes,
            source=PROVIDER_SOURCE,
            actor=f"provider:{begun.channel}",
            now=now,
        )
        await cancel_waiting(
            transaction,
            begun.business_id,
            [begun.customer_id],
            begun.channel,
            purposes=purposes,
            now=now,
        )


async def _disconnect(
    services: Services, transaction: Transaction, key: LaneKey, error: SendError
) -> None:
    """Stop a lane whose credentials are refused, tell the channel, tell people once."""
    business_id, channel = key
    await lanes.stop(transaction, key, LaneState.DISCONNECTED, "credentials-rejected")
    await transaction.execute(
        """
        UPDATE channel_connection SET state = 'error', reason = 'credentials-rejected',
               version = version + 1, checked_at = clock_timestamp()
        WHERE business_id = $1 AND channel = $2 AND state = 'active'
        """,
        business_id,
        channel,
    )
    await services.channels[channel].set_state(
        transaction, BusinessId(business_id), ConnectionState.ERROR, "credentials-rejected"
    )
    matter = Matter(
        business_id=business_id,
        kind="credentials-rejected",
        subject=channel,
        arguments={"code": error.code},
    )
    await raise_alerts(transaction, [matter])


async def _doubt(transaction: Transaction, keys: Iterable[LaneKey]) -> None:
    """Say that outcomes are unknown; the database ends it when the last of them is known."""
    await raise_alerts(
        transaction,
        [
            Matter(business_id=business_id, kind="unconfirmed-messages", subject=channel)
            for business_id, channel in keys
        ],
    )
