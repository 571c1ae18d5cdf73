"""The test run's own Redis behaves like one that crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from fixture_redis import RedisServer


def test_a_killed_redis_comes_back_empty_at_the_same_address(own_redis: RedisServer) -> None:
    """A kill loses all it held; the address is good again after the next start."""
    with Redis.from_url(own_redis.url) as client:
        client.set("job", "1")
        own_redis.kill()
        with pytest.raises(RedisConnectionError):
            client.get("job")
        own_redis.start()
        assert client.get("job") is None
