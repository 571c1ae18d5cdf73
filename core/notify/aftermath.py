"""What the answers of a batch mean for their lanes and recipients, in the same transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from core.alerts.store import Matter, raise_alerts, resolve_alerts
from core.errors import InvalidRecipientError, OptedOutError, ThrottledError, ThrottleScope
from core.limits import lanes, recipients, suspension
from core.notify.outcomes import NotLeftError, ValueMissingError, is_counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.channels.host import Transaction
    from core.errors import SendError
    from core.limits.lanes import LaneKey
    from core.notify.handovers import SendResult
    from core.notify.services import Services
    from core.outbox.store import Recorded, StatusNews, Touched

SUSPENDED = "channel-suspended"
"""The alert about a channel that stopped by itself."""

UNKNOWN_CODE = "unknown-provider-code"
"""The platform's alert about a code that a channel's table does not hold."""

_NOT_THE_CHANNELS_FAULT = (InvalidRecipientError, OptedOutError, ValueMissingError)


async def judge_lanes(
    transaction: Transaction,
    results: Sequence[SendResult],
    records: Sequence[Recorded],
    applied: Mapping[UUID, bool],
) -> None:
    """Stop lanes that fail too often and free those that work again; tell people once."""
    marks: dict[LaneKey, str] = {}
    for result, record in zip(results, records, strict=True):
        if applied.get(record.id) and (mark := mark_of(record.outcome, result.error)):
            key = (result.begun.business_id, result.begun.channel)
            marks[key] = marks.get(key, "") + mark
    await _judge(transaction, marks)


async def judge_late(
    transaction: Transaction, told: Sequence[StatusNews], touched: Sequence[Touched | None]
) -> None:
    """Count failures that the provider tells after it took the messages over."""
    late = {
        one.id: (one.business_id, one.channel)
        for news, one in zip(told, touched, strict=True)
        if one is not None and news.counts and one.became == "failed" and one.was == "sent"
    }
    marks: dict[LaneKey, str] = {}
    for key in late.values():
        marks[key] = marks.get(key, "") + suspension.FAILED_LATE
    await _judge(transaction, marks)


async def _judge(transaction: Transaction, marks: Mapping[LaneKey, str]) -> None:
    verdicts = await suspension.judge(transaction, marks)
    await raise_alerts(
        transaction,
        [
            Matter(
                business_id=one.business_id,
                kind=SUSPENDED,
                subject=one.channel,
                arguments={"reason": "too-many-failures"},
            )
            for one in verdicts
            if one.became == suspension.SUSPENDED
        ],
    )
    await resolve_alerts(
        transaction,
        [
            (one.business_id, SUSPENDED, one.channel)
            for one in verdicts
            if one.became == suspension.RESUMED
        ],
    )


def mark_of(outcome: str, error: SendError | None) -> str:
    """Return how an attempt counts: it went well, it failed, or it says nothing of the channel.

    A wrong recipient, an opt-out and a missing value are not the channel's fault; a throttle and
    a lost answer are no failure yet.
    """
    if outcome == "accepted":
        return suspension.WELL
    if outcome in {"failed", "retry"} and not isinstance(error, _NOT_THE_CHANNELS_FAULT):
        return suspension.FAILED
    return ""


async def report_unheard_of(
    services: Services, transaction: Transaction, results: Sequence[SendResult]
) -> None:
    """Tell the platform of codes that a channel does not know: they are only guessed to pass."""
    unheard_of: set[tuple[str, str]] = set()
    for result in results:
        plugin = services.registry.plugins.get(result.begun.channel)
        if result.error is None or plugin is None or result.begun.message is None:
            continue
        if is_unheard_of(result.error, plugin.error_words()):
            unheard_of.add((result.begun.channel, result.error.code))
    await raise_alerts(
        transaction,
        [
            Matter(
                business_id=None,
                kind=UNKNOWN_CODE,
                subject=f"{channel}:{code}"[:200],
                arguments={"channel": channel, "code": code},
            )
            for channel, code in sorted(unheard_of)
        ],
    )


def is_unheard_of(error: SendError, words: Mapping[str, tuple[str, str]]) -> bool:
    """Tell whether an error carries a code for which a channel that has words has none."""
    return bool(words and error.code and error.code not in words and is_counted(error))


async def slow_down(transaction: Transaction, results: Sequence[SendResult]) -> None:
    """Let those rest whom a throttle means: a recipient, a business's lane, or all lanes."""
    persons: dict[UUID, timedelta] = {}
    rests: dict[LaneKey, timedelta] = {}
    channels: dict[str, timedelta] = {}
    for result in results:
        error, begun = result.error, result.begun
        if not isinstance(error, ThrottledError) or isinstance(error, NotLeftError):
            continue
        if error.scope is ThrottleScope.RECIPIENT:
            persons[begun.id] = error.retry_after
        elif error.scope is ThrottleScope.APPLICATION:
            longest = channels.get(begun.channel, timedelta(0))
            channels[begun.channel] = max(longest, error.retry_after)
        else:
            key = (begun.business_id, begun.channel)
            rests[key] = max(rests.get(key, timedelta(0)), error.retry_after)
    await recipients.slow_down(transaction, persons)
    await lanes.rest(transaction, rests)
    for channel, wait in sorted(channels.items()):
        await lanes.rest_all(transaction, channel, wait)
