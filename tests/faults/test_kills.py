"""Processes that die at the wrong moment: nothing is lost, nothing is sent twice.

Every test kills with SIGKILL and is judged by the provider's journal alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
from fixture_town import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_redis import RedisServer
    from fixture_town import Town


def test_redis_killed_after_the_answer_costs_no_message(
    found_town: Callable[..., Town], own_redis: RedisServer
) -> None:
    """Redis dies right after the 202: the message is delivered within five seconds, once."""
    town = found_town(queue_url=own_redis.url)
    town.consent()
    warm = town.tell("e-0")["decisions"][0]["notification_id"]
    town.wait_for_status(warm, "read")
    told = town.tell("e-1")
    own_redis.kill()
    town.wait_for_status(told["decisions"][0]["notification_id"], "read", 5)
    assert len(town.journal()) == 2
    for process in town.processes:
        process.stop()
        assert process.popen.returncode == 0, f"{process.name}: {process.log.read_text()}"


def test_processes_start_while_redis_is_gone(
    found_town: Callable[..., Town], own_redis: RedisServer
) -> None:
    """Web and worker start without Redis and deliver; they hear it again when it is back."""
    own_redis.kill()
    town = found_town(queue_url=own_redis.url)
    town.consent()
    first = town.tell("e-1")["decisions"][0]["notification_id"]
    town.wait_for_status(first, "read")
    own_redis.start()
    second = town.tell("e-2")["decisions"][0]["notification_id"]
    town.wait_for_status(second, "read")
    assert len(town.journal()) == 2


def test_a_worker_killed_in_the_middle_costs_and_doubles_nothing(
    found_town: Callable[..., Town],
) -> None:
    """A worker is killed while the provider holds its answer: the message is delivered once."""
    town = found_town(workers=0)
    town.consent()
    fault = {"kind": "slow", "ms": 4000, "times": 1}
    httpx.post(f"{town.simulator}/simulator/faults", json=fault).raise_for_status()
    worker = town.start_worker(0)
    told = town.tell("e-1")["decisions"][0]["notification_id"]
    wait_until(
        lambda: (
            any(
                step["status"] != "queued" or step.get("detail")
                for step in town.notification(told)["timeline"]
            )
            or bool(httpx.get(f"{town.simulator}/simulator/requests").json()["requests"])
        ),
        10,
    )
    time.sleep(0.3)
    worker.kill()
    town.start_worker(1)
    seen = town.wait_for_status(told, "read", 60)
    assert seen["status"] == "read"
    assert len(town.journal()) == 1
