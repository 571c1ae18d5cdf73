"""Businesses: made and changed by the booking system, under its own ids."""

from typing import Any

import msgspec
from litestar import Response, get, put
from litestar.params import FromPath

from core.access import audit
from core.api import examples
from core.api.bodies import read_body, read_query
from core.api.consent_schemas import ConsentTextOut, ConsentTextQuery
from core.api.guards import address_of, caller_of, is_ref, tenant
from core.api.lending import Call, Lent
from core.api.operations import Answer, Example, Operation, described
from core.api.paging import page, read_cursor
from core.api.schemas import (
    BusinessBody,
    BusinessOut,
    BusinessPage,
    ChannelList,
    ChannelOut,
    LimitsOut,
    PageQuery,
)
from core.businesses import store
from core.businesses.places import is_locale
from core.consent.texts import consent_text
from core.errors import FieldFault, InvalidInputError
from core.notify.furnishing import furnish
from core.notify.services import Services

_PATH = {"ref": examples.BUSINESS}


@put(
    "/businesses/{ref:str}",
    opt=described(
        Operation(
            id="putBusiness",
            summary="Make or change a business",
            description="A test key makes a test business: it is connected to the sandbox at "
            "once, and again whenever this is called and its connection is broken.",
            tag="Businesses",
            scope="config:write",
            body=BusinessBody,
            answers={
                200: Answer(description="Changed, or as it was.", schema=BusinessOut),
                201: Answer(description="Made.", schema=BusinessOut),
            },
            problems=("not-found",),
            examples={"change": Example(status=200, path=_PATH, body=examples.BUSINESS_BODY)},
        )
    ),
)
async def put_business(ref: FromPath[str], request: Call, services: Lent) -> Response[BusinessOut]:
    """Make the business if it is new, else bring it to what was told; repeating is harmless."""
    told = await read_body(request, BusinessBody)
    wanted = store.BusinessIn(**msgspec.structs.asdict(told))
    if not is_ref(ref):
        fault = FieldFault("", "invalid", "An id holds up to 64 of A-Za-z0-9._:- and no more.")
        raise InvalidInputError(fault.message, errors=[fault])
    store.check_business(wanted)
    made = await _make(services, request, ref, wanted)
    if made is not None:
        await _furnish(services, made)
        return Response(_shown(made), status_code=201)
    found = await tenant(services, request, ref, "")
    await _furnish(services, found)
    async with services.database.business(found.id) as transaction:
        after = await store.change_business(
            transaction, found.id, wanted, now=services.clock.now()
        )
        if after.updated_at != found.updated_at:
            await audit.record(
                transaction,
                business_id=found.id,
                actor=caller_of(request).actor,
                action="business.change",
                target=f"business:{ref}",
                before=_told(found),
                after=_told(after),
                ip=address_of(request),
            )
    return Response(_shown(after), status_code=200)


@get(
    "/businesses",
    opt=described(
        Operation(
            id="listBusinesses",
            summary="List businesses",
            tag="Businesses",
            scope="config:read",
            query=PageQuery,
            answers={200: Answer(description="The newest first.", schema=BusinessPage)},
            examples={"first page": Example(status=200, query={"limit": "50"})},
        )
    ),
)
async def list_businesses(request: Call, services: Lent) -> Response[dict[str, Any]]:
    """Return the businesses that the key may see."""
    asked = read_query(request, PageQuery)
    caller = caller_of(request)
    if caller.business_id is not None:
        own = await tenant(services, request, None, "")
        rows = [own] if asked.cursor is None else []
    else:
        async with services.database.platform() as transaction:
            rows = list(
                await store.list_businesses(
                    transaction,
                    limit=asked.limit + 1,
                    before=read_cursor(asked.cursor),
                    mode=caller.mode,
                )
            )
    return Response(page(rows, asked.limit, _shown, lambda row: row.id))


@get(
    "/businesses/{ref:str}",
    opt=described(
        Operation(
            id="getBusiness",
            summary="Read a business",
            tag="Businesses",
            scope="config:read",
            answers={200: Answer(description="The business.", schema=BusinessOut)},
            problems=("not-found",),
            examples={"read": Example(status=200, path=_PATH)},
        )
    ),
)
async def get_business(ref: FromPath[str], request: Call, services: Lent) -> Response[BusinessOut]:
    """Return one business."""
    return Response(_shown(await tenant(services, request, ref, "")))


@get(
    "/businesses/{ref:str}/channels",
    opt=described(
        Operation(
            id="listChannels",
            summary="See how a business is connected",
            tag="Businesses",
            scope="config:read",
            answers={200: Answer(description="Every channel of this host.", schema=ChannelList)},
            problems=("not-found",),
            examples={"read": Example(status=200, path=_PATH)},
        )
    ),
)
async def list_channels(
    ref: FromPath[str], request: Call, services: Lent
) -> Response[ChannelList]:
    """Return each channel with its connection, its caps and what stops it."""
    business = await tenant(services, request, ref, "")
    async with services.database.business(business.id) as transaction:
        rows = await transaction.fetch(
            """
            SELECT n.channel, c.state AS connection, c.reason AS connection_reason, c.quality,
                   l.state AS lane, l.reason AS lane_reason, l.cap_minute, l.cap_day,
                   CASE WHEN l.day = ($3::timestamptz AT TIME ZONE l.tz)::date
                        THEN l.day_count ELSE 0 END AS used_today
            FROM unnest($2::text[]) AS n(channel)
            LEFT JOIN LATERAL (
                SELECT * FROM channel_connection x
                WHERE x.business_id = $1 AND x.channel = n.channel
                ORDER BY x.is_default DESC, x.id DESC LIMIT 1) c ON true
            LEFT JOIN lane l ON l.business_id = $1 AND l.channel = n.channel
            ORDER BY n.channel
            """,
            business.id,
            list(services.registry.plugins),
            services.clock.now(),
        )
    return Response(ChannelList(data=[_channel(services, row) for row in rows]))


@get(
    "/businesses/{ref:str}/consent-text",
    opt=described(
        Operation(
            id="getConsentText",
            summary="Read the sentence to show before a customer agrees",
            tag="Consents",
            scope="consents:read",
            query=ConsentTextQuery,
            answers={200: Answer(description="The sentence.", schema=ConsentTextOut)},
            problems=("not-found", "channel-disabled"),
            examples={
                "Italian": Example(
                    status=200, path=_PATH, query={"channel": "whatsapp", "language": "it"}
                )
            },
        )
    ),
)
async def get_consent_text(
    ref: FromPath[str], request: Call, services: Lent
) -> Response[ConsentTextOut]:
    """Return the newest sentence in the language asked for, else in the business's own."""
    asked = read_query(request, ConsentTextQuery)
    business = await tenant(services, request, ref, "")
    state = services.registry.states.get(asked.channel)
    if state is None:
        raise InvalidInputError("There is no such channel.", code="channel-disabled")
    language = asked.language or business.default_locale
    if not is_locale(language):
        fault = FieldFault("?language", "locale-invalid", "This is no language tag.")
        raise InvalidInputError(fault.message, errors=[fault])
    async with services.database.business(business.id) as transaction:
        shown = await consent_text(
            transaction,
            business.id,
            business_name=business.name,
            channel=asked.channel,
            channel_title=state.title,
            purpose=asked.purpose,
            language=language,
        )
    return Response(
        ConsentTextOut(
            channel=asked.channel,
            purpose=asked.purpose,
            language=shown.language,
            text_version=shown.text_version,
            text=shown.text,
        )
    )


async def _make(
    services: Services, request: Call, ref: str, wanted: store.BusinessIn
) -> store.BusinessRow | None:
    """Make the business; None if the id is taken, or if the key is bound to another one."""
    caller = caller_of(request)
    if caller.business_id is not None:
        return None
    async with services.database.platform() as transaction:
        if await store.find_business(transaction, ref) is not None:
            return None
        made = await store.add_business(
            transaction, ref, wanted, mode=caller.mode, now=services.clock.now()
        )
        if made is not None:
            await audit.record(
                transaction,
                business_id=made.id,
                actor=caller.actor,
                action="business.make",
                target=f"business:{ref}",
                after=_told(made),
                ip=address_of(request),
            )
    return made


async def _furnish(services: Services, business: store.BusinessRow) -> None:
    """Connect a test business to the sandbox where it has no living connection."""
    if business.mode == "test":
        async with services.database.engine() as transaction:
            await furnish(transaction, services.registry, business.id)


def _channel(services: Services, row: Any) -> ChannelOut:
    state = services.registry.states[row["channel"]]
    lane = row["lane"]
    limits = None
    if lane is not None:
        limits = LimitsOut(
            per_minute=row["cap_minute"], per_day=row["cap_day"], used_today=row["used_today"]
        )
    return ChannelOut(
        channel=row["channel"],
        title=state.title,
        status=row["connection"] or "not-connected",
        reason=row["connection_reason"] or "",
        quality=row["quality"] or None,
        limits=limits,
        suspended=row["lane_reason"] or lane
        if lane in ("suspended", "killed") or row["lane_reason"] == "probing"
        else None,
    )


def _shown(row: store.BusinessRow) -> BusinessOut:
    return BusinessOut(
        id=row.ref,
        name=row.name,
        timezone=row.timezone,
        country=row.country,
        default_locale=row.default_locale,
        mode=row.mode,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _told(row: store.BusinessRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "timezone": row.timezone,
        "country": row.country,
        "default_locale": row.default_locale,
        "mode": row.mode,
    }


HANDLERS = (put_business, list_businesses, get_business, list_channels, get_consent_text)
