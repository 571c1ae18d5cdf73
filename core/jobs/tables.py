"""The tables of long work: the job, what it was given, and what was wrong with its lines."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, UUID, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow, UUIDv7


class JobState(StrEnum):
    """The life of a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(Table, tablename="job"):
    """One piece of work; `business_id` is empty for the platform's own.

    What came of it stands in `result`, or sealed in `result_sealed` where it names people.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    kind = Varchar(length=32)
    state = Varchar(length=8, choices=JobState, default=JobState.WAITING)
    actor = Varchar(length=100, default="")
    parameters = JSONB(default="{}")
    done = Integer(default=0)
    total = Integer(null=True, default=None)
    faults = Integer(default=0)
    result = JSONB(default="{}")
    result_sealed = Bytea(null=True, default=None)
    error = Varchar(length=64, null=True, default=None)
    attempts = Integer(default=0)
    lease_token = UUID(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
    started_at = Timestamptz(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)


class JobPart(BusinessRow, Table, tablename="job_part"):
    """A piece of what a job was given, sealed; deleted when the job ends."""

    job_id = UUID(null=False, default=None)
    number = Integer()
    body_sealed = Bytea()


class JobFault(BusinessRow, Table, tablename="job_fault"):
    """What was wrong with one line; it repeats nothing of the line."""

    job_id = UUID(null=False, default=None)
    line = Integer()
    field = Varchar(length=64)
    code = Varchar(length=64)
    message = Text()
