"""How many calls a key may make: shared by all processes, told in every answer."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from api_world import build_app, make_keys

from core.access import keys
from core.access.rates import MOST_PER_SECOND, KeyRates, Rate, RateLimitedError
from core.clock import ManualClock
from core.errors import InvalidInputError

if TYPE_CHECKING:
    from api_world import Api

PATH = "/v1/businesses/salon-aurora"


async def slow_key(api: Api, per_second: int = 1, burst: int = 5) -> str:
    """Make a key of a low rate; returns its id."""
    rate = Rate(per_second, burst)
    api.keys |= await make_keys(api.services, {"slow": {"scopes": ["*"], "rate": rate}})
    return api.keys["slow"].split("_")[2]


async def test_every_answer_tells_what_is_left(api: Api) -> None:
    """Structured fields with the policy and the rest, also on a refusal of another kind."""
    await slow_key(api)
    answer = await api.call("GET", PATH, key="slow")
    assert answer.headers["ratelimit-policy"] == '"key";q=5;w=5'
    assert re.fullmatch(r'"key";r=4;t=\d+', answer.headers["ratelimit"])
    missing = await api.call("GET", "/v1/businesses/nobody", key="slow")
    assert missing.status_code == 404
    assert missing.headers["ratelimit"].startswith('"key";r=3;')
    for open_path in ("/health/live", "/nowhere"):
        assert "ratelimit" not in (await api.call("GET", open_path, key="slow")).headers


async def test_a_key_that_calls_too_much_is_told_when_to_come_back(api: Api) -> None:
    """The burst goes through; then 429, with the problem, the wait, and nothing left."""
    await slow_key(api)
    answers = [await api.call("GET", PATH, key="slow") for _ in range(8)]
    refused = [one for one in answers if one.status_code == 429]
    assert [one.status_code for one in answers[:5]] == [200] * 5
    assert refused
    assert refused[0].json()["code"] == "rate-limited"
    assert 1 <= int(refused[0].headers["retry-after"]) <= 2
    assert refused[0].headers["ratelimit"].startswith('"key";r=0;')
    assert (await api.call("GET", PATH, key="platform")).status_code == 200
    await asyncio.sleep(int(refused[0].headers["retry-after"]))
    assert (await api.call("GET", PATH, key="slow")).status_code == 200


async def test_processes_share_one_bucket(api: Api) -> None:
    """Four doors, many calls at once: together they let through what one key may do."""
    await slow_key(api, per_second=1, burst=20)
    apps = [build_app(api.services) for _ in range(4)]
    doors = [type(api)(**{**vars(api), "app": app}) for app in apps]
    answers = await asyncio.gather(
        *(door.call("GET", PATH, key="slow") for _ in range(15) for door in doors)
    )
    passed = sum(one.status_code == 200 for one in answers)
    assert {one.status_code for one in answers} == {200, 429}
    assert 20 <= passed <= 20 + 8, "the burst, and what ran in while it took"


async def test_calls_that_are_refused_cost_the_database_nothing(api: Api) -> None:
    """A flood is turned away from memory until there is a call again; so is a lot that lasts."""
    key_id = await slow_key(api, per_second=1000, burst=1000)
    clock = ManualClock(api.services.clock.now())
    rates = KeyRates(api.services.database, clock)
    written = "SELECT xmin::text FROM api_key WHERE key_id = $1"
    await rates.spend(key_id, Rate(1000, 1000))
    before = await api.superuser.fetchval(written, key_id)
    for _ in range(199):
        await rates.spend(key_id, Rate(1000, 1000))
    assert await api.superuser.fetchval(written, key_id) == before
    low = Rate(1, 1)
    empty = KeyRates(api.services.database, clock)
    await api.superuser.execute("UPDATE api_key SET rate_tokens = 0, rate_filled_at = now()")
    with pytest.raises(RateLimitedError):
        await empty.spend(key_id, low)
    before = await api.superuser.fetchval(written, key_id)
    for _ in range(50):
        with pytest.raises(RateLimitedError) as caught:
            await empty.spend(key_id, low)
        assert caught.value.retry_after == 1
    assert await api.superuser.fetchval(written, key_id) == before


async def test_what_is_not_used_goes_back(api: Api) -> None:
    """A process that holds calls for a second and makes none gives them to the others."""
    key_id = await slow_key(api, per_second=10, burst=10)
    clock = ManualClock(api.services.clock.now())
    rates, rate = KeyRates(api.services.database, clock), Rate(10, 10)
    first = await rates.spend(key_id, rate)
    assert first.remaining == 9
    clock.advance(timedelta(seconds=2))
    again = await rates.spend(key_id, rate)
    assert again.remaining in {8, 9}
    left = await api.superuser.fetchval(
        "SELECT rate_tokens FROM api_key WHERE key_id = $1", key_id
    )
    assert 7 <= left <= 8, "two are held, at most one was spent beside"


@pytest.mark.parametrize("rate", [Rate(0, 5), Rate(5, 0), Rate(MOST_PER_SECOND + 1, 5)])
async def test_a_rate_that_makes_no_sense_is_refused(api: Api, rate: Rate) -> None:
    """A key that may do nothing is no key."""
    with pytest.raises(InvalidInputError):
        await make_keys(api.services, {"odd": {"scopes": ["*"], "rate": rate}})


async def test_an_address_that_tries_keys_is_slowed_down(api: Api) -> None:
    """After two hundred wrong ones 429; a key that has opened before still opens."""
    clock = ManualClock(api.services.clock.now())
    ring = keys.KeyRing(api.services.database, api.services.vault, clock)
    good = api.keys["platform"]
    await ring.verify(good, "203.0.113.7")
    for place in range(200):
        with pytest.raises(keys.UnauthenticatedError):
            await ring.verify(f"wrong-{place}", "203.0.113.7")
    with pytest.raises(RateLimitedError) as caught:
        await ring.verify("wrong-again", "203.0.113.7")
    assert caught.value.retry_after == 1
    clock.advance(timedelta(seconds=1.5))
    await ring.verify(good, "203.0.113.7")
    await ring.verify(api.keys["reader"], "203.0.113.8")
    clock.advance(timedelta(seconds=10))
    await ring.verify(api.keys["reader"], "203.0.113.7")


async def test_a_key_opens_from_its_networks_alone(api: Api) -> None:
    """Elsewhere, and from nowhere known, it is as good as none."""
    kind: dict[str, Any] = {"scopes": ["*"], "allowed_from": ["10.1.0.0/16", "2001:db8::1"]}
    made = await make_keys(api.services, {"office": kind})
    ring = keys.KeyRing(api.services.database, api.services.vault, api.services.clock)
    for address in ("10.1.2.3", "2001:db8::1"):
        await ring.verify(made["office"], address)
    for elsewhere in ("10.2.0.1", "2001:db8::2", "testclient", None):
        with pytest.raises(keys.UnauthenticatedError):
            await ring.verify(made["office"], elsewhere)
    with pytest.raises(InvalidInputError, match="no network"):
        await make_keys(api.services, {"odd": {"scopes": ["*"], "allowed_from": ["home"]}})
