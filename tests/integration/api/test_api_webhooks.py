"""Providers' calls: signed ones are stored, sealed; everything else leaves no trace."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from api_world import build_app

from core.testing.channels import SIGNATURE, SIGNED

if TYPE_CHECKING:
    from api_world import Api

PATH = "/hooks/whatsapp"
HEADERS = {SIGNATURE: SIGNED, "Content-Type": "application/json", "Cookie": "id=secret"}
BODY = b'[{"from":"393331234567"}]'


async def test_a_signed_body_is_stored_sealed_and_the_bell_rings(api: Api) -> None:
    """200 after the commit; the bytes come back exactly, and only through the vault."""
    answer = await api.call("POST", PATH, key=None, content=BODY, headers=HEADERS)
    assert (answer.status_code, answer.text) == (200, "")
    row = await api.superuser.fetchrow("SELECT *, p::text AS whole FROM provider_inbox p")
    assert (row["channel"], row["state"]) == ("whatsapp", "waiting")
    context = ("provider_inbox", "body_sealed", "whatsapp", str(row["id"]))
    assert api.services.vault.open(row["body_sealed"], context=context) == BODY
    assert "secret" not in row["headers"]
    assert BODY.hex() not in row["whole"]
    assert api.ring.inbox_rung == 1


async def test_what_is_not_json_is_stored_all_the_same(api: Api) -> None:
    """Nothing is looked into here: a signed body is the provider's, whatever it holds."""
    answer = await api.call("POST", PATH, key=None, content=b"\xff\x00", headers=HEADERS)
    assert answer.status_code == 200
    assert await api.count("provider_inbox") == 1


async def test_an_unsigned_body_is_stored_nowhere(api: Api) -> None:
    """401, no row, no bell."""
    for headers in ({}, {SIGNATURE: "no"}):
        answer = await api.call("POST", PATH, key=None, content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook-rejected")
    assert await api.count("provider_inbox") == 0
    assert api.ring.inbox_rung == 0


async def test_unknown_addresses_are_404(api: Api) -> None:
    """No channel of that name, by GET and by POST."""
    for method in ("GET", "POST"):
        answer = await api.call(method, "/hooks/pigeon", key=None, headers=HEADERS)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_channel_out_of_service_makes_the_provider_try_again(api: Api) -> None:
    """5xx: the news must not be lost because our plugin did not load."""
    api.services.registry.fail("console", "it broke")
    answer = await api.call("POST", "/hooks/console", key=None, content=BODY, headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_fault_of_ours_is_5xx_and_says_nothing(api: Api) -> None:
    """The provider tries again; the answer holds no trace."""

    class Broken:
        def verify(self, request: object) -> None:
            raise RuntimeError(f"secret inside: {request}")

    services = dataclasses.replace(api.services, channels={"whatsapp": Broken()})  # type: ignore[dict-item]
    api.app = build_app(services)
    answer = await api.call("POST", PATH, key=None, content=BODY, headers=HEADERS)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Runtime" not in answer.text
    assert await api.count("provider_inbox") == 0


async def test_the_challenge_is_answered_as_plain_text(api: Api) -> None:
    """The provider's word comes back, unless it is refused: 403."""
    answer = await api.call("GET", f"{PATH}?challenge=%3Cb%3E1158", key=None)
    assert (answer.status_code, answer.text) == (200, "<b>1158")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    refused = await api.call("GET", PATH, key=None)
    assert refused.status_code == 403


async def test_three_megabytes_are_the_limit(api: Api) -> None:
    """A large webhook is taken, a larger one is 413 and not stored."""
    large = b" " * (2 * 1024 * 1024)
    taken = await api.call("POST", PATH, key=None, content=large, headers=HEADERS)
    assert taken.status_code == 200
    larger = await api.call("POST", PATH, key=None, content=large * 2, headers=HEADERS)
    assert (larger.status_code, larger.json()["code"]) == (413, "too-large")
    assert await api.count("provider_inbox") == 1
