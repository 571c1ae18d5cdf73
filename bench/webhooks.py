"""Webhooks: signed news over HTTP, one status per call and a thousand; then applied."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from bench.calls import post_all
from bench.drain import leave_sent
from bench.figures import waits
from bench.ground import APP_SECRET, CHANNEL
from core.embedded_machine import free_port
from core.ids import NOTIFICATION, outward
from core.notify.hosting import Supplies, build_host
from core.notify.inbox import apply_waiting
from core.settings import read_settings
from plugins.whatsapp.channel import WhatsAppChannel
from plugins.whatsapp.webhooks import signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from bench.ground import Ground

_TOGETHER: Final = 32
_WARM: Final = 50
_BATCH: Final = 200


async def measure(ground: Ground, singles: int, per_call: int, calls: int) -> None:
    """Measure one status per call, then many per call; each status brings a message forward."""
    async with ground.superuser() as run:
        shops, ids = await leave_sent(ground, run, max(singles, per_call * calls))
        by_shop = dict(await run.fetch("SELECT id, business_id FROM notification_outbox"))
        accounts = {shop.id: shop.account for shop in shops}
        told = [(accounts[by_shop[one]], one) for one in ids]
        await _measure(ground, run, [[one] for one in told[:singles]], "delivered")
        sets = [told[at : at + per_call] for at in range(0, per_call * calls, per_call)]
        await _measure(ground, run, sets, "read")


async def _measure(
    ground: Ground, run: Any, sets: list[list[tuple[str, UUID]]], status: str
) -> None:
    port, count = free_port(), sum(map(len, sets))
    async with ground.process(
        "web-ready", "-m", "core.cli", "serve", PATCHBAY_PORT=str(port)
    ) as web:
        warm = [_signed([("0", told[0][1])], "sent", n) for n, told in zip(range(_WARM), sets)]  # noqa: B905 - the shorter one ends it
        await post_all(port, f"/hooks/{CHANNEL}", warm, together=4)
        meter = ground.meter(web)
        bodies = [_signed(told, status, place) for place, told in enumerate(sets)]
        meter.start()
        took = await post_all(port, f"/hooks/{CHANNEL}", bodies, together=_TOGETHER)
        meter.stop()
    size = len(sets[0])
    print(meter.line(f"taken, {size:,} a call", count, what="statuses"))
    print(f"    an answer: {waits(took)}")
    meter = ground.meter()
    meter.start()
    longest = await _apply_all(ground)
    meter.stop()
    print(meter.line(f"applied, {size:,} a call", count, what="statuses"))
    done = await run.fetchval("SELECT count(*) FROM notification_outbox WHERE status = $1", status)
    print(f"    {done:,} of {count:,} are {status}; the longest transaction {longest:.0f} ms")
    if done != count:
        raise RuntimeError(f"{done} of {count} are {status}")


async def _apply_all(ground: Ground) -> float:
    settings = read_settings(ground.environment)
    longest = 0.0
    async with httpx.AsyncClient() as http, ground.services() as services:
        supplies = Supplies(
            settings=settings,
            database=services.database,
            vault=services.vault,
            clock=services.clock,
            http=http,
            enqueue=_refuse,
        )
        channel = WhatsAppChannel(build_host(supplies, CHANNEL))
        services.channels[CHANNEL] = channel  # type: ignore[index]  # ours is a dict
        taken = 1
        while taken:
            began = time.perf_counter()
            taken = await apply_waiting(services, CHANNEL, _BATCH)
            longest = max(longest, (time.perf_counter() - began) * 1000)
    return longest


async def _refuse(task: str, /, **arguments: str) -> None:
    raise AssertionError((task, arguments))


def _signed(
    told: list[tuple[str, UUID]], status: str, place: int
) -> tuple[bytes, Mapping[str, str]]:
    """Write a call as Meta sends it: the statuses of each number stand together."""
    at = str(int(time.time()) + place % 7)
    changes: dict[str, list[dict[str, str]]] = {}
    for account, one in told:
        changes.setdefault(account, []).append(
            {
                "id": f"wamid.{one}",
                "status": status,
                "timestamp": at,
                "recipient_id": "393331234567",
                "biz_opaque_callback_data": outward(NOTIFICATION, one),
            }
        )
    body = msgspec.json.encode(
        {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": account,
                    "changes": [
                        {
                            "field": "messages",
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {"phone_number_id": account},
                                "statuses": statuses,
                            },
                        }
                    ],
                }
                for account, statuses in changes.items()
            ],
        }
    )
    return body, {"x-hub-signature-256": signature(APP_SECRET, body).decode()}
