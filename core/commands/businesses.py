"""`patchbay business`: the tenants."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    check_ref,
    columns,
    example,
    in_house,
    json_option,
    show,
)

_MOST = 1000


@click.group(epilog=example("patchbay business list"))
def business() -> None:
    """Add and list businesses."""


@business.command(
    epilog=example(
        "patchbay business add salone-aurora --name 'Salone Aurora' \\",
        "    --timezone Europe/Rome --country IT --language it",
    )
)
@click.argument("ref", metavar="ID", callback=check_ref)
@click.option("--name", required=True, help="The name customers know.")
@click.option("--timezone", default="UTC", show_default=True, help="For example Europe/Rome.")
@click.option("--country", required=True, help="Two letters; reads national phone numbers.")
@click.option("--language", default="en", show_default=True, help="Of messages, if no better.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="live",
    show_default=True,
    help="Test businesses are seen by test keys only.",
)
@json_option
def add(
    ref: str, name: str, timezone: str, country: str, language: str, mode: str, as_json: bool
) -> None:
    """Add a business under the booking system's own ID for it."""
    from core.access.audit import record
    from core.businesses.store import BusinessIn, add_business, check_business
    from core.notify.furnishing import furnish

    told = BusinessIn(
        name=name, timezone=timezone, default_locale=language, country=country.upper()
    )
    check_business(told)

    async def work(house: House) -> None:
        async with house.database.platform() as transaction:
            made = await add_business(transaction, ref, told, mode=mode, now=house.clock.now())
            if made is None:
                raise CommandError(f"There is a business {ref!r} already.")
            await record(
                transaction,
                business_id=made.id,
                actor=ACTOR,
                action="business.add",
                target=f"business:{ref}",
            )
        async with house.database.engine() as transaction:
            await furnish(transaction, house.registry, made.id)

    in_house(work)
    show(
        {
            "id": ref,
            "name": name,
            "timezone": timezone,
            "country": told.country,
            "language": language,
            "mode": mode,
        },
        as_json=as_json,
        words=f"Added {ref}, connected to the sandbox."
        if mode == "test"
        else f"Added {ref}. Next: patchbay connect CHANNEL --business {ref}",
    )


@business.command(name="list", epilog=example("patchbay business list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List the businesses, the newest first."""
    from core.businesses.store import list_businesses

    async def work(house: House) -> list[dict[str, str]]:
        async with house.database.platform() as transaction:
            rows = await list_businesses(transaction, limit=_MOST)
        return [
            {
                "id": row.ref,
                "name": row.name,
                "timezone": row.timezone,
                "country": row.country,
                "language": row.default_locale,
                "mode": row.mode,
            }
            for row in rows
        ]

    found = in_house(work)
    heads = ("ID", "NAME", "TIME ZONE", "COUNTRY", "LANGUAGE", "MODE")
    words = columns(heads, [tuple(row.values()) for row in found])
    show(found, as_json=as_json, words=words if found else "There is no business yet.")
