"""The `patchbay` command: the list of its sub-commands, and how every one of them fails.

The work is in `core.commands`; each module is imported when its command is asked for.
"""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from typing import Final

import rich_click as click

from core.errors import FieldFault, PatchbayError, ProblemError

COMMANDS: Final = {
    "serve": "core.commands.serving:serve",
    "worker": "core.commands.serving:worker",
    "all": "core.commands.serving:all_",
    "migrate": "core.commands.migrating:migrate",
    "demo": "core.commands.serving:demo",
    "simulator": "core.commands.serving:simulator",
    "business": "core.commands.businesses:business",
    "connect": "core.commands.connecting:connect",
    "api-key": "core.commands.keys:api_key",
    "user": "core.commands.people:user",
    "consent": "core.commands.consenting:consent",
    "limits": "core.commands.limiting:limits",
    "pause": "core.commands.limiting:pause",
    "resume": "core.commands.limiting:resume",
    "alert": "core.commands.alerts:alert",
    "template": "core.commands.connecting:template",
    "plugin": "core.commands.looking:plugin",
    "config": "core.commands.looking:config",
    "health": "core.commands.looking:health",
}
"""Where each command is, in the order in which `--help` lists them."""

INTERRUPTED: Final = 130

_BEHIND: Final = ("UndefinedTableError", "UndefinedColumnError", "InsufficientPrivilegeError")
"""What PostgreSQL says when it was not migrated; as names, for asyncpg takes long to import."""


class Commands(click.RichGroup):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:\n\npatchbay demo",
)
@click.version_option(package_name="patchbay", prog_name="patchbay")
@click.option(
    "--debug",
    is_flag=True,
    envvar="PATCHBAY_DEBUG",
    help="Show the whole story of an error; PATCHBAY_DEBUG=1 does the same.",
)
@click.pass_context
def patchbay(context: click.Context, *, debug: bool) -> None:
    """Decide who may be notified, when and how often, and send it through plugged-in channels."""
    context.obj = debug
    _story.wanted = debug


class _Story:
    """Whether a traceback is wanted; known once the options were read."""

    wanted = False


_story = _Story()


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 failed, 2 wrongly asked."""
    _story.wanted = False
    try:
        status = patchbay.main(arguments, prog_name="patchbay", standalone_mode=False)
    except SystemExit as ended:
        status = ended.code
    except (click.Abort, KeyboardInterrupt):
        status = _end(INTERRUPTED, "Stopped.")
    except click.ClickException as error:
        status = _end(error.exit_code, error.format_message(), _where(error))
    except Exception as error:  # noqa: BLE001 - a person reads a sentence, never a traceback
        if _story.wanted:
            traceback.print_exc()
        status = _end(1, sentence_of(error))
    return status if isinstance(status, int) else 0


def sentence_of(error: Exception) -> str:
    """Return what went wrong, with the faulty fields of a request, if any."""
    if not isinstance(error, PatchbayError):
        return _unforeseen(error)
    faults: tuple[FieldFault, ...] = error.errors if isinstance(error, ProblemError) else ()
    lines = [str(error) or type(error).__name__]
    lines += [f"  {one.message}" for one in faults if one.message not in lines[0]]
    return "\n".join(lines)


def _unforeseen(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    if name in _BEHIND:
        return f"The database is not as this version needs it ({first}); run `patchbay migrate`."
    return f"Something went wrong: {name}: {first} (PATCHBAY_DEBUG=1 shows the whole story)"


def _where(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"`{context.command_path} --help` shows how." if context else ""


def _end(status: int, *sentences: str) -> int:
    click.echo(" ".join(one for one in sentences if one), err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
