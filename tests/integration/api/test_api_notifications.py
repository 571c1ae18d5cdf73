"""Reading notifications: the explanation, the timeline, the masked phone, the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.api import examples

if TYPE_CHECKING:
    from api_world import Api

ORDER = ["channel-enabled", "connected", "template-approved", "consent"]


async def notification(api: Api) -> str:
    """Grant, tell, and return the notification's id."""
    await api.grant()
    return str((await api.tell()).json()["decisions"][0]["notification_id"])


async def test_a_queued_notification_is_explained(api: Api) -> None:
    """The specification's four checks come first and passed; the phone is masked."""
    ntf = await notification(api)
    read = await api.call("GET", f"/v1/notifications/{ntf}", key="bound")
    assert read.status_code == 200, read.text
    body = read.json()
    assert (body["status"], body["final"], body["attempts"]) == ("queued", False, 0)
    assert body["to"] == {"customer_id": "cus_88", "phone": "+39*******567", "address": None}
    assert body["metadata"] == {"booking_ref": "B-1001"}
    assert body["send_at"] is not None
    checks = body["explanation"]["checks"]
    assert [one["check"] for one in checks][:4] == ORDER
    assert all(one["result"] == "pass" for one in checks[:4])
    assert checks[-1]["check"] == "provider"
    assert [one["status"] for one in body["timeline"]] == ["queued"]
    assert "3331234567" not in read.text


async def test_the_story_of_a_read_notification_is_told_in_order(api: Api) -> None:
    """Queued, sent, delivered, read: each with its time; the try is listed."""
    ntf = await notification(api)
    await api.superuser.execute(
        """
        WITH o AS (
            UPDATE notification_outbox SET status = 'read', phase = 'final',
                next_retry_at = NULL, begun_at = now(), first_claimed_at = now(),
                sent_at = now() + interval '1 s', delivered_at = now() + interval '2 s',
                read_at = now() + interval '3 s', provider_message_id = 'wamid.X'
            RETURNING *
        ), a AS (
            INSERT INTO send_attempt (business_id, notification_id, number, lease_token,
                begun_at, ended_at, outcome)
            SELECT business_id, id, 1, gen_random_uuid(), now(), sent_at, 'accepted' FROM o
        )
        INSERT INTO status_update (business_id, notification_id, status, occurred_at)
        SELECT o.business_id, o.id, s.status, s.at FROM o, LATERAL (VALUES
            ('sent', o.sent_at), ('delivered', o.delivered_at), ('read', o.read_at)) s(status, at)
        """
    )
    body = (await api.call("GET", f"/v1/notifications/{ntf}")).json()
    assert [one["status"] for one in body["timeline"]] == ["queued", "sent", "delivered", "read"]
    times = [one["at"] for one in body["timeline"]]
    assert times == sorted(times)
    assert (body["final"], body["attempts"]) == (True, 1)
    assert body["provider_message_id"] == "wamid.X"
    tries = (await api.call("GET", f"/v1/notifications/{ntf}/attempts")).json()["data"]
    assert [(one["number"], one["outcome"]) for one in tries] == [(1, "accepted")]


async def test_a_failure_says_why_and_whether_to_try_again(api: Api) -> None:
    """The reason's code, the provider's code, and the failed check."""
    ntf = await notification(api)
    await api.superuser.execute(
        "UPDATE notification_outbox SET status = 'failed', phase = 'final', next_retry_at = NULL, "
        "reason = 'recipient-not-reachable', error_code = '131026', begun_at = now(), "
        "first_claimed_at = now(), failed_at = now()"
    )
    told = (await api.call("GET", f"/v1/notifications/{ntf}")).json()["explanation"]
    assert (told["code"], told["provider_code"]) == ("recipient-not-reachable", "131026")
    assert told["retryable"] is False
    assert told["checks"][-1]["check"] == "provider"
    assert told["checks"][-1]["result"] == "fail"
    assert told["summary"]
    assert told["advice"]


async def test_a_suppressed_notice_can_be_read_by_its_own_id(api: Api) -> None:
    """A `dec_` id explains why nothing was queued; it has no tries."""
    dec = (await api.tell()).json()["decisions"][0]["notification_id"]
    read = await api.call("GET", f"/v1/notifications/{dec}", key="bound")
    assert read.status_code == 200, read.text
    body = read.json()
    assert (body["status"], body["final"]) == ("suppressed", True)
    assert body["explanation"]["code"] == "consent-missing"
    results = {one["check"]: one["result"] for one in body["explanation"]["checks"]}
    assert [results[check] for check in ORDER] == ["pass", "pass", "pass", "fail"]
    tries = await api.call("GET", f"/v1/notifications/{dec}/attempts")
    assert tries.json()["data"] == []
    listed = await api.call("GET", "/v1/notifications?status=suppressed", key="bound")
    assert listed.json()["data"][-1]["id"] == dec


async def test_foreign_notifications_do_not_exist(api: Api) -> None:
    """404 in detail, in tries and under `dec_`; nothing in the list."""
    dec = (await api.tell()).json()["decisions"][0]["notification_id"]
    await api.grant()
    ntf = (await api.tell(id="two")).json()["decisions"][0]["notification_id"]
    for path in (ntf, dec, f"{ntf}/attempts", ntf.replace("ntf_", "dec_")):
        read = await api.call("GET", f"/v1/notifications/{path}", key="foreign")
        assert read.status_code == 404, path
    assert (await api.call("GET", "/v1/notifications", key="foreign")).json()["data"] == []
    asked = "/v1/notifications?business_id=salon-aurora"
    assert (await api.call("GET", asked, key="foreign")).status_code == 404


async def test_lists_are_filtered_and_paged(api: Api) -> None:
    """By status, customer, booking and time; a platform's key must name the business."""
    await api.grant()
    for number in range(3):
        booking = {**examples.BOOKING_BODY, "ref": f"B-{number}"}
        data: dict[str, Any] = {**examples.EVENT_BODY["data"], "booking": booking}
        assert (await api.tell(id=f"e-{number}", data=data)).status_code == 202

    async def found(query: str) -> list[str]:
        answer = await api.call("GET", f"/v1/notifications?{query}", key="bound")
        assert answer.status_code == 200, (query, answer.text)
        return [one["booking_ref"] for one in answer.json()["data"]]

    assert await found("") == ["B-2", "B-1", "B-0"]
    assert await found("booking_ref=B-1") == ["B-1"]
    assert await found("status=failed") == []
    assert await found("status=queued&customer_id=cus_88&limit=1") == ["B-2"]
    assert await found("customer_id=nobody") == []
    assert await found("created_after=2999-01-01T00:00:00Z") == []
    assert len(await found("created_before=2999-01-01T00:00:00Z")) == 3
    page = (await api.call("GET", "/v1/notifications?limit=2", key="bound")).json()
    assert await found(f"limit=2&cursor={page['next_cursor']}") == ["B-0"]
    assert (await api.call("GET", "/v1/notifications")).status_code == 422
    for query in ("status=lost", "created_after=noon", "booking_ref=%00", "who=me"):
        refused = await api.call("GET", f"/v1/notifications?{query}", key="bound")
        assert refused.status_code == 422, query
