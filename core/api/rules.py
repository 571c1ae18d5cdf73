"""Rules: which event leads to which message, changed per business without losing an update."""

from typing import Any, Final

import msgspec
from litestar import Response, get, put
from litestar.params import FromPath

from core.access import audit
from core.api import examples
from core.api.bodies import read_body
from core.api.guards import address_of, caller_of, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.rule_schemas import QuietBody, RuleBody, RuleKey, RuleList, RuleOut, as_rule
from core.errors import FieldFault, InvalidInputError, NotFoundError
from core.notify import rule_store
from core.notify.limiting import ChangedMeanwhileError
from core.notify.rule_store import KeptRule
from core.notify.rules import BUILT_IN

IF_MATCH: Final = "If-Match"
_PATH: Final = {"ref": examples.BUSINESS, "rule": "reminder-24h"}
_BODY: Final[dict[str, Any]] = {
    "lead": "PT48H",
    "quiet_hours": {"from": "21:00", "to": "08:00", "mode": "defer"},
    "variables": {"service": "appuntamento"},
}


@get(
    "/businesses/{ref:str}/rules",
    opt=described(
        Operation(
            id="listRules",
            summary="List the rules that hold for a business",
            tag="Businesses",
            scope="config:read",
            answers={
                200: Answer(description="The built-in rules first.", schema=RuleList),
            },
            problems=("not-found",),
            examples={"read": Example(status=200, path={"ref": examples.BUSINESS})},
        )
    ),
)
async def list_rules(ref: FromPath[str], request: Call, services: Lent) -> Response[RuleList]:
    """Return every rule: the built-in ones as the business changed them, and its own."""
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        kept = await rule_store.list_rules(transaction, business.id)
    return Response(RuleList(data=[_shown(one) for one in kept]))


@get(
    "/businesses/{ref:str}/rules/{rule:str}",
    opt=described(
        Operation(
            id="getRule",
            summary="Read a rule",
            description="The header `ETag` names its version; send it back with a change.",
            tag="Businesses",
            scope="config:read",
            answers={200: Answer(description="The rule.", schema=RuleOut)},
            problems=("not-found",),
            examples={"built in": Example(status=200, path=_PATH)},
        )
    ),
)
async def get_rule(
    ref: FromPath[str], rule: FromPath[str], request: Call, services: Lent
) -> Response[RuleOut]:
    """Return one rule that holds."""
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        kept = await rule_store.find_rule(transaction, business.id, rule)
    if kept is None:
        raise NotFoundError("There is no such rule.")
    return _answer(kept, 200)


@put(
    "/businesses/{ref:str}/rules/{rule:str}",
    opt=described(
        Operation(
            id="putRule",
            summary="Change a rule, or make one",
            description=(
                "The body is the whole rule. It holds for events that come from now on; what is "
                "scheduled already stays as it is."
            ),
            tag="Businesses",
            scope="config:write",
            body=RuleBody,
            headers={IF_MATCH: ("The `ETag` of the rule as you read it.", False)},
            answers={
                200: Answer(description="Changed.", schema=RuleOut),
                201: Answer(description="Made.", schema=RuleOut),
            },
            problems=("not-found", "changed-meanwhile"),
            examples={
                "two days ahead, not at night": Example(
                    status=200, path=_PATH, body=_BODY, headers={IF_MATCH: '"0"'}
                )
            },
        )
    ),
)
async def put_rule(
    ref: FromPath[str], rule: FromPath[str], request: Call, services: Lent
) -> Response[RuleOut]:
    """Write the rule over the version that the caller saw."""
    told = await read_body(request, RuleBody)
    key = _key(rule)
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        before = await rule_store.find_rule(transaction, business.id, key)
        version = before.rule.version if before else 0
        if not _matches(request.headers.get(IF_MATCH), version, there=before is not None):
            raise _changed()
        wanted, faults = as_rule(
            key,
            told,
            version,
            frozenset(services.registry.states),
            frozenset(services.registry.event_types()),
        )
        if faults:
            raise InvalidInputError(faults[0].message, errors=faults)
        after = await rule_store.put_rule(transaction, business.id, wanted, services.clock.now())
        if after is None:
            raise _changed()
        await audit.record(
            transaction,
            business_id=business.id,
            actor=caller_of(request).actor,
            action="rule.change" if before else "rule.make",
            target=f"rule:{key}",
            before=_told(before) if before else None,
            after=_told(after),
            ip=address_of(request),
        )
    return _answer(after, 200 if before else 201)


def _key(text: str) -> str:
    try:
        return msgspec.convert(text, RuleKey)
    except msgspec.ValidationError:
        message = "A rule's key holds up to 64 of a-z0-9- and no more."
        raise InvalidInputError(message, errors=[FieldFault("", "invalid", message)]) from None


def _matches(given: str | None, version: int, *, there: bool) -> bool:
    """Tell whether `If-Match` allows a change; without the header the last one wins."""
    if given is None:
        return True
    tags = {tag.strip() for tag in given.split(",")}
    return (there and "*" in tags) or (there and _tag(version) in tags)


def _tag(version: int) -> str:
    return f'"{version}"'


def _changed() -> ChangedMeanwhileError:
    return ChangedMeanwhileError("The rule is not as you saw it; read it again.")


def _answer(kept: KeptRule, status: int) -> Response[RuleOut]:
    return Response(_shown(kept), status_code=status, headers={"ETag": _tag(kept.rule.version)})


def _shown(kept: KeptRule) -> RuleOut:
    rule, quiet = kept.rule, kept.rule.quiet
    return RuleOut(
        rule=rule.key,
        event_type=rule.event_type,
        template=rule.template,
        enabled=rule.enabled,
        channels=list(rule.channels),
        fallback_after=rule.fallback_after,
        lead=rule.lead,
        minimum_notice=rule.minimum_notice,
        quiet_hours=QuietBody(
            start=f"{quiet.start:%H:%M}",
            end=f"{quiet.end:%H:%M}",
            mode="skip" if quiet.mode == "skip" else "defer",
        )
        if quiet
        else None,
        languages=list(rule.languages),
        variables=dict(rule.variables),
        built_in=rule.key in BUILT_IN,
        version=rule.version,
        updated_at=kept.updated_at,
    )


def _told(kept: KeptRule) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(_shown(kept))
    return told


HANDLERS = (list_rules, get_rule, put_rule)
