"""A whole town of real processes: webs, workers, the simulator, PostgreSQL and Redis.

Everything is started as its user would start it, and told everything by its environment. What the
provider saw is read from the simulator's journal, never from our own tables.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fixture_house import process_environment
from fixture_postgres import new_database

from core.embedded_machine import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_postgres import FreshDatabase

    from core.embedded import EmbeddedDatabase

ROOT = Path(__file__).parents[2]
APP = {"APP_ID": "1234567890", "APP_SECRET": "town-app-secret", "VERIFY_TOKEN": "town-verify"}
BUSINESS = "salone-aurora"
WABA_ID = "555000111"
NUMBER_ID = "555000222"
TOKEN = "EAAtown-token-of-salone-aurora-0123456789"
BODY = "Ciao {{first_name}}, da {{business_name}}: {{service}}, {{date}} alle {{time}}."
STOP_SECONDS = 25


@dataclass
class Process:
    """One running program, with its output in a file."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def kill(self) -> None:
        """End it as a crash would."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """End it in order."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(STOP_SECONDS)
        if self.popen.poll() is None:
            self.kill()


@dataclass
class Town:
    """The processes of one test, around one database."""

    database: FreshDatabase
    folder: Path
    queue_url: str | None = None
    more: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    key: str = ""
    simulator: str = ""
    webs: list[str] = field(default_factory=list)
    starts_at: str = field(default_factory=(datetime.now(UTC) + timedelta(days=3)).isoformat)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))
    _ports: dict[str, int] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Return what every process of the town is told."""
        queue = {"PATCHBAY_QUEUE_URL": self.queue_url} if self.queue_url else {}
        told = process_environment(
            self.database,
            PATCHBAY_LOG_LEVEL="warning",
            PATCHBAY_WHATSAPP_GRAPH_URL=self.simulator or "http://127.0.0.1:9",
            **{f"PATCHBAY_WHATSAPP_{name}": value for name, value in APP.items()},
            **{f"SIMULATOR_{name}": value for name, value in APP.items()},
            **queue,
            **self.more,
        )
        # An empty home and a folder of its own: whatever a process writes would be seen here.
        return told | {
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder),
        }

    def start(self, name: str, *arguments: str, url: str = "", **more: str) -> Process:
        """Start one program of ours."""
        logs = self.folder.parent / "logs"
        logs.mkdir(exist_ok=True)
        log = logs / f"{len(self.processes)}-{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=self.environment | more,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = Process(name, popen, log, url)
        self.processes.append(process)
        return process

    def open_simulator(self, *, delay_ms: int = 20, port: int | None = None) -> None:
        """Start the provider's stand-in and give the business its account there."""
        port = port or free_port()
        self.simulator = f"http://127.0.0.1:{port}"
        self.start(
            "simulator",
            "plugins.whatsapp.simulator",
            url=self.simulator,
            SIMULATOR_PORT=str(port),
            SIMULATOR_WEBHOOK_URL=f"http://127.0.0.1:{self.port_of('web-0')}/hooks/whatsapp",
            SIMULATOR_DELAY_MS=str(delay_ms),
        )
        self.wait_until_ok(f"{self.simulator}/simulator/health")
        body = {
            "waba_id": WABA_ID,
            "phone_number_id": NUMBER_ID,
            "display_phone_number": "+39 02 5550 0101",
            "verified_name": "Salone Aurora",
            "token": TOKEN,
            "token_expires_at": int(time.time()) + 60 * 86_400,
            "templates": [template(name) for name in ("booking_confirmed", "booking_canceled")]
            + [template("booking_rescheduled", positional=True)],
        }
        httpx.post(
            f"{self.simulator}/simulator/accounts", json=body, timeout=30
        ).raise_for_status()

    def port_of(self, name: str) -> int:
        """Return a port that stays this process's over restarts."""
        return self._ports.setdefault(name, free_port())

    def start_web(self, place: int = 0) -> Process:
        """Start a web process and wait until it is ready."""
        port = self.port_of(f"web-{place}")
        url = f"http://127.0.0.1:{port}"
        process = self.start(
            f"web-{place}",
            "core.cli",
            "serve",
            url=url,
            PATCHBAY_PORT=str(port),
            PATCHBAY_PUBLIC_URL=url,
        )
        self.wait_until_ok(f"{url}/health/ready", process)
        self.webs.append(url)
        return process

    def start_worker(self, place: int = 0) -> Process:
        """Start a worker."""
        return self.start(f"worker-{place}", "core.cli", "worker")

    def command(self, *arguments: str, stdin: str = "") -> Any:
        """Run one command of ours and return its JSON answer."""
        done = subprocess.run(
            [sys.executable, "-m", "core.cli", *arguments, "--json"],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout} {done.stderr}"
        return json.loads(done.stdout)

    def seed(self) -> None:
        """Make the business, its connection and a key, with the product's own commands."""
        self.command(
            "business",
            "add",
            BUSINESS,
            "--name",
            "Salone Aurora",
            "--timezone",
            "Europe/Rome",
            "--country",
            "IT",
            "--language",
            "it",
        )
        self.command(
            "connect",
            "whatsapp",
            "--business",
            BUSINESS,
            "--waba-id",
            WABA_ID,
            "--phone-number-id",
            NUMBER_ID,
            "--token-stdin",
            stdin=TOKEN + "\n",
        )
        self.key = self.command("api-key", "create", "--name", "booking", "--scopes", "*")["key"]

    def wait_until_ok(self, url: str, process: Process | None = None) -> None:
        """Wait until an address answers 200."""

        def answers() -> bool:
            if process is not None and process.popen.poll() is not None:
                raise AssertionError(f"{process.name} ended: {process.log.read_text()[-2000:]}")
            with suppress(httpx.HTTPError):
                return httpx.get(url, timeout=2).status_code == httpx.codes.OK
            return False

        wait_until(answers, 30)

    def api(self, method: str, path: str, *, web: int = 0, **more: Any) -> httpx.Response:
        """Call the REST interface as the booking system does."""
        headers = {"Authorization": f"Bearer {self.key}"} | more.pop("headers", {})
        return self.client.request(method, self.webs[web] + path, headers=headers, **more)

    def consent(self, customer: str = "cus-1", phone: str = "+393331234567", web: int = 0) -> str:
        """Record that a customer agreed."""
        answer = self.api(
            "POST",
            "/v1/consents",
            web=web,
            headers={"Idempotency-Key": f"consent-{customer}"},
            json={
                "business_id": BUSINESS,
                "customer_id": customer,
                "customer": {
                    "id": customer,
                    "first_name": "Giulia",
                    "phone": phone,
                    "locale": "it",
                },
                "channel": "whatsapp",
                "purpose": "transactional",
                "source": "web",
                "granted_at": "2026-11-03T18:04:00Z",
                "text_version": "it-v1",
                "locale": "it",
                "proof_reference": "form/41",
            },
        )
        assert answer.status_code in {200, 201}, answer.text
        consent_id: str = answer.json()["id"]
        return consent_id

    def tell(
        self,
        event_id: str,
        *,
        kind: str = "booking.confirmed",
        customer: str = "cus-1",
        phone: str = "+393331234567",
        booking: str | None = None,
        web: int = 0,
    ) -> dict[str, Any]:
        """Report an event and return the answer."""
        answer = self.api(
            "POST",
            "/v1/events",
            web=web,
            json={
                "id": event_id,
                "source": "/booking/test",
                "type": kind,
                "data": {
                    "business_id": BUSINESS,
                    "booking": {
                        "ref": booking or f"B-{event_id}",
                        "starts_at": self.starts_at,
                        "service": "Taglio",
                    },
                    "customer": {
                        "id": customer,
                        "first_name": "Giulia",
                        "phone": phone,
                        "locale": "it",
                    },
                },
            },
        )
        assert answer.status_code in {200, 202}, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def notification(self, notification_id: str, web: int = 0) -> dict[str, Any]:
        """Read one notification."""
        answer = self.api("GET", f"/v1/notifications/{notification_id}", web=web)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def wait_for_status(
        self, notification_id: str, status: str, seconds: float = 15
    ) -> dict[str, Any]:
        """Wait until a notification has this status."""
        wait_until(lambda: self.notification(notification_id)["status"] == status, seconds)
        return self.notification(notification_id)

    def journal(self) -> list[dict[str, Any]]:
        """Return what the provider accepted."""
        answer = self.client.get(f"{self.simulator}/simulator/journal", params={"limit": 1000})
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages

    def close(self) -> None:
        """End every process."""
        self.client.close()
        for process in reversed(self.processes):
            process.stop()


def template(name: str, *, positional: bool = False) -> dict[str, Any]:
    """Return an approved Italian template of the simulator."""
    body: dict[str, Any] = {"type": "BODY", "text": BODY}
    if positional:
        body = {"type": "BODY", "text": "Ciao {{1}}, da {{2}}: {{3}} alle {{4}}, a presto."}
    return {
        "name": name,
        "language": "it",
        "category": "UTILITY",
        "status": "APPROVED",
        "parameter_format": "POSITIONAL" if positional else "NAMED",
        "components": [body],
    }


def wait_until(holds: Callable[[], bool], seconds: float, every: float = 0.02) -> float:
    """Wait until something holds and return how long it took."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"did not hold within {seconds} s")
        time.sleep(every)
    return time.monotonic() - started


@pytest.fixture(scope="session")
def seeded_town(postgres: EmbeddedDatabase, migrated_template: str) -> tuple[str, str]:
    """Seed one database by the product's commands; returns its name and the API key."""
    database = new_database(postgres, "seeded", template=migrated_template)
    with tempfile.TemporaryDirectory(prefix="patchbay-town-") as top:
        folder = Path(top, "empty")
        folder.mkdir()
        town = Town(database, folder)
        try:
            town.open_simulator()
            town.seed()
        finally:
            town.close()
    return database.name, town.key


@pytest.fixture
def found_town(
    seeded_town: tuple[str, str], fresh_database: Callable[..., FreshDatabase], tmp_path: Path
) -> Iterator[Callable[..., Town]]:
    """Found towns: `found_town(webs=2, workers=2, queue_url=redis.url)`; ended with the test."""
    towns: list[Town] = []
    name, key = seeded_town

    def found(
        *, webs: int = 1, workers: int = 1, queue_url: str | None = None, **more: str
    ) -> Town:
        folder = tmp_path / f"home-{len(towns)}"
        folder.mkdir()
        town = Town(fresh_database(template=name), folder, queue_url, more, key=key)
        towns.append(town)
        town.open_simulator()
        for place in range(webs):
            town.start_web(place)
        for place in range(workers):
            town.start_worker(place)
        return town

    yield found
    for town in towns:
        town.close()
