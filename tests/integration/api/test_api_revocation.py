"""After an acknowledged revocation nothing is sent: the change against the send."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import asyncpg
from api_world import build_app

from core.clock import ManualClock

if TYPE_CHECKING:
    from api_world import Api
    from fixture_postgres import FreshDatabase

BEGIN = (
    "UPDATE notification_outbox SET phase = 'in_flight', lease_token = gen_random_uuid(), "
    "lease_until = now() + interval '30 s', begun_at = now()"
)
RECORD = (
    "UPDATE notification_outbox SET phase = 'final', status = 'sent', sent_at = now(), "
    "lease_token = NULL, lease_until = NULL, next_retry_at = NULL"
)


async def waiting_message(api: Api) -> str:
    """Queue one message and return its consent."""
    consent = str((await api.grant()).json()["id"])
    assert (await api.tell()).status_code == 202
    return consent


def revoking(api: Api, consent: str) -> asyncio.Task[Any]:
    """Start a revocation."""
    return asyncio.create_task(api.call("POST", f"/v1/consents/{consent}/revoke"))


async def test_it_is_not_acknowledged_while_a_message_is_in_flight(api: Api) -> None:
    """The consent is gone at once; the 200 comes only after the send was recorded."""
    consent = await waiting_message(api)
    await api.superuser.execute(BEGIN)
    task = revoking(api, consent)
    await asyncio.sleep(0.4)
    assert not task.done()
    assert await api.superuser.fetchval("SELECT opt_in FROM customer_consents") is False
    await api.superuser.execute(RECORD)
    answer = await asyncio.wait_for(task, 30)
    assert (answer.status_code, answer.json()) == (
        200,
        {"state": "revoked", "canceled_notifications": 0},
    )


async def test_a_send_that_hangs_makes_it_202_which_is_no_acknowledgement(api: Api) -> None:
    """Past the HTTP timeout and a second: `revoking`, with how many are still draining."""
    consent = await waiting_message(api)
    await api.superuser.execute(BEGIN)
    clock = ManualClock(api.services.clock.now())
    api.app = build_app(dataclasses.replace(api.services, clock=clock))
    answer = await api.call("POST", f"/v1/consents/{consent}/revoke")
    assert (answer.status_code, answer.json()) == (202, {"state": "revoking", "draining": 1})
    assert 11 <= clock.monotonic() < 11.2
    await api.superuser.execute(RECORD)
    again = await api.call("POST", f"/v1/consents/{consent}/revoke")
    assert (again.status_code, again.json()["state"]) == (200, "revoked")


async def test_it_waits_for_a_begin_that_came_first(
    api: Api, migrated_database: FreshDatabase
) -> None:
    """A row that `begin` holds is waited for: it is then in flight, and not canceled."""
    consent = await waiting_message(api)
    rival = await asyncpg.connect(migrated_database.superuser_url)
    transaction = rival.transaction()
    await transaction.start()
    await rival.execute(BEGIN)
    task = revoking(api, consent)
    await asyncio.sleep(0.3)
    assert not task.done()
    await transaction.commit()
    await rival.close()
    await asyncio.sleep(0.3)
    assert not task.done(), "the message is being sent"
    await api.superuser.execute(RECORD)
    answer = await asyncio.wait_for(task, 30)
    assert answer.json()["canceled_notifications"] == 0
    assert await api.superuser.fetchval("SELECT status FROM notification_outbox") == "sent"


async def test_a_leased_message_is_taken_back(api: Api) -> None:
    """Claimed and not begun: canceled, and its lease is gone, so that `begin` finds nothing."""
    consent = await waiting_message(api)
    await api.superuser.execute(
        "UPDATE notification_outbox SET phase = 'leased', lease_token = gen_random_uuid(), "
        "lease_until = now() + interval '30 s'"
    )
    answer = await api.call("POST", f"/v1/consents/{consent}/revoke")
    assert answer.json() == {"state": "revoked", "canceled_notifications": 1}
    row = await api.superuser.fetchrow("SELECT phase, lease_token FROM notification_outbox")
    assert tuple(row) == ("final", None)


async def test_ten_at_once_write_one_line(api: Api) -> None:
    """Everybody gets the same answer."""
    consent = await waiting_message(api)
    answers = await asyncio.gather(*(revoking(api, consent) for _ in range(10)))
    said = [(answer.status_code, answer.json()["canceled_notifications"]) for answer in answers]
    assert said == [(200, 1)] * 10
    lines = await api.superuser.fetchval(
        "SELECT count(*) FROM consent_event WHERE action = 'revoke'"
    )
    assert lines == 1
