"""`patchbay connect` and `patchbay template`: what a business needs before it can send."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    ask_secret,
    business_option,
    example,
    fail,
    find_business,
    from_stdin,
    in_house,
    json_option,
    read_surroundings,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.messages import Check
    from core.channels.plugin import ChannelPlugin, ConnectField
    from core.channels.registry import Registry

_PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Channels(click.RichGroup):
    """One sub-command per loaded channel, with the options that the channel asks for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the channels' names."""
        del ctx
        return sorted(read_surroundings()[1].plugins)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build the command of one channel."""
        del ctx
        registry = read_surroundings()[1]
        plugin = plugin_of(registry, cmd_name)
        return _command(plugin)


@click.command(
    cls=Channels,
    subcommand_metavar="CHANNEL --business ID [OPTIONS]...",
    epilog=example(
        "patchbay connect whatsapp --business salone-aurora \\",
        "    --waba-id 102290129340398 --phone-number-id 106540352242922 --token-stdin < token",
    ),
)
def connect() -> None:
    """Connect a business to a channel; `patchbay connect CHANNEL --help` shows what it takes."""


@click.group(epilog=example("patchbay template set --help"))
def template() -> None:
    """Keep templates of channels whose provider keeps none."""


@template.command(
    name="set",
    epilog=example(
        "patchbay template set --business salone-aurora --channel console \\",
        "    --name booking_confirmed --language en \\",
        "    --body 'Hello {{first_name}}, see you on {{date}} at {{time}}.'",
    ),
)
@business_option
@click.option("--channel", default="console", show_default=True, help="The channel's name.")
@click.option("--name", required=True, help="The template's name, such as reminder_24h.")
@click.option("--language", required=True, help="Its language, such as en or it.")
@click.option("--body", default="", help="The text, with {{placeholders}}.")
@click.option(
    "--category",
    type=click.Choice(["utility", "authentication", "marketing"]),
    default="utility",
    show_default=True,
    help="Marketing needs a consent of its own.",
)
@click.option("--unusable", is_flag=True, help="Keep it, but let nothing be sent with it.")
@json_option
def set_(
    ref: str,
    channel: str,
    name: str,
    language: str,
    body: str,
    category: str,
    unusable: bool,
    as_json: bool,
) -> None:
    """Put a template into the catalogue, or change it."""
    from core.access.audit import record
    from core.catalogue.store import Catalogue
    from core.channels.host import Template
    from core.notify.connections import lane_follows

    parameters = tuple(dict.fromkeys(_PLACEHOLDER.findall(body)))

    async def work(house: House) -> None:
        plugin = plugin_of(house.registry, channel)
        if plugin.connect_fields():
            raise CommandError(
                f"{plugin.title} has accounts at a provider, and its templates are kept there; "
                "make them there, and they are read back."
            )
        business = await find_business(house, ref)
        made = Template(
            business_id=business.id,
            name=name,
            language=language,
            usable=not unusable,
            reason="switched-off" if unusable else "",
            category=category,
            parameters=parameters,
            body=body,
        )
        async with house.database.engine() as transaction:
            await Catalogue(channel, lane_follows).put_templates(transaction, [made])
            await record(
                transaction,
                business_id=business.id,
                actor=ACTOR,
                action="template.set",
                target=f"template:{channel}/{name}/{language}",
                after={"usable": not unusable, "category": category},
            )

    in_house(work)
    show(
        {
            "business": ref,
            "channel": channel,
            "name": name,
            "language": language,
            "category": category,
            "parameters": parameters,
            "usable": not unusable,
        },
        as_json=as_json,
        words=f"{name} ({language}) is {'kept, but not used' if unusable else 'usable'}.",
    )


def plugin_of(registry: Registry, slug: str) -> ChannelPlugin:
    """Return a loaded channel.

    Raises:
        CommandError: it is not there, or could not be loaded; says which ones are.
    """
    if slug in registry.plugins:
        return registry.plugins[slug]
    state = registry.states.get(slug)
    known = ", ".join(sorted(registry.plugins)) or "none"
    if state is not None and state.state == "failed":
        raise CommandError(f"The channel {slug} could not be loaded: {state.reason}.")
    raise CommandError(f"There is no channel {slug!r}; the loaded ones are: {known}.")


def _command(plugin: ChannelPlugin) -> click.Command:
    fields = tuple(plugin.connect_fields())

    def run(ref: str, as_json: bool, **given: Any) -> None:
        values = _values(fields, given)

        async def work(house: House) -> Sequence[Check]:
            return await connect_business(house, plugin, ref, values)

        checks = in_house(work)
        lines = [
            f"{'ok  ' if one.passed else 'FAIL'}  {one.name}: {one.detail}"
            + (f" {one.advice}" if one.advice else "")
            for one in checks
        ]
        show(
            {"business": ref, "channel": plugin.name, "checks": list(checks)},
            as_json=as_json,
            words="\n".join(lines) or f"{ref} is connected to {plugin.title}.",
        )
        if not all(one.passed for one in checks):
            fail()

    options = [_option(field) for field in fields]
    business = click.Option(["--business", "ref"], required=True, metavar="ID", help="Its id.")
    words = click.Option(["--json", "as_json"], is_flag=True, help="Print JSON for programs.")
    asked = " ".join(
        f"--{one.name}-stdin" if one.secret else f"--{one.name} {one.name.upper()}"
        for one in fields
    )
    return click.RichCommand(
        name=plugin.name,
        params=[business, *options, words],
        callback=run,
        help=f"Connect a business to {plugin.title}; connecting it again replaces the values.",
        epilog=example(f"patchbay connect {plugin.name} --business ID {asked}".rstrip()),
    )


def _option(field: ConnectField) -> click.Option:
    words = f"{field.title}. {field.help}".strip()
    if field.secret:
        return click.Option(
            [f"--{field.name}-stdin"],
            is_flag=True,
            help=f"Read from standard input, one line; without it you are asked. {words}",
        )
    return click.Option([f"--{field.name}"], required=True, help=words)


def _values(fields: Sequence[ConnectField], given: Mapping[str, Any]) -> dict[str, str]:
    values: dict[str, str] = {}
    for field in fields:
        option = f"{field.name}-stdin" if field.secret else field.name
        found = given[option.replace("-", "_").lower()]
        if not field.secret:
            values[field.name] = found
        elif found:
            values[field.name] = from_stdin(field.title)
        else:
            values[field.name] = ask_secret(field.title, f"--{option}")
    return values


async def connect_business(
    house: House, plugin: ChannelPlugin, ref: str, values: Mapping[str, str]
) -> Sequence[Check]:
    """Let a channel check and keep a business's connection; the attempt is audited."""
    from core.access.audit import record
    from core.alerts.kinds import plugin_kinds
    from core.notify.hosting import Supplies, build_host
    from core.notify.outgoing import open_client
    from tasks.jobs import collect_tasks
    from tasks.queue import TaskQueue, make_queue
    from tasks.queue import connect as connect_queue

    business = await find_business(house, ref)
    queue = make_queue(house.deployment.queue_url)
    tasks = TaskQueue(queue)

    async def enqueue(task: str, /, **arguments: str) -> None:
        await connect_queue(queue)  # only if there is a task to queue
        try:
            await tasks(task, **arguments)
        finally:
            await queue.disconnect()

    async with open_client(1) as http:
        supplies = Supplies(
            settings=house.settings,
            database=house.database,
            vault=house.vault,
            clock=house.clock,
            http=http,
            enqueue=enqueue,
        )
        host = build_host(supplies, plugin.name, plugin_kinds(house.registry, plugin.name))
        tasks.known = collect_tasks(house.registry, {plugin.name: host})
        checks = await plugin.connect(host, business.id, values)
    async with house.database.engine() as transaction:
        await record(
            transaction,
            business_id=business.id,
            actor=ACTOR,
            action="channel.connect",
            target=f"channel:{plugin.name}",
            after={"checks": {one.name: one.passed for one in checks}},
        )
    return checks
