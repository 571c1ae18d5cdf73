"""Connects a business's number with a token it already has (`patchbay connect whatsapp`).

Everything is read back from Meta before anything is kept: what a caller says about ids and
tokens is not believed. All checks passed means connected; one failed means nothing changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.channels.messages import Check
from core.errors import OutcomeUnknownError, PatchbayError, RetryableError, SendError
from core.ids import new_uuid
from plugins.whatsapp import connections, expiry, shelf, sync
from plugins.whatsapp.client import GraphClient
from plugins.whatsapp.fields import text_of
from plugins.whatsapp.inspection import Inspection, inspect_token
from plugins.whatsapp.settings import WhatsAppSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime
    from typing import TypeVar

    from core.channels.host import Host, Transaction
    from core.ids import BusinessId
    from plugins.whatsapp.templates import Draft

    Answer = TypeVar("Answer")

_ID: Final = re.compile(r"^[0-9A-Za-z_-]{1,64}\Z")
_TOKEN: Final = re.compile(r"^[\x21-\x7e]{8,4096}\Z")
_TAKEN: Final = Check(
    name="ownership",
    passed=False,
    detail="This number or its WhatsApp account is already connected to another business here.",
    advice="Disconnect it there first, or use another number.",
)


class _RefusedError(PatchbayError):
    """One check failed; carries it."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.detail)
        self.check = check


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the caller says; believed only after Meta said the same."""

    business_id: BusinessId
    waba_id: str
    phone_number_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What Meta told about the account."""

    display_phone: str = field(repr=False)
    quality: str
    expires_at: datetime | None
    drafts: list[Draft] = field(repr=False)


async def connect(
    host: Host, business_id: BusinessId, waba_id: str, phone_number_id: str, token: str
) -> list[Check]:
    """Check a number, its account and a token at Meta, and keep them if all is well.

    Connecting the same number again replaces its token and makes it active.

    Returns:
        The checks in order; connected only if every one passed.
    """
    checks: list[Check] = []
    wish = _Wish(
        business_id=business_id,
        waba_id=waba_id,
        phone_number_id=phone_number_id,
        token=token.strip(),
    )
    try:
        _check_form(wish)
        async with host.begin() as transaction:
            await _check_ours(transaction, wish)
        finding = await _look(host, wish, checks)
        async with host.begin() as transaction:
            await _check_ours(transaction, wish)
            await _keep(host, transaction, wish, finding)
            await connections.publish(host, transaction, business_id)
            usable = await shelf.publish(host, transaction, business_id)
    except _RefusedError as refusal:
        return [*checks, refusal.check]
    checks.append(_passed("templates", f"{len(finding.drafts)} read, {usable} can be sent."))
    return checks


def _check_form(wish: _Wish) -> None:
    ids = {"account id": wish.waba_id, "phone number id": wish.phone_number_id}
    for name, value in ids.items():
        if not _ID.match(value):
            raise _refused("form", f"The {name} is not one of Meta's ids.", "Copy it again.")
    if not _TOKEN.match(wish.token):
        raise _refused("form", "This is no access token.", "Copy the whole token, in one line.")


async def _check_ours(transaction: Transaction, wish: _Wish) -> None:
    others = await transaction.fetchval(
        "SELECT count(*) FROM business_whatsapp_config "
        "WHERE (waba_id = $1 OR phone_number_id = $2) AND business_id <> $3",
        wish.waba_id,
        wish.phone_number_id,
        wish.business_id,
    )
    if others:
        raise _RefusedError(_TAKEN)


async def _look(host: Host, wish: _Wish, checks: list[Check]) -> _Finding:
    """Ask Meta everything; appends what passed, raises what did not."""
    settings = host.options(WhatsAppSettings)
    graph = GraphClient(host, settings)
    waba_id, phone_number_id, token = wish.waba_id, wish.phone_number_id, wish.token
    number = await _asked(
        "number",
        graph.read(phone_number_id, token=token, parameters={"fields": sync.NUMBER_FIELDS}),
    )
    display = text_of(number.get("display_phone_number"), 32)
    state = text_of(number.get("status"), 32) or "unknown"
    shown = connections.mask_phone(display)
    checks.append(_passed("number", f"The number {shown} can be read; its state is {state}."))
    listed = await _asked("account", sync.read_numbers(graph, waba_id, token))
    if phone_number_id not in {text_of(row.get("id"), 64) for row in listed}:
        raise _refused(
            "account",
            "The WhatsApp account does not hold this number.",
            "Check both ids in WhatsApp Manager.",
        )
    checks.append(_passed("account", "The WhatsApp account holds this number."))
    inspection = await _inspected(graph, settings, waba_id, token)
    checks.append(_passed("token", inspection.detail))
    drafts = await _asked("templates", sync.read_templates(graph, waba_id, token))
    answer = await _asked("webhooks", graph.write(f"{waba_id}/subscribed_apps", token=token))
    if answer.get("success") is not True:
        raise _refused("webhooks", "Meta did not subscribe the application.", "Try again.")
    checks.append(_passed("webhooks", "Meta sends this account's news to the application."))
    return _Finding(
        display_phone=display,
        quality=text_of(number.get("quality_rating"), 16).upper(),
        expires_at=inspection.expires_at,
        drafts=drafts,
    )


async def _inspected(
    graph: GraphClient, settings: WhatsAppSettings, waba_id: str, token: str
) -> Inspection:
    inspection = await _asked("token", inspect_token(graph, settings, waba_id, token))
    if inspection.fault:
        raise _refused("token", inspection.fault, "Create a token for this application again.")
    return inspection


async def _keep(host: Host, transaction: Transaction, wish: _Wish, finding: _Finding) -> None:
    now = host.clock.now()
    # First the row, then its secrets: they are bound to the row's id, and two first connections
    # at once must agree on it.
    await transaction.execute(
        "INSERT INTO business_whatsapp_config "
        "(id, business_id, waba_id, phone_number_id, status, token_version, connected_at, "
        "created_at, updated_at, quality_rating, state_reason, billing_mode) "
        "VALUES ($1, $2, $3, $4, 'error', 0, $5, $5, $5, '', '', 'self') "
        "ON CONFLICT (phone_number_id) DO NOTHING",
        new_uuid(),
        wish.business_id,
        wish.waba_id,
        wish.phone_number_id,
        now,
    )
    row = await transaction.fetchrow(
        "SELECT id, business_id, token_expires_at FROM business_whatsapp_config "
        "WHERE phone_number_id = $1 FOR UPDATE",
        wish.phone_number_id,
    )
    if row is None or row["business_id"] != wish.business_id:
        raise _RefusedError(_TAKEN)
    sealed = {
        column: host.vault.seal(
            value.encode(), context=connections.context(column, wish.business_id, row["id"])
        )
        for column, value in (
            ("access_token_encrypted", wish.token),
            ("display_phone_sealed", finding.display_phone),
        )
    }
    await transaction.execute(
        "UPDATE business_whatsapp_config SET waba_id = $2, access_token_encrypted = $3, "
        "display_phone_sealed = $4, token_expires_at = $5, quality_rating = $6, "
        "status = 'active', state_reason = '', token_version = token_version + 1, "
        "connected_at = $7, updated_at = $7 WHERE id = $1",
        row["id"],
        wish.waba_id,
        sealed["access_token_encrypted"],
        sealed["display_phone_sealed"],
        finding.expires_at,
        finding.quality,
        now,
    )
    await shelf.put(transaction, wish.business_id, wish.waba_id, finding.drafts, now)
    if expiry.is_near(row["token_expires_at"], now) and not expiry.is_near(
        finding.expires_at, now
    ):
        await expiry.report_over(host, transaction, wish.business_id, wish.phone_number_id)


async def _asked(name: str, question: Awaitable[Answer]) -> Answer:
    try:
        return await question
    except (OutcomeUnknownError, RetryableError) as error:
        # The table's words speak of messages; here nothing is sent.
        detail = f"Meta could not be reached, or its answer could not be read ({error.code})."
        raise _refused(name, detail, _LATER) from None
    except SendError as error:
        raise _refused(name, error.detail, _ADVICE[name]) from None


_LATER: Final = "Try again in a minute; nothing was changed here."
_ADVICE: Final[dict[str, str]] = {
    "number": "Check the phone number id, and that the token may see this number.",
    "account": "Check the account id, and that the token may manage this account.",
    "token": "Create a token with both WhatsApp permissions for this account.",
    "templates": "Give the token the permission whatsapp_business_management.",
    "webhooks": "Give the token the permission whatsapp_business_management.",
}


def _passed(name: str, detail: str) -> Check:
    return Check(name=name, passed=True, detail=detail)


def _refused(name: str, detail: str, advice: str) -> _RefusedError:
    return _RefusedError(Check(name=name, passed=False, detail=detail, advice=advice))
