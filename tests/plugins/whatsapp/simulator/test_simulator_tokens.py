"""Tokens: who may see and send what."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

NUMBER = "/v25.0/100200300400500"
OTHER = {
    "waba_id": "701",
    "phone_number_id": "801",
    "display_phone_number": "+34600000002",
    "verified_name": "Studio Dos",
    "token": "EAAsimulatedToken2",
}
SEND = {
    "messaging_product": "whatsapp",
    "to": "+34600111222",
    "type": "template",
    "template": {"name": "plain", "language": {"code": "en"}},
}


def bearer(token: str) -> dict[str, str]:
    """Write the header for a token."""
    return {"Authorization": f"Bearer {token}"}


async def change_account(graph: httpx.AsyncClient, **changes: Any) -> None:
    """Change the business's account."""
    account = {
        "waba_id": "700100200300400",
        "phone_number_id": "100200300400500",
        "display_phone_number": "+34 600 000 001",
        "verified_name": "Studio Uno",
        "token": "EAAsimulatedToken1",
        **changes,
    }
    assert (await graph.post("/simulator/accounts", json=account)).status_code == 200


async def test_missing_token_is_refused_and_credentials_are_asked_for(
    stranger: httpx.AsyncClient, graph: httpx.AsyncClient
) -> None:
    """Without a token the answer is 401 with code 104."""
    answer = await stranger.post(f"{NUMBER}/messages", json=SEND)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 104)
    assert answer.headers["www-authenticate"].startswith("OAuth ")
    assert (await graph.get(NUMBER)).status_code == 200


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer Zo\u00eb", "Basic abc", "Bearer"])
async def test_unknown_token_is_refused(
    stranger: httpx.AsyncClient, graph: httpx.AsyncClient, header: str
) -> None:
    """A token that was never issued, or none of the right scheme, is 401."""
    raw = {b"Authorization": header.encode("utf-8")}
    answer = await stranger.post(f"{NUMBER}/messages", json=SEND, headers=raw)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] in {104, 190}
    assert (await graph.get("/simulator/journal")).json()["messages"] == []


async def test_malformed_body_is_judged_after_the_token(stranger: httpx.AsyncClient) -> None:
    """Whoever has no token learns nothing about the body."""
    answer = await stranger.post(f"{NUMBER}/messages", content=b"{")
    assert answer.json()["error"]["code"] == 104


@pytest.mark.parametrize(("state", "subcode"), [("expired", 463), ("revoked", 467)])
async def test_token_that_ended_is_refused_with_its_subcode(
    graph: httpx.AsyncClient, state: str, subcode: int
) -> None:
    """An expired and a revoked token are both 190, told apart by the subcode."""
    await change_account(graph, access=state)
    answer = await graph.post(f"{NUMBER}/messages", json=SEND)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["error_subcode"]) == (401, 190, subcode)
    await change_account(graph, access="valid")
    assert (await graph.post(f"{NUMBER}/messages", json=SEND)).status_code == 200


async def test_new_token_replaces_the_old_one(graph: httpx.AsyncClient) -> None:
    """After a change only the new token opens the account."""
    await change_account(graph, token="EAAsimulatedToken9")
    assert (await graph.get(NUMBER)).json()["error"]["code"] == 190
    assert (await graph.get(NUMBER, headers=bearer("EAAsimulatedToken9"))).status_code == 200


async def test_foreign_account_looks_absent(graph: httpx.AsyncClient) -> None:
    """A token does not show or use another business's number, account or templates."""
    await graph.post("/simulator/accounts", json=OTHER)
    token = bearer(OTHER["token"])
    answers = [
        await graph.post(f"{NUMBER}/messages", json=SEND, headers=token),
        await graph.get(NUMBER, headers=token),
        await graph.get("/v25.0/700100200300400", headers=token),
        await graph.get("/v25.0/700100200300400/message_templates", headers=token),
    ]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["error_subcode"]) == (400, 100, 33)
    assert (await graph.get("/v25.0/801", headers=token)).json()["id"] == "801"


async def test_missing_permission_is_code_10_for_messages_and_200_for_the_rest(
    graph: httpx.AsyncClient,
) -> None:
    """A token without a permission is refused with 403."""
    await change_account(graph, scopes=["whatsapp_business_management"])
    answer = await graph.post(f"{NUMBER}/messages", json=SEND)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 10)
    await change_account(graph, scopes=["whatsapp_business_messaging"])
    answer = await graph.get("/v25.0/700100200300400/phone_numbers")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 200)


async def test_proof_is_checked_when_it_is_given(graph: httpx.AsyncClient) -> None:
    """A right appsecret_proof passes, a wrong one is code 100."""
    proof = hmac.new(b"unit-test-app-secret", b"EAAsimulatedToken1", "sha256").hexdigest()
    good = await graph.get(NUMBER, params={"appsecret_proof": proof})
    bad = await graph.get(NUMBER, params={"appsecret_proof": proof[:-1] + "x"})
    assert good.status_code == 200
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, 100)


async def test_token_can_be_inspected_with_the_app_token_only(
    graph: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    """debug_token tells scopes and targets to the app and refuses everybody else."""
    app = bearer("123450000067890|unit-test-app-secret")
    query = {"input_token": "EAAsimulatedToken1"}
    shown = (await stranger.get("/v25.0/debug_token", params=query, headers=app)).json()["data"]
    assert shown["is_valid"] is True
    assert shown["app_id"] == "123450000067890"
    assert shown["granular_scopes"] == [
        {"scope": "whatsapp_business_management", "target_ids": ["700100200300400"]},
        {"scope": "whatsapp_business_messaging", "target_ids": ["700100200300400"]},
    ]
    await change_account(graph, access="expired")
    ended = (await stranger.get("/v25.0/debug_token", params=query, headers=app)).json()["data"]
    assert (ended["is_valid"], ended["error"]["subcode"]) == (False, 463)
    query["input_token"] = "EAAneverIssued"
    unknown = (await stranger.get("/v25.0/debug_token", params=query, headers=app)).json()
    assert unknown["data"]["is_valid"] is False
    refused = await graph.get("/v25.0/debug_token", params=query)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 100)
    nobody = await stranger.get("/v25.0/debug_token", params=query)
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, 104)


async def test_accounts_list_never_shows_a_token(graph: httpx.AsyncClient) -> None:
    """The control API lists accounts without their secrets."""
    answer = await graph.get("/simulator/accounts")
    assert answer.json()["accounts"][0]["verified_name"] == "Studio Uno"
    assert "EAAsimulatedToken1" not in answer.text


async def test_token_or_number_of_another_account_cannot_be_taken(
    graph: httpx.AsyncClient,
) -> None:
    """One token opens one account; one number belongs to one account."""
    taken = await graph.post("/simulator/accounts", json={**OTHER, "token": "EAAsimulatedToken1"})
    assert taken.status_code == 400
    moved = {**OTHER, "phone_number_id": "100200300400500"}
    assert (await graph.post("/simulator/accounts", json=moved)).status_code == 400
    assert len((await graph.get("/simulator/accounts")).json()["accounts"]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"waba_id": "not digits"},
        {"token": "short"},
        {"surprise": 1},
        {"templates": [{"name": "Bad Name", "language": "en"}]},
        {"templates": [{"name": "x", "language": "en", "components": []}]},
    ],
)
async def test_malformed_account_is_refused_whole(
    stranger: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    """Nothing of a malformed account is stored."""
    answer = await stranger.post("/simulator/accounts", json={**OTHER, **changes})
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert (await stranger.get("/simulator/accounts")).json() == {"accounts": []}
