"""Emptying a test business: all of it, nothing of anybody else, never a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from engine_steps import begin
from walled_rows import fill_tables

from core.api import examples
from core.notify import delivery
from core.sandbox import store
from core.schema import classification

if TYPE_CHECKING:
    from trial_world import Trial

    from core.walls import TableClass

PATH = "/v1/sandbox/reset"
ANEW = {"channel_connection", "channel_template", "lane"}
"""What is put up again at once."""


def tenant_tables(trial: Trial) -> dict[str, TableClass]:
    """Return every table whose rows belong to a business, of the core and of the channels."""
    return {
        name: table
        for name, table in classification(trial.services.registry).items()
        if "business_id" in table.columns
    }


async def counts(trial: Trial) -> dict[str, dict[str, int]]:
    """Count rows by business and table, as the superuser sees them."""
    found: dict[str, dict[str, int]] = {}
    for business in await trial.api.superuser.fetch("SELECT id, ref FROM business"):
        found[business["ref"]] = {
            name: await trial.api.superuser.fetchval(
                f"SELECT count(*) FROM {name} WHERE business_id = $1", business["id"]
            )
            for name in tenant_tables(trial)
        }
    return found


async def fill(trial: Trial) -> None:
    """Put one row of each business into every table, whatever it is for."""
    businesses = [row["id"] for row in await trial.api.superuser.fetch("SELECT id FROM business")]
    empty = {
        name: table
        for name, table in tenant_tables(trial).items()
        if name not in {"api_key", *ANEW}
    }
    await fill_tables(trial.api.superuser, empty, businesses)


async def test_a_reset_empties_every_table_of_this_business_alone(trial: Trial) -> None:
    """Also tables of channels and of later versions; the others keep every row."""
    await fill(trial)
    before = await counts(trial)
    answer = await trial.call("POST", PATH, json={"business_id": examples.TRIAL})
    assert answer.status_code == 200, answer.text
    after = await counts(trial)
    for name, rows in after[examples.TRIAL].items():
        if name in store.KEPT:
            assert rows >= before[examples.TRIAL][name], name
        elif name not in ANEW:
            assert rows == 0, name
    for other in ("salon-other", examples.BUSINESS):
        assert after[other] == before[other]
    gone = sum(
        before[examples.TRIAL][name] for name in before[examples.TRIAL] if name not in store.KEPT
    )
    assert answer.json() == {"business_id": examples.TRIAL, "deleted": gone}


async def test_a_business_works_as_new_after_a_reset(trial: Trial) -> None:
    """The same customer, booking and event come again; the clock is set back."""
    await trial.confirmation("00")
    await trial.work()
    await trial.hear()
    await trial.advance("P1D")
    await trial.call("POST", PATH, json={"business_id": examples.TRIAL})
    shown = await trial.call("GET", "/v1/sandbox/messages", params={"business_id": examples.TRIAL})
    assert shown.json()["data"] == []
    ahead = await trial.api.superuser.fetchval(
        "SELECT clock_ahead_seconds FROM business WHERE id = $1", trial.business.id
    )
    assert ahead == 0
    confirmation = await trial.confirmation("00")
    assert await trial.work() == 1
    await trial.hear()
    assert (await trial.story(confirmation))["status"] == "read"


async def test_a_message_that_is_on_its_way_does_not_bring_rows_back(trial: Trial) -> None:
    """A worker that records after the reset finds nothing to record."""
    await trial.confirmation("00")
    token, begun = await begin(trial.services)
    await trial.call("POST", PATH, json={"business_id": examples.TRIAL})
    results = [await delivery.hand_over(trial.services, one) for one in begun]
    await delivery.record_batch(trial.services, token, results)
    assert await trial.api.count("notification_outbox") == 0
    assert await trial.api.count("send_attempt") == 0


async def test_the_database_refuses_to_empty_a_live_business(trial: Trial) -> None:
    """Whoever asks, in whichever role: the function looks at the mode itself."""
    await fill(trial)
    before = await counts(trial)
    live = trial.api.own.id
    for role in ("engine", "platform"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with getattr(trial.services.database, role)() as transaction:
                await store.empty(transaction, live)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only a test business"):
        await trial.api.superuser.fetchval("SELECT sandbox_reset($1, '{}')", live)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only a test business"):
        await trial.api.superuser.fetchval("SELECT sandbox_advance($1, 60)", live)
    assert await counts(trial) == before


async def test_consents_stay_append_only(trial: Trial) -> None:
    """Only a reset may delete them, only of its own test business."""
    await fill(trial)
    run: Any = trial.api.superuser.execute
    for business in (trial.api.own.id, trial.business.id):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await run("DELETE FROM consent_event WHERE business_id = $1", business)
    # Pretending to be a reset opens nothing of a live business, and no other test one.
    for pretended, target in (
        (trial.api.own.id, trial.api.own.id),
        (trial.business.id, trial.api.foreign.id),
    ):
        await run("SELECT set_config('app.sandbox_reset', $1, false)", str(pretended))
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await run("DELETE FROM consent_event WHERE business_id = $1", target)


async def test_a_consent_is_not_deleted_outside_a_reset(trial: Trial) -> None:
    """Not by the engine, which may delete at all only for a reset."""
    await fill(trial)
    for business in (trial.api.own.id, trial.business.id):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            async with trial.services.database.engine() as transaction:
                await transaction.execute(
                    "DELETE FROM customer_consents WHERE business_id = $1", business
                )


async def test_a_reset_leaves_a_line_in_the_audit_trail(trial: Trial) -> None:
    """Who did it, to which business, and how much went."""
    await trial.call("POST", PATH, json={"business_id": examples.TRIAL})
    row = await trial.api.superuser.fetchrow(
        "SELECT * FROM audit_log WHERE action = 'sandbox.reset'"
    )
    assert row["business_id"] == trial.business.id
    assert row["actor"].startswith("key:")
