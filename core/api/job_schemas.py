"""Long work as it goes over the wire."""

from datetime import datetime
from typing import Any

from core.api.schemas import In, Out
from core.notify.events import Ref


class ImportQuery(In, frozen=True, kw_only=True):
    """Whose consents, and whether this is only a rehearsal."""

    business_id: Ref | None = None
    dry_run: bool = False


class JobOut(Out, frozen=True, kw_only=True):
    """A job; `state` is waiting, running, done or failed.

    `done` of `total` lines were looked at; `faults` counts what is listed under its faults.
    """

    id: str
    business_id: str
    kind: str
    state: str
    dry_run: bool
    done: int
    total: int | None
    faults: int
    result: dict[str, Any]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class JobFaultOut(Out, frozen=True, kw_only=True):
    """What is wrong with one line; it repeats nothing of the line."""

    line: int
    field: str | None
    code: str
    message: str


class JobFaultPage(Out, frozen=True, kw_only=True):
    """A page of faults, in the order of the lines."""

    data: list[JobFaultOut]
    next_cursor: str | None
    has_more: bool
