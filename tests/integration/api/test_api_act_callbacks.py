"""What a person does to one notification is told, once each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from api_world import Api


async def queued(api: Api) -> str:
    """Queue a notification of a business that listens; return its path."""
    await api.superuser.execute(
        "INSERT INTO callback_endpoint (business_id, url, events, secret_sealed) "
        "VALUES ($1, 'https://booking.example.com/', '{notification.*}', '')",
        api.own.id,
    )
    await api.grant()
    told = await api.tell(type="booking.canceled")
    await api.superuser.execute("DELETE FROM callback_delivery")
    return f"/v1/notifications/{told.json()['decisions'][0]['notification_id']}"


async def told(api: Api) -> list[tuple[str, dict[str, Any]]]:
    """Return what was written."""
    rows = await api.superuser.fetch("SELECT type, body FROM callback_delivery ORDER BY id")
    return [(row["type"], json.loads(row["body"])) for row in rows]


async def test_a_cancel_is_told_once(api: Api) -> None:
    """With its reason; the second call changes nothing and tells nothing."""
    path = await queued(api)
    for _ in range(2):
        await api.call("POST", f"{path}/cancel", key="bound", json={})
    [(kind, body)] = await told(api)
    assert kind == "notification.canceled"
    assert (body["status"], body["code"]) == ("canceled", "canceled")
    assert body["business_id"] == "salon-aurora"


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        ("sent", ["notification.sent"]),
        ("failed", ["notification.failed"]),
        ("resend", []),
    ],
)
async def test_settling_is_told_as_what_it_says(api: Api, outcome: str, kinds: list[str]) -> None:
    """Sent or failed, once; sent again is still queued and no news."""
    path = await queued(api)
    await api.superuser.execute(
        "UPDATE notification_outbox SET phase = 'unconfirmed', reason = 'unconfirmed', "
        "begun_at = now()"
    )
    for _ in range(2):
        await api.call("POST", f"{path}/settle", key="bound", json={"outcome": outcome})
    assert [kind for kind, _ in await told(api)] == kinds
