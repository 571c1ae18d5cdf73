"""Jobs in the database: written, claimed by one worker at a time, moved on bite by bite.

A bite's own rows and the job's progress are one transaction, fenced by the lease: a worker that
was killed, or slept, leaves either the whole bite or nothing of it, and the next one goes on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from core.errors import NotFoundError
from core.ids import new_uuid
from core.jobs.tables import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.host import Transaction, Vault

LEASE: Final = timedelta(seconds=60)
"""How long a bite may take before another worker goes on with the job."""

TRIES: Final = 5
"""How often a job may be taken up without moving on before it is given up."""

PART_SIZE: Final = 512 * 1024

_COLUMNS: Final = (
    "id, business_id, kind, state, actor, parameters, done, total, faults, result, result_sealed, "
    "error, created_at, started_at, ended_at"
)


class LostJobError(Exception):
    """The job is somebody else's by now; the transaction must not commit."""


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands."""

    id: UUID
    business_id: UUID | None
    kind: str
    state: str
    actor: str
    parameters: dict[str, Any]
    done: int
    total: int | None
    faults: int
    result: dict[str, Any]
    result_sealed: bytes | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one line; it repeats nothing of the line."""

    line: int
    field: str
    code: str
    message: str


class FaultRow(Fault, frozen=True, kw_only=True):
    """A fault as it is kept; ids follow the lines."""

    id: UUID


async def create(
    transaction: Transaction,
    vault: Vault,
    business_id: UUID,
    kind: str,
    *,
    actor: str,
    parameters: Mapping[str, Any],
    given: bytes,
) -> JobRow:
    """Write a job down with what it was given, sealed in parts."""
    job_id = new_uuid()
    row = await transaction.fetchrow(
        f"""
        INSERT INTO job (id, business_id, kind, actor, parameters) VALUES ($1, $2, $3, $4, $5)
        RETURNING {_COLUMNS}
        """,
        job_id,
        business_id,
        kind,
        actor,
        dict(parameters),
    )
    starts = range(0, len(given), PART_SIZE)
    await transaction.executemany(
        """
        INSERT INTO job_part (id, business_id, job_id, number, body_sealed)
        VALUES ($1, $2, $3, $4, $5)
        """,
        [
            (
                new_uuid(),
                business_id,
                job_id,
                number,
                vault.seal(
                    given[start : start + PART_SIZE],
                    context=_part_context(business_id, job_id, number),
                ),
            )
            for number, start in enumerate(starts)
        ],
    )
    return JobRow(**row)


async def given(transaction: Transaction, vault: Vault, business_id: UUID, job_id: UUID) -> bytes:
    """Return what a job was given."""
    rows = await transaction.fetch(
        "SELECT number, body_sealed FROM job_part WHERE business_id = $1 AND job_id = $2 "
        "ORDER BY number",
        business_id,
        job_id,
    )
    return b"".join(
        vault.open(row["body_sealed"], context=_part_context(business_id, job_id, row["number"]))
        for row in rows
    )


async def claim(
    transaction: Transaction, kinds: Sequence[str], token: UUID, job_id: UUID | None = None
) -> JobRow | None:
    """Take up the oldest job that waits or whose worker is gone, or this one; None if none is.

    A job that never moves on is given up after some tries.
    """
    await transaction.execute(
        """
        UPDATE job SET state = 'failed', error = 'gave-up', lease_token = NULL, lease_until = NULL,
            ended_at = clock_timestamp()
        WHERE state = 'running' AND lease_until < clock_timestamp() AND attempts >= $1
          AND kind = ANY ($2)
        """,
        TRIES,
        list(kinds),
    )
    row = await transaction.fetchrow(
        f"""
        UPDATE job SET state = 'running', lease_token = $2, attempts = attempts + 1,
            lease_until = clock_timestamp() + $3,
            started_at = coalesce(started_at, clock_timestamp())
        WHERE id = (
            SELECT j.id FROM job j
            WHERE j.kind = ANY ($1) AND ($4::uuid IS NULL OR j.id = $4) AND (
                j.state = 'waiting'
                OR (j.state = 'running' AND j.lease_until < clock_timestamp()))
            ORDER BY j.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING {_COLUMNS}
        """,
        list(kinds),
        token,
        LEASE,
        job_id,
    )
    return JobRow(**row) if row else None


async def advance(
    transaction: Transaction,
    job: JobRow,
    token: UUID,
    *,
    done: int,
    total: int,
    result: Mapping[str, Any],
    faults: Sequence[Fault] = (),
) -> None:
    """Note how far a job has come, in the transaction that did it.

    Raises:
        LostJobError: another worker has the job.
    """
    mine = await transaction.fetchval(
        """
        UPDATE job SET done = $3, total = $4, result = $5, faults = faults + $6, attempts = 0,
            lease_until = clock_timestamp() + $7
        WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING true
        """,
        job.id,
        token,
        done,
        total,
        dict(result),
        len(faults),
        LEASE,
    )
    if not mine:
        raise LostJobError
    await transaction.execute(
        """
        INSERT INTO job_fault (id, business_id, job_id, line, field, code, message)
        SELECT t.id, $1, $2, t.line, t.field, t.code, t.message
        FROM unnest($3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[])
            AS t(id, line, field, code, message)
        """,
        job.business_id,
        job.id,
        sorted(new_uuid() for _ in faults),
        [one.line for one in faults],
        [one.field for one in faults],
        [one.code for one in faults],
        [one.message for one in faults],
    )


async def finish(
    transaction: Transaction,
    vault: Vault,
    job: JobRow,
    token: UUID,
    *,
    personal: Mapping[str, Any] | None = None,
    error: str | None = None,
) -> None:
    """End a job and forget what it was given.

    Args:
        transaction: the one of the job's last act.
        vault: seals what names people.
        job: the job.
        token: the lease.
        personal: what came of it and names people; kept sealed.
        error: why it could not be done, a code.

    Raises:
        LostJobError: another worker has the job.
    """
    sealed = None
    if personal is not None:
        encoded = msgspec.json.encode(personal)
        sealed = vault.seal(encoded, context=_result_context(job))
    mine = await transaction.fetchval(
        """
        UPDATE job SET state = $3, error = $4, result_sealed = $5, lease_token = NULL,
            lease_until = NULL, ended_at = clock_timestamp()
        WHERE id = $1 AND lease_token = $2 AND state = 'running' RETURNING true
        """,
        job.id,
        token,
        JobState.FAILED if error else JobState.DONE,
        error,
        sealed,
    )
    if not mine:
        raise LostJobError
    await transaction.execute(
        "DELETE FROM job_part WHERE business_id = $1 AND job_id = $2", job.business_id, job.id
    )


async def give_back(transaction: Transaction, job_id: UUID, token: UUID) -> None:
    """Let another worker go on at once."""
    await transaction.execute(
        """
        UPDATE job SET state = 'waiting', lease_token = NULL, lease_until = NULL
        WHERE id = $1 AND lease_token = $2 AND state = 'running'
        """,
        job_id,
        token,
    )


async def get_job(transaction: Transaction, business_id: UUID, job_id: UUID) -> JobRow:
    """Return a job.

    Raises:
        NotFoundError: there is none, or it is another business's.
    """
    row = await transaction.fetchrow(
        f"SELECT {_COLUMNS} FROM job WHERE business_id = $1 AND id = $2", business_id, job_id
    )
    if row is None:
        raise NotFoundError("There is no such job.")
    return JobRow(**row)


async def count_open(transaction: Transaction, business_id: UUID) -> int:
    """Count a business's jobs that have not ended."""
    return int(
        await transaction.fetchval(
            "SELECT count(*) FROM job WHERE business_id = $1 AND state IN ('waiting', 'running')",
            business_id,
        )
    )


def personal_result(vault: Vault, job: JobRow) -> dict[str, Any] | None:
    """Open what came of a job and names people."""
    if job.result_sealed is None:
        return None
    plain = vault.open(job.result_sealed, context=_result_context(job))
    return msgspec.json.decode(plain, type=dict[str, Any])


async def list_faults(
    transaction: Transaction,
    business_id: UUID,
    job_id: UUID,
    *,
    limit: int,
    after: UUID | None = None,
) -> list[FaultRow]:
    """Return a page of a job's faults, in the order of its lines."""
    rows = await transaction.fetch(
        """
        SELECT id, line, field, code, message FROM job_fault
        WHERE business_id = $1 AND job_id = $2 AND ($3::uuid IS NULL OR id > $3)
        ORDER BY id LIMIT $4
        """,
        business_id,
        job_id,
        after,
        limit,
    )
    return [FaultRow(**row) for row in rows]


def _part_context(business_id: UUID, job_id: UUID, number: int) -> tuple[str, ...]:
    return ("job_part", "body_sealed", str(business_id), str(job_id), str(number))


def _result_context(job: JobRow) -> tuple[str, ...]:
    return ("job", "result_sealed", str(job.business_id), str(job.id))
