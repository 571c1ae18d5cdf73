"""Importing a file of consents, one line in a hundred bad, and the same file once more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from core.businesses.store import BusinessIn, add_business
from core.ids import new_uuid
from core.jobs import store
from core.notify.consent_files import CSV
from core.notify.consent_import import KIND, open_import

if TYPE_CHECKING:
    from uuid import UUID

    from bench.ground import Ground
    from core.notify.consent_import import ConsentImport
    from core.notify.services import Services

BAD_EVERY = 100
HEAD = "customer_id,channel,source,granted_at,text_version,proof_reference,phone,first_name"


async def measure(ground: Ground, lines: int) -> None:
    """Import so many lines twice."""
    raw = "\n".join((HEAD, *(_line(place) for place in range(lines)))).encode()
    async with ground.services() as services:
        async with services.database.platform() as transaction:
            business = await add_business(
                transaction,
                "bench-consents",
                BusinessIn(
                    name="Bench", timezone="Europe/Rome", default_locale="it", country="IT"
                ),
                mode="live",
                now=services.clock.now(),
            )
        if business is None:
            raise AssertionError("the benchmark brings its own database")
        for run in ("first", "again"):
            meter = ground.meter()
            meter.start()
            work = await _import(services, business.id, raw)
            meter.stop()
            told = ", ".join(f"{number} {name}" for name, number in work.told.items())
            print(meter.line(f"{run}: {told}", lines, what="lines"))
        started = time.perf_counter()
        async with services.database.engine() as transaction:
            unequal = await transaction.fetchval(
                "SELECT count(*) FROM consent_differences(ARRAY[$1::uuid])", business.id
            )
        took = time.perf_counter() - started
    print(f"  compared with the ledger in {took:.1f} s: {unequal} differences")


async def _import(services: Services, business_id: UUID, raw: bytes) -> ConsentImport:
    token = new_uuid()
    async with services.database.business(business_id) as transaction:
        made = await store.create(
            transaction,
            services.vault,
            business_id,
            KIND,
            actor="bench",
            parameters={"format": CSV, "dry_run": False},
            given=raw,
        )
    async with services.database.engine() as transaction:
        job = await store.claim(transaction, (KIND,), token, made.id)
    if job is None:
        raise AssertionError("nobody else takes jobs up here")
    work = await open_import(services, job, token)
    while await work.step():
        pass
    return work


def _line(place: int) -> str:
    source = "hearsay" if place % BAD_EVERY == BAD_EVERY - 1 else "web"
    phone = f"33{place // 1000 % 10} {place:07d}"
    return (
        f"c-{place},whatsapp,{source},2026-10-01T09:30:00Z,it-v1,form/{place},{phone},Anna{place}"
    )
