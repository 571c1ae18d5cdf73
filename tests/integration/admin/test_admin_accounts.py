"""Signing in: hashes only, shared limits, off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from admin_world import PASSWORD, Site, open_admin, try_password

from core.access.logins import PER_ADDRESS, PER_USER, LoginLimit
from core.access.tables import UserSession

if TYPE_CHECKING:
    import httpx

USER = "/admin/api/user/"


async def test_the_database_holds_the_hash_of_a_session_only(site: Site) -> None:
    """The cookie opens the door; what the database holds does not."""
    browser = await site.sign_in("owner_a")
    cookie = browser.cookies["id"]
    tokens = await site.superuser.fetch("SELECT token FROM user_session")
    assert [row["token"] for row in tokens] == [hashlib.sha256(cookie.encode()).hexdigest()]
    assert (await browser.get(USER)).json()["username"] == "owner_a"
    thief = site.browser()
    thief.cookies.set("id", tokens[0]["token"])
    assert (await thief.get(USER)).status_code == 401


async def test_the_stock_session_store_is_shut(site: Site) -> None:
    """Piccolo's own functions, which would store cookies in clear, do nothing here."""
    del site
    for call in (
        UserSession.create_session(1),
        UserSession.get_user_id("x"),
        UserSession.remove_session("x"),
    ):
        with pytest.raises(RuntimeError, match=r"core\.access\.sessions"):
            await call


async def test_signing_out_ends_the_session(site: Site) -> None:
    """After signing out the old cookie opens nothing."""
    browser = await site.sign_in("owner_a")
    cookie = browser.cookies["id"]
    assert (await browser.post("/admin/public/logout/")).status_code == 200
    assert "id" not in browser.cookies
    browser.cookies.set("id", cookie)
    assert (await browser.get(USER)).status_code == 401


async def test_sessions_and_people_can_be_stopped(site: Site) -> None:
    """An expired session, a disabled person and a lost membership take effect at once."""
    browser = await site.sign_in("owner_a")
    await site.superuser.execute("UPDATE app_user SET disabled_at = now()")
    assert (await browser.get(USER)).status_code == 401
    await site.superuser.execute("UPDATE app_user SET disabled_at = NULL")
    assert (await browser.get(USER)).status_code == 200
    await site.superuser.execute("DELETE FROM membership")
    assert (await browser.get(USER)).status_code == 403
    await site.superuser.execute("UPDATE user_session SET expiry_date = now() - interval '1 h'")
    assert (await browser.get(USER)).status_code == 401


async def test_guessing_a_name_is_stopped_in_all_processes(site: Site) -> None:
    """Ten wrong passwords, spread over two processes, and the right one is refused as well."""
    async with Site(site.database) as other:
        browsers = [site.browser("10.0.0.1"), other.browser("10.0.0.2")]
        for browser in browsers:
            await open_admin(browser)
        for number in range(PER_USER):
            answer = await try_password(browsers[number % 2], "owner_a", "wrong password")
            assert answer.status_code == 401
        refused = await try_password(browsers[0], "OWNER_A", PASSWORD)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "900"
        assert (await try_password(browsers[0], "owner_b", PASSWORD)).status_code == 200


async def test_guessing_from_one_address_is_stopped_exactly(site: Site) -> None:
    """Of many tries that arrive together from one address, exactly thirty are let in."""
    limit = LoginLimit(site.pools, site.services.clock, site.services.vault)
    answers = await asyncio.gather(
        *(limit.admit(f"name {number}", "10.0.0.9") for number in range(PER_ADDRESS + 15))
    )
    assert sum(answers) == PER_ADDRESS
    assert not await limit.admit("another", "10.0.0.9")
    assert await limit.admit("another", "10.0.0.10")
    await site.superuser.execute("UPDATE login_attempt SET at = at - interval '16 minutes'")
    assert await limit.admit("another", "10.0.0.9")


async def test_the_table_of_tries_names_nobody(site: Site) -> None:
    """Neither names nor addresses can be read from the count of tries."""
    browser = site.browser("10.0.0.3")
    await open_admin(browser)
    await try_password(browser, "owner_a", "wrong password")
    rows = await site.superuser.fetch("SELECT key_hash FROM login_attempt")
    assert len(rows) == 2
    for row in rows:
        assert len(row["key_hash"]) == 32
        for word in (b"owner_a", b"10.0.0.3"):
            assert row["key_hash"] != hashlib.sha256(word).digest()


async def test_hashing_does_not_stop_the_event_loop(site: Site) -> None:
    """While a password is hashed, other requests go on."""
    browser = site.browser()
    await open_admin(browser)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    assert (await try_password(browser, "unknown", "wrong password")).status_code == 401
    ticking.cancel()
    assert ticks >= 5


async def test_a_new_password_ends_every_session(site: Site) -> None:
    """Changing the password needs the old one and signs the person out everywhere."""
    first, second = await site.sign_in("owner_a"), await site.sign_in("owner_a")

    async def change(current: str, new: str, again: str) -> httpx.Response:
        return await first.post(
            "/admin/api/change-password/",
            json={
                "current_password": current,
                "new_password": new,
                "confirm_new_password": again,
            },
        )

    new = "a much better password"
    assert (await change("wrong password", new, new)).status_code == 422
    assert (await change(PASSWORD, new, "another password")).status_code == 422
    assert (await change(PASSWORD, "short", "short")).status_code == 422
    assert (await second.get(USER)).status_code == 200
    assert (await change(PASSWORD, new, new)).status_code == 200
    assert (await second.get(USER)).status_code == 401
    assert (await try_password(second, "owner_a", PASSWORD)).status_code == 401
    assert (await try_password(second, "owner_a", new)).status_code == 200
    stored = await site.superuser.fetchval(
        "SELECT password FROM app_user WHERE username = 'owner_a'"
    )
    assert stored.startswith("pbkdf2_sha256$600000$")


async def test_forms_of_other_sites_are_refused(site: Site) -> None:
    """Without the token of our own page no write is taken."""
    browser = await site.sign_in("owner_a")
    del browser.headers["X-CSRFToken"]
    answer = await browser.post("/admin/public/logout/")
    assert answer.status_code == 403
    assert (await browser.get(USER)).status_code == 200


async def test_behind_https_the_cookie_is_secure_and_the_origin_counts(site: Site) -> None:
    """Under an https address the cookie is Secure, our origin may write and others may not."""
    async with Site(site.database, PATCHBAY_PUBLIC_URL="https://patchbay.example") as secure:
        browser = secure.browser()
        await open_admin(browser)
        browser.headers["Origin"] = "https://evil.example"
        assert (await try_password(browser, "owner_a", PASSWORD)).status_code == 403
        browser.headers["Origin"] = "https://patchbay.example"
        answer = await try_password(browser, "owner_a", PASSWORD)
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        for word in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert word in cookie


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"username": 1, "password": 2}', b'{"username": "owner_a"}']
)
async def test_a_login_without_sense_is_answered(site: Site, body: bytes) -> None:
    """A broken login body gets a sentence, not a fault."""
    browser = site.browser()
    await open_admin(browser)
    answer = await browser.post("/admin/public/login/", content=body)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "Give a name and a password."}
