"""What has to happen as time passes; runs in every worker, one worker at a time per duty."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from core.alerts import store as alerts
from core.limits import lanes, suspension
from core.notify import consent_check, delivery, fallbacks
from tasks.looping import DATABASE_FAULTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.channels.host import Transaction
    from core.notify.services import Services

TICK_SECONDS: Final = 1.0

_LOCK_SPACE: Final = 781_003
_BATCH: Final = 5_000
_FOLLOWED_AT_ONCE: Final = 500

_CLEANING: Final = {
    # What is deleted, by rule; each statement takes a bounded bite.
    "idempotency keys": """
        DELETE FROM idempotency_key WHERE id IN (SELECT id FROM idempotency_key
            WHERE created_at < clock_timestamp() - interval '7 days' LIMIT $1)""",
    "webhook bodies": """
        DELETE FROM provider_inbox WHERE id IN (SELECT id FROM provider_inbox
            WHERE state <> 'waiting' AND received_at < clock_timestamp() - interval '7 days'
            LIMIT $1)""",
    "news seen": """
        DELETE FROM inbox_dedupe WHERE id IN (SELECT id FROM inbox_dedupe
            WHERE seen_at < clock_timestamp() - interval '14 days' LIMIT $1)""",
    "parked statuses": """
        DELETE FROM parked_status WHERE id IN (SELECT id FROM parked_status
            WHERE until < clock_timestamp() LIMIT $1)""",
    "callbacks": """
        DELETE FROM callback_delivery WHERE id IN (SELECT id FROM callback_delivery
            WHERE created_at < clock_timestamp() - interval '30 days' LIMIT $1)""",
    "mails about alerts": """
        DELETE FROM alert_mail WHERE id IN (SELECT id FROM alert_mail
            WHERE created_at < clock_timestamp() - interval '30 days' LIMIT $1)""",
    "paces of recipients": """
        DELETE FROM recipient_pace WHERE id IN (SELECT id FROM recipient_pace
            WHERE day < (clock_timestamp() - interval '3 days')::date
              AND (paced_until IS NULL OR paced_until < clock_timestamp()) LIMIT $1)""",
    "messages of test businesses": """
        DELETE FROM sandbox_message WHERE id IN (SELECT id FROM sandbox_message
            WHERE created_at < clock_timestamp() - interval '30 days' LIMIT $1)""",
    "long work": """
        DELETE FROM job WHERE id IN (SELECT id FROM job
            WHERE ended_at < clock_timestamp() - interval '30 days' LIMIT $1)""",
    "login attempts": """
        DELETE FROM login_attempt WHERE id IN (SELECT id FROM login_attempt
            WHERE at < clock_timestamp() - interval '1 day' LIMIT $1)""",
}

_log = structlog.get_logger("patchbay.timetable")


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do every so many seconds.

    Attributes:
        number: its lock in the database; never reused.
        act: does it; the transaction holds the lock, longer work opens its own.
    """

    number: int
    name: str
    every: float
    act: Callable[[Services, Transaction], Awaitable[None]]


@dataclass(slots=True)
class Timetable:
    """Runs duties when their time has come; a duty that fails does not stop the others."""

    services: Services
    duties: tuple[Duty, ...] = ()
    _due: dict[int, float] = field(default_factory=dict)
    _failing: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Take the house's own duties if none are given."""
        self.duties = self.duties or DUTIES

    async def step(self) -> bool:
        """Run what is due; never asks to be called at once."""
        for duty in self.duties:
            now = self.services.clock.monotonic()
            if self._due.get(duty.number, now) <= now:
                self._due[duty.number] = now + duty.every
                await self._run(duty)
        return False

    async def _run(self, duty: Duty) -> None:
        try:
            async with self.services.database.engine() as transaction:
                if await transaction.fetchval(
                    "SELECT pg_try_advisory_xact_lock($1, $2)", _LOCK_SPACE, duty.number
                ):
                    await duty.act(self.services, transaction)
        except DATABASE_FAULTS:
            self._due.pop(duty.number, None)
            raise
        except Exception:  # noqa: BLE001 - one duty must not cost the others
            if duty.number not in self._failing:
                self._failing.add(duty.number)
                _log.exception("duty-failed", duty=duty.name)
        else:
            self._failing.discard(duty.number)


async def sweep_leases(services: Services, transaction: Transaction) -> None:
    """Deal with leases that ended and with sends that stay unconfirmed."""
    del transaction
    services.ring.lanes(await delivery.sweep(services))


async def sweep_lanes(services: Services, transaction: Transaction) -> None:
    """Wake lanes that sleep past a due message."""
    del services
    await lanes.sweep(transaction)


async def probe_lanes(services: Services, transaction: Transaction) -> None:
    """Let suspended lanes try one message when their minute has passed."""
    await suspension.probe(transaction)
    del services


async def review_alerts(services: Services, transaction: Transaction) -> None:
    """Raise and end what two transactions of one moment could not see of each other."""
    del services
    await alerts.review(transaction)


async def follow_up(services: Services, transaction: Transaction) -> None:
    """Let the next channel take over from what has not arrived in time."""
    del transaction
    async with services.database.engine() as own:
        woken = await fallbacks.follow_overdue(services, own, _FOLLOWED_AT_ONCE)
    services.ring.lanes(woken)


async def clean_up(services: Services, transaction: Transaction) -> None:
    """Delete what has been kept long enough."""
    del services
    for statement in _CLEANING.values():
        await transaction.execute(statement, _BATCH)


async def check_consents(services: Services, transaction: Transaction) -> None:
    """Once a night, compare what holds with the ledgers of consent."""
    if await consent_check.check_is_due(transaction):
        unequal = await consent_check.compare(transaction)
        if unequal:
            _log.error("consents-unequal", rows=unequal)
    del services


DUTIES: Final = (
    Duty(1, "leases", 2.0, sweep_leases),
    Duty(2, "lanes", 5.0, sweep_lanes),
    Duty(3, "clean-up", 300.0, clean_up),
    Duty(11, "half-open", 2.0, probe_lanes),
    Duty(40, "alerts", 15.0, review_alerts),
    Duty(21, "consents", 600.0, check_consents),
    Duty(22, "fallbacks", 2.0, follow_up),
)
