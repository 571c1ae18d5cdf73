"""`patchbay limits`, `patchbay pause`, `patchbay resume`: how much is sent, and whether at all."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    business_option,
    columns,
    example,
    find_business,
    in_house,
    json_option,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.limits.pauses import Reach
    from core.notify.limiting import Limits
    from core.notify.pausing import Standing

_count = click.IntRange(1, 100_000)
_marks = click.IntRange(1, 1000)


@click.command(epilog=example("patchbay limits --business salone-aurora --per-minute 120"))
@business_option
@click.option("--per-minute", type=_count, help="Most in any 60 seconds, per channel.")
@click.option("--per-day", type=click.IntRange(0, 10_000_000), help="Most a day, per channel.")
@click.option("--per-recipient-day", type=_count, help="Most a day to one recipient.")
@click.option("--suspend-percent", type=click.IntRange(0, 100), help="0 never suspends.")
@click.option("--suspend-window", type=_marks, help="How many of the last attempts count.")
@click.option("--suspend-minimum", type=_marks, help="Fewer attempts never suspend.")
@click.option(
    "--quality-stop",
    type=click.Choice(["RED", "YELLOW", "OFF"]),
    help="The provider's word at which a channel stops.",
)
@click.option("--retry-base-seconds", type=click.IntRange(1, 3600), help="Before the first retry.")
@click.option("--retry-factor", type=click.IntRange(1, 10), help="Each wait is so much longer.")
@click.option("--retry-jitter-percent", type=click.IntRange(0, 90), help="Either way.")
@click.option("--retries", type=click.IntRange(0, 5), help="After so many it has failed.")
@click.option("--grace-seconds", type=_count, help="How long a lost answer is waited for.")
@click.option("--unconfirmed", type=click.Choice(["hold", "resend"]), help="What follows then.")
@json_option
def limits(ref: str, as_json: bool, **wanted: int | str | None) -> None:
    """Show what a business may send, or change it; a change is at work within a second."""
    from msgspec.structs import asdict, replace

    from core.notify.limiting import change_limits, read_limits

    changes: dict[str, Any] = {name: one for name, one in wanted.items() if one is not None}

    async def work(house: House) -> Limits:
        business = await find_business(house, ref)
        async with house.database.business(business.id) as transaction:
            found = await read_limits(transaction, business.id)
        if not changes:
            return found
        changed = replace(found, **changes)
        await change_limits(house.database, business.id, changed, expected=found.etag, actor=ACTOR)
        return changed

    answer = asdict(in_house(work))
    words = columns(("LIMIT", "VALUE"), [(name, str(value)) for name, value in answer.items()])
    show(answer, as_json=as_json, words=words)


def _reach_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--everything", is_flag=True, help="Every business and every channel."),
        click.option("--channel", metavar="CHANNEL", help="Only this channel."),
        click.option("--business", "ref", metavar="ID", help="Only this business."),
    ):
        command = option(command)
    return command


@click.command(
    epilog=example(
        "patchbay pause --business salone-aurora --channel whatsapp", "patchbay pause --everything"
    )
)
@_reach_options
@click.option("--reason", default="", help="Why; no personal data, please.")
@json_option
def pause(
    ref: str | None, channel: str | None, everything: bool, reason: str, as_json: bool
) -> None:
    """Stop sending within a second; what waits is kept, what is on its way arrives."""
    from core.notify.pausing import pause_sending

    _check(ref, channel, everything)

    async def work(house: House) -> Standing:
        reach = await _reach(house, ref, channel)
        return await pause_sending(house.database, reach, reason=reason[:200], actor=ACTOR)

    standing = in_house(work)
    said = "Paused" if standing.changed else "Was paused already"
    _tell(standing, f"{said}: {_words(ref, channel)}.", as_json=as_json)


@click.command(epilog=example("patchbay resume --business salone-aurora"))
@_reach_options
@json_option
def resume(ref: str | None, channel: str | None, everything: bool, as_json: bool) -> None:
    """Let what was paused, or suspended itself, send again; other pauses stay in force."""
    from core.notify.pausing import resume_sending

    _check(ref, channel, everything)

    async def work(house: House) -> Standing:
        reach = await _reach(house, ref, channel)
        return await resume_sending(house.database, reach, actor=ACTOR)

    standing = in_house(work)
    said = "Resumed" if standing.changed else "Was not paused"
    left = f" {len(standing.pauses)} other pauses are in force." if standing.pauses else ""
    _tell(standing, f"{said}: {_words(ref, channel)}.{left}", as_json=as_json)


def _check(ref: str | None, channel: str | None, everything: bool) -> None:
    if everything == bool(ref or channel):
        raise click.UsageError("Name --business, --channel or both, or say --everything.")


async def _reach(house: House, ref: str | None, channel: str | None) -> Reach:
    from core.limits.pauses import Reach

    if channel is not None and channel not in house.registry.states:
        raise CommandError(f"There is no channel {channel!r}; see `patchbay plugin list`.")
    business = await find_business(house, ref) if ref else None
    return Reach(business.id if business else None, channel)


def _words(ref: str | None, channel: str | None) -> str:
    return " on ".join(one for one in (ref or "every business", channel) if one)


def _tell(standing: Standing, words: str, *, as_json: bool) -> None:
    answer = {
        "changed": standing.changed,
        "pauses": [
            {
                "business": str(one.reach.business_id) if one.reach.business_id else None,
                "channel": one.reach.channel,
                "reason": one.reason,
                "since": one.created_at,
            }
            for one in standing.pauses
        ],
    }
    show(answer, as_json=as_json, words=words)
