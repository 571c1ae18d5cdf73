"""From a booking event to the callbacks at the booking system, through real processes."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import psycopg
import pytest
from callback_receiver import Call
from fixture_town import BUSINESS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_town import Town


class Ears(ThreadingHTTPServer):
    """Keeps what is told, after a moment of thought; its first answers may be errors."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Mouth)
        self.calls: list[Call] = []
        self.refusals = 0
        self.pause = 0.0

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://127.0.0.1:{self.server_address[1]}/hooks"


class Mouth(BaseHTTPRequestHandler):
    """Answers one call."""

    server: Ears

    def do_POST(self) -> None:
        """Keep it and answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.calls.append(Call(self.path, headers, body))
        time.sleep(self.server.pause)
        refused, self.server.refusals = self.server.refusals > 0, self.server.refusals - 1
        self.send_response(500 if refused else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def ears() -> Iterator[Ears]:
    """Run a receiver in a thread."""
    server = Ears()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def listen(town: Town, ears: Ears, *events: str) -> tuple[str, str]:
    """Make an endpoint for the business; returns its path and its secret."""
    body = {"url": ears.url, "events": events, "business_id": BUSINESS}
    made = town.api("POST", "/v1/webhook-endpoints", json=body)
    assert made.status_code == 201, made.text
    return f"/v1/webhook-endpoints/{made.json()['id']}", made.json()["secret"]


def test_two_workers_tell_each_step_once_and_signed(
    found_town: Callable[..., Town], ears: Ears
) -> None:
    """Ten messages from queued to read; each callback arrives once, from either worker."""
    town = found_town(workers=2)
    _, secret = listen(town, ears, "notification.*", "consent.*")
    consent = town.consent()
    told = [town.tell(f"e-{n}") for n in range(10)]
    ids = [one["decisions"][0]["notification_id"] for one in told]
    for notification_id in ids:
        town.wait_for_status(notification_id, "read")

    def last_told() -> set[str]:
        return {
            call.told["data"]["notification_id"]
            for call in list(ears.calls)
            if call.told["type"] == "notification.read"
        }

    wait_until(lambda: last_told() == set(ids), 20)
    assert all(call.verified_by(secret) for call in ears.calls)
    by_id = [call.headers["webhook-id"] for call in ears.calls]
    assert len(by_id) == len(set(by_id))
    grants = [call.told["data"] for call in ears.calls if call.told["type"] == "consent.granted"]
    assert [one["consent_id"] for one in grants] == [consent]
    for notification_id in ids:
        mine = sorted(
            (
                (call.told["data"]["sequence"], call.told)
                for call in ears.calls
                if call.told["data"].get("notification_id") == notification_id
            ),
            key=lambda one: one[0],
        )
        types = [step["type"].partition(".")[2] for _, step in mine]
        assert (types[0], types[-1]) == ("queued", "read")
        booking = f"B-e-{ids.index(notification_id)}"
        assert {step["data"]["booking_ref"] for _, step in mine} == {booking}
    assert all(b"+39" not in call.body and b"Giulia" not in call.body for call in ears.calls)


def test_a_killed_worker_loses_no_callback(found_town: Callable[..., Town], ears: Ears) -> None:
    """What it was delivering is delivered again by the other one when the lease ends."""
    town = found_town(workers=1)
    path, _ = listen(town, ears, "notification.queued")
    ears.pause = 3.0
    sent = town.api("POST", f"{path}/test").json()["delivery_id"]
    wait_until(lambda: len(ears.calls) == 1, 10)
    town.processes[-1].kill()
    ears.pause = 0.0
    with psycopg.connect(town.database.superuser_url) as connection:
        connection.execute("UPDATE callback_delivery SET lease_until = now()")
    town.start_worker(1)
    wait_until(lambda: len(ears.calls) == 2, 15)
    assert [call.headers["webhook-id"] for call in ears.calls] == [sent, sent]

    def delivered() -> bool:
        log = town.api("GET", f"{path}/deliveries").json()["data"]
        return [(one["state"], one["attempt"]) for one in log] == [("delivered", 2)]

    wait_until(delivered, 5)


def test_a_test_business_is_called_back_and_reaches_no_provider(
    found_town: Callable[..., Town], ears: Ears
) -> None:
    """A worker killed between the sending and the news costs none of it; all of it is signed."""
    town = found_town(workers=1)
    made = town.command("api-key", "create", "--name", "trial", "--mode", "test", "--scopes", "*")
    town.key = made["key"]
    place = {"timezone": "Europe/Rome", "country": "IT", "default_locale": "it"}
    put = town.api("PUT", "/v1/businesses/salon-trial", json={"name": "Salon Trial", **place})
    assert put.status_code == 201, put.text
    hook = {"url": ears.url, "events": ["notification.*"], "business_id": "salon-trial"}
    secret = town.api("POST", "/v1/webhook-endpoints", json=hook).json()["secret"]
    customer = {"first_name": "Ada", "phone": "+12025550100", "locale": "it"}
    agreed = town.api(
        "POST",
        "/v1/consents",
        headers={"Idempotency-Key": "trial"},
        json={
            "business_id": "salon-trial",
            "customer_id": "ada",
            "customer": customer,
            "channel": "whatsapp",
            "source": "web",
            "granted_at": "2026-11-03T18:04:00Z",
            "text_version": "it-v1",
        },
    )
    assert agreed.status_code == 201, agreed.text
    told = town.api(
        "POST",
        "/v1/events",
        json={
            "id": "trial-1",
            "source": "/trial",
            "type": "booking.confirmed",
            "data": {
                "business_id": "salon-trial",
                "booking": {"ref": "T-1", "starts_at": town.starts_at, "service": "Taglio"},
                "customer": {"id": "ada", **customer},
            },
        },
    )
    sent = told.json()["decisions"][0]["notification_id"]
    wait_until(lambda: town.notification(sent)["status"] != "queued", 15)
    town.processes[-1].kill()
    town.start_worker(1)
    town.wait_for_status(sent, "read", 20)

    def steps() -> set[str]:
        mine = [one for one in list(ears.calls) if one.told["data"]["notification_id"] == sent]
        return {one.told["type"].partition(".")[2] for one in mine}

    wait_until(lambda: {"queued", "sent", "read"} <= steps(), 20)
    assert all(call.verified_by(secret) for call in ears.calls)
    assert town.journal() == []
    shown = town.api("GET", "/v1/sandbox/messages", params={"business_id": "salon-trial"})
    assert "Salon Trial" in shown.json()["data"][0]["text"]
