"""Long work: a file of consents is taken in at once and written by a worker, bite by bite."""

import asyncio
from typing import Any, Final

from litestar import Response, get, post
from litestar.params import FromPath

from core.access import audit
from core.api import examples
from core.api.bodies import read_query
from core.api.guards import address_of, caller_of, owner, tenant
from core.api.job_schemas import ImportQuery, JobFaultOut, JobFaultPage, JobOut
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.api.problems import MediaTypeError
from core.api.schemas import PageQuery
from core.businesses.store import BusinessRow
from core.errors import ConflictError, NotFoundError
from core.ids import JOB, inward, outward
from core.jobs import store
from core.jobs.store import FaultRow, JobRow
from core.notify import consent_import
from core.notify.consent_files import CSV, NDJSON, SIZE_LIMIT, ImportLine, read_sheet
from core.notify.services import Services

_FORMS: Final = {"text/csv": CSV, "application/x-ndjson": NDJSON}
_SCOPES: Final = {consent_import.KIND: "consents:read"}
"""What a key must hold to see a job of this kind; a kind that is not named is nobody's to see."""

_OPEN_JOBS: Final = 10
_PATH: Final = {"job_id": examples.JOB_ID}


@post(
    "/consents/import",
    status_code=202,
    request_max_body_size=SIZE_LIMIT,
    opt=described(
        Operation(
            id="importConsents",
            summary="Import consents from a file",
            description=(
                "CSV (a first line names the columns, comma or semicolon, UTF-8) or NDJSON; up to "
                "32 MB and 200,000 lines. Every line names its source, time, text version and "
                "proof; what is wrong is listed by line under the job. A line that is known "
                "already adds nothing, so the same file may be sent again."
            ),
            tag="Consents",
            scope="consents:write",
            body=ImportLine,
            body_media=tuple(_FORMS),
            query=ImportQuery,
            answers={202: Answer(description="Taken in; ask for the job.", schema=JobOut)},
            problems=("not-found", "conflict"),
            examples={
                "one line, rehearsed": Example(
                    status=202,
                    body=examples.IMPORT_LINE,
                    media_type="application/x-ndjson",
                    query={"business_id": examples.BUSINESS, "dry_run": "true"},
                )
            },
        )
    ),
)
async def import_consents(request: Call, services: Lent) -> Response[JobOut]:
    """Look at the file as a whole, keep it sealed, and answer; a worker does the rest."""
    asked = read_query(request, ImportQuery)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _FORMS:
        raise MediaTypeError(f"Send the file as {' or '.join(_FORMS)}.")
    business = await tenant(services, request, asked.business_id, "?business_id")
    raw = await request.body()
    await asyncio.to_thread(read_sheet, _FORMS[given], raw)
    caller = caller_of(request)
    async with services.database.business(business.id) as transaction:
        if await store.count_open(transaction, business.id) >= _OPEN_JOBS:
            raise ConflictError("Too many jobs of this business wait; let them end first.")
        job = await store.create(
            transaction,
            services.vault,
            business.id,
            consent_import.KIND,
            actor=caller.actor,
            parameters={"format": _FORMS[given], "dry_run": asked.dry_run},
            given=raw,
        )
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller.actor,
            action="consent.import.start",
            target=f"job:{outward(JOB, job.id)}",
            after={"bytes": len(raw), "dry_run": asked.dry_run},
            ip=address_of(request),
        )
    shown = _shown(services, job, business)
    return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{shown.id}"})


@get(
    "/jobs/{job_id:str}",
    opt=described(
        Operation(
            id="getJob",
            summary="Read how far a job has come",
            tag="Consents",
            scope="consents:read",
            answers={200: Answer(description="The job.", schema=JobOut)},
            problems=("not-found",),
            examples={"import": Example(status=200, path=_PATH)},
        )
    ),
)
async def get_job(job_id: FromPath[str], request: Call, services: Lent) -> Response[JobOut]:
    """Return the job, with what came of it."""
    job, business = await _own_job(job_id, request, services)
    return Response(_shown(services, job, business))


@get(
    "/jobs/{job_id:str}/faults",
    opt=described(
        Operation(
            id="listJobFaults",
            summary="Read what was wrong with a job's lines",
            tag="Consents",
            scope="consents:read",
            query=PageQuery,
            answers={200: Answer(description="A page, by line.", schema=JobFaultPage)},
            problems=("not-found",),
            examples={"first page": Example(status=200, path=_PATH, query={"limit": "50"})},
        )
    ),
)
async def list_faults(
    job_id: FromPath[str], request: Call, services: Lent
) -> Response[dict[str, Any]]:
    """Return a page of faults; they repeat nothing of the lines."""
    asked = read_query(request, PageQuery)
    after = read_cursor(asked.cursor)
    job, business = await _own_job(job_id, request, services)
    async with services.database.business(business.id) as transaction:
        rows = await store.list_faults(
            transaction, business.id, job.id, limit=asked.limit + 1, after=after
        )
    return Response(page(rows, asked.limit, _fault, lambda row: row.id))


async def _own_job(job_id: str, request: Call, services: Services) -> tuple[JobRow, BusinessRow]:
    row_id = inward(JOB, job_id)
    business = await owner(services, request, "job", row_id)
    async with services.database.business(business.id) as transaction:
        job = await store.get_job(transaction, business.id, row_id)
    scope = _SCOPES.get(job.kind)
    if scope is None or not caller_of(request).may(scope):
        raise NotFoundError("There is no such job.")
    return job, business


def _shown(services: Services, job: JobRow, business: BusinessRow) -> JobOut:
    personal = store.personal_result(services.vault, job) or {}
    return JobOut(
        id=outward(JOB, job.id),
        business_id=business.ref,
        kind=job.kind,
        state=job.state,
        dry_run=bool(job.parameters.get("dry_run")),
        done=job.done,
        total=job.total,
        faults=job.faults,
        result={**job.result, **personal},
        error=job.error,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )


def _fault(row: FaultRow) -> JobFaultOut:
    return JobFaultOut(line=row.line, field=row.field or None, code=row.code, message=row.message)


HANDLERS = (import_consents, get_job, list_faults)
