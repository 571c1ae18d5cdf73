"""The examination: one town for all its exercises, and the report of what was found."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from exam_ledger import Verdict
from exam_sizes import read_plan
from exam_town import ExamTown
from fixture_postgres import new_database
from fixture_redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from core.embedded import EmbeddedDatabase

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "exam-report.json"
PLAN = read_plan()
_PASSED = pytest.StashKey[bool]()
_sat: list[Sitting] = []


@dataclass
class Sitting:
    """One exercise as it was sat: how large, how often, and what was found."""

    id: str
    size: dict[str, Any]
    verdict: Verdict = field(default_factory=Verdict)
    figures: dict[str, Any] = field(default_factory=dict)
    rounds: int = 0
    seconds: float = 0.0
    passed: bool = False
    started: float = field(default_factory=time.monotonic)

    def repeats(self) -> Iterator[int]:
        """Count the repeats; one at small size."""
        for number in range(PLAN.repeat):
            self.rounds += 1
            yield number

    def passes(self, verdict: Verdict, **figures: Any) -> None:
        """Take a verdict in; anything lost, doubled, over a cap, too late or unexplained fails."""
        self.verdict.add(verdict)
        self.figures |= figures
        assert verdict.clean, f"{self.id}: {verdict}"

    def line(self) -> dict[str, Any]:
        """Return the report's line."""
        found = {name: n for name, n in asdict(self.verdict).items() if name != "details"}
        return {
            "id": self.id,
            "passed": self.passed,
            "size": self.size,
            "full": PLAN.full,
            "rounds": self.rounds,
            "seed": PLAN.seed,
            **found,
            **self.figures,
            "seconds": round(self.seconds, 1),
        }


@pytest.fixture
def sit(request: pytest.FixtureRequest) -> Iterator[Callable[..., Sitting]]:
    """Sit an exercise: `sitting = sit("A02", messages=8)`; it is reported when the test ends."""
    sat: list[Sitting] = []

    def begin(exam_id: str, **size: Any) -> Sitting:
        sitting = Sitting(exam_id, size)
        sat.append(sitting)
        return sitting

    yield begin
    for sitting in sat:
        sitting.seconds = time.monotonic() - sitting.started
        sitting.passed = request.node.stash.get(_PASSED, False)
        _sat.append(sitting)


@pytest.fixture(scope="session")
def exam_redis() -> Iterator[RedisServer]:
    """Run the examination's own Redis; exercises kill it and start it again."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def standing_town(
    seeded_town: tuple[str, str], postgres: EmbeddedDatabase, exam_redis: RedisServer
) -> Iterator[ExamTown]:
    """Found the town of the whole examination."""
    name, key = seeded_town
    database = new_database(postgres, "exam", template=name)
    with tempfile.TemporaryDirectory(prefix="patchbay-exam-") as top:
        folder = Path(top, "home")
        folder.mkdir()
        town = ExamTown(
            database, folder, exam_redis.url, key=key, plan=PLAN, redis=exam_redis
        )
        try:
            town.open()
            yield town
        finally:
            town.close()


@pytest.fixture
def town(standing_town: ExamTown) -> Iterator[ExamTown]:
    """Give the standing town with a web that works, a Redis that runs and a kind provider."""
    standing_town.redis.start()
    standing_town.web(0)
    standing_town.rules()
    yield standing_town
    standing_town.rules()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Say at a failed exercise how to sit it again."""
    report = yield
    if report.failed and "sit" in getattr(item, "fixturenames", ()):
        size = "EXAM_SIZE=full " if PLAN.full else ""
        again = f"EXAM_SEED={PLAN.seed} {size}python -m pytest '{item.nodeid}'"
        report.sections.append(("to repeat this exercise", again))
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the report and say where it is."""
    if not _sat:
        return
    REPORT.write_text(json.dumps([one.line() for one in _sat], indent=1) + "\n")
    size = "written sizes" if PLAN.full else "small sizes"
    terminalreporter.write_line(
        f"exam: {len(_sat)} exercises, {size}, seed {PLAN.seed}, report in {REPORT.name}"
    )
