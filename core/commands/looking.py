"""`patchbay plugin`, `config` and `health`: what is there, and whether it is well."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from core.commands.frame import (
    CommandError,
    columns,
    example,
    fail,
    json_option,
    read_surroundings,
    show,
)
from core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.settings import Settings

_PATIENCE_SECONDS: Final = 10.0
_OURS: Final = frozenset({"PATCHBAY_DEBUG"})
"""Variables that only this command line reads."""


@click.group(epilog=example("patchbay plugin list"))
def plugin() -> None:
    """Look at the channels."""


@plugin.command(name="list", epilog=example("patchbay plugin list", "patchbay plugin list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List the channels: loaded, failed with the reason, switched off, or removed."""
    from core.commands.removed import removed_channels

    settings, registry = read_surroundings()
    found: list[dict[str, Any]] = [
        {
            "name": state.slug,
            "title": state.title,
            "version": state.version,
            "state": state.state,
            "origin": state.origin,
            "reason": state.reason,
        }
        for state in registry.states.values()
    ]
    try:
        gone = asyncio.run(removed_channels(settings, registry))
    except ConfigurationError as error:
        gone = {}
        click.echo(f"Channels that were removed cannot be listed: {error}", err=True)
    found += [
        {
            "name": slug,
            "title": slug,
            "version": "",
            "state": "removed",
            "origin": "",
            "reason": f"its data stays: {', '.join(tables)}",
        }
        for slug, tables in gone.items()
    ]
    heads = ("NAME", "VERSION", "STATE", "ORIGIN", "REASON")
    rows = [[one[head.lower()] for head in heads] for one in found]
    show(found, as_json=as_json, words=columns(heads, rows) if found else "There is no channel.")


@click.group(epilog=example("patchbay config check"))
def config() -> None:
    """Look at the settings."""


@config.command(epilog=example("PATCHBAY_ENV=production patchbay config check"))
@json_option
def check(as_json: bool) -> None:
    """Check the settings of the host and of every channel, and name all faults at once."""
    from core.channels.registry import Registry, load
    from core.settings import options_for, read_settings, unknown_variables

    faults: list[str] = []
    warnings: list[str] = []
    settings: Settings | None = None
    registry = Registry()
    try:
        settings = read_settings()
        registry = load(settings.addon_paths, settings.channels)
    except ConfigurationError as error:
        faults += error.faults
    shapes = _shapes(registry)
    if settings is not None:
        for slug, shape in shapes.items():
            try:
                options_for(settings, slug, shape)
            except ConfigurationError as error:
                faults += error.faults
        warnings += [
            f"{name} is read by nobody; a slip of the pen?"
            for name in unknown_variables(settings, shapes)
            if name not in _OURS and not faults
        ]
    warnings += [
        f"The channel {state.slug} could not be loaded: {state.reason}."
        for state in registry.states.values()
        if state.state == "failed"
    ]
    lines = [*faults, *warnings] or ["The settings are in order."]
    show(
        {"ok": not faults, "faults": faults, "warnings": warnings},
        as_json=as_json,
        words="\n".join(lines) if not faults else "",
    )
    if faults:
        if not as_json:
            click.echo("\n".join(lines), err=True)
        fail()


@config.command(name="show", epilog=example("patchbay config show"))
@json_option
def show_(as_json: bool) -> None:
    """Show every setting, where it came from, and never a secret."""
    from core.settings import describe

    settings, registry = read_surroundings()
    rows = [row for row in describe(settings, _shapes(registry)) if row.name not in _OURS]
    words = columns(
        ("SETTING", "VALUE", "FROM"),
        [(row.name, row.value, row.origin) for row in rows],
    )
    show(
        [{"name": row.name, "value": row.value, "origin": row.origin} for row in rows],
        as_json=as_json,
        words=words,
    )


@click.command(epilog=example("patchbay health", "patchbay health --url http://127.0.0.1:8001"))
@click.option("--url", help="Where the host is; else PATCHBAY_PUBLIC_URL.")
@json_option
def health(url: str | None, as_json: bool) -> None:
    """Ask a running host whether it is ready; the exit status is 1 when it is not."""
    import httpx

    base = url or read_surroundings()[0].public_url
    try:
        answer = httpx.get(
            f"{base.rstrip('/')}/health/ready", timeout=_PATIENCE_SECONDS, trust_env=False
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise CommandError(f"There is no host at {base}: {reason}.") from error
    try:
        body = answer.json()
    except ValueError:
        raise CommandError(f"What answers at {base} is no Patchbay.") from None
    show(body, as_json=as_json, words=_health_words(body, ready=answer.is_success))
    if not answer.is_success:
        fail()


def _health_words(body: Any, *, ready: bool) -> str:
    """Say a host's answer: itself, its parts, its channels, each with what is wrong."""
    lines = ["The host is ready." if ready else "The host is not ready."]
    if isinstance(body, dict):
        parts = body.get("parts") or {}
        lines += [_health_line(name, part, "detail") for name, part in parts.items()]
        lines += [_health_line(one["name"], one, "reason") for one in body.get("plugins") or ()]
    return "\n".join(lines)


def _health_line(name: str, part: Mapping[str, str], why: str) -> str:
    return f"  {name}: {part.get('status', '')}  {part.get(why) or ''}".rstrip()


def _shapes(registry: Any) -> dict[str, Any]:
    return {slug: one.settings for slug, one in registry.plugins.items() if one.settings}
