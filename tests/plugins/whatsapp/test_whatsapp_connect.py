"""Connecting a number: everything is read back from Meta before anything is kept."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest

from core.channels.messages import Check, ConnectionState
from plugins.whatsapp import inspection
from plugins.whatsapp.channel import WhatsAppChannel
from plugins.whatsapp.connect import connect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from core.channels.host import Host
    from core.db import Database
    from core.ids import BusinessId
    from plugins.whatsapp.settings import WhatsAppSettings

    NewBusiness = Callable[[str], Awaitable[BusinessId]]

Shape = TypeVar("Shape")
WABA, PHONE, TOKEN = "700100", "500600", "EAAfakeToken123"
NUMBER = {
    "id": PHONE,
    "display_phone_number": "+39 055 000 4411",
    "verified_name": "Salon Aurora",
    "quality_rating": "GREEN",
    "status": "CONNECTED",
}
BODY = {"type": "BODY", "text": "Ciao {{first_name}}, alle {{time}}."}
TEMPLATE = {
    "id": "900100",
    "name": "reminder_24h",
    "language": "it",
    "status": "APPROVED",
    "category": "UTILITY",
    "parameter_format": "NAMED",
    "components": [BODY],
}


@pytest.fixture
def account(meta: Any) -> Any:
    """Let the stand-in hold one account with one number and two templates."""
    meta.on(f"GET {PHONE}", NUMBER)
    meta.on(f"GET {WABA}/phone_numbers", {"data": [NUMBER]})
    pending = {**TEMPLATE, "id": "900101", "name": "booking_confirmed", "status": "PENDING"}
    meta.on(f"GET {WABA}/message_templates", {"data": [TEMPLATE, pending]})
    meta.on(f"POST {WABA}/subscribed_apps", {"success": True})
    return meta


def _names(checks: Sequence[Check]) -> list[tuple[str, bool]]:
    return [(check.name, check.passed) for check in checks]


async def _row(database: Database) -> Any:
    async with database.engine() as transaction:
        return await transaction.fetchrow("SELECT * FROM business_whatsapp_config")


async def test_a_connection_is_checked_sealed_and_published(
    stored_host: Host, database: Database, account: Any, new_business: NewBusiness
) -> None:
    """One call leaves a sealed token, the templates and the core's picture, all in agreement."""
    business = await new_business("aurora")
    checks = await connect(stored_host, business, WABA, PHONE, f"  {TOKEN}\n")
    assert _names(checks) == [
        ("number", True),
        ("account", True),
        ("token", True),
        ("webhooks", True),
        ("templates", True),
    ]
    row = await _row(database)
    assert (row["status"], row["quality_rating"], row["token_version"]) == ("active", "GREEN", 1)
    assert row["connected_at"] == stored_host.clock.now()
    assert row["token_expires_at"] is None
    assert TOKEN.encode() not in row["access_token_encrypted"]
    place = ("business_whatsapp_config", "access_token_encrypted", str(business), str(row["id"]))
    opened = stored_host.vault.open(row["access_token_encrypted"], context=place)
    assert opened.decode() == TOKEN
    async with database.engine() as transaction:
        connection = await transaction.fetchrow("SELECT * FROM channel_connection")
        told = await transaction.fetch("SELECT * FROM channel_template ORDER BY name")
        held = await transaction.fetch("SELECT * FROM whatsapp_templates ORDER BY template_name")
    assert (connection["account_ref"], connection["state"]) == (PHONE, "active")
    assert connection["is_default"]
    assert [(one["name"], one["usable"], one["reason"]) for one in told] == [
        ("booking_confirmed", False, "template-pending"),
        ("reminder_24h", True, ""),
    ]
    assert told[1]["parameters"] == ["first_name", "time"]
    assert [(one["status"], one["meta_status"], one["category"]) for one in held] == [
        ("pending", "PENDING", "utility"),
        ("approved", "APPROVED", "utility"),
    ]
    assert all(call.headers["authorization"] == f"Bearer {TOKEN}" for call in account.calls)


async def test_connecting_again_replaces_the_token(
    stored_host: Host, database: Database, account: Any, new_business: NewBusiness
) -> None:
    """The same number keeps its row, counts its token, and is active again after an error."""
    business = await new_business("aurora")
    await connect(stored_host, business, WABA, PHONE, TOKEN)
    first = await _row(database)
    channel = WhatsAppChannel(stored_host)
    async with database.engine() as transaction:
        await channel.set_state(transaction, business, ConnectionState.ERROR, "token-rejected")
    assert (await _row(database))["state_reason"] == "token-rejected"
    await connect(stored_host, business, WABA, PHONE, "EAAsecondToken")
    row = await _row(database)
    assert row["id"] == first["id"]
    assert (row["status"], row["state_reason"], row["token_version"]) == ("active", "", 2)
    assert account.calls


async def test_a_number_of_another_business_is_refused(
    stored_host: Host, database: Database, account: Any, new_business: NewBusiness
) -> None:
    """Neither the number nor its account can be taken over, and Meta is not even asked."""
    owner, thief = await new_business("owner"), await new_business("thief")
    await connect(stored_host, owner, WABA, PHONE, TOKEN)
    before, calls = await _row(database), len(account.calls)
    for waba, phone in ((WABA, PHONE), ("700999", PHONE), (WABA, "500999")):
        (check,) = await connect(stored_host, thief, waba, phone, "EAAthief-token")
        assert (check.name, check.passed) == ("ownership", False)
        assert check.advice
    assert len(account.calls) == calls
    assert dict(await _row(database)) == dict(before)


@pytest.mark.parametrize(
    ("path", "answer", "name"),
    [
        (f"GET {PHONE}", (401, {"error": {"code": 190, "message": TOKEN}}), "number"),
        (f"GET {PHONE}", (502, b"<html>"), "number"),
        (f"GET {WABA}/phone_numbers", {"data": [{"id": "1"}]}, "account"),
        (f"GET {WABA}/phone_numbers", (403, {"error": {"code": 200}}), "account"),
        (f"GET {WABA}/message_templates", (403, {"error": {"code": 10}}), "templates"),
        (f"GET {WABA}/message_templates", {"oops": 1}, "templates"),
        (f"POST {WABA}/subscribed_apps", {"success": False}, "webhooks"),
        (f"POST {WABA}/subscribed_apps", "reset", "webhooks"),
    ],
)
async def test_one_failed_check_changes_nothing(
    stored_host: Host,
    database: Database,
    account: Any,
    new_business: NewBusiness,
    path: str,
    answer: Any,
    name: str,
) -> None:
    """What Meta does not confirm is said in plain words, without the token, and not kept."""
    account.on(path, answer)
    checks = await connect(stored_host, await new_business("aurora"), WABA, PHONE, TOKEN)
    assert [check.name for check in checks if not check.passed] == [name]
    assert checks[-1].advice
    assert TOKEN not in repr(checks)
    assert await _row(database) is None


@pytest.mark.parametrize(
    ("waba", "phone", "token"),
    [
        ("700/../1", PHONE, TOKEN),
        (WABA, "", TOKEN),
        (WABA, PHONE, ""),
        (WABA, PHONE, "two words here"),
        (WABA, PHONE, "EAAé-token"),
        (WABA, PHONE, "x" * 4097),
    ],
)
async def test_nonsense_never_reaches_meta(
    stored_host: Host, account: Any, new_business: NewBusiness, waba: str, phone: str, token: str
) -> None:
    """Ids and tokens that cannot be Meta's are refused before any call."""
    (check,) = await connect(stored_host, await new_business("aurora"), waba, phone, token)
    assert (check.name, check.passed) == ("form", False)
    assert account.calls == []


DESCRIBED: dict[str, Any] = {
    "app_id": "123450",
    "is_valid": True,
    "expires_at": 1802000000,
    "scopes": ["whatsapp_business_management", "whatsapp_business_messaging"],
    "granular_scopes": [
        {"scope": "whatsapp_business_management", "target_ids": [int(WABA)]},
        {"scope": "whatsapp_business_messaging", "target_ids": [WABA, "1"]},
    ],
}


async def test_a_token_is_looked_up_when_the_application_is_known(
    stored_host: Host,
    database: Database,
    account: Any,
    new_business: NewBusiness,
    settings: WhatsAppSettings,
) -> None:
    """The application asks what the token is worth and keeps its last day."""
    account.on("GET debug_token", {"data": DESCRIBED})
    known = msgspec.structs.replace(settings, app_id="123450")
    host = _with_settings(stored_host, known)
    checks = await connect(host, await new_business("aurora"), WABA, PHONE, TOKEN)
    assert all(check.passed for check in checks)
    (asked,) = account.sent("GET debug_token")
    assert asked.headers["authorization"] == f"Bearer 123450|{settings.app_secret}"
    row = await _row(database)
    assert row["token_expires_at"] == datetime.fromtimestamp(1802000000, UTC)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"is_valid": False}, "not valid"),
        ({"is_valid": "true"}, "not valid"),
        ({"app_id": "999"}, "another application"),
        ({"scopes": ["whatsapp_business_messaging"]}, "whatsapp_business_management"),
        ({"scopes": None}, "permission"),
        (
            {"granular_scopes": [{"scope": "whatsapp_business_messaging", "target_ids": ["1"]}]},
            "does not cover",
        ),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(change: dict[str, Any], word: str) -> None:
    """Valid, ours, both permissions, this account: each is required."""
    found = inspection.read_inspection({**DESCRIBED, **change}, "123450", WABA)
    assert word in found.fault


@pytest.mark.parametrize(
    "change", [{"expires_at": 0}, {"granular_scopes": None}, {"expires_at": "x"}]
)
def test_what_meta_leaves_out_is_no_fault(change: dict[str, Any]) -> None:
    """A token without an end, and scopes without targets, are usual."""
    found = inspection.read_inspection({**DESCRIBED, **change}, "123450", WABA)
    assert found.fault == ""


def _with_settings(host: Host, settings: WhatsAppSettings) -> Host:
    def options(shape: type[Shape], /) -> Shape:
        assert isinstance(settings, shape)
        return settings

    return dataclasses.replace(host, options=options)
