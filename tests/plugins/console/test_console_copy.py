"""The console's folder, copied under another name, is another channel; nothing else is touched."""

from __future__ import annotations

import asyncio
import filecmp
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from fixture_town import Process, Town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_postgres import FreshDatabase

CONSOLE = Path(__file__).parents[3] / "plugins" / "console"
SLUG = "noticeboard"
PASSWORD = "a long enough password"


@pytest.fixture
def town(migrated_database: FreshDatabase, tmp_path: Path) -> Iterator[Town]:
    """Give a host with an empty add-on folder and a clean-up every other second."""
    home, addons = tmp_path / "home", tmp_path / "addons"
    home.mkdir()
    addons.mkdir()
    more = {
        "PATCHBAY_ADDON_PATHS": str(addons),
        f"PATCHBAY_{SLUG.upper()}_CLEANUP_CRON": "* * * * * */2",
    }
    town = Town(migrated_database, home, more=more)
    yield town
    town.close()


@pytest.fixture
async def database(migrated_database: FreshDatabase) -> Any:
    """Look at the host's database as the superuser."""
    connection = await asyncpg.connect(migrated_database.superuser_url)
    yield connection
    await connection.close()


def start(town: Town) -> Process:
    """Start web and worker as one process and wait until it is ready."""
    url = f"http://127.0.0.1:{town.port_of('all')}"
    process = town.start(
        "all",
        *("core.cli", "all"),
        url=url,
        PATCHBAY_PORT=str(town.port_of("all")),
        PATCHBAY_PUBLIC_URL=url,
        PATCHBAY_LOG_LEVEL="info",
    )
    town.wait_until_ok(f"{url}/health/ready", process)
    town.webs[:] = [url]
    return process


def sign_in(url: str) -> httpx.Client:
    """Return a browser in which the owner has signed in to the admin."""
    browser = httpx.Client(base_url=url, timeout=20)
    browser.get("/admin/")
    browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
    told = {"username": "anna@example.com", "password": PASSWORD}
    assert browser.post("/admin/public/login/", json=told).status_code == 200
    return browser


def plugins(town: Town) -> dict[str, dict[str, str]]:
    """Return what `patchbay plugin list` says, by name."""
    return {one["name"]: one for one in town.command("plugin", "list")}


async def test_a_copy_is_a_channel_and_its_removal_leaves_the_data(
    town: Town, database: Any
) -> None:
    """Route, table, scheduled task and screen appear after a restart, and vanish with the folder.

    The copy is byte for byte the original: no file inside it or outside is edited.
    """
    copy = Path(town.more["PATCHBAY_ADDON_PATHS"]) / SLUG
    shutil.copytree(CONSOLE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert _differences(filecmp.dircmp(CONSOLE, copy, ignore=["__pycache__"])) == []

    report = town.command("migrate")
    assert report["failed"] == {}
    assert report["walls"] == [f"{SLUG}_entry"]
    _prepare_business(town)
    process = start(town)
    health = town.command("health", "--url", town.webs[0])
    assert (SLUG, "loaded") in {(one["name"], one["status"]) for one in health["plugins"]}
    await _see_it_at_work(town, database)
    await _see_it_clean_up(database)
    process.stop()

    shutil.rmtree(copy)
    listed = plugins(town)
    assert listed[SLUG]["state"] == "removed"
    assert listed[SLUG]["reason"] == f"its data stays: {SLUG}_entry"
    assert town.command("migrate")["failed"] == {}
    start(town)
    assert town.api("GET", _entries(SLUG)).status_code == 404
    assert town.api("GET", _entries("console")).status_code == 200
    with closing(sign_in(town.webs[0])) as browser:
        assert f"{SLUG}_entry" not in browser.get("/admin/api/tables/").json()
        assert browser.get(f"/admin/api/tables/{SLUG}_entry/").status_code == 404
    assert await database.fetchval(f"SELECT count(*) FROM {SLUG}_entry") == 1


def _entries(slug: str) -> str:
    return f"/v1/channels/{slug}/entries?business_id=salone-aurora"


def _prepare_business(town: Town) -> None:
    town.command("business", "add", "salone-aurora", "--name", "Aurora", "--country", "IT")
    checks = town.command("connect", SLUG, "--business", "salone-aurora")["checks"]
    assert [one["passed"] for one in checks] == [True]
    town.command(
        *("consent", "grant", "--business", "salone-aurora", "--customer", "cus-1"),
        *("--channel", SLUG, "--source", "web", "--text-version", "en-v1"),
        *("--phone", "+393331234567", "--first-name", "Giulia"),
    )
    town.command(
        *("user", "create", "anna@example.com", "--role", "owner"),
        *("--business", "salone-aurora", "--password-stdin"),
        stdin=PASSWORD + "\n",
    )
    town.key = town.command("api-key", "create", "--name", "t", "--scopes", "*")["key"]
    assert plugins(town)[SLUG]["state"] == "loaded"


async def _see_it_at_work(town: Town, database: Any) -> None:
    """A booking is confirmed: the copy sends the message, its route and its screen show it."""
    decisions = town.tell("e-1")["decisions"]
    assert {one["channel"] for one in decisions} == {SLUG}
    assert (decisions[0]["rule"], decisions[0]["outcome"]) == ("confirmed", "queued")
    sent = town.wait_for_status(decisions[0]["notification_id"], "sent")
    shown = town.api("GET", _entries(SLUG)).json()["data"]
    assert [one["notification_id"] for one in shown] == [sent["id"]]
    assert shown[0]["template"] == "booking_confirmed"
    assert town.api("GET", _entries("console")).json()["data"] == []
    assert await database.fetchval("SELECT count(*) FROM console_entry") == 0
    with closing(sign_in(town.webs[0])) as browser:
        assert f"{SLUG}_entry" in browser.get("/admin/api/tables/").json()
        rows = browser.get(f"/admin/api/tables/{SLUG}_entry/").json()["rows"]
        assert [row["template"] for row in rows] == ["booking_confirmed"]
    log = town.processes[-1].log.read_text()
    assert sent["id"] in log
    assert "message handed over" in log
    assert "Giulia" not in log
    assert "3331234567" not in log


async def _see_it_clean_up(database: Any) -> None:
    """The task on the copy's own timetable deletes what is older than a month, and only that."""
    await database.execute(
        f"INSERT INTO {SLUG}_entry (id, business_id, notification_id, handed_over_at) "
        f"SELECT gen_random_uuid(), business_id, gen_random_uuid(), now() - interval '31 days' "
        f"FROM {SLUG}_entry"
    )
    for _ in range(200):
        left = await database.fetch(f"SELECT handed_over_at FROM {SLUG}_entry")
        if len(left) == 1:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the clean-up did not run")


def _differences(compared: filecmp.dircmp[str]) -> list[str]:
    own = [*compared.left_only, *compared.right_only, *compared.diff_files]
    return own + [name for sub in compared.subdirs.values() for name in _differences(sub)]
