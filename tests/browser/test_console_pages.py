"""The console and the admin in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import uvicorn
from admin_world import PASSWORD
from playwright.async_api import async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from admin_world import Site, World
    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser

WIDE = {"width": 1366, "height": 850}
NARROW = {"width": 390, "height": 844}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STATES = ("queued", "read", "failed", "suppressed")
# The contrast that people with weak eyes need (WCAG 2, level AA): 4.5, and 3 for large text.
FAINT = """
() => {
  const channel = (value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const parse = (color) => color.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && [...one.childNodes].some(
      (node) => node.nodeType === 3 && node.textContent.trim()))
    .map((one) => {
      const [ink, back] = [light(parse(getComputedStyle(one).color)), light(paper(one))];
      const ratio = (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
      const style = getComputedStyle(one);
      const large = parseFloat(style.fontSize) >= (style.fontWeight >= 700 ? 18.66 : 24);
      return [ratio, large ? 3 : 4.5, one.className, one.textContent.trim().slice(0, 40)];
    })
    .filter(([ratio, least]) => ratio < least);
}
"""


@pytest_asyncio.fixture
async def served(site: Site, free_port: Callable[[], int]) -> AsyncIterator[str]:
    """Serve the admin on a port of this machine."""
    port = free_port()
    config = uvicorn.Config(
        site.app, host="127.0.0.1", port=port, lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[config.bind_socket()]))
    while not server.started:
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def browser(chromium: str, tmp_path: Path) -> AsyncIterator[Browser]:
    """Start a browser."""
    del tmp_path
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def visit(
    browser: Browser, base: str, *, size: dict[str, int] = WIDE, dark: bool = False
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page that writes down every complaint of the browser."""
    context = await browser.new_context(viewport=size, base_url=base)  # type: ignore[arg-type]
    setting = "true" if dark else "false"
    await context.add_init_script(f"localStorage.setItem('darkMode', '{setting}')")
    page = await context.new_page()
    complaints: list[str] = []

    def hear(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda fault: complaints.append(str(fault)))
    try:
        yield page, complaints
    finally:
        await context.close()


async def sign_in(page: Page, name: str) -> None:
    """Sign in through Piccolo Admin's own form."""
    await page.goto("/admin/#/login/")
    await page.fill("input[name=username]", name)
    await page.fill("input[type=password]", PASSWORD)
    await page.click("[data-uitest=login_button]")
    await page.wait_for_selector("text=notification outbox >> visible=true", timeout=15_000)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_pages_open_without_a_complaint(
    browser: Browser, served: str, world: World, size: dict[str, int], *, dark: bool
) -> None:
    """Every page opens without console errors or policy reports, fits, and can be read."""
    async with visit(browser, served, size=size, dark=dark) as (page, complaints):
        await page.goto("/")
        await _fits(page)
        await _can_be_read(page)
        await page.goto("/admin/")
        signed_in = await page.request.post(
            "/admin/public/login/",
            data={"username": "both", "password": PASSWORD},
            headers={"X-CSRFToken": await _token(page)},
        )
        assert signed_in.ok
        complaints.clear()  # Piccolo Admin asks who we are before anybody has signed in
        addresses = ["/console/"]
        addresses += [f"/console/notifications/{world.b.page(state)}" for state in STATES]
        for address in addresses:
            await page.goto(address)
            await _fits(page)
            await _can_be_read(page)
            has_class = await page.evaluate("document.documentElement.classList.contains('dark')")
            assert has_class is dark
        assert complaints == []


async def test_every_field_has_its_label(browser: Browser, served: str) -> None:
    """What can be filled in is labelled, and the keyboard's place can be seen."""
    async with visit(browser, served) as (page, _):
        await sign_in(page, "both")
        await page.goto("/console/")
        unlabelled = await page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
            ".filter((one) => one.labels.length === 0).length"
        )
        assert unlabelled == 0
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        for _ in range(8):
            await page.keyboard.press("Tab")
            seen = await page.evaluate(
                "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
            )
            assert seen


async def test_signing_in_leads_to_tables_and_to_the_story(
    browser: Browser, served: str, world: World
) -> None:
    """A person signs in once, opens the outbox table and then the page that says why."""
    async with visit(browser, served) as (page, complaints):
        await page.goto("/console/")
        await page.wait_for_url("**/admin/#/login/")
        await sign_in(page, "owner_a")
        complaints.clear()
        await page.goto("/admin/#/notification_outbox/")
        await page.wait_for_selector("text=booking_confirmed")
        assert await page.locator("tbody a:has-text('booking_confirmed')").count() == 3
        await page.goto("/console/")
        await page.click(f"a[href$='{world.a.page('failed')}']")
        await page.wait_for_selector("text=Why was this message not sent?")
        await page.click("text=Open the row in the tables")
        await page.wait_for_url(f"**/admin/#/notification_outbox/{world.a.rows['failed']}/")
        await page.wait_for_selector("input[name=template_name]")
        assert complaints == []


async def test_a_person_switches_between_their_businesses(
    browser: Browser, served: str, world: World
) -> None:
    """The selector of the console changes what both doors show."""
    async with visit(browser, served) as (page, _):
        await sign_in(page, "both")
        await page.goto("/console/")
        assert await page.locator(f"a[href$='{world.b.page('read')}']").count() == 1
        await page.select_option("#business", label=world.a.name)
        await page.click("text=Switch")
        await page.wait_for_url("**/console/")
        assert await page.locator(f"a[href$='{world.a.page('read')}']").count() == 1
        assert await page.locator(f"a[href$='{world.b.page('read')}']").count() == 0


async def _token(page: Page) -> str:
    cookies = await page.context.cookies()
    return next(one["value"] for one in cookies if one["name"] == "csrftoken")


async def _fits(page: Page) -> None:
    """The page is not wider than the window."""
    over = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert over == 0, page.url


async def _can_be_read(page: Page) -> None:
    """Every text stands out from what is behind it."""
    assert await page.evaluate(FAINT) == [], page.url
