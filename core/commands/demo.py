"""`patchbay demo`: the whole product for a look, on this machine alone.

Starts the embedded database, the web process, a worker and the simulator of Meta's API as
processes of their own, walks a booking's journey as a booking system would, then serves until
Ctrl-C. What was made is kept for the next start.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import platformdirs
from rich.console import Console

from core import embedded, logs, schema
from core.channels.registry import load
from core.clock import SystemClock
from core.commands.demo_processes import Children, choose_port
from core.commands.demo_seed import (
    AURORA,
    BELLA,
    GRAPH_VERSION,
    OPERATOR,
    Secrets,
    keep_secrets,
    open_accounts,
    seed,
)
from core.commands.frame import CommandError, House
from core.commands.journey import Journey
from core.db import Database, PoolSizes
from core.deployment import PROJECT, Deployment, prepare
from core.errors import PatchbayError
from core.settings import environment_of_children, read_settings
from core.vault import Vault
from tasks.queue import prepare_queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from core.channels.registry import Registry
    from core.settings import Settings

WEB_PORT: Final = 8000
SIMULATOR_PORT: Final = 9100


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the demo's two servers are."""

    web: str
    web_port: int
    simulator: str
    simulator_port: int


def run(*, once: bool = False, reset: bool = False, worker: bool = True) -> int:
    """Run the demo.

    Args:
        once: end after the journey instead of serving.
        reset: forget what an earlier demo kept.
        worker: False leaves the worker out, so that a test sees the journey fail.

    Returns:
        0 if every step was seen, else 1; 130 after a Ctrl-C before that.
    """
    console = Console(highlight=False)
    try:
        with _terminating():
            return _run(console, once=once, reset=reset, worker=worker)
    except KeyboardInterrupt:
        console.print("\nStopped before the journey's end.")
        return 130
    except PatchbayError as error:
        console.print(f"[red]The demo did not succeed.[/] {error}", soft_wrap=True)
        return 1


def _run(console: Console, *, once: bool, reset: bool, worker: bool) -> int:
    started = time.monotonic()
    settings = read_settings()
    if settings.database_url is None and reset:
        embedded.reset(settings.data_dir or embedded.default_data_dir(PROJECT))
        console.print("Everything an earlier demo kept is forgotten.")
    with _step(console, "Database"):
        deployment = prepare(settings)
    folder = deployment.embedded.data_dir if deployment.embedded else _own_folder()
    children = Children(folder / "demo-logs")
    try:
        kept = keep_secrets(folder)
        addresses = _choose_addresses(console)
        journey = _start(console, children, deployment, kept, addresses, worker=worker)
        console.print(f"Ready after {time.monotonic() - started:.1f} s.")
        journey.run()
        console.print(f"\n[green]Every step was seen[/], {time.monotonic() - started:.1f} s.")
        _show_doors(console, journey, kept, addresses)
        if not once:
            _serve(console, children)
    finally:
        with _patient():
            children.stop()
            deployment.release()
    return 0


def _start(
    console: Console,
    children: Children,
    deployment: Deployment,
    kept: Secrets,
    addresses: Addresses,
    *,
    worker: bool,
) -> Journey:
    environment = _environment(deployment, kept, addresses)
    # Starting up is mostly work of the processor: each program starts while the one before is
    # still on its way.
    children.start("simulator", ["plugins.whatsapp.simulator"], environment)
    with _step(console, "Tables and walls"):
        house_settings = read_settings(environment_of_children(environment))
        logs.configure(house_settings)
        registry = load(house_settings.addon_paths, house_settings.channels)
        asyncio.run(_migrate(deployment, registry))
    children.start("web", ["core.cli", "serve"], environment)
    if worker:
        children.start("worker", ["core.cli", "worker"], environment)
    with _step(console, "Simulator of Meta's API"):
        children.wait_for("simulator", f"{addresses.simulator}/simulator/health")
        open_accounts(addresses.simulator, kept)
    with _step(console, "Two salons, users and a key"):
        key = asyncio.run(_furnish(deployment, kept, house_settings, registry))
    with _step(console, "Web process and worker" if worker else "Web process"):
        children.wait_for("web", f"{addresses.web}/health/ready")
    return Journey(
        api=addresses.web,
        key=key,
        simulator=addresses.simulator,
        console=console,
        alive=children.check_all,
    )


async def _migrate(deployment: Deployment, registry: Registry) -> None:
    report = await schema.migrate(deployment, registry)
    if reason := report.failed.get("whatsapp"):
        raise CommandError(f"The WhatsApp channel is not there: {reason}")
    await prepare_queue(deployment.queue_url)


async def _furnish(
    deployment: Deployment, kept: Secrets, settings: Settings, registry: Registry
) -> str:
    database = Database(deployment.database_url, PoolSizes(app=1, batch=0, platform=1, engine=2))
    await database.open()
    try:
        house = House(
            settings=settings,
            deployment=deployment,
            registry=registry,
            database=database,
            vault=Vault(deployment.secret_keys, index_key=settings.index_key),
            clock=SystemClock(),
        )
        return await seed(house, kept)
    finally:
        await database.close()


def _environment(deployment: Deployment, kept: Secrets, addresses: Addresses) -> dict[str, str]:
    """Return what the children's environment adds; secrets travel here, not on command lines."""
    place = {"PATCHBAY_DATA_DIR": str(deployment.embedded.data_dir)} if deployment.embedded else {}
    return {
        **place,
        "PATCHBAY_PUBLIC_URL": addresses.web,
        "PATCHBAY_PORT": str(addresses.web_port),
        "PATCHBAY_LOG_LEVEL": "warning",
        "PATCHBAY_WHATSAPP_APP_ID": "123450000067890",
        "PATCHBAY_WHATSAPP_APP_SECRET": kept.app_secret,
        "PATCHBAY_WHATSAPP_VERIFY_TOKEN": kept.verify_token,
        "PATCHBAY_WHATSAPP_GRAPH_URL": addresses.simulator,
        "PATCHBAY_WHATSAPP_GRAPH_VERSION": GRAPH_VERSION,
        "SIMULATOR_PORT": str(addresses.simulator_port),
        "SIMULATOR_WEBHOOK_URL": f"{addresses.web}/hooks/whatsapp",
        "SIMULATOR_APP_ID": "123450000067890",
        "SIMULATOR_APP_SECRET": kept.app_secret,
        "SIMULATOR_VERIFY_TOKEN": kept.verify_token,
        "SIMULATOR_DELAY_MS": "400",
    }


def _choose_addresses(console: Console) -> Addresses:
    ports: list[int] = []
    for name, wanted in (("web process", WEB_PORT), ("simulator", SIMULATOR_PORT)):
        port = choose_port(wanted)
        if port != wanted:
            console.print(f"Port {wanted} is taken: the {name} uses {port}.")
        ports.append(port)
    return Addresses(
        web=f"http://127.0.0.1:{ports[0]}",
        web_port=ports[0],
        simulator=f"http://127.0.0.1:{ports[1]}",
        simulator_port=ports[1],
    )


def _show_doors(console: Console, journey: Journey, kept: Secrets, where: Addresses) -> None:
    say = partial(console.print, soft_wrap=True)
    say("\n[bold]Try it yourself[/] (paste it into another terminal):")
    console.print(journey.curl(), soft_wrap=True, markup=False)
    say('It answers 202 with "duplicate":false: the confirmation is "outcome":"queued", its')
    say(
        'reminders "scheduled"; pasted again, it answers 200 with "duplicate":true and the same.\n'
    )
    say(f"[bold]Start page[/]      {where.web}/")
    say(f"[bold]Piccolo Admin[/]   {where.web}/admin/")
    say(f"[bold]This message[/]    {where.web}/console/notifications/{journey.notification}")
    say(f"[bold]The refused one[/] {where.web}/console/notifications/{journey.suppressed}")
    say(f"[bold]API pages[/]       {where.web}/docs")
    say(f"[bold]Giulia's phone[/]  {where.simulator}/\n")
    for name, words in (
        (AURORA.owner, f"owner of {AURORA.name}"),
        (BELLA.owner, f"owner of {BELLA.name}"),
        (OPERATOR, "operator of the platform"),
    ):
        say(f"Log in as [bold]{name}[/] with {kept.passwords[name]}  ({words})")


def _serve(console: Console, children: Children) -> None:
    console.print("\nServing until Ctrl-C; everything is kept for the next start.")
    try:
        while True:
            children.check_all()
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("\nStopping.")


def _own_folder() -> Path:
    """Return where the demo keeps its own things beside a database of somebody else's."""
    folder = platformdirs.user_data_path("patchbay") / "demo"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def _step(console: Console, name: str) -> Iterator[None]:
    started = time.monotonic()
    with console.status(f"{name} ..."):
        yield
    console.print(f"[green]ok[/]  {name} ({time.monotonic() - started:.1f} s)")


@contextmanager
def _terminating() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does: in order."""

    def stop(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _patient() -> Iterator[None]:
    """Let nothing interrupt the tidying up; a second Ctrl-C waits for it."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
