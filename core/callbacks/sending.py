"""One attempt of a callback: signed, bounded in time and in what is read, judged by its answer."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from dataclasses import dataclass
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import aiohttp
import httpx
import structlog

from core.alerts import store as alerts
from core.alerts.kinds import kinds_of
from core.callbacks import deliveries, endpoints
from core.callbacks.addresses import ForbiddenAddressError, check_url
from core.callbacks.deliveries import Attempted
from core.callbacks.messages import LARGEST, message_id, render
from core.callbacks.schedule import wait_after
from core.callbacks.signatures import sign
from core.ids import WEBHOOK_ENDPOINT, new_uuid, outward
from core.vault import VaultError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.callbacks.deliveries import Delivery
    from core.callbacks.endpoints import Target
    from core.notify.services import Services

TOTAL_SECONDS: Final = 15.0
MOST_READ: Final = 64 * 1024
"""Bytes of an answer that are read; it is judged by its status, the rest is not wanted."""

_READ_SECONDS: Final = 2.0

_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_GONE: Final = 410
_ASKING: Final = frozenset({429, 503})
_random: Final = random.SystemRandom().random

_log = structlog.get_logger("patchbay.callbacks")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A callback that is this process's to deliver.

    Attributes:
        token: the lease.
        target: None when the endpoint's secret does not open.
    """

    delivery: Delivery
    token: UUID
    target: Target | None


async def claim(services: Services, limit: int) -> list[Claimed]:
    """Take due callbacks, with their addresses and secrets."""
    token = new_uuid()
    async with services.database.engine() as transaction:
        taken = await deliveries.claim(transaction, token, limit)
        if not taken:
            return []
        found = await endpoints.targets(
            transaction,
            services.vault,
            [one.endpoint_id for one in taken],
            services.clock.now(),
        )
    return [Claimed(one, token, found.get(one.endpoint_id)) for one in taken]


async def deliver(services: Services, client: httpx.AsyncClient, claimed: Claimed) -> Attempted:
    """Make one attempt; whatever happens, it comes back with a verdict."""
    began = services.clock.monotonic()
    status: int | None = None
    asked: timedelta | None = None
    try:
        async with asyncio.timeout(TOTAL_SECONDS):
            status, asked = await _exchange(services, client, claimed.delivery, claimed.target)
        error = _fault_of(status)
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as fault:
        error = _named(fault)
    except VaultError:
        error = "secret-unreadable"
    except Exception as fault:  # noqa: BLE001 - one address must not cost the others their turn
        error = "internal"
        _log.exception("callback-failed", error=type(fault).__name__)
    return _judged(claimed, status, error, asked, services.clock.monotonic() - began)


async def record(services: Services, attempts: Sequence[Attempted]) -> None:
    """Write attempts down together; who is switched off by it gets an alert with it."""
    async with services.database.engine() as transaction:
        switched_off = await deliveries.record(transaction, attempts)
        await alerts.raise_alerts(
            transaction,
            [
                alerts.Matter(
                    business_id=off.business_id,
                    kind=endpoints.ALERT,
                    subject=outward(WEBHOOK_ENDPOINT, off.endpoint_id),
                    arguments={"reason": off.reason},
                )
                for off in switched_off
            ],
        )
    for off in switched_off:
        endpoint = outward(WEBHOOK_ENDPOINT, off.endpoint_id)
        _log.warning("callback-endpoint-disabled", endpoint=endpoint, reason=off.reason)


async def _exchange(
    services: Services, client: httpx.AsyncClient, delivery: Delivery, target: Target | None
) -> tuple[int, timedelta | None]:
    """Send, and read a bounded part of the answer; an answer that drips is judged by its head."""
    if target is None:
        raise VaultError("the endpoint's secret does not open")
    check_url(target.url, local=services.local_callbacks)
    body = render(services.public_url, delivery, kinds_of(services.registry))
    if len(body) >= LARGEST:
        raise AssertionError("a callback's body is too large")
    now = services.clock.now()
    headers = sign(message_id(delivery.id), int(now.timestamp()), body, target.keys)
    headers |= {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "user-agent": "Patchbay-Callbacks/1",
        "accept-encoding": "identity",
    }
    async with client.stream("POST", target.url, content=body, headers=headers) as answer:
        asked = _asked(answer, now) if answer.status_code in _ASKING else None
        await _read_some(answer)
        return answer.status_code, asked


async def _read_some(answer: httpx.Response) -> None:
    """Read a small answer to its end, so that the connection can be used again; drop the rest."""
    left = MOST_READ
    with contextlib.suppress(httpx.HTTPError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in answer.aiter_raw():
                left -= len(chunk)
                if left <= 0:
                    return


def _judged(
    claimed: Claimed, status: int | None, error: str, asked: timedelta | None, seconds: float
) -> Attempted:
    wait: timedelta | None = None
    if not error:
        outcome = "delivered"
    elif status == _GONE:
        outcome = "gone"
    else:
        wait = wait_after(claimed.delivery.attempt, _random, asked)
        outcome = "retry" if wait is not None else "failed"
    return Attempted(
        id=claimed.delivery.id,
        token=claimed.token,
        outcome=outcome,
        status=status,
        error=error,
        wait=wait,
        milliseconds=round(seconds * 1000),
    )


def _fault_of(status: int) -> str:
    if status in _OK:
        return ""
    if status in _REDIRECT:
        return "redirect"
    return "gone" if status == _GONE else f"http-{status}"


def _named(fault: BaseException) -> str:
    """Return a word for what went wrong on the way; the library's own words may hold addresses."""
    if isinstance(fault, TimeoutError):
        return "timeout"
    error = "broken"
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return "address-forbidden"
        if isinstance(cause, ssl.SSLError | ssl.CertificateError):
            return "certificate"
        # The libraries' own words differ: a broken connection is a failed connect to one of them.
        error = "not-connected" if isinstance(cause, aiohttp.ClientConnectorError) else error
        cause = cause.__cause__
    return error


def _asked(answer: httpx.Response, now: datetime) -> timedelta | None:
    """Read `Retry-After`, in seconds or as a date."""
    told = answer.headers.get("retry-after", "").strip()[:64]
    if told.isdecimal() and told.isascii():
        return timedelta(seconds=min(int(told), 10**7))
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - now, timedelta())
