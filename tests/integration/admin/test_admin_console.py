"""The console's pages: one story per notice, in whatever state it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from admin_rows import NAME, PHONE

if TYPE_CHECKING:
    from admin_world import Site, World

STATES = {
    "queued": ("Where is this message?", "It waits for its turn", "next try"),
    "read": ("What became of this message?", "The customer has read it.", "delivered"),
    "failed": ("Why was this message not sent?", "cannot be reached on this channel", "131026"),
    "suppressed": (
        "Why was this message not sent?",
        "The customer never agreed to be written to on this channel.",
        "consent-missing",
    ),
}


@pytest.mark.parametrize("state", STATES)
async def test_every_state_has_its_page(site: Site, world: World, state: str) -> None:
    """A queued, a read, a failed and a suppressed notice each have a page that says why."""
    browser = await site.sign_in("owner_a")
    answer = await browser.get(f"/console/notifications/{world.a.page(state)}")
    assert answer.status_code == 200
    for words in STATES[state]:
        assert words in answer.text
    assert "Checks, in the order they ran" in answer.text
    assert "The customer agreed to be written to" in answer.text
    assert PHONE not in answer.text
    if state != "suppressed":
        assert "+39*******567" in answer.text
        assert f"Ciao {NAME} &lt;b&gt;" in answer.text
        assert "<b>" not in answer.text


async def test_checks_stand_in_their_order(site: Site, world: World) -> None:
    """The page lists the gates as they were asked, the provider last."""
    browser = await site.sign_in("owner_a")
    page = (await browser.get(f"/console/notifications/{world.a.page('failed')}")).text
    titles = (
        "The channel is switched on",
        "account is connected",
        "template is approved",
        "customer agreed",
        "limits left room",
        "provider took it over",
    )
    places = [page.index(title) for title in titles]
    assert places == sorted(places)


async def test_a_foreign_notice_is_a_page_that_is_not_there(site: Site, world: World) -> None:
    """An id of another business looks like one that does not exist."""
    browser = await site.sign_in("owner_a")
    for public_id in (
        *(world.b.page(state) for state in STATES),
        "ntf_00000000000000000000000000",
        "dec_nonsense",
        "evt_x",
    ):
        answer = await browser.get(f"/console/notifications/{public_id}")
        assert answer.status_code == 404, public_id
        assert "There is nothing here" in answer.text
    assert (await browser.get("/console/elsewhere")).status_code == 404


async def test_the_decision_behind_a_queued_notice_leads_to_it(site: Site, world: World) -> None:
    """The `dec_` id of a notice that was queued shows the notification's page."""
    from core.ids import DECISION, outward  # noqa: PLC0415 - used here only

    decision = await site.superuser.fetchval(
        "SELECT id FROM decision WHERE notification_id = $1", world.a.rows["read"]
    )
    browser = await site.sign_in("owner_a")
    answer = await browser.get(f"/console/notifications/{outward(DECISION, decision)}")
    assert "The customer has read it." in answer.text


async def test_the_list_shows_own_notices_with_their_state(site: Site, world: World) -> None:
    """The start page lists what was and what was not sent, newest first, and nothing foreign."""
    browser = await site.sign_in("owner_a")
    page = (await browser.get("/console/")).text
    for state in STATES:
        assert world.a.page(state) in page
        assert world.b.page(state) not in page
    assert world.b.name not in page


async def test_an_operator_sees_both_with_names_and_leaves_a_trace(
    site: Site, world: World
) -> None:
    """The platform's list names the business; opening a notice is written down."""
    browser = await site.sign_in("operator")
    page = (await browser.get("/console/")).text
    assert world.a.name in page
    assert world.b.name in page
    public_id = world.b.page("read")
    assert (await browser.get(f"/console/notifications/{public_id}")).status_code == 200
    rows = await site.superuser.fetch(
        "SELECT target, business_id FROM audit_log WHERE action = 'console.read' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [("notifications", None), (public_id, world.b.id)]


async def test_an_empty_console_says_what_to_do(site: Site) -> None:
    """A business without notifications is told the next steps."""
    await site.superuser.execute(
        "TRUNCATE decision, status_update, send_attempt, notification_outbox"
    )
    browser = await site.sign_in("owner_a")
    page = (await browser.get("/console/")).text
    assert "No notification yet" in page
    assert "POST /v1/consents" in page


async def test_without_a_session_the_console_leads_to_the_login(site: Site, world: World) -> None:
    """Nobody sees a page without signing in; the browser is sent to the login."""
    browser = site.browser()
    for address in ("/console/", f"/console/notifications/{world.a.page('read')}", "/console/x"):
        answer = await browser.get(address)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/admin/#/login/"
    assert (await browser.post("/console/business", data={})).status_code == 303


async def test_signing_out_from_the_console(site: Site) -> None:
    """The console's own button ends the session too."""
    browser = await site.sign_in("owner_a")
    page = await browser.get("/console/")
    key = page.text.partition('name="form_key" value="')[2].partition('"')[0]
    cookie = browser.cookies["id"]
    assert (await browser.post("/console/sign-out", data={"form_key": key})).status_code == 303
    browser.cookies.set("id", cookie)
    assert (await browser.get("/console/")).status_code == 303


async def test_values_that_cannot_be_opened_do_not_break_the_page(
    site: Site, world: World
) -> None:
    """After an erasure, and with a moved value, the page goes on without the message."""
    await site.superuser.execute(
        "UPDATE notification_outbox SET variables_sealed = NULL WHERE id = $1",
        world.a.rows["read"],
    )
    await site.superuser.execute(
        "UPDATE notification_outbox SET variables_sealed = '\\x0101' WHERE id = $1",
        world.a.rows["failed"],
    )
    browser = await site.sign_in("owner_a")
    erased = await browser.get(f"/console/notifications/{world.a.page('read')}")
    assert "Its values were erased." in erased.text
    broken = await browser.get(f"/console/notifications/{world.a.page('failed')}")
    assert "not readable with the keys of this process" in broken.text


async def test_the_start_page_holds_no_data(site: Site, world: World) -> None:
    """`/` says what this is and where to go, to anybody."""
    answer = await site.browser().get("/")
    assert answer.status_code == 200
    for address in ("/console/", "/admin/", "/docs", "/health/ready"):
        assert f'href="{address}"' in answer.text
    assert world.a.name not in answer.text


async def test_our_pages_allow_no_inline_code(site: Site) -> None:
    """The policy of our pages is strict, and the pages keep it."""
    browser = await site.sign_in("owner_a")
    for address in ("/", "/console/"):
        answer = await browser.get(address)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert " style=" not in answer.text
        assert "<script>" not in answer.text
        assert " onclick=" not in answer.text
    for name in ("console.css", "theme.js", "mark.svg"):
        assert (await browser.get(f"/console/static/{name}")).status_code == 200
