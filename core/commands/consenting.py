"""`patchbay consent import`: a file of consents, written here and now."""

# ruff: noqa: PLC0415 - imported when a command runs, so that `--help` is quick

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from core.commands.frame import (
    ACTOR,
    CommandError,
    House,
    business_option,
    columns,
    example,
    fail,
    find_business,
    in_house,
    json_option,
    show,
)
from core.commands.people import consent

if TYPE_CHECKING:
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.jobs.store import FaultRow, JobRow

_SHOWN = 20
_COUNTS = ("added", "unchanged", "overruled", "bad")

__all__ = ("consent",)


@consent.command(
    "import",
    epilog=example(
        "patchbay consent import customers.csv --business salone-aurora --dry-run",
        "patchbay consent import customers.ndjson --business salone-aurora --json",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@business_option
@click.option("--dry-run", is_flag=True, help="Look at every line and write nothing.")
@json_option
def import_(file: Path, ref: str, *, dry_run: bool, as_json: bool) -> None:
    """Import the consents in FILE, CSV or NDJSON by its ending; safe to repeat.

    Every line must name customer_id, channel, source, granted_at, text_version and
    proof_reference. Bad lines are listed and left out.
    """
    from core.ids import JOB, outward

    form, raw = _read(file)

    async def work(house: House) -> tuple[JobRow, list[FaultRow]]:
        business = await find_business(house, ref)
        job_id = await _take_in(house, business, form, raw, dry_run=dry_run)
        return await _write(house, business, job_id)

    job, faults = in_house(work)
    listed = [{"line": one.line, "field": one.field, "code": one.code} for one in faults]
    counts = ", ".join(f"{job.result.get(name, 0)} {name}" for name in _COUNTS)
    rows = [(one.line, one.field, one.message) for one in faults[:_SHOWN]]
    words = f"{'Would be' if dry_run else 'Done'}: {counts}."
    if rows:
        words += "\n\n" + columns(("LINE", "FIELD", "WHAT IS WRONG"), rows)
    if job.faults > len(rows):
        words += f"\n... and {job.faults - len(rows)} more; --json lists them all."
    answer = {"job": outward(JOB, job.id), "result": job.result, "faults": listed}
    show(answer, as_json=as_json, words=words)
    if job.faults:
        fail()


async def _take_in(
    house: House, business: BusinessRow, form: str, raw: bytes, *, dry_run: bool
) -> UUID:
    """Write the job down, so that a worker goes on with it should this command be killed."""
    from core.jobs import store
    from core.notify.consent_import import KIND

    async with house.database.business(business.id) as transaction:
        job = await store.create(
            transaction,
            house.vault,
            business.id,
            KIND,
            actor=ACTOR,
            parameters={"format": form, "dry_run": dry_run},
            given=raw,
        )
    return job.id


def _read(file: Path) -> tuple[str, bytes]:
    """Read the file and look at it as a whole."""
    from core.notify.consent_files import CSV, NDJSON, SIZE_LIMIT, read_sheet

    form = {".csv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}.get(file.suffix.lower())
    if form is None:
        raise CommandError("The file's name must end in .csv, .ndjson or .jsonl.")
    if file.stat().st_size > SIZE_LIMIT:
        raise CommandError(f"The file is larger than {SIZE_LIMIT // 2**20} MB; split it.")
    raw = file.read_bytes()
    read_sheet(form, raw)
    return form, raw


async def _write(
    house: House, business: BusinessRow, job_id: UUID
) -> tuple[JobRow, list[FaultRow]]:
    from core.ids import new_uuid
    from core.jobs import store
    from core.notify.consent_import import KIND, open_import

    token = new_uuid()
    async with house.database.engine() as transaction:
        job = await store.claim(transaction, (KIND,), token, job_id)
    if job is None:
        raise CommandError("A worker has taken the file up already; ask for its job.")
    importing = await open_import(house, job, token)
    while await importing.step():
        pass
    async with house.database.business(business.id) as transaction:
        ended = await store.get_job(transaction, business.id, job_id)
        faults = await store.list_faults(
            transaction, business.id, job_id, limit=max(ended.faults, 1)
        )
    return ended, faults
