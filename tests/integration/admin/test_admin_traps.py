"""What stock Piccolo Admin lets through, and this one does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from admin_rows import NAME, PHONE, TOKEN
from admin_world import Site
from piccolo.columns import UUID, Varchar
from piccolo.table import Table
from piccolo_api.crud.endpoints import PiccoloCRUD
from piccolo_api.crud.hooks import Hook, HookType

from admin.permissions import in_order
from admin.tables import BusinessScreen
from core.access.roles import Actor, Held
from core.access.tables import AppUser, Role
from core.channels.columns import BusinessRow
from core.channels.plugin import Screen
from core.channels.registry import Registry, load
from core.ids import BusinessId
from plugins.console.plugin import ConsolePlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from admin_world import World
    from fixture_postgres import FreshDatabase

TABLES = "/admin/api/tables"


class Editable(BusinessRow, Table, tablename="console_entry"):
    """The console channel's table, to be edited."""

    notification_id = UUID(null=False, default=None)
    template = Varchar(length=512)
    language = Varchar(length=16)


class EditableConsole(ConsolePlugin):
    """A channel whose screen may be edited."""

    def screens(self) -> Sequence[Screen]:
        """Return one editable screen."""
        return [
            Screen(
                table=Editable,
                title="Entries",
                columns=(Editable.template, Editable.language),
                link=Editable.template,
                editable=True,
            )
        ]


def test_hooks_are_sorted_by_type() -> None:
    """Piccolo keeps only neighbours of one type; handed over sorted, none is lost."""

    def hook(kind: HookType) -> Hook:
        return Hook(kind, lambda row: row)

    mixed = [hook(HookType.pre_patch), hook(HookType.pre_save), hook(HookType.pre_patch)]
    lost = PiccoloCRUD(table=BusinessScreen, read_only=False, hooks=mixed)._hook_map
    kept = PiccoloCRUD(table=BusinessScreen, read_only=False, hooks=in_order(mixed))._hook_map
    assert len(lost[HookType.pre_patch]) == 1  # the trap is still there
    assert len(kept[HookType.pre_patch]) == 2


async def test_users_cannot_be_made_or_changed_in_a_table(site: Site) -> None:
    """The user table has no password column here, and nobody adds or changes users."""
    browser = await site.sign_in("owner_a")
    before = await site.superuser.fetch("SELECT * FROM app_user ORDER BY id")
    schema = (await browser.get(f"{TABLES}/app_user/schema/")).json()
    assert {"password", "superuser", "email", "totp_sealed"}.isdisjoint(schema["properties"])
    row = next(one["id"] for one in before if one["username"] == "owner_a")
    values = {"username": "me", "password": "plain-secret-9", "superuser": True}
    assert (await browser.put(f"{TABLES}/app_user/{row}/", json=values)).status_code == 405
    assert (await browser.patch(f"{TABLES}/app_user/{row}/", json=values)).status_code == 403
    assert (await browser.post(f"{TABLES}/app_user/", json=values)).status_code == 403
    assert await site.superuser.fetch("SELECT * FROM app_user ORDER BY id") == before


async def test_secrets_and_people_are_in_no_answer(site: Site, world: World) -> None:
    """No table, form or picker, asked in any way, gives a token, a phone number or a name."""
    hidden = (TOKEN, PHONE, NAME, "pbkdf2", "_sealed", "secret_hmac")
    for name, house in (("owner_a", world.a), ("operator", world.b)):
        browser = await site.sign_in(name)
        menu = (await browser.get(f"{TABLES}/")).json()
        assert {"user_session", "login_attempt", "provider_inbox"}.isdisjoint(menu)
        ways: list[str] = [
            f"{TABLES}/{table}/{way}"
            for table in menu
            for way in ("", "schema/", "ids/", "new/", "references/")
        ]
        connection = f"{TABLES}/business_whatsapp_config"
        ways += [
            f"{connection}/{house.rows['whatsapp']}/",
            f"{connection}/?__visible_fields=id,access_token_encrypted",
            f"{connection}/?access_token_encrypted=EAAG",
            f"{connection}/?__order=access_token_encrypted",
            f"{TABLES}/notification_outbox/{house.rows['read']}/",
            f"{TABLES}/notification_outbox/?__visible_fields=provider_message_id",
            f"{TABLES}/customer/?__visible_fields=name_sealed",
        ]
        for way in ways:
            answer = await browser.get(way)
            assert answer.status_code < 500, way
            # A refusal may name the column that was asked for, never what is in it.
            for word in hidden[:4] if "?" in way else hidden:
                assert word not in answer.text, (way, word)


async def test_saving_a_form_does_not_wipe_a_secret(site: Site, world: World) -> None:
    """The token is not in the form, cannot be sent along, and outlives every Save."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/business_whatsapp_config/{world.a.rows['whatsapp']}/"
    schema = (await browser.get(f"{TABLES}/business_whatsapp_config/schema/")).json()
    assert "access_token_encrypted" not in schema["properties"]
    saved = (await browser.get(address)).json()
    for values in (saved, {**saved, "access_token_encrypted": None}):
        assert (await browser.patch(address, json=values)).status_code in (400, 403)
    stored = await site.superuser.fetchval(
        "SELECT access_token_encrypted FROM business_whatsapp_config WHERE id = $1",
        world.a.rows["whatsapp"],
    )
    assert bytes(stored) == TOKEN.encode()


async def test_odd_questions_get_a_sentence(site: Site, world: World) -> None:
    """Whatever is asked, the answer is no fault and holds nothing of the database."""
    browser = await site.sign_in("owner_a")
    outbox = f"{TABLES}/notification_outbox"
    for way in (
        f"{outbox}/?__order=nothing",
        f"{outbox}/?created_at=yesterday",
        f"{outbox}/?nothing=1",
        f"{outbox}/?__page_size=100000",
        f"{outbox}/?retry_count=99999999999999999999",
        f"{outbox}/?template_name=%00",
        f"{outbox}/ids/?limit=-1&search=x",
        f"{outbox}/nonsense/",
    ):
        answer = await browser.get(way)
        assert 400 <= answer.status_code < 500, (way, answer.status_code)
        assert "Traceback" not in answer.text
        assert "asyncpg" not in answer.text
    address = f"{TABLES}/alert/{world.a.rows['alert']}/"
    for body in (b"{", b"[]", b'{"state": {"a": 1}}', b'{"state": "exploded"}'):
        headers = {"content-type": "application/json"}
        answer = await browser.patch(address, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body, answer.status_code)


async def test_bodies_have_an_end(site: Site, world: World) -> None:
    """A body beyond the limit is refused, whether or not its length is told before."""
    browser = await site.sign_in("owner_a")

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 10_000

    for address in ("/admin/public/login/", f"{TABLES}/alert/"):
        for content in (b"x" * 70_000, drip()):
            answer = await browser.post(address, content=content)
            assert answer.status_code == 413, address
    row = f"{TABLES}/alert/{world.a.rows['alert']}/"
    assert (await browser.patch(row, json={"state": "acked"})).status_code == 200


async def test_addresses_with_and_without_slash(site: Site) -> None:
    """`/admin` leads to `/admin/`, whose page finds its files."""
    browser = site.browser()
    bare = await browser.get("/admin")
    assert (bare.status_code, bare.headers["location"]) == (307, "/admin/")
    page = (await browser.get("/admin/")).text
    assert "<title>Patchbay</title>" in page
    script = page.partition('src="./')[2].partition('"')[0]
    assert (await browser.get(f"/admin/{script}")).status_code == 200


async def test_the_stock_api_pages_are_shut(site: Site) -> None:
    """Piccolo's API pages, which load scripts from a public server, are not there."""
    browser = await site.sign_in("operator")
    for path in ("api/docs/", "public/docs/", "openapi.json", "api/openapi.json", "docs"):
        assert (await browser.get(f"/admin/{path}")).status_code == 404, path


async def test_the_admin_has_its_policy(site: Site) -> None:
    """Scripts come from our own files only; answers with data are not kept by browsers."""
    browser = await site.sign_in("owner_a")
    answer = await browser.get(f"{TABLES}/")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "no-store" not in (await browser.get("/admin/")).headers.get("cache-control", "")


def test_no_list_shows_its_key_beside_another_link(
    world: World, fresh_database: Callable[..., FreshDatabase]
) -> None:
    """Piccolo Admin's list breaks when it shows the key and links by another column."""
    del world
    site = Site(fresh_database(template="admin_world"))
    for shown in site.admin.screens:
        names = [column._meta.name for column in shown.columns]
        assert shown.table._meta.primary_key._meta.name not in names, shown.name
        assert 1 <= len(names) <= 7, shown.name
        assert shown.link._meta.name in names, shown.name


async def test_change_and_audit_entry_are_one(site: Site, world: World) -> None:
    """A change leaves who, what, before and after; a refused one leaves only the refusal."""
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/business/{world.a.id}/"
    assert (await browser.patch(address, json={"name": "Salone Alba"})).status_code == 200
    assert (await browser.patch(address, json={"timezone": "Mars"})).status_code == 422
    assert (await browser.patch(address, json={"mode": "test"})).status_code == 403
    rows = await site.superuser.fetch(
        "SELECT actor, action, target, before, after, business_id, ip FROM audit_log "
        "WHERE business_id = $1 ORDER BY id",
        world.a.id,
    )
    assert [row["action"] for row in rows] == ["admin.changed", "refused:admin.patch"]
    changed = rows[0]
    assert changed["target"] == f"business/{world.a.id}"
    assert changed["before"] == '{"name": "Salone Aurora"}'
    assert changed["after"] == '{"name": "Salone Alba"}'
    assert changed["actor"].startswith("user:")
    assert changed["ip"] == "127.0.0.1"


async def test_a_failed_commit_is_no_success_and_leaks_nothing(site: Site, world: World) -> None:
    """If COMMIT itself fails nobody is told of a success, and the connections come back."""
    await site.superuser.execute(
        """
        CREATE FUNCTION fail_late() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'too late'; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON alert
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail_late();
        """
    )
    browser = await site.sign_in("owner_a")
    address = f"{TABLES}/alert/{world.a.rows['alert']}/"
    for _ in range(8):  # more often than the pool has connections
        answer = await browser.patch(address, json={"state": "acked"})
        assert answer.status_code == 500
        assert "too late" not in answer.text
    assert (await browser.get(address)).json()["state"] == "open"
    told = await site.superuser.fetchval(
        "SELECT count(*) FROM audit_log WHERE action = 'admin.changed'"
    )
    assert told == 0


async def test_a_cancelled_request_leaves_its_connection(site: Site) -> None:
    """Browsers that go away in the middle do not use up the pool."""
    browser = await site.sign_in("owner_a")
    for _ in range(12):
        task = asyncio.create_task(browser.get(f"{TABLES}/notification_outbox/"))
        await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (await browser.get(f"{TABLES}/notification_outbox/")).status_code == 200


async def test_an_editable_screen_stays_within_the_business(
    world: World, fresh_database: Callable[..., FreshDatabase]
) -> None:
    """A channel's editable screen fills the business in, and takes no row elsewhere."""
    registry = load((), ("console", "whatsapp"))
    registry.plugins["console"] = EditableConsole()
    async with Site(fresh_database(template="admin_world"), registry) as site:
        await site.superuser.execute("GRANT INSERT, UPDATE ON console_entry TO patchbay_app")
        browser = await site.sign_in("owner_a")
        entry: dict[str, Any] = {
            "notification_id": str(world.a.rows["read"]),
            "template": "t",
            "language": "it",
        }
        own = {**entry, "business_id": str(world.a.id)}
        added = await browser.post(f"{TABLES}/console_entry/", json=own)
        assert added.status_code == 201, added.text
        foreign = {**entry, "business_id": str(world.b.id)}
        refused = await browser.post(f"{TABLES}/console_entry/", json=foreign)
        assert refused.status_code == 403
        address = f"{TABLES}/console_entry/{added.json()[0]['id']}/"
        moved = await browser.patch(address, json={"business_id": str(world.b.id)})
        assert moved.status_code == 403
        assert (await browser.patch(address, json={"template": "u"})).status_code == 200
        rows = await site.superuser.fetch("SELECT business_id, template FROM console_entry")
        assert [tuple(row) for row in rows] == [(world.a.id, "u")]
        actions = await site.superuser.fetch(
            "SELECT action FROM audit_log WHERE target LIKE 'console_entry/%' ORDER BY id"
        )
        assert [row["action"] for row in actions] == ["admin.added", "admin.changed"]


async def test_the_database_refuses_what_a_hook_would_miss(site: Site, world: World) -> None:
    """Behind the hooks stands the wall: moving and inserting fail in the transaction itself."""
    actor = Actor(
        user_id=1,
        username="owner_a",
        held=(Held(role=Role.OWNER, business_id=BusinessId(world.a.id)),),
        business_id=BusinessId(world.a.id),
    )
    insert = (
        "INSERT INTO consent_text (id, business_id, key, version, locale, body, hash) "
        "VALUES (gen_random_uuid(), $1, 'k', 1, 'en', 'x', '')"
    )
    for statement in ("UPDATE consent_text SET business_id = $1", insert):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with site.admin._database.begin(actor) as transaction:
                await transaction.execute(statement, world.b.id)


def test_a_failing_screen_is_named_and_left_out(
    world: World, fresh_database: Callable[..., FreshDatabase]
) -> None:
    """A channel whose screens fail, or show a sealed column, does not stop the admin."""

    class Broken(ConsolePlugin):
        def screens(self) -> Sequence[Screen]:
            raise RuntimeError("no screens today")

    class Leaky(ConsolePlugin):
        def screens(self) -> Sequence[Screen]:
            class Leak(BusinessRow, Table, tablename="console_entry"):
                token = Varchar(secret=True)

            return [Screen(table=Leak, title="x", columns=(Leak.token,), link=Leak.token)]

    del world
    for plugin, words in ((Broken(), "no screens today"), (Leaky(), "sealed column token")):
        registry: Registry = load((), ("console", "whatsapp"))
        registry.plugins["console"] = plugin
        site = Site(fresh_database(template="admin_world"), registry)
        assert registry.states["console"].state == "failed"
        assert words in registry.states["console"].reason
        names = {shown.name for shown in site.admin.screens}
        assert "console_entry" not in names
        assert "business_whatsapp_config" in names


def test_the_stock_user_class_is_not_registered(
    world: World, fresh_database: Callable[..., FreshDatabase]
) -> None:
    """Neither the user table with its password nor the sessions can be reached as tables."""
    del world
    site = Site(fresh_database(template="admin_world"))
    classes = {shown.table for shown in site.admin.screens}
    assert AppUser not in classes
    assert not {"user_session", "login_attempt"} & {shown.name for shown in site.admin.screens}
