"""Notifications: what became of each one, and why."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from core.api import examples, notices
from core.api.bodies import read_moment, read_query
from core.api.guards import owner, tenant
from core.api.lending import Call, Lent
from core.api.notification_schemas import (
    AttemptList,
    AttemptOut,
    CheckOut,
    Explanation,
    MomentOut,
    NotificationOut,
    NotificationPage,
    NotificationsQuery,
    NotificationSummary,
    Recipient,
)
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.businesses.store import BusinessRow
from core.ids import DECISION, EVENT, NOTIFICATION, inward, outward
from core.notify.services import Services

_PATH = {"notification_id": examples.NOTIFICATION_ID}


@get(
    "/notifications",
    opt=described(
        Operation(
            id="listNotifications",
            summary="List notifications",
            description="With `status=suppressed`: the notices that were never queued.",
            tag="Notifications",
            scope="notifications:read",
            query=NotificationsQuery,
            answers={200: Answer(description="The newest first.", schema=NotificationPage)},
            problems=("not-found",),
            examples={
                "of a booking": Example(
                    status=200,
                    query={"business_id": examples.BUSINESS, "booking_ref": examples.BOOKING},
                ),
                "never queued": Example(
                    status=200, query={"business_id": examples.BUSINESS, "status": "suppressed"}
                ),
            },
        )
    ),
)
async def list_notifications(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return a page of one business's notifications."""
    asked = read_query(request, NotificationsQuery)
    read_moment(asked.created_after, "?created_after")
    read_moment(asked.created_before, "?created_before")
    before = read_cursor(asked.cursor)
    business = await tenant(services, request, asked.business_id, "?business_id")
    async with services.database.business(business.id) as transaction:
        rows = await notices.list_notifications(transaction, business.id, asked, before)
    return Response(page(rows, asked.limit, show_summary, lambda row: row["id"]))


@get(
    "/notifications/{notification_id:str}",
    opt=described(
        Operation(
            id="getNotification",
            summary="Read a notification with its explanation and timeline",
            tag="Notifications",
            scope="notifications:read",
            answers={200: Answer(description="The whole story.", schema=NotificationOut)},
            problems=("not-found",),
            examples={
                "queued": Example(status=200, path=_PATH),
                "never queued": Example(
                    status=200, path={"notification_id": examples.DECISION_ID}
                ),
            },
        )
    ),
)
async def get_notification(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[NotificationOut]:
    """Return one notification; a `dec_` id is a notice that was suppressed."""
    business, notice = await load_story(notification_id, request, services)
    return Response(show_story(notice, business))


@get(
    "/notifications/{notification_id:str}/attempts",
    opt=described(
        Operation(
            id="listAttempts",
            summary="Read every try to send a notification",
            tag="Notifications",
            scope="notifications:read",
            answers={200: Answer(description="In their order.", schema=AttemptList)},
            problems=("not-found",),
            examples={"read": Example(status=200, path=_PATH)},
        )
    ),
)
async def list_attempts(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[AttemptList]:
    """Return the tries; a notice that was never queued has none."""
    _, notice = await load_story(notification_id, request, services)
    tries = [
        AttemptOut(
            number=one.number,
            begun_at=one.begun_at,
            ended_at=one.ended_at,
            outcome=one.outcome,
            summary=one.words,
            provider_code=one.error_code or None,
        )
        for one in notice.account.attempts
    ]
    return Response(AttemptList(data=tries))


async def load_story(
    outward_id: str, request: Call, services: Services
) -> tuple[BusinessRow, notices.Notice]:
    """Return a notification or a suppressed notice, and whose it is."""
    if outward_id.startswith(f"{DECISION}_"):
        row_id = inward(DECISION, outward_id)
        business = await owner(services, request, "decision", row_id)
        async with services.database.business(business.id) as transaction:
            found = await notices.load_decision(services, transaction, business.id, row_id)
            return business, found
    row_id = inward(NOTIFICATION, outward_id)
    business = await owner(services, request, "notification_outbox", row_id)
    async with services.database.business(business.id) as transaction:
        found = await notices.load_notification(services, transaction, business.id, row_id)
        return business, found


def show_story(notice: notices.Notice, business: BusinessRow) -> NotificationOut:
    """Write a notification as it goes over the wire."""
    account, row = notice.account, notice.row
    due_at = account.next_attempt_at
    if due_at is not None:
        due_at += business.ahead
    queued = account.status != notices.SUPPRESSED
    return NotificationOut(
        id=account.id,
        event_id=account.event_id or None,
        business_id=business.ref,
        status=account.status,
        final=account.final,
        channel=account.channel,
        template=account.template,
        language=account.language,
        event_type=account.event_type,
        to=Recipient(customer_id=notice.customer_ref, phone=notice.phone, address=notice.address),
        provider_message_id=row["provider_message_id"] if queued else None,
        attempts=len(account.attempts),
        send_at=due_at if not account.attempts else None,
        next_attempt_at=due_at if account.attempts else None,
        explanation=Explanation(
            summary=account.summary,
            advice=account.advice,
            code=account.code or None,
            provider_code=account.provider_code or None,
            retryable=account.retryable,
            checks=[
                CheckOut(
                    check=one.check,
                    result=one.result,
                    reason=one.reason or None,
                    evidence=one.evidence or None,
                )
                for one in account.checks
            ],
        ),
        timeline=[
            MomentOut(at=one.at, status=one.status, note=one.note or None)
            for one in account.timeline
        ],
        fallback_of=account.links.before.id if account.links.before else None,
        followed_by=account.links.after.id if account.links.after else None,
        metadata={"booking_ref": account.booking_ref} if account.booking_ref else {},
        created_at=row["created_at"],
        updated_at=row["updated_at"] if queued else row["created_at"],
    )


def show_summary(row: Mapping[str, Any]) -> NotificationSummary:
    """Write a row of a list as it goes over the wire."""
    prefix = DECISION if row["status"] == notices.SUPPRESSED else NOTIFICATION
    return NotificationSummary(
        id=outward(prefix, row["id"]),
        event_id=outward(EVENT, row["event_id"]) if row["event_id"] else None,
        status=row["status"],
        reason=row["reason"] or None,
        final=row["final"],
        channel=row["channel"],
        template=row["template_name"],
        language=row["language_code"],
        customer_id=row["customer_ref"],
        booking_ref=row["booking_ref"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


HANDLERS = (list_notifications, get_notification, list_attempts)
