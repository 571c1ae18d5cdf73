"""What a person may do to one notification: cancel it, try it again, settle it."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Response, post
from litestar.params import FromPath

from core.access import audit
from core.alerts.store import resolve_alert
from core.api import examples
from core.api.bodies import read_body
from core.api.guards import address_of, caller_of, need_scope, owner
from core.api.lending import Call, Lent
from core.api.limit_schemas import ReasonBody, RetryBody, SettleBody
from core.api.notification_schemas import NotificationOut
from core.api.notifications import load_story, show_story
from core.api.operations import Answer, Example, Operation, described
from core.channels.host import Transaction
from core.errors import ConflictError, NotFoundError
from core.ids import DECISION, NOTIFICATION, inward
from core.notify import fallbacks
from core.notify.reasons import REASONS
from core.notify.services import Services
from core.outbox import settle

_PATH = {"notification_id": examples.NOTIFICATION_ID}
_Act = Callable[[Transaction, UUID, UUID, Any], Awaitable[dict[str, Any]]]


@post(
    "/notifications/{notification_id:str}/cancel",
    status_code=200,
    opt=described(
        Operation(
            id="cancelNotification",
            summary="Cancel a notification that waits",
            tag="Notifications",
            scope="notifications:write",
            body=ReasonBody,
            body_optional=True,
            answers={200: Answer(description="Canceled.", schema=NotificationOut)},
            problems=("not-found", "already-final", "conflict"),
            examples={"cancel": Example(status=200, path=_PATH, body={"reason": "by phone"})},
        )
    ),
)
async def cancel_notification(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[NotificationOut]:
    """Cancel what was not handed over yet."""
    told = await read_body(request, ReasonBody, optional=True)

    async def act(tx: Transaction, business_id: UUID, message: UUID, row: Any) -> dict[str, Any]:
        if row["phase"] == "final":
            raise ConflictError("It has come to its end already.", code="already-final")
        if row["phase"] not in ("waiting", "leased"):
            raise ConflictError("It is in the provider's hands; it cannot be called back.")
        await settle.cancel(tx, business_id, message)
        return {"reason": told.reason}

    return await _act(notification_id, request, services, "notification.cancel", act)


@post(
    "/notifications/{notification_id:str}/retry",
    status_code=202,
    opt=described(
        Operation(
            id="retryNotification",
            summary="Try a failed notification again",
            description="Every check is made again before it is sent. Without `force` only what "
            "failed for a reason that can pass is tried; with it, and with the scope "
            "`notifications:force`, whatever failed or was canceled and has not left.",
            tag="Notifications",
            scope="notifications:write",
            body=RetryBody,
            body_optional=True,
            answers={202: Answer(description="Queued again.", schema=NotificationOut)},
            problems=("not-found", "already-final", "not-retryable"),
            examples={
                "retry": Example(
                    status=202,
                    path={"notification_id": examples.FAILED_ID},
                    body={"reason": "the provider works again"},
                )
            },
        )
    ),
)
async def retry_notification(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[NotificationOut]:
    """Queue again what failed for a reason that can pass, or what a person insists on."""
    told = await read_body(request, RetryBody, optional=True)
    if told.force:
        await need_scope(services, request, "notifications:force")

    async def act(tx: Transaction, business_id: UUID, message: UUID, row: Any) -> dict[str, Any]:
        if row["status"] in ("delivered", "read", "sent"):
            raise ConflictError("It has come to its end already.", code="already-final")
        if not told.force:
            _refuse_hopeless(row)
        elif row["phase"] != "final":
            raise ConflictError("It is still on its way.", code="not-retryable")
        if row["too_late"]:
            raise ConflictError("It would come too late.", code="not-retryable")
        await settle.retry(tx, business_id, message)
        forced = {"force": True} if told.force else {}
        return {"reason": told.reason, "failed": row["reason"], **forced}

    return await _act(notification_id, request, services, "notification.retry", act, 202)


@post(
    "/notifications/{notification_id:str}/settle",
    status_code=200,
    opt=described(
        Operation(
            id="settleNotification",
            summary="Say what became of a notification whose answer was lost",
            description="`sent`: it went out. `failed`: it did not. `resend`: send it again, at "
            "the risk that it comes twice.",
            tag="Notifications",
            scope="notifications:write",
            body=SettleBody,
            answers={200: Answer(description="Settled.", schema=NotificationOut)},
            problems=("not-found", "already-final", "not-unconfirmed"),
            examples={
                "it went out": Example(
                    status=200,
                    path={"notification_id": examples.UNCONFIRMED_ID},
                    body={"outcome": "sent", "reason": "the customer has it"},
                )
            },
        )
    ),
)
async def settle_notification(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[NotificationOut]:
    """Settle an unconfirmed message by hand."""
    told = await read_body(request, SettleBody)

    async def act(tx: Transaction, business_id: UUID, message: UUID, row: Any) -> dict[str, Any]:
        if row["phase"] == "final":
            raise ConflictError("It has come to its end already.", code="already-final")
        if row["phase"] != "unconfirmed":
            raise ConflictError("It is not unconfirmed.", code="not-unconfirmed")
        await settle.settle(tx, business_id, message, told.outcome)
        if not await settle.unconfirmed(tx, business_id, row["channel"]):
            await resolve_alert(tx, business_id, "unconfirmed-messages", row["channel"])
        return {"outcome": told.outcome, "reason": told.reason}

    return await _act(notification_id, request, services, "notification.settle", act)


def _refuse_hopeless(row: Any) -> None:
    """Refuse a retry that nobody insists on where it cannot help, or would come twice."""
    if row["status"] == "canceled":
        raise ConflictError("It has come to its end already.", code="already-final")
    reason = REASONS.get(row["reason"])
    if row["status"] != "failed" or reason is None or not reason.retryable:
        raise ConflictError("Trying it again cannot help.", code="not-retryable")
    if row["follower"] not in (None, "failed", "canceled"):
        raise ConflictError("The next channel has taken over from it.", code="not-retryable")


async def _act(
    outward_id: str, request: Call, services: Services, action: str, act: _Act, status: int = 200
) -> Response[NotificationOut]:
    """Look whose it is, act on the locked row, write the audit trail, wake the lane."""
    if outward_id.startswith(f"{DECISION}_"):
        await load_story(outward_id, request, services)
        raise ConflictError("This notice was never queued.", code="already-final")
    message = inward(NOTIFICATION, outward_id)
    business = await owner(services, request, "notification_outbox", message)
    async with services.database.engine() as transaction:
        row = await settle.lock(transaction, business.id, message)
        if row is None:
            raise NotFoundError("There is nothing with this id.")
        after = await act(transaction, business.id, message, row)
        followed = await fallbacks.follow(services, transaction, [message])
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller_of(request).actor,
            action=action,
            target=f"notification:{outward_id}",
            before={"status": row["status"], "phase": row["phase"]},
            after=after,
            ip=address_of(request),
        )
    services.ring.lanes({(business.id, row["channel"])} | followed)
    _, notice = await load_story(outward_id, request, services)
    return Response(show_story(notice, business), status_code=status)


HANDLERS = (cancel_notification, retry_notification, settle_notification)
