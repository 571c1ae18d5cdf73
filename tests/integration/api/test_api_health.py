"""Health: what it looks at, what it names, what it never shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import Litestar

from core.api.application import exception_handlers, finish, routes

if TYPE_CHECKING:
    from api_world import Api


async def test_the_three_questions_are_answered_without_a_key(api: Api) -> None:
    """Alive, ready, started: each 200 on a sound host, with its parts."""
    for question in ("live", "ready", "startup"):
        answer = await api.call("GET", f"/health/{question}", key=None)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok"), answer.text
    ready = (await api.call("GET", "/health/ready", key=None)).json()
    assert {name: part["status"] for name, part in ready["parts"].items()} == {
        "database": "ok",
        "migrations": "ok",
    }
    plugins = {one["name"]: one["status"] for one in ready["plugins"]}
    assert (plugins["whatsapp"], plugins["console"]) == ("loaded", "loaded")


async def test_a_failed_plugin_is_named_and_fails_nobody_else(api: Api) -> None:
    """200, degraded, with the reason."""
    api.services.registry.fail("console", "ImportError: no such thing")
    answer = await api.call("GET", "/health/ready", key=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    [failed] = [one for one in answer.json()["plugins"] if one["status"] == "failed"]
    assert (failed["name"], failed["reason"]) == ("console", "ImportError: no such thing")


async def test_a_silent_queue_is_only_degraded(api: Api) -> None:
    """It is a doorbell: messages go out without it, a second later."""

    async def silent() -> None:
        raise ConnectionError("redis://user:password@nowhere")

    app = Litestar(
        routes(api.services, queue=silent),
        exception_handlers=exception_handlers(api.services),
        openapi_config=None,
    )
    api.app = finish(app)
    answer = await api.call("GET", "/health/ready", key=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["queue"]["status"] == "degraded"
    assert "password" not in answer.text


async def test_a_missing_wall_is_not_ready(api: Api) -> None:
    """A database that is not as the code needs it fails readiness and names the table."""
    await api.superuser.execute("ALTER TABLE event NO FORCE ROW LEVEL SECURITY")
    for question in ("ready", "startup"):
        answer = await api.call("GET", f"/health/{question}", key=None)
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert "event" in answer.json()["parts"]["migrations"]["detail"]
