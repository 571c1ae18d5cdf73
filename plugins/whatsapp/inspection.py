"""Asks Meta what a token is worth: whose it is, what it may do, how long it lives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from plugins.whatsapp.fields import MalformedError, moment, part, text_of

if TYPE_CHECKING:
    from plugins.whatsapp.client import GraphClient
    from plugins.whatsapp.settings import WhatsAppSettings

SCOPES: Final = ("whatsapp_business_management", "whatsapp_business_messaging")


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a token.

    Attributes:
        fault: why the token cannot be used, in a sentence; empty if it can.
        expires_at: None means never, or not known.
    """

    detail: str = ""
    fault: str = ""
    expires_at: datetime | None = None


async def inspect_token(
    graph: GraphClient, settings: WhatsAppSettings, waba_id: str, token: str
) -> Inspection:
    """Look a token up; without an app id and secret there is nobody to ask.

    Raises:
        SendError: Meta did not answer.
    """
    if not settings.app_id or not settings.app_secret:
        return Inspection(detail="Accepted; its life is unknown, because no app is configured.")
    answer = await graph.read(
        "debug_token",
        token=f"{settings.app_id}|{settings.app_secret}",
        parameters={"input_token": token},
    )
    return read_inspection(part(answer, "data"), settings.app_id, waba_id)


def read_inspection(found: dict[str, Any], app_id: str, waba_id: str) -> Inspection:
    """Judge Meta's description of a token; pure."""
    if found.get("is_valid") is not True:
        return Inspection(fault="Meta says that the token is not valid.")
    if text_of(found.get("app_id"), 64) != app_id:
        return Inspection(fault="The token was made for another application.")
    listed = found.get("scopes")
    missing = [scope for scope in SCOPES if not isinstance(listed, list) or scope not in listed]
    if missing:
        return Inspection(fault=f"The token lacks the permission {' and '.join(missing)}.")
    if not _covers(found.get("granular_scopes"), waba_id):
        return Inspection(fault="The token does not cover this WhatsApp account.")
    expires_at = _expiry(found.get("expires_at"))
    words = "never expires" if expires_at is None else f"expires on {expires_at:%d %B %Y}"
    return Inspection(detail=f"The token is valid and {words}.", expires_at=expires_at)


def _covers(granular: object, waba_id: str) -> bool:
    """Tell whether each scope names the account; one without targets covers every account."""
    for scope in granular if isinstance(granular, list) else []:
        if not isinstance(scope, dict) or scope.get("scope") not in SCOPES:
            continue
        targets = scope.get("target_ids")
        if isinstance(targets, list) and waba_id not in {text_of(one, 64) for one in targets}:
            return False
    return True


def _expiry(value: object) -> datetime | None:
    try:
        at = moment(value)
    except MalformedError:
        return None
    return None if at == datetime.fromtimestamp(0, UTC) else at
