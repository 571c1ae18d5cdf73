"""Evidence: by which consent a message was sent, in one answer."""

from datetime import datetime
from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from core.api import examples
from core.api.guards import owner
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.schemas import Out
from core.consent.evidence import evidence
from core.ids import NOTIFICATION, inward


class EvidenceLine(Out, frozen=True, kw_only=True):
    """The line of the ledger that a message rested on, and whether it held at that moment.

    `position` counts the lines of this customer, channel and purpose; `previous` is the line
    before it, so that a gap would show.
    """

    purpose: str
    valid: bool
    line: str | None
    position: int | None
    previous: str | None
    action: str | None
    channel: str | None
    occurred_at: datetime | None
    recorded_at: datetime | None
    source: str | None
    actor: str | None
    text_version: str | None
    text_sha256: str | None
    locale: str | None
    proof_reference: str | None
    proof: dict[str, Any] | None


class EvidenceOut(Out, frozen=True, kw_only=True):
    """By which consent a message was sent; `begun_at` is null if it never was."""

    notification_id: str
    customer_id: str
    kind: str
    begun_at: datetime | None
    valid: bool
    lines: list[EvidenceLine]


@get(
    "/notifications/{notification_id:str}/consent",
    opt=described(
        Operation(
            id="getConsentEvidence",
            summary="Read by which consent a message was sent",
            description=(
                "The line of the ledger that held when the message was begun: who agreed to what, "
                "when, how, shown which text in which language, with what proof."
            ),
            tag="Consents",
            scope="consents:read",
            answers={200: Answer(description="The evidence.", schema=EvidenceOut)},
            problems=("not-found",),
            examples={
                "not sent yet": Example(
                    status=200, path={"notification_id": examples.NOTIFICATION_ID}
                )
            },
        )
    ),
)
async def get_evidence(
    notification_id: FromPath[str], request: Call, services: Lent
) -> Response[EvidenceOut]:
    """Return the line that `begin` relied on, as it stands in the ledger."""
    row_id = inward(NOTIFICATION, notification_id)
    business = await owner(services, request, "notification_outbox", row_id)
    async with services.database.business(business.id) as transaction:
        row = await transaction.fetchrow(
            """
            SELECT o.kind, c.ref FROM notification_outbox o
            JOIN customer c ON c.business_id = o.business_id AND c.id = o.customer_id
            WHERE o.business_id = $1 AND o.id = $2
            """,
            business.id,
            row_id,
        )
        lines = await evidence(transaction, business.id, [row_id])
    return Response(
        EvidenceOut(
            notification_id=notification_id,
            customer_id=row["ref"],
            kind=row["kind"],
            begun_at=lines[0].begun_at if lines else None,
            valid=bool(lines) and all(one.valid for one in lines),
            lines=[
                EvidenceLine(
                    purpose=one.purpose,
                    valid=one.valid,
                    line=str(one.line) if one.line else None,
                    position=one.position,
                    previous=str(one.previous_id) if one.previous_id else None,
                    action=one.action,
                    channel=one.channel,
                    occurred_at=one.occurred_at,
                    recorded_at=one.recorded_at,
                    source=one.source,
                    actor=one.actor,
                    text_version=one.text_version,
                    text_sha256=one.text_hash.hex() if one.text_hash else None,
                    locale=one.locale,
                    proof_reference=one.proof_reference,
                    proof=one.proof,
                )
                for one in lines
            ],
        )
    )


HANDLERS = (get_evidence,)
