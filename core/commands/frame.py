"""What every command shares: how it opens the house, how it speaks, how it ends.

Everything heavy is imported when a command runs, so that `--help` is quick.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from getpass import getpass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import rich_click as click

from core.errors import PatchbayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from core.businesses.store import BusinessRow
    from core.channels.registry import Registry
    from core.clock import Clock
    from core.db import Database
    from core.deployment import Deployment
    from core.settings import Settings
    from core.vault import Vault

Result = TypeVar("Result")

ACTOR: Final = "cli"
"""How the audit trail names whoever sits at the command line."""

FAILED: Final = 1
"""The exit status of a command that was understood and did not succeed."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs instead of words."
)
business_option = click.option(
    "--business", "ref", required=True, metavar="ID", help="The booking system's id of it."
)


class CommandError(PatchbayError):
    """A command cannot do what was asked; says why in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a command works with; open while it runs."""

    settings: Settings
    deployment: Deployment
    registry: Registry
    database: Database
    vault: Vault
    clock: Clock


def example(*lines: str) -> str:
    """Return the end of a command's help: lines that can be pasted."""
    return "\n\n".join(["Example:", *lines])


def read_surroundings() -> tuple[Settings, Registry]:
    """Read the settings, find the channels, and keep the log out of the command's answer."""
    from dataclasses import replace

    from core import logs
    from core.channels.registry import load
    from core.settings import read_settings

    settings = read_settings()
    quiet = settings.log_level if "PATCHBAY_LOG_LEVEL" in settings.origins else "warning"
    logs.configure(replace(settings, log_level=quiet))
    return settings, load(settings.addon_paths, settings.channels)


def in_house(work: Callable[[House], Awaitable[Result]]) -> Result:
    """Open the database, let the command work, and close everything again."""

    async def run() -> Result:
        async with open_house() as house:
            return await work(house)

    return asyncio.run(run())


@asynccontextmanager
async def open_house() -> AsyncIterator[House]:
    """Open what a command works with.

    Raises:
        ConfigurationError: the settings or the database do not allow it.
    """
    from core.clock import SystemClock
    from core.db import Database, PoolSizes
    from core.deployment import prepare
    from core.vault import Vault

    settings, registry = read_surroundings()
    deployment = prepare(settings)
    try:
        database = Database(
            deployment.database_url, PoolSizes(app=1, batch=0, platform=1, engine=2)
        )
        await database.open()
        try:
            yield House(
                settings=settings,
                deployment=deployment,
                registry=registry,
                database=database,
                vault=Vault(deployment.secret_keys, index_key=settings.index_key),
                clock=SystemClock(),
            )
        finally:
            await database.close()
    finally:
        deployment.release()


async def find_business(house: House, ref: str) -> BusinessRow:
    """Return the business of this id.

    Raises:
        CommandError: there is none.
    """
    from core.businesses.store import find_business as find

    async with house.database.platform() as transaction:
        found = await find(transaction, ref)
    if found is None:
        raise CommandError(
            f"There is no business {ref!r}; `patchbay business list` shows those that exist."
        )
    return found


def check_ref(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Let click refuse an id that no business can have."""
    from core.ids import REF_PATTERN

    if not re.fullmatch(REF_PATTERN, value):
        raise click.BadParameter("1 to 64 letters, digits and . _ : - please.")
    return value


def show(value: Any, *, as_json: bool, words: str) -> None:
    """Print the answer, for programs or for people."""
    if as_json:
        import msgspec

        encoded = msgspec.json.encode(value, enc_hook=str)
        click.echo(msgspec.json.format(encoded, indent=2).decode())
    elif words:
        click.echo(words)


def columns(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay rows out under their heads, as wide as the widest cell."""
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def fail() -> NoReturn:
    """End with the status of a command that did not succeed; everything was said before."""
    sys.exit(FAILED)


def from_stdin(what: str) -> str:
    """Return one line of standard input, for a secret that a command line would show.

    Raises:
        UsageError: there was nothing.
    """
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise click.UsageError(f"Standard input holds no {what}.")
    return line


def ask_secret(what: str, option: str, *, confirm: bool = False) -> str:
    """Return a secret that a person types unseen.

    Raises:
        UsageError: nobody is there to type, or what was typed twice differs.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"Pipe the {what} in with {option}.")
    typed = getpass(f"{what[:1].upper()}{what[1:]}: ")
    if confirm and typed != getpass("Once more: "):
        raise click.UsageError("The two differ.")
    return typed
