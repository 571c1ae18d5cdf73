"""The exam's town: webs, workers, a provider with its own journal, PostgreSQL and Redis.

One town lasts for the whole examination; only what was killed is started again. Each exercise
takes a tenant of its own, so that one exercise's messages never wait behind another's.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from exam_ledger import Accepted, Intake, Row, Verdict, judge, read_journal
from exam_nursery import Nursery
from exam_tenants import Tenant, copy_tenant
from fixture_town import APP, BUSINESS, ROOT, Process, Town, wait_until

from core.embedded_machine import free_port
from core.ids import NOTIFICATION, outward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from exam_sizes import Plan
    from fixture_redis import RedisServer

LEASE_SECONDS = 30
PATIENCE = 90.0
"""How long a condition may take on a machine that does much else."""
THREADS = 8
_LOST = (httpx.TransportError, httpx.TimeoutException)


@dataclass
class ExamTown(Town):
    """The processes of the examination, and the means to look at what they did."""

    plan: Plan | None = None
    redis: RedisServer | None = None
    intakes: list[Intake] = field(default_factory=list)
    crew: list[Process] = field(default_factory=list)
    doors: dict[int, Process] = field(default_factory=dict)
    nursery: Nursery = field(default_factory=Nursery)
    _tenants: int = 0
    _read: int = 0
    _lines: list[dict[str, Any]] = field(default_factory=list)
    _superuser: psycopg.Connection[Any] | None = None

    # ----- processes ---------------------------------------------------------------------------

    def open(self) -> None:
        """Start the provider's stand-in with its journal, and one web."""
        port = free_port()
        self.simulator = f"http://127.0.0.1:{port}"
        program = ROOT / "tests" / "support" / "exam_provider.py"
        arguments = [program, port, self.journal_file, APP["APP_SECRET"], self.plan.seed]
        log = self.folder.parent / "provider.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(Process("provider", popen, log))
        wait_until(lambda: self._answers(f"{self.simulator}/exam/state"), 30)
        self.web(0)

    def start(self, name: str, *arguments: str, url: str = "", **more: str) -> Process:
        """Start one program of ours: a process of its own, forked where all is imported."""
        logs = self.folder.parent / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{len(self.processes)}-{name}.log"
        log.touch()
        child = self.nursery.start(["patchbay", *arguments[1:]], self.environment | more,
                                   self.folder, log)  # fmt: skip
        process = Process(name, child, log, url)  # type: ignore[arg-type]  # used like a Popen
        self.processes.append(process)
        return process

    @property
    def journal_file(self) -> Any:
        """Return where the provider writes."""
        return self.folder.parent / "journal.jsonl"

    @staticmethod
    def _answers(url: str) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(url, timeout=2).status_code == httpx.codes.OK
        return False

    def ask(self, what: str, told: Any = None) -> dict[str, Any]:
        """Tell the provider something; returns its figures."""
        answer = self.client.post(f"{self.simulator}/exam/{what}", json=told)
        answer.raise_for_status()
        figures: dict[str, Any] = answer.json()
        return figures

    def rules(self, *rules: Mapping[str, Any]) -> None:
        """Say what the provider does from now on; no rule means that all goes well."""
        self.ask("rules", list(rules))

    def web(self, place: int, crashpoint: str = "") -> Process:
        """Have a web process at this place; one with a step to die at is always a new one."""
        door = self.doors.get(place)
        if door is None or door.popen.poll() is not None or crashpoint:
            if door is not None:
                door.stop()
            [door] = self.webs_at({place: crashpoint})
        return door

    def webs_at(self, steps: Mapping[int, str]) -> list[Process]:
        """Start several webs at once, each with its own step to die at."""
        for place, step in steps.items():
            port = self.port_of(f"web-{place}")
            url = f"http://127.0.0.1:{port}"
            more = {"PATCHBAY_CRASHPOINT": step} if step else {}
            self.doors[place] = self.start(
                f"web-{place}", "core.cli", "serve",
                url=url, PATCHBAY_PORT=str(port), PATCHBAY_PUBLIC_URL=url, **more,
            )  # fmt: skip
        self.webs = [self.doors[place].url for place in sorted(self.doors)]
        doors = [self.doors[place] for place in steps]
        for door in doors:
            wait_until(
                lambda door=door: (
                    self._answers(f"{door.url}/health/ready") or door.popen.poll() is not None
                ),
                PATIENCE,
            )
        self.ask("hooks", [f"{self.doors[0].url}/hooks/whatsapp"])
        return doors

    def worker(self, crashpoint: str = "", **more: str) -> Process:
        """Start a worker that dies, or stands still, at a step."""
        told = {"PATCHBAY_CRASHPOINT": crashpoint} if crashpoint else {}
        return self.start("worker", "core.cli", "worker", **told, **more)

    def workers(self, count: int) -> list[Process]:
        """Have so many ordinary workers and no others."""
        self.crew = [one for one in self.crew if one.popen.poll() is None]
        for one in self.crew[count:]:
            one.popen.send_signal(signal.SIGTERM)
        for one in self.crew[count:]:
            one.stop()
        self.crew = self.crew[:count]
        more = {"PATCHBAY_LOG_LEVEL": "info"}
        self.crew += [self.worker(**more) for _ in range(count - len(self.crew))]
        return self.crew

    def ready(self, worker: Process) -> None:
        """Wait until an ordinary worker runs; before that a signal would end it at once."""
        wait_until(lambda: b"worker-ready" in worker.log.read_bytes(), PATIENCE)

    def dies(self, process: Process, seconds: float = PATIENCE) -> None:
        """Wait until a process has met its step."""
        wait_until(lambda: process.popen.poll() is not None, seconds)
        assert process.popen.returncode == -signal.SIGKILL, process.log.read_text()[-2000:]

    def stands(self, process: Process, seconds: float = PATIENCE) -> None:
        """Wait until a process stands still at its step."""
        stat = f"/proc/{process.popen.pid}/stat"

        def stopped() -> bool:
            with open(stat) as file:  # noqa: PTH123 - a path of the kernel
                return file.read().rpartition(")")[2].split()[0] == "T"

        wait_until(stopped, seconds)

    def go_on(self, process: Process) -> None:
        """Let a process that stands still go on."""
        process.popen.send_signal(signal.SIGCONT)

    # ----- tenants and events ------------------------------------------------------------------

    def tenant(self, customers: int = 1, *, reminders: bool = False, **settings: Any) -> Tenant:
        """Make a tenant whose customers agreed to be written to."""
        self._tenants += 1
        with self.sql.transaction():
            made = copy_tenant(
                self.sql, BUSINESS, self._tenants, settings, reminders=reminders
            )
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda place: self.agree(made, place), range(customers)))
        return made

    def agree(self, tenant: Tenant, place: int = 0) -> str:
        """Record that a customer agreed; returns the consent's id."""
        customer = f"{tenant.ref}-c{place}"
        body = {
            "business_id": tenant.ref,
            "customer_id": customer,
            "customer": {"id": customer, "first_name": "Giulia", "phone": tenant.phone(place),
                         "locale": "it"},
            "channel": "whatsapp",
            "purpose": "transactional",
            "source": "web",
            "granted_at": "2026-11-03T18:04:00Z",
            "text_version": "it-v1",
            "locale": "it",
        }  # fmt: skip
        key = {"Idempotency-Key": f"consent-{customer}"}
        answer = self.api("POST", "/v1/consents", headers=key, json=body)
        assert answer.status_code in {200, 201}, answer.text
        consent_id: str = answer.json()["id"]
        return consent_id

    def event(self, tenant: Tenant, booking: str, **told: Any) -> dict[str, Any]:
        """Build an event; `place` is the customer's, `version` the booking's."""
        place = told.pop("place", 0)
        kind = told.pop("kind", "booking.confirmed")
        event_id = told.pop("event_id", f"{booking}-{kind}-{told.get('version', 0)}")
        customer = f"{tenant.ref}-c{place}"
        return {
            "id": event_id,
            "source": "/booking/exam",
            "type": kind,
            "data": {
                "business_id": tenant.ref,
                "booking": {"ref": booking, "starts_at": self.starts_at, "service": "Taglio"}
                | told,
                "customer": {"id": customer, "first_name": "Giulia",
                             "phone": tenant.phone(place), "locale": "it"},
            },
        }  # fmt: skip

    def post(self, body: Mapping[str, Any], door: Process | None = None) -> httpx.Response:
        """Tell an event once; raises what the connection does."""
        url = (door or self.doors[0]).url
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.client.post(f"{url}/v1/events", json=body, headers=headers)

    def book(self, tenant: Tenant, booking: str, **told: Any) -> list[str]:
        """Tell an event until it is taken, as a booking system does; returns what is queued."""
        body = self.event(tenant, booking, **told)
        answer: list[httpx.Response] = []

        def taken() -> bool:
            with suppress(*_LOST):
                answer[:] = [self.post(body)]
            return bool(answer) and answer[0].status_code in {200, 202}

        wait_until(taken, PATIENCE, 0.1)
        return self.promise(tenant, answer[0], told.get("place", 0))

    def promise(self, tenant: Tenant, answer: httpx.Response, place: int = 0) -> list[str]:
        """Note what a 2xx promised to send now."""
        queued = [
            one["notification_id"]
            for one in answer.json()["decisions"]
            if one["outcome"] == "queued"
        ]
        self.intakes += [Intake(one, tenant.number, tenant.phone(place)) for one in queued]
        return queued

    def fill(self, tenant: Tenant, count: int, mark: str = "b", customers: int = 1) -> list[str]:
        """Tell many events at once, spread over the tenant's customers."""
        with ThreadPoolExecutor(THREADS) as pool:
            told = pool.map(
                lambda n: self.book(tenant, f"{mark}-{n}", place=n % customers), range(count)
            )
            return [one for queued in told for one in queued]

    # ----- looking -----------------------------------------------------------------------------

    @property
    def sql(self) -> psycopg.Connection[Any]:
        """Look at everything, and move time; opened again when the server was gone."""
        if self._superuser is None or self._superuser.closed:
            self._superuser = psycopg.connect(self.database.superuser_url, autocommit=True)
        return self._superuser

    def taken(self, *tenants: Tenant) -> list[Accepted]:
        """Return what the provider accepted, of these tenants or of all."""
        with self.journal_file.open("rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._read += len(whole) + 1
            self._lines += [json.loads(line) for line in whole.splitlines()]
        numbers = {one.number for one in tenants}
        return [one for one in read_journal(self._lines) if not numbers or one.number in numbers]

    def tried(self, tenant: Tenant) -> list[dict[str, Any]]:
        """Return every request of a tenant, accepted or not."""
        self.taken()
        return [line for line in self._lines if line["number"] == tenant.number]

    def rows(self, *tenants: Tenant) -> dict[str, Row]:
        """Return what the database says of these tenants' messages."""
        found = self.sql.execute(
            "SELECT id, status, phase, reason FROM notification_outbox "
            "WHERE business_id = ANY (%s)",
            ([one.id for one in tenants],),
        ).fetchall()
        return {outward(NOTIFICATION, row[0]): Row(*row[1:]) for row in found}

    def count(self, tenant: Tenant, condition: str) -> int:
        """Count a tenant's messages."""
        [[counted]] = self.sql.execute(
            f"SELECT count(*) FROM notification_outbox WHERE business_id = %s AND {condition}",
            (tenant.id,),
        ).fetchall()
        return int(counted)

    def judge(self, *tenants: Tenant, **more: Any) -> Verdict:
        """Judge these tenants by the provider's journal."""
        numbers = {one.number for one in tenants}
        intakes = [one for one in self.intakes if one.number in numbers]
        return judge(intakes, self.taken(*tenants), self.rows(*tenants), **more)

    # ----- time --------------------------------------------------------------------------------

    def end_leases(self) -> None:
        """Let the leases of the dead run out: by waiting, or at small size by moving them back."""
        if self.plan.full:
            time.sleep(LEASE_SECONDS + 2)
            return
        self.sql.execute(
            "UPDATE notification_outbox SET lease_until = lease_until - interval '31 s', "
            "begun_at = begun_at - interval '31 s' WHERE phase IN ('leased', 'in_flight')"
        )

    def hurry(self, *tenants: Tenant) -> None:
        """Make retries due now; at full size they are waited for."""
        if self.plan.full:
            return
        self.sql.execute(
            "UPDATE notification_outbox SET next_retry_at = clock_timestamp() "
            "WHERE phase = 'waiting' AND retry_count > 0 AND business_id = ANY (%s)",
            ([one.id for one in tenants],),
        )

    def rest(self, *tenants: Tenant, seconds: float = PATIENCE) -> None:
        """Wait until nothing of these tenants moves: no lease, nothing due, no news to come."""
        ids: list[UUID] = [one.id for one in tenants]

        def quiet() -> bool:
            [[moving, inbox]] = self.sql.execute(
                "SELECT (SELECT count(*) FROM notification_outbox WHERE business_id = ANY (%s) "
                "AND (phase IN ('leased', 'in_flight') OR (phase = 'waiting' "
                "AND next_retry_at < clock_timestamp() + interval '30 min'))), "
                "(SELECT count(*) FROM provider_inbox WHERE state = 'waiting')",
                (ids,),
            ).fetchall()
            return not moving and not inbox and not self.ask("state")["pending"]

        try:
            self._quiet(quiet, seconds)
        except AssertionError:
            stuck = [row for row in self.rows(*tenants).items() if row[1].phase != "final"]
            raise AssertionError(f"no rest within {seconds} s: {stuck[:5]}") from None

    def _quiet(self, quiet: Callable[[], bool], seconds: float) -> None:
        wait_until(quiet, seconds, 0.1)
        time.sleep(0.1)
        wait_until(quiet, seconds, 0.1)

    def until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until something holds, with the patience of a busy machine."""
        wait_until(holds, seconds, 0.05)

    def close(self) -> None:
        """End every process."""
        if self._superuser is not None:
            self._superuser.close()
        for one in self.processes:
            if one.popen.poll() is None:
                one.popen.send_signal(signal.SIGCONT)
                one.popen.send_signal(signal.SIGTERM)
        super().close()
        self.nursery.close()


def phones(tenants: Iterable[Tenant]) -> list[str]:
    """Return the first customers' phones as the provider writes them."""
    return [one.phone().removeprefix("+") for one in tenants]
