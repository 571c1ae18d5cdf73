"""The menu and the verbs follow the role."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from admin_world import Site, World

TABLES = "/admin/api/tables"
MEMBERS_ONLY = {"membership", "app_user", "api_key", "audit_log"}


async def test_the_menu_follows_the_role(site: Site) -> None:
    """A viewer's menu lacks people, keys and the audit trail; an owner's has them, in groups."""
    owner = await site.sign_in("owner_a")
    viewer = await site.sign_in("viewer_a")
    owners = set((await owner.get(f"{TABLES}/")).json())
    viewers = set((await viewer.get(f"{TABLES}/")).json())
    assert viewers < owners
    assert owners >= MEMBERS_ONLY
    assert not viewers & {*MEMBERS_ONLY, "customer_consents", "customer"}
    grouped = (await owner.get(f"{TABLES}/grouped/")).json()
    assert list(grouped["grouped"]) == [
        "Messages",
        "Customers",
        "Channels",
        "House",
        "Console",
        "WhatsApp",
    ]
    assert {table for tables in grouped["grouped"].values() for table in tables} == owners


async def test_what_is_not_in_the_menu_is_refused(site: Site) -> None:
    """A table outside the role is refused on every way in, with a reason in plain text."""
    viewer = await site.sign_in("viewer_a")
    for way in ("", "count/", "ids/", "schema/", "new/"):
        answer = await viewer.get(f"{TABLES}/audit_log/{way}")
        assert answer.status_code == 403, way
        if way != "new/":
            assert answer.text == (
                "Your role (viewer) may not see the audit trail; "
                "owner or privacy officer or platform operator or platform admin may."
            )
        assert answer.headers["content-type"].startswith("text/plain")


async def test_nobody_replaces_or_deletes(site: Site, world: World) -> None:
    """PUT and DELETE are refused on every registered table, for every role."""
    for name in ("owner_a", "operator"):
        browser = await site.sign_in(name)
        for table in (await browser.get(f"{TABLES}/")).json():
            rows = (await browser.get(f"{TABLES}/{table}/")).json()["rows"]
            row = rows[0]["id"] if rows else world.a.id
            address = f"{TABLES}/{table}/{row}/"
            assert (await browser.put(address, json={"id": str(row)})).status_code == 405, table
            assert (await browser.put(f"{TABLES}/{table}/", json={})).status_code == 405, table
            assert (await browser.delete(f"{TABLES}/{table}/")).status_code == 405, table
            assert (await browser.delete(address)).status_code in (403, 404), table
            assert (await browser.request("TRACE", address)).status_code == 405, table


async def test_only_declared_columns_change(site: Site, world: World) -> None:
    """An owner changes the business's name and zone; its mode and its id stay."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/business/{world.a.id}/"
    saved = (await browser.get(address)).json()
    assert (await browser.patch(address, json={**saved, "name": "Salone Alba"})).status_code == 200
    for values, status in (
        ({"mode": "test"}, 403),
        ({"ref": "other"}, 403),
        ({"id": str(world.b.id)}, 403),
        ({"timezone": "Mars/Olympus"}, 422),
        ({"name": " "}, 422),
    ):
        answer = await browser.patch(address, json=values)
        assert answer.status_code == status, (values, answer.text)
    row = await site.superuser.fetchrow("SELECT * FROM business WHERE id = $1", world.a.id)
    assert (row["name"], row["mode"], row["timezone"]) == ("Salone Alba", "live", "Europe/Rome")


async def test_an_alert_is_taken_on_in_ones_own_name(site: Site, world: World) -> None:
    """Whoever acknowledges an alert is named by us, whatever the form says."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/alert/{world.a.rows['alert']}/"
    answer = await browser.patch(address, json={"state": "acked", "acked_by": "somebody else"})
    assert answer.status_code == 200, answer.text
    row = await site.superuser.fetchrow(
        "SELECT state, acked_by FROM alert WHERE id = $1", world.a.rows["alert"]
    )
    assert tuple(row) == ("acked", "owner_a")
    viewer = await site.sign_in("viewer_a")
    assert (await viewer.patch(address, json={"state": "open"})).status_code == 403


async def test_saving_without_a_change_changes_nothing(site: Site, world: World) -> None:
    """The form's Save sends every field as it stood: nothing is written, nothing is audited."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/alert/{world.a.rows['alert']}/"
    saved = (await browser.get(address)).json()
    assert (await browser.patch(address, json=saved)).status_code == 200
    assert (await browser.patch(address, json={})).status_code == 200
    told = await site.superuser.fetchval(
        "SELECT count(*) FROM audit_log WHERE action = 'admin.changed'"
    )
    assert told == 0


async def test_no_role_no_data(site: Site) -> None:
    """Who is a member of nothing may sign in and sees nothing."""
    browser = await site.sign_in("nobody")
    answer = await browser.get(f"{TABLES}/")
    assert answer.status_code == 403
    assert answer.text == "You have no role yet; ask an owner to add you."


async def test_one_business_at_a_time(site: Site, world: World) -> None:
    """A person with two businesses sees one, and the role they hold there; they choose."""
    browser = await site.sign_in("both")

    async def seen() -> list[str]:
        rows = (await browser.get(f"{TABLES}/business/")).json()["rows"]
        return [row["id"] for row in rows]

    assert await seen() == [str(world.b.id)]  # the first by name
    page = await browser.get("/console/")
    key = page.text.partition('name="form_key" value="')[2].partition('"')[0]
    chosen = await browser.post(
        "/console/business", data={"business": str(world.a.id), "form_key": key}
    )
    assert chosen.status_code == 303, chosen.text
    assert await seen() == [str(world.a.id)]
    assert "customer_consents" in (await browser.get(f"{TABLES}/")).json()


async def test_choosing_needs_our_form_and_a_membership(site: Site, world: World) -> None:
    """A forged form and a foreign business are refused."""
    browser = await site.sign_in("owner_a")
    forged = await browser.post("/console/business", data={"business": str(world.a.id)})
    assert forged.status_code == 403
    page = await browser.get("/console/")
    key = page.text.partition('name="form_key" value="')[2].partition('"')[0]
    for place in (str(world.b.id), "platform", "nonsense"):
        answer = await browser.post("/console/business", data={"business": place, "form_key": key})
        assert answer.status_code == (303 if place == "platform" else 404)
    rows = (await browser.get(f"{TABLES}/business/")).json()["rows"]
    assert [row["id"] for row in rows] == [str(world.a.id)]
