"""Takes one safeguard away at a time, in a copy, and looks whether the exam notices.

Run as a program: `python tests/support/exam_mutants.py [words]`. A mutant that no test notices,
a text that is not where it was, or a test that is red without any mutant ends it with 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
MIGRATION = '''"""A safeguard is taken away."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from core.walls import run_script

ID = "2999-01-01T00:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "mutant"
SCRIPT = {script!r}


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="core", description=DESCRIPTION)

    async def up():
        await run_script(SCRIPT)

    manager.add_raw(up)
    return manager
'''
REPLACE = """
DO $mutant$
DECLARE
    v_old text;
    v_new text;
BEGIN
    SELECT pg_get_functiondef(p.oid) INTO STRICT v_old FROM pg_proc p
    WHERE p.proname = '{function}' AND p.pronamespace = 'public'::regnamespace;
    v_new := replace(v_old, $old${old}$old$, $new${new}$new$);
    IF v_new = v_old THEN
        RAISE EXCEPTION 'the text to replace is not in {function}';
    END IF;
    EXECUTE v_new;
END $mutant$;
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One safeguard less.

    Attributes:
        removed: in words.
        place: a file of the project, or the name of a database function.
        old: what stands there.
        new: what stands there instead.
        tests: who should notice.
    """

    name: str
    removed: str
    place: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "begin-gate",
        "consent is not looked at again at begin",
        "outbox_begin",
        "'no:consent-revoked'",
        "'go'",
        ("test_exam_consent.py::test_c02_a_retry_after_the_no_is_not_begun",),
    ),
    Mutant(
        "fencing",
        "who records need not hold the lease",
        "outbox_record",
        "o.lease_token = p_token",
        "true",
        ("test_exam_zombies.py::test_a12_what_a_sleeper_says_of_a_message_is_not_believed",),
    ),
    Mutant(
        "cap",
        "a lane may always begin more",
        "lane_allowance",
        "SELECT lane_room(",
        "SELECT 1000000 + 0 * lane_room(",
        ("test_exam_changes.py::test_f02_the_clocks_of_the_hosts_jump",),
    ),
    Mutant(
        "wake-up",
        "what becomes due wakes no lane",
        "tasks/ring.py",
        "                await lanes.wake(transaction, keys)\n",
        "                del transaction\n",
        (
            "test_exam_outages.py::test_a11_a_message_is_woken_and_not_swept_up",
            "test_exam_outages.py::test_a11_an_event_during_a_claim_does_not_fall_asleep",
        ),
    ),
    Mutant(
        "revocation-wait",
        "a no is acknowledged while a message is on its way",
        "core/consent/revocation.py",
        "        if in_flight == 0 or clock.monotonic() >= ends_at:\n"
        "            return in_flight\n",
        "        return 0\n",
        ("test_exam_consent.py::test_c02_a_no_between_any_two_steps",),
    ),
)


class BrokenError(Exception):
    """The mutant could not be made, or the tests could not be run."""


def copy_project(target: Path) -> None:
    """Copy what belongs to the project; never what only lies around."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def apply(mutant: Mutant, project: Path) -> None:
    """Take the safeguard away in the copy.

    Raises:
        BrokenError: the text to replace is not there exactly once.
    """
    if mutant.place.endswith(".py"):
        file = project / mutant.place
        text = file.read_text()
        if text.count(mutant.old) != 1:
            raise BrokenError(f"{mutant.place} holds the text {text.count(mutant.old)} times")
        file.write_text(text.replace(mutant.old, mutant.new))
        return
    script = REPLACE.format(function=mutant.place, old=mutant.old, new=mutant.new)
    file = project / "core" / "migrations" / "core_2999_01_01t00_00_00_000000.py"
    file.write_text(MIGRATION.format(script=script))


def sit(project: Path, tests: tuple[str, ...]) -> list[str]:
    """Sit exercises in a copy; returns those that failed.

    Raises:
        BrokenError: something other than a test's own assertion went wrong.
    """
    report = project / "result.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         *(f"tests/exam/{one}" for one in tests)],
        cwd=project, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    if not report.exists():
        raise BrokenError(done.stdout[-2000:] + done.stderr[-2000:])
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own file
    if not cases or any(case.find("error") is not None for case in cases):
        raise BrokenError(done.stdout[-3000:])
    return [case.get("name", "") for case in cases if case.find("failure") is not None]


def examine(mutant: Mutant | None, tests: tuple[str, ...]) -> tuple[list[str], float]:
    """Make a copy with a mutant, or a sound one, and sit the exercises in it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="patchbay-mutant-") as top:
        project = Path(top)
        copy_project(project)
        if mutant is not None:
            apply(mutant, project)
        return sit(project, tests), time.monotonic() - began


def main(words: list[str]) -> int:
    """Examine every mutant, or those whose name holds one of the words."""
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    everything = tuple(test for one in chosen for test in one.tests)
    status = 0
    print(f"{'mutant':<16} {'verdict':<9} {'seconds':>7}  what was removed, and who noticed")
    for mutant in (None, *chosen):
        try:
            noticed, seconds = examine(mutant, mutant.tests if mutant else everything)
        except BrokenError as error:
            print(f"{mutant.name if mutant else '(none)':<16} BROKEN\n{error}", flush=True)
            status = 1
            continue
        if mutant is None:
            verdict = "red" if noticed else "green"
            status |= bool(noticed)
            print(f"{'(none)':<16} {verdict:<9} {seconds:>7.0f}  nothing; {noticed or 'nobody'}")
        else:
            verdict = "noticed" if noticed else "SURVIVED"
            status |= not noticed
            who = ", ".join(noticed) or "nobody"
            print(f"{mutant.name:<16} {verdict:<9} {seconds:>7.0f}  {mutant.removed}: {who}")
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
