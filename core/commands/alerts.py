"""`patchbay alert`: what needs a person, and who took it on."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    columns,
    example,
    find_business,
    in_house,
    json_option,
    show,
)

if TYPE_CHECKING:
    from core.alerts.store import AlertRow


@click.group(epilog=example("patchbay alert list"))
def alert() -> None:
    """Look at what needs a person, and take it on."""


@alert.command(name="list", epilog=example("patchbay alert list --business salone-aurora"))
@click.option("--business", "ref", metavar="ID", help="Only this business's; else all.")
@click.option("--all", "everything", is_flag=True, help="Those that are over, too.")
@json_option
def list_(ref: str | None, everything: bool, as_json: bool) -> None:
    """List the newest 200 alerts that are not over, with what to do."""
    from core.alerts.kinds import kind_named, kinds_of
    from core.alerts.store import Wanted, list_alerts
    from core.ids import ALERT, outward

    async def work(house: House) -> list[dict[str, Any]]:
        business = await find_business(house, ref) if ref else None
        wanted = Wanted(
            business_id=business.id if business else None,
            state=None if everything else "unresolved",
            limit=200,
        )
        async with house.database.platform() as transaction:
            rows = await list_alerts(transaction, wanted)
        kinds = kinds_of(house.registry)
        return [
            {
                "id": outward(ALERT, row.id),
                "business": row.business_ref,
                "kind": row.kind,
                "severity": kind_named(kinds, row.kind).severity,
                "about": row.subject,
                "state": row.state,
                "action": kind_named(kinds, row.kind).action.en,
                "acknowledged_by": row.acked_by,
                "created_at": row.created_at,
                "resolved_at": row.resolved_at,
            }
            for row in rows[:200]
        ]

    found = in_house(work)
    words = columns(
        ("ID", "BUSINESS", "SEVERITY", "KIND", "ABOUT", "STATE"),
        [
            (
                one["id"],
                one["business"] or "-",
                one["severity"],
                one["kind"],
                one["about"],
                one["state"],
            )
            for one in found
        ],
    )
    show(found, as_json=as_json, words=words)


@alert.command(epilog=example("patchbay alert ack alr_..."))
@click.argument("alert_id", metavar="ALERT")
@json_option
def ack(alert_id: str, as_json: bool) -> None:
    """Take an alert on; it stays until it is over."""
    from core.alerts.store import acknowledge

    _act(alert_id, "acknowledge", acknowledge, as_json=as_json)


@alert.command(epilog=example("patchbay alert resolve alr_..."))
@click.argument("alert_id", metavar="ALERT")
@json_option
def resolve(alert_id: str, as_json: bool) -> None:
    """Say that an alert is over; most end by themselves."""
    from core.alerts.store import end

    _act(alert_id, "resolve", end, as_json=as_json)


def _act(alert_id: str, what: str, change: Any, *, as_json: bool) -> None:
    from core.access.audit import record
    from core.alerts.store import find_alert
    from core.ids import ALERT, inward

    async def work(house: House) -> AlertRow:
        row_id = inward(ALERT, alert_id)
        async with house.database.engine() as transaction:
            changed = await change(transaction, row_id, ACTOR)
            after = await find_alert(transaction, row_id)
            if after is None:
                raise CommandError(f"There is no alert {alert_id}; see `patchbay alert list`.")
            if changed:
                await record(
                    transaction,
                    business_id=after.business_id,
                    actor=ACTOR,
                    action=f"alert.{what}",
                    target=f"alert:{alert_id}",
                    after={"kind": after.kind, "state": after.state},
                )
        return after

    after = in_house(work)
    answer = {"id": alert_id, "state": after.state, "acknowledged_by": after.acked_by}
    show(answer, as_json=as_json, words=f"{after.kind}: {after.state}.")
