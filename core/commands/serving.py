"""The commands that run until they are stopped: web process, worker, both, and the look-alikes."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import rich_click as click

from core.commands.frame import example

if TYPE_CHECKING:
    from core.settings import Settings


@click.command(epilog=example("patchbay serve"))
def serve() -> None:
    """Run the web process until Ctrl-C: REST, webhooks, admin and console."""
    from core.asgi import run
    from core.settings import read_settings

    run(read_settings())


@click.command(epilog=example("patchbay worker"))
def worker() -> None:
    """Run a worker until Ctrl-C: it sends messages and takes in the providers' news."""
    from core.settings import read_settings
    from tasks.worker import work

    work(read_settings())


@click.command(name="all", epilog=example("patchbay all"))
def all_() -> None:
    """Run web process and worker together until Ctrl-C, for a small installation."""
    import uvloop

    from core.settings import read_settings

    uvloop.run(_run_both(read_settings()))


@click.command(epilog=example("patchbay demo", "patchbay demo --once"))
@click.option("--once", is_flag=True, help="End after the journey; 0 only if all was seen.")
@click.option("--reset", is_flag=True, help="Forget what an earlier demo kept.")
def demo(once: bool, reset: bool) -> None:
    """Show a booking event becoming a message that is read, with nothing to set up."""
    from core.commands.demo import run

    sys.exit(run(once=once, reset=reset))


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=example(
        "patchbay simulator --port 9100 \\",
        "    --webhook-url http://127.0.0.1:8000/hooks/whatsapp",
    ),
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def simulator(options: tuple[str, ...]) -> None:
    """Run a stand-in of Meta's Graph API; `patchbay simulator -- --help` lists its OPTIONS."""
    from plugins.whatsapp.simulator.__main__ import main

    sys.exit(main(list(options)))


async def _run_both(settings: Settings) -> None:
    """Run both in one loop until a signal; when one of them ends, the other one is stopped."""
    from core.asgi import serve as serve_web
    from core.deployment import prepare
    from tasks.stopping import stopping
    from tasks.worker import run_worker

    deployment = prepare(settings)
    try:
        with stopping(None) as stop:
            web = asyncio.create_task(serve_web(settings, stop=stop, deployment=deployment))
            work = asyncio.create_task(run_worker(settings, stop=stop, deployment=deployment))
            await asyncio.wait((web, work), return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            results = await asyncio.gather(web, work, return_exceptions=True)
    finally:
        deployment.release()
    for result in results:
        if isinstance(result, BaseException):
            raise result
