"""Consents: recorded with what proves them, revoked for good, checked many at once."""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from core.access import audit
from core.api import examples, idempotency
from core.api.bodies import read_body, read_moment, read_query
from core.api.consent_schemas import (
    ConsentBody,
    ConsentCheckBody,
    ConsentCheckItem,
    ConsentCheckOut,
    ConsentOut,
    ConsentsOut,
    ConsentsQuery,
    LedgerOut,
    RevokeBody,
    RevokedOut,
    RevokingOut,
)
from core.api.guards import address_of, caller_of, owner, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.businesses.store import BusinessRow
from core.channels.host import Transaction
from core.consent import ledger, reading, revocation
from core.consent.texts import load_texts
from core.customers.store import CustomerIn, put_customers
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.ids import CONSENT, inward, outward
from core.notify.events import as_customer
from core.notify.services import Services

_ENDPOINT = "consents"


@post(
    "/consents",
    opt=described(
        Operation(
            id="recordConsent",
            summary="Record that a customer agreed",
            tag="Consents",
            scope="consents:write",
            body=ConsentBody,
            headers={
                idempotency.HEADER: ("A fresh key per call; the same one to repeat it.", True)
            },
            answers={201: Answer(description="Recorded.", schema=ConsentOut)},
            problems=(
                "not-found",
                "channel-disabled",
                "idempotency-missing",
                "idempotency-in-progress",
                "idempotency-mismatch",
            ),
            examples={
                "from a web form": Example(
                    status=201,
                    body=examples.CONSENT_BODY,
                    headers={idempotency.HEADER: "5f0c7f0e-consent-41"},
                )
            },
        )
    ),
)
async def record_consent(request: Call, services: Lent) -> Response[Any]:
    """Write the yes into the ledger; the customer is made if they are new."""
    told = await read_body(request, ConsentBody)
    key = idempotency.idempotency_key(request)
    business = await tenant(services, request, told.business_id, "/business_id")
    if told.channel not in services.registry.states:
        fault = FieldFault("/channel", "unknown", "There is no such channel.")
        raise InvalidInputError(fault.message, code="channel-disabled", errors=[fault])
    customer = _customer(told, business)
    async with services.database.business(business.id) as transaction:
        kept = await idempotency.claim(transaction, business.id, _ENDPOINT, key, told)
        if kept is not None:
            return Response(kept.body, status_code=kept.status, headers=dict(idempotency.REPLAYED))
        body = await _grant(services, request, transaction, business, told, customer)
        await idempotency.keep(
            transaction, business.id, _ENDPOINT, key, idempotency.Kept(201, body)
        )
    return Response(body, status_code=201)


@post(
    "/consents/{consent_id:str}/revoke",
    opt=described(
        Operation(
            id="revokeConsent",
            summary="Revoke a consent",
            description=(
                "200 is the acknowledgement: after it nothing is sent. 202 is none: a message was "
                "in the provider's hands for too long; ask again."
            ),
            tag="Consents",
            scope="consents:write",
            body=RevokeBody,
            body_optional=True,
            answers={
                200: Answer(description="Revoked; repeating says the same.", schema=RevokedOut),
                202: Answer(description="Written, and still draining.", schema=RevokingOut),
            },
            problems=("not-found",),
            examples={
                "from the app": Example(
                    status=200, path={"consent_id": examples.CONSENT_ID}, body={"source": "app"}
                )
            },
        )
    ),
)
async def revoke_consent(
    consent_id: FromPath[str], request: Call, services: Lent
) -> Response[RevokedOut | RevokingOut]:
    """Change the consent and cancel what waits, together; then wait for what is in flight."""
    told = await read_body(request, RevokeBody, optional=True)
    said_at = read_moment(told.at, "/at")
    row_id = inward(CONSENT, consent_id)
    business = await owner(services, request, "customer_consents", row_id)
    caller = caller_of(request)
    now = services.clock.now()
    async with services.database.business(business.id) as transaction:
        before = await ledger.get_state(transaction, business.id, row_id)
        await revocation.revoke(
            transaction,
            business.id,
            [before.customer_id],
            before.channel,
            purposes=[before.purpose],
            source=told.source,
            actor=caller.actor,
            now=now,
            occurred_at=said_at,
        )
        after = await ledger.get_state(transaction, business.id, row_id)
        canceled = await revocation.count_canceled(
            transaction,
            business.id,
            after.customer_id,
            after.channel,
            purpose=after.purpose,
            revoked_at=after.updated_at,
        )
        if before.opt_in:
            await audit.record(
                transaction,
                business_id=business.id,
                actor=caller.actor,
                action="consent.revoke",
                target=f"consent:{consent_id}",
                before={"state": "granted"},
                after={"state": "revoked", "canceled": canceled},
                ip=address_of(request),
            )
    draining = await revocation.drain(
        services.database, services.clock, business.id, after.customer_id, after.channel
    )
    if draining:
        return Response(RevokingOut(draining=draining), status_code=202)
    return Response(RevokedOut(canceled_notifications=canceled), status_code=200)


@get(
    "/consents",
    opt=described(
        Operation(
            id="listConsents",
            summary="Read a customer's consents and their history",
            tag="Consents",
            scope="consents:read",
            query=ConsentsQuery,
            answers={200: Answer(description="State and history.", schema=ConsentsOut)},
            problems=("not-found",),
            examples={
                "read": Example(
                    status=200,
                    query={"customer_id": examples.CUSTOMER, "business_id": examples.BUSINESS},
                )
            },
        )
    ),
)
async def list_consents(request: Call, services: Lent) -> Response[ConsentsOut]:
    """Return what holds now, and every line that led to it."""
    asked = read_query(request, ConsentsQuery)
    business = await tenant(services, request, asked.business_id, "?business_id")
    async with services.database.business(business.id) as transaction:
        customer_id = await transaction.fetchval(
            "SELECT id FROM customer WHERE business_id = $1 AND ref = $2",
            business.id,
            asked.customer_id,
        )
        if customer_id is None:
            raise NotFoundError("There is no such customer.")
        states = await reading.list_states(transaction, business.id, customer_id)
        lines = await reading.history(transaction, business.id, customer_id)
    return Response(
        ConsentsOut(
            data=[_shown(state, business, asked.customer_id) for state in states],
            history=[_line(line) for line in lines],
        )
    )


@post(
    "/consents/check",
    status_code=200,
    opt=described(
        Operation(
            id="checkConsents",
            summary="Ask for up to 500 customers whether they may be written to",
            tag="Consents",
            scope="consents:read",
            body=ConsentCheckBody,
            answers={200: Answer(description="In the same order.", schema=ConsentCheckOut)},
            problems=("not-found",),
            examples={
                "one": Example(
                    status=200,
                    body={
                        "business_id": examples.BUSINESS,
                        "pairs": [{"customer_id": examples.CUSTOMER, "channel": "whatsapp"}],
                    },
                )
            },
        )
    ),
)
async def check_consents(request: Call, services: Lent) -> Response[ConsentCheckOut]:
    """Answer from what holds now; no row means no."""
    told = await read_body(request, ConsentCheckBody)
    business = await tenant(services, request, told.business_id, "/business_id")
    async with services.database.business(business.id) as transaction:
        verdicts = await reading.check(
            transaction,
            business.id,
            [(pair.customer_id, pair.channel, pair.purpose) for pair in told.pairs],
        )
    items = [
        ConsentCheckItem(
            customer_id=pair.customer_id,
            channel=pair.channel,
            purpose=pair.purpose,
            allowed=verdict.allowed,
            reason=verdict.reason or None,
            id=outward(CONSENT, verdict.consent_id) if verdict.consent_id else None,
        )
        for pair, verdict in zip(told.pairs, verdicts, strict=True)
    ]
    return Response(ConsentCheckOut(data=items))


def _customer(told: ConsentBody, business: BusinessRow) -> CustomerIn:
    if told.customer is None:
        return CustomerIn(ref=told.customer_id)
    if told.customer.id not in (None, told.customer_id):
        fault = FieldFault("/customer/id", "mismatch", "This is another customer's id.")
        raise InvalidInputError(fault.message, errors=[fault])
    checked = as_customer(told.customer.as_told(told.customer_id), business.country, "/customer")
    fields: dict[str, Any] = msgspec.structs.asdict(checked)
    return CustomerIn(ref=fields.pop("id"), **fields)


async def _grant(
    services: Services,
    request: Call,
    transaction: Transaction,
    business: BusinessRow,
    told: ConsentBody,
    customer: CustomerIn,
) -> Any:
    caller = caller_of(request)
    [stored] = await put_customers(transaction, services.vault, business.id, [customer])
    if stored.erased_at is not None:
        raise NotFoundError("This customer was erased.")
    texts = await load_texts(transaction, business.id)
    sentence = texts.check(told.channel, told.purpose, told.text_version, told.locale)
    shown = sentence.shown(business.name, services.registry.states[told.channel].title)
    state = await ledger.grant(
        transaction,
        business.id,
        ledger.Grant(
            customer_id=stored.id,
            channel=told.channel,
            purpose=told.purpose,
            source=told.source,
            granted_at=told.granted_at,
            text_version=told.text_version,
            text_hash=shown.hash,
            locale=told.locale or shown.language,
            proof_reference=told.proof_reference,
            proof=told.proof,
        ),
        actor=caller.actor,
        now=services.clock.now(),
    )
    answer = _shown(state, business, told.customer_id)
    await audit.record(
        transaction,
        business_id=business.id,
        actor=caller.actor,
        action="consent.grant",
        target=f"consent:{answer.id}",
        after={"state": answer.state, "channel": told.channel, "purpose": told.purpose},
        ip=address_of(request),
    )
    return msgspec.to_builtins(answer)


def _shown(state: ledger.ConsentState, business: BusinessRow, customer: str) -> ConsentOut:
    return ConsentOut(
        id=outward(CONSENT, state.id),
        business_id=business.ref,
        customer_id=customer,
        channel=state.channel,
        purpose=state.purpose,
        state="granted" if state.opt_in else "revoked",
        source=state.source,
        granted_at=state.opt_in_at,
        revoked_at=state.revoked_at,
        text_version=state.text_version,
        locale=state.locale,
        proof_reference=state.proof_reference,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


def _line(line: reading.LedgerLine) -> LedgerOut:
    return LedgerOut(
        action=line.action,
        channel=line.channel,
        purpose=line.purpose,
        occurred_at=line.occurred_at,
        recorded_at=line.at,
        source=line.source,
        actor=line.actor,
        text_version=line.text_version,
        locale=line.locale,
        proof_reference=line.proof_reference,
    )


HANDLERS = (record_consent, revoke_consent, list_consents, check_consents)
