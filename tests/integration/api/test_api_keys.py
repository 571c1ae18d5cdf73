"""API keys: who may call, what for, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_world import make_keys

from core.access import keys
from core.clock import ManualClock
from core.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from api_world import Api

PATH = "/v1/businesses/salon-aurora"


async def status(api: Api, key: str | None, path: str = PATH) -> tuple[int, str]:
    """Call with a key and return status and code."""
    answer = await api.call("GET", path, key=key)
    return answer.status_code, answer.json().get("code", "")


async def test_only_a_sound_living_key_opens(api: Api) -> None:
    """Missing, foreign-made, altered and cross-mode keys are all the same 401."""
    good = api.keys["platform"]
    assert (await status(api, "platform"))[0] == 200
    altered = good[:-1] + ("a" if good[-1] != "a" else "b")
    for wrong in (None, "pb_live_x_y", altered, good.replace("live", "test"), good + "_", ""):
        assert await status(api, wrong) == (401, "unauthenticated"), wrong
    raw: Any = {"Authorization": b"Bearer pb_live_\xfc_\xff"}
    assert (await api.call("GET", PATH, key=None, headers=raw)).status_code == 401
    basic = await api.call("GET", PATH, key=None, headers={"Authorization": f"Basic {good}"})
    assert basic.status_code == 401
    assert basic.headers["www-authenticate"].startswith("Bearer")


async def test_a_scope_is_needed_and_its_lack_is_audited(api: Api) -> None:
    """403 names the scope; the refusal stands in the audit trail."""
    answer = await api.call("GET", PATH, key="reader")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope-missing")
    assert "config:read" in answer.json()["detail"]
    rows = await api.superuser.fetch("SELECT * FROM audit_log WHERE action LIKE 'refused:%'")
    assert [row["after"] for row in rows] != []
    told = await api.call("POST", "/v1/events", key="reader", json={})
    assert told.status_code == 403, "the body is not looked at before the scope"


async def test_a_revoked_key_is_dead_within_a_second(api: Api) -> None:
    """What a process remembers of a key, it forgets after a second."""
    clock = ManualClock(api.services.clock.now())
    ring = keys.KeyRing(api.services.database, api.services.vault, clock)
    caller = await ring.verify(api.keys["platform"])
    async with api.services.database.engine() as transaction:
        await keys.revoke_key(transaction, caller.key_id, now=clock.now())
    clock.advance(timedelta(seconds=1))
    with pytest.raises(keys.UnauthenticatedError):
        await ring.verify(api.keys["platform"])


async def test_an_expired_key_says_so(api: Api) -> None:
    """Also while the process still remembers it."""
    clock = ManualClock(api.services.clock.now())
    later = clock.now() + timedelta(milliseconds=500)
    made = await make_keys(api.services, {"short": {"scopes": ["*"], "expires_at": later}})
    ring = keys.KeyRing(api.services.database, api.services.vault, clock)
    await ring.verify(made["short"])
    clock.advance(timedelta(milliseconds=600))
    with pytest.raises(keys.UnauthenticatedError) as caught:
        await ring.verify(made["short"])
    assert caught.value.code == "key-expired"


async def test_two_secrets_live_while_a_key_rotates(api: Api) -> None:
    """Both open until the rotation is finished; then only the new one does."""
    old = api.keys["platform"]
    key_id = old.split("_")[2]
    database, vault = api.services.database, api.services.vault
    async with database.engine() as transaction:
        new = (await keys.rotate_key(transaction, vault, key_id)).plaintext.reveal()

    async def opens(plaintext: str) -> bool:
        try:
            await keys.KeyRing(database, vault, api.services.clock).verify(plaintext)
        except keys.UnauthenticatedError:
            return False
        return True

    assert (await opens(old), await opens(new)) == (True, True)
    async with database.engine() as transaction:
        await keys.finish_rotation(transaction, key_id)
    assert (await opens(old), await opens(new)) == (False, True)
    async with database.engine() as transaction:
        with pytest.raises(NotFoundError):
            await keys.finish_rotation(transaction, key_id)


async def test_the_database_never_holds_a_secret(api: Api) -> None:
    """Only a keyed hash of it; the use is noted once a minute at most."""
    plaintext = api.keys["platform"]
    secret = plaintext.split("_")[3]
    await api.call("GET", PATH)
    row = await api.superuser.fetchrow(
        "SELECT k.*, k::text AS whole FROM api_key k WHERE name = 'platform'"
    )
    assert secret not in row["whole"]
    assert len(secret) == 43
    noted = row["last_used_at"]
    assert noted is not None
    ring = keys.KeyRing(api.services.database, api.services.vault, api.services.clock)
    await ring.verify(plaintext)
    again = await api.superuser.fetchval(
        "SELECT last_used_at FROM api_key WHERE name = 'platform'"
    )
    assert again == noted


async def test_keys_are_listed_without_their_hashes(api: Api) -> None:
    """A business sees its own keys, the platform all of them."""
    async with api.services.database.business(api.own.id) as transaction:
        own = await keys.list_keys(transaction)
    async with api.services.database.platform() as transaction:
        everyone = await keys.list_keys(transaction)
    assert [one.name for one in own] == ["bound"]
    assert {one.name for one in everyone} == set(api.keys)


async def test_unknown_scopes_and_modes_are_refused(api: Api) -> None:
    """A typo must not make a key that opens nothing, or everything."""
    wrong: list[dict[str, Any]] = [
        {"scopes": ["event:write"]},
        {"scopes": []},
        {"scopes": ["*"], "mode": "prod"},
    ]
    async with api.services.database.engine() as transaction:
        for kind in wrong:
            with pytest.raises(InvalidInputError):
                await keys.create_key(transaction, api.services.vault, name="x", **kind)


async def test_every_call_has_an_id_also_where_there_is_no_handler(api: Api) -> None:
    """Yours comes back if it is sound; a made-up one is replaced; a trace goes on."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "mine-1", "traceparent": parent}
    answer = await api.call("GET", "/nowhere", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert answer.headers["traceparent"].split("-")[1] == answer.json()["trace_id"]
    other = await api.call("GET", "/nowhere", headers={"X-Request-Id": "two words"})
    assert other.headers["x-request-id"] not in ("", "two words")


async def test_a_method_that_is_not_offered_is_405(api: Api) -> None:
    """With the methods that are."""
    answer = await api.call("DELETE", PATH)
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert "PUT" in answer.headers["allow"]


async def test_a_database_that_is_gone_is_503_and_not_500(api: Api) -> None:
    """Nothing was stored; the caller is told when to come back."""
    name = await api.superuser.fetchval("SELECT current_database()")
    await api.superuser.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    await api.superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    answer = await api.call("GET", PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
