"""What people of one business can do to the rows of another: nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admin_world import Site, World

TABLES = "/admin/api/tables"
PAIRS = (
    ("notification_outbox", "failed"),
    ("decision", "suppressed"),
    ("consent_text", "text"),
    ("channel_connection", "connection"),
    ("business_whatsapp_config", "whatsapp"),
    ("alert", "alert"),
)


async def test_lists_hold_own_rows_only(site: Site, world: World) -> None:
    """Every list of an owner holds rows of their business and none of the other."""
    browser = await site.sign_in("owner_a")
    menu = (await browser.get(f"{TABLES}/")).json()
    assert "notification_outbox" in menu
    assert "business_whatsapp_config" in menu
    for table in menu:
        answer = await browser.get(f"{TABLES}/{table}/", params={"__readable": "true"})
        assert answer.status_code == 200, (table, answer.text)
        assert world.b.name not in answer.text, table
        assert str(world.b.id) not in answer.text, table
    rows = (await browser.get(f"{TABLES}/notification_outbox/")).json()["rows"]
    assert {row["id"] for row in rows} == {
        str(world.a.rows[state]) for state in ("queued", "read", "failed")
    }


async def test_ids_count_and_pages_hold_own_rows_only(site: Site, world: World) -> None:
    """Pickers, counts and the pages of an export see one business."""
    browser = await site.sign_in("owner_a")
    picker = (await browser.get(f"{TABLES}/business/ids/")).json()
    assert picker == {str(world.a.id): world.a.name}
    found = await browser.get(f"{TABLES}/business/ids/", params={"search": "Padel"})
    assert found.json() == {}
    count = (await browser.get(f"{TABLES}/notification_outbox/count/")).json()["count"]
    assert count == 3
    pages = [
        (
            await browser.get(
                f"{TABLES}/notification_outbox/", params={"__page": page, "__page_size": 1}
            )
        ).json()["rows"]
        for page in range(1, 5)
    ]
    assert [len(page) for page in pages] == [1, 1, 1, 0]
    assert str(world.b.id) not in json.dumps(pages)


async def test_foreign_rows_are_not_there(site: Site, world: World) -> None:
    """Reading, changing and deleting a foreign row answers 404 or 403 and changes nothing."""
    before = await _fingerprint(site)
    browser = await site.sign_in("owner_a")
    for table, row in PAIRS:
        address = f"{TABLES}/{table}/{world.b.rows[row]}/"
        assert (await browser.get(address)).status_code == 404, table
        assert (await browser.patch(address, json={"state": "acked"})).status_code in (400, 404)
        assert (await browser.patch(address, json={})).status_code == 404, table
        assert (await browser.delete(address)).status_code in (403, 404), table
        assert (await browser.put(address, json={})).status_code == 405, table
    foreign = f"{TABLES}/business/{world.b.id}/"
    assert (await browser.patch(foreign, json={"name": "Mine"})).status_code == 404
    assert await _fingerprint(site) == before


async def test_own_rows_cannot_move_or_appear_elsewhere(site: Site, world: World) -> None:
    """Neither a change nor an insert can name another business."""
    before = await _fingerprint(site)
    browser = await site.sign_in("owner_a")
    own = f"{TABLES}/alert/{world.a.rows['alert']}/"
    moved = await browser.patch(own, json={"business_id": str(world.b.id), "state": "acked"})
    assert moved.status_code == 403
    assert moved.text == "A row stays where it is: its business cannot be changed."
    added = await browser.post(
        f"{TABLES}/alert/", json={"business_id": str(world.b.id), "kind": "x", "subject": "x"}
    )
    assert added.status_code == 403
    assert await _fingerprint(site) == before


async def test_the_wall_is_the_databases_own(site: Site, world: World) -> None:
    """With row-level security switched off the foreign row appears: these tests can fail."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/notification_outbox/{world.b.rows['failed']}/"
    assert (await browser.get(address)).status_code == 404
    await site.superuser.execute("ALTER TABLE notification_outbox DISABLE ROW LEVEL SECURITY")
    assert (await browser.get(address)).status_code == 200
    rows = (await browser.get(f"{TABLES}/notification_outbox/")).json()["rows"]
    assert len(rows) == 6


async def test_an_operator_sees_both_and_leaves_a_trace(site: Site, world: World) -> None:
    """The platform sees every business, changes nothing of theirs, and is written down."""
    browser = await site.sign_in("operator")
    rows = (await browser.get(f"{TABLES}/notification_outbox/")).json()["rows"]
    assert len(rows) == 6
    refused = await browser.patch(f"{TABLES}/business/{world.a.id}/", json={"name": "Ours"})
    assert refused.status_code == 403
    assert "owner" in refused.text
    actions = await site.superuser.fetch("SELECT action, target FROM audit_log ORDER BY id")
    told = {(row["action"], row["target"]) for row in actions}
    assert ("admin.read", "notification_outbox") in told
    assert ("refused:admin.patch", f"tables/business/{world.a.id}/") in told


async def test_requests_of_two_businesses_do_not_mix(site: Site, world: World) -> None:
    """Interleaved requests on one pool never see the other business."""
    import asyncio  # noqa: PLC0415 - used here only

    first, second = await site.sign_in("owner_a"), await site.sign_in("owner_b")

    async def look(browser: object, own: str) -> None:
        answer = await browser.get(f"{TABLES}/business/")  # type: ignore[attr-defined]
        assert [row["id"] for row in answer.json()["rows"]] == [own]

    await asyncio.gather(
        *(look(first, str(world.a.id)) for _ in range(20)),
        *(look(second, str(world.b.id)) for _ in range(20)),
    )


async def _fingerprint(site: Site) -> list[str]:
    """Return a picture of every table the tests aim at."""
    return [
        await site.superuser.fetchval(
            f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t.id), '')) FROM {table} t"
        )
        for table in ("business", *(table for table, _ in PAIRS))
    ]
