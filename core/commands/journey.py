"""The demo's journey: what a booking system does, with an API key and nothing else.

It knows the host's address, a key, and where the simulated provider keeps its journal. It never
sees the database.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import httpx
from rich.live import Live
from rich.table import Table

from core.clock import SystemClock
from core.commands.frame import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

PATIENCE_SECONDS: Final = 20.0
BUSINESS: Final = "salone-aurora"
GIULIA: Final = {
    "id": "cus-giulia",
    "first_name": "Giulia",
    "phone": "+393331234567",
    "locale": "it",
}
MARCO: Final = {"id": "cus-marco", "first_name": "Marco", "phone": "+393337654321", "locale": "it"}

_POLL_SECONDS: Final = 0.05
_ROME: Final = ZoneInfo("Europe/Rome")


@dataclass(slots=True)
class Journey:
    """One booking event and what became of it, as seen from outside.

    Args:
        api: the host's address.
        key: an API key with events, consents and notifications.
        simulator: the provider's stand-in.
        alive: raises when one of the demo's processes has ended.
    """

    api: str
    key: str
    simulator: str
    console: Console
    alive: Callable[[], None]
    notification: str = ""
    suppressed: str = ""
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open one connection to the host."""
        self._client = httpx.Client(
            base_url=self.api, headers={"Authorization": f"Bearer {self.key}"}, timeout=10
        )

    def run(self) -> None:
        """Walk the whole way.

        Raises:
            CommandError: a step was not seen; says which.
        """
        with self._client:
            accepted_before = self._journal_end()
            self._record_consent()
            self._tell_the_booking()
            self._watch_until_read()
            self._show_a_refusal()
            self._check_journal(accepted_before)

    def curl(self) -> str:
        """Return a command that tells another booking, to be pasted."""
        mark = f"curl-{SystemClock().now():%Y%m%dT%H%M%S}"
        body = json.dumps(_event(mark, GIULIA, f"B-{mark}"), ensure_ascii=False)
        return (
            f"curl -sS {self.api}/v1/events -H 'Authorization: Bearer {self.key}' "
            f"-H 'Content-Type: application/json' -d '{body}'"
        )

    def _record_consent(self) -> None:
        self._say("\n[bold]1.[/] Giulia agrees to be written to on WhatsApp.")
        answer = self._post(
            "/v1/consents",
            {
                "business_id": BUSINESS,
                "customer_id": GIULIA["id"],
                "customer": GIULIA,
                "channel": "whatsapp",
                "purpose": "transactional",
                "source": "web",
                "granted_at": "2026-11-03T18:04:00Z",
                "text_version": "it-v1",
                "locale": "it",
                "proof_reference": "form/41",
            },
            {"Idempotency-Key": "demo-consent-giulia"},
        )
        self._say(f"   POST /v1/consents -> {answer['id']}, {answer['state']}")

    def _tell_the_booking(self) -> None:
        self._say("[bold]2.[/] The booking system reports a confirmed booking.")
        stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%f}"
        answer = self._post("/v1/events", _event(stamp, GIULIA, f"B-{stamp}"))
        decisions = answer["decisions"]
        if not decisions or decisions[0]["outcome"] != "queued":
            raise CommandError(f"The booking was not queued: {json.dumps(decisions)}")
        self.notification = decisions[0]["notification_id"]
        self._say(
            f"   POST /v1/events -> {answer['id']}: {decisions[0]['template']} by "
            f"{decisions[0]['channel']} is {decisions[0]['outcome']}"
        )
        for later in decisions[1:]:
            when = f" for {later['send_at'][:16]}Z" if later.get("send_at") else ""
            self._say(f"   {later['template']} is {later['outcome']}{when}")

    def _watch_until_read(self) -> None:
        self._say("[bold]3.[/] Its timeline, until Giulia has read it:")
        seen: dict[str, Any] = {}
        with Live(_timeline([]), console=self.console, refresh_per_second=20) as live:
            for seen in self._states():
                live.update(_timeline(seen["timeline"]))
                if seen["status"] in {"read", "failed", "canceled"}:
                    break
        if seen.get("status") != "read":
            explained = seen.get("explanation", {}).get("summary", "no news came")
            raise CommandError(
                f"The message was not read within {PATIENCE_SECONDS:.0f} s; it is "
                f"{seen.get('status', 'unknown')}: {explained}"
            )

    def _show_a_refusal(self) -> None:
        self._say("\n[bold]4.[/] Marco never agreed. His booking is reported as well:")
        stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%f}"
        answer = self._post("/v1/events", _event(f"{stamp}-m", MARCO, f"B-{stamp}-m"))
        decision: dict[str, str] = next(iter(answer["decisions"]), {})
        if (decision.get("outcome"), decision.get("reason")) != ("suppressed", "consent-missing"):
            raise CommandError(f"Marco's message was not suppressed: {json.dumps(decision)}")
        self.suppressed = decision["notification_id"]
        explained = self._get(f"/v1/notifications/{self.suppressed}")["explanation"]
        self._say(
            f"   {decision['template']} is [yellow]suppressed[/], {decision['reason']}: "
            f"{explained['summary']}"
        )

    def _check_journal(self, before: int) -> None:
        answer = httpx.get(
            f"{self.simulator}/simulator/journal", params={"since": before}, timeout=10
        ).json()
        accepted = answer["messages"]
        if len(accepted) != 1:
            raise CommandError(
                f"The provider accepted {len(accepted)} messages; it should be exactly one."
            )
        self._say(
            f"[bold]5.[/] The provider's journal holds exactly one message: "
            f"[italic]{accepted[0]['text']}[/]"
        )

    def _states(self) -> Iterator[dict[str, Any]]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.alive()
            yield self._get(f"/v1/notifications/{self.notification}")
            time.sleep(_POLL_SECONDS)

    def _journal_end(self) -> int:
        answer = httpx.get(f"{self.simulator}/simulator/journal", params={"limit": 1}, timeout=10)
        last: int = answer.json()["last"]
        return last

    def _say(self, words: str) -> None:
        self.console.print(words, soft_wrap=True)

    def _post(
        self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        return _answer(self._client.post(path, json=body, headers=headers or {}))

    def _get(self, path: str) -> dict[str, Any]:
        return _answer(self._client.get(path))


def _answer(response: httpx.Response) -> dict[str, Any]:
    if not response.is_success:
        raise CommandError(
            f"{response.request.method} {response.request.url.path} answered "
            f"{response.status_code}: {response.text[:500]}"
        )
    body: dict[str, Any] = response.json()
    return body


def _event(mark: str, customer: dict[str, str], booking: str) -> dict[str, Any]:
    # Far enough away for its reminders to stay in the queue while the demo runs.
    day = datetime.now(UTC).astimezone(_ROME) + timedelta(days=3)  # noqa: TID251 - a caller's own clock
    starts_at = day.replace(hour=10, minute=30, second=0, microsecond=0)
    return {
        "id": f"demo-{mark}",
        "source": "/booking/demo",
        "type": "booking.confirmed",
        "data": {
            "business_id": BUSINESS,
            "booking": {
                "ref": booking,
                "starts_at": starts_at.isoformat(),
                "service": "Taglio e piega",
            },
            "customer": customer,
        },
    }


def _timeline(steps: list[dict[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=3)
    for step in steps:
        table.add_row("", step["at"][11:23].rstrip("Z"), f"[green]{step['status']}[/]")
    return table
