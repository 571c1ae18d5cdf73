"""The exam's judge: what was promised, what the provider took, and what our rows say of it.

Only the provider's journal tells what was sent. The rows are asked for one thing: whether they
explain what the journal shows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WINDOW_SECONDS = 60.0
SENT = frozenset({"sent", "delivered", "read"})
OPEN = frozenset({"waiting", "leased", "in_flight"})


@dataclass(frozen=True, slots=True)
class Intake:
    """A message that was promised with a 2xx."""

    id: str
    number: str = ""
    customer: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What the database says of a message at rest."""

    status: str
    phase: str
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line of the provider's journal."""

    callback: str
    at: float
    number: str = ""
    to: str = ""


@dataclass(slots=True)
class Verdict:
    """What was found; all zero is a pass."""

    promised: int = 0
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    over_cap: int = 0
    after_revocation: int = 0
    unexplained: int = 0
    unconfirmed: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Tell whether nothing is wrong; what is unconfirmed says so and is no fault."""
        return not (
            self.lost or self.doubled or self.over_cap or self.after_revocation or self.unexplained
        )

    def add(self, other: Verdict) -> None:
        """Take another verdict's findings in."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


def judge(
    intakes: Iterable[Intake],
    journal: Sequence[Accepted],
    rows: Mapping[str, Row],
    *,
    caps: Mapping[str, int] | None = None,
    revoked: Mapping[str, float] | None = None,
) -> Verdict:
    """Judge a run at rest.

    Args:
        intakes: what was answered with a 2xx.
        journal: what the provider took over, by our callback id.
        rows: id -> what the database says.
        caps: number -> the most in any minute.
        revoked: recipient -> when its revocation was acknowledged, monotonic seconds.
    """
    verdict = Verdict(accepted=len(journal))
    times = Counter(line.callback for line in journal)
    known = set(rows)
    for intake in intakes:
        verdict.promised += 1
        _judge_intake(verdict, intake, times[intake.id], rows.get(intake.id))
    for callback, count in times.items():
        if count > 1:
            verdict.doubled += count - 1
            verdict.details.append(f"{callback} was accepted {count} times")
        if callback not in known:
            verdict.unexplained += 1
            verdict.details.append(f"{callback} was accepted and is not in the database")
    for name, row in rows.items():
        if row.status in SENT and not times[name]:
            verdict.unexplained += 1
            verdict.details.append(f"{name} is {row.status} and was never accepted")
        elif times[name] and not _explains(row):
            verdict.unexplained += 1
            verdict.details.append(f"{name} was accepted and is {row.status}/{row.phase}")
        verdict.unconfirmed += row.phase == "unconfirmed"
    verdict.over_cap = sum(
        over_cap([line.at for line in journal if line.number == number], cap)
        for number, cap in (caps or {}).items()
    )
    for line in journal:
        if revoked and line.at > revoked.get(line.to, float("inf")):
            verdict.after_revocation += 1
            verdict.details.append(f"{line.callback} was accepted after the acknowledged no")
    return verdict


def _judge_intake(verdict: Verdict, intake: Intake, accepted: int, row: Row | None) -> None:
    """A promise is kept by an acceptance, or by a final row that says why not."""
    if row is None:
        verdict.lost += 1
        verdict.details.append(f"{intake.id} was promised and is not in the database")
    elif not accepted and row.phase in OPEN:
        verdict.lost += 1
        verdict.details.append(f"{intake.id} rests as {row.status}/{row.phase} {row.reason}")
    elif not accepted and not row.reason and row.status not in SENT:
        verdict.lost += 1
        verdict.details.append(f"{intake.id} is {row.status} without a reason")


def _explains(row: Row) -> bool:
    """Tell whether a row fits an acceptance: sent, in doubt and saying so, or failed afterwards."""
    return row.status in SENT or row.phase == "unconfirmed" or row.status == "failed"


def over_cap(at: Sequence[float], cap: int, window: float = WINDOW_SECONDS) -> int:
    """Return by how many the fullest sliding window exceeds a cap."""
    times = sorted(at)
    fullest = max(
        (bisect_left(times, first + window) - place for place, first in enumerate(times)),
        default=0,
    )
    return max(0, fullest - cap)


def read_journal(lines: Iterable[Mapping[str, Any]]) -> list[Accepted]:
    """Return the accepted lines of a journal."""
    return [
        Accepted(line["callback"], line["at"], line["number"], line.get("to", ""))
        for line in lines
        if line["outcome"] == "accepted"
    ]


def by_number(journal: Iterable[Accepted]) -> dict[str, list[float]]:
    """Return the times of acceptance of each number."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in journal:
        found[line.number].append(line.at)
    return found
