"""`patchbay api-key`: what the booking system signs in with."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import rich_click as click

from core.commands.frame import (
    ACTOR,
    House,
    columns,
    example,
    find_business,
    in_house,
    json_option,
    show,
)

if TYPE_CHECKING:
    from core.access.keys import NewKey


@click.group(name="api-key", epilog=example("patchbay api-key list"))
def api_key() -> None:
    """Make, list and revoke API keys."""


@api_key.command(
    epilog=example(
        "patchbay api-key create --name booking --scopes '*'",
        "patchbay api-key create --name aurora --business salone-aurora \\",
        "    --scopes events:write,notifications:read",
        "patchbay api-key create --name trial --mode test --scopes '*'",
    )
)
@click.option("--name", required=True, help="Who will use it, for people.")
@click.option("--scopes", required=True, help="Separated by commas; * allows everything.")
@click.option("--business", "ref", metavar="ID", help="Bind it to one business; else all.")
@click.option(
    "--mode",
    type=click.Choice(["live", "test"]),
    default="live",
    show_default=True,
    help="A test key sees test businesses only, a live key live ones only.",
)
@click.option("--expires-days", type=click.IntRange(1, 3650), help="Days until it stops working.")
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    help="Calls a second it may make, twice as many at once; 500 by itself.",
)
@click.option(
    "--from",
    "networks",
    multiple=True,
    metavar="NETWORK",
    help="Address or network it may be used from; may be repeated.",
)
@json_option
def create(
    name: str,
    scopes: str,
    ref: str | None,
    mode: str,
    expires_days: int | None,
    rate: int | None,
    networks: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a key and print it once: only a hash of it is kept."""
    from core.access.audit import record
    from core.access.keys import create_key
    from core.access.rates import Rate

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]

    async def work(house: House) -> NewKey:
        business = await find_business(house, ref) if ref else None
        ends_at = house.clock.now() + timedelta(days=expires_days) if expires_days else None
        async with house.database.engine() as transaction:
            made = await create_key(
                transaction,
                house.vault,
                name=name,
                scopes=wanted,
                business_id=business.id if business else None,
                mode=mode,
                expires_at=ends_at,
                rate=Rate(rate, 2 * rate) if rate else None,
                allowed_from=networks,
            )
            await record(
                transaction,
                business_id=business.id if business else None,
                actor=ACTOR,
                action="api-key.create",
                target=f"key:{made.key_id}",
                after={"scopes": wanted, "mode": mode},
            )
        return made

    made = in_house(work)
    plain = made.plaintext.reveal()
    answer = {
        "key_id": made.key_id,
        "key": plain,
        "name": name,
        "scopes": wanted,
        "business": ref,
        "mode": mode,
    }
    show(answer, as_json=as_json, words=plain)
    if not as_json:
        click.echo("This is the only time the key is shown; keep it as a secret.", err=True)


@api_key.command(name="list", epilog=example("patchbay api-key list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List the keys; nothing of a secret is shown."""
    from core.access.keys import list_keys

    async def work(house: House) -> list[dict[str, Any]]:
        async with house.database.platform() as transaction:
            rows = await list_keys(transaction)
            named = await transaction.fetch("SELECT id, ref FROM business")
        refs = {row["id"]: row["ref"] for row in named}
        return [
            {
                "key_id": row.key_id,
                "name": row.name,
                "business": refs.get(row.business_id),
                "scopes": row.scopes,
                "mode": row.mode,
                "rate_per_second": row.rate_per_second,
                "allowed_from": row.allowed_from,
                "last_used_at": row.last_used_at,
                "expires_at": row.expires_at,
                "revoked_at": row.revoked_at,
            }
            for row in rows
        ]

    found = in_house(work)
    words = columns(
        ("KEY ID", "NAME", "BUSINESS", "MODE", "SCOPES", "LAST USED", "STATE"),
        [
            (
                one["key_id"],
                one["name"],
                one["business"] or "all",
                one["mode"],
                ",".join(one["scopes"]),
                f"{one['last_used_at']:%Y-%m-%d %H:%M}" if one["last_used_at"] else "never",
                "revoked" if one["revoked_at"] else "active",
            )
            for one in found
        ],
    )
    show(found, as_json=as_json, words=words if found else "There is no key yet.")


@api_key.command(epilog=example("patchbay api-key revoke 3fQ9vT0aLm2X"))
@click.argument("key_id")
@json_option
def revoke(key_id: str, as_json: bool) -> None:
    """Take the key KEY_ID out of use, for ever and within a second."""
    from core.access.audit import record
    from core.access.keys import revoke_key

    async def work(house: House) -> None:
        async with house.database.engine() as transaction:
            await revoke_key(transaction, key_id, now=house.clock.now())
            await record(
                transaction,
                business_id=None,
                actor=ACTOR,
                action="api-key.revoke",
                target=f"key:{key_id}",
            )

    in_house(work)
    show({"key_id": key_id, "revoked": True}, as_json=as_json, words=f"{key_id} is revoked.")


@api_key.command(
    epilog=example(
        "patchbay api-key rotate 3fQ9vT0aLm2X", "patchbay api-key rotate 3fQ9vT0aLm2X --finish"
    )
)
@click.argument("key_id")
@click.option("--finish", is_flag=True, help="Let the old secret go; only the new one opens.")
@json_option
def rotate(key_id: str, finish: bool, as_json: bool) -> None:
    """Give the key KEY_ID a second secret, printed once; both open until --finish."""
    from core.access.audit import record
    from core.access.keys import finish_rotation, rotate_key

    async def work(house: House) -> str:
        async with house.database.engine() as transaction:
            plain = ""
            if finish:
                await finish_rotation(transaction, key_id)
            else:
                plain = (await rotate_key(transaction, house.vault, key_id)).plaintext.reveal()
            await record(
                transaction,
                business_id=None,
                actor=ACTOR,
                action="api-key.rotated" if finish else "api-key.rotate",
                target=f"key:{key_id}",
            )
        return plain

    plain = in_house(work)
    answer: dict[str, Any] = {"key_id": key_id, "finished": finish}
    if not finish:
        answer["key"] = plain
    show(answer, as_json=as_json, words=plain or f"Only the new secret of {key_id} opens now.")
