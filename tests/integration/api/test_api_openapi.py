"""The description is true: its examples are sent, and it changes only on purpose."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from core.api import examples
from core.api.problem_types import PROBLEMS
from core.callbacks.kinds import KINDS

if TYPE_CHECKING:
    from api_world import Api

SNAPSHOT = Path(__file__).parents[3] / "docs" / "openapi.json"
OWN_PAGES = {"/openapi.json", "/docs", "/problems", "/problems/{slug}"}


async def seed(api: Api) -> None:
    """Put up the rows that the examples speak of, under the examples' own ids."""
    trial = f"/v1/businesses/{examples.TRIAL}"
    made = await api.call("PUT", trial, key="test", json=examples.BUSINESS_BODY)
    assert made.status_code == 201, made.text
    await api.grant("seed")
    await api.tell(id="seed-queued", type="booking.canceled")
    booking = {**examples.BOOKING_BODY, "ref": "B-seed"}
    data = {**examples.EVENT_BODY["data"], "booking": booking}
    customer = {"id": "cus_no", "phone": "+393331234568"}
    await api.tell(id="seed-suppressed", data={**data, "customer": customer})
    run = api.superuser.execute
    await run("ALTER TABLE notification_outbox DROP CONSTRAINT outbox_event_fk")
    await run("ALTER TABLE decision DROP CONSTRAINT decision_event_fk")
    await run(
        "UPDATE decision SET id = $1 WHERE outcome = 'suppressed' AND rule_key = 'confirmed'",
        examples.DECISION_UUID,
    )
    event = await api.superuser.fetchval("SELECT id FROM event WHERE external_id = 'seed-queued'")
    for table in ("notification_outbox", "decision"):
        await run(
            f"UPDATE {table} SET event_id = $1 WHERE event_id = $2", examples.EVENT_UUID, event
        )
    await run("UPDATE event SET id = $1 WHERE id = $2", examples.EVENT_UUID, event)
    await run("UPDATE notification_outbox SET id = $1", examples.NOTIFICATION_UUID)
    await run(
        "UPDATE decision SET notification_id = $1 WHERE outcome = 'queued'",
        examples.NOTIFICATION_UUID,
    )
    await run("UPDATE customer_consents SET id = $1", examples.CONSENT_UUID)
    await run(
        "INSERT INTO job (id, business_id, kind, parameters) VALUES ($1, $2, 'consent-import', "
        '\'{"format": "csv"}\')',
        examples.JOB_UUID,
        api.own.id,
    )
    for row_id in (examples.ENDPOINT_UUID, examples.OLD_ENDPOINT_UUID):
        context = ("callback_endpoint", "secret_sealed", "", str(row_id))
        sealed = api.services.vault.seal_text("whsec_AAAA", context=context)
        await run(
            "INSERT INTO callback_endpoint (id, url, events, secret_sealed) "
            "VALUES ($1, 'https://booking.example.com/', '{*}', $2)",
            row_id,
            sealed,
        )
    await run(
        "INSERT INTO alert (id, kind, subject) VALUES ($1, 'webhook-not-applied', 'whatsapp')",
        examples.ALERT_UUID,
    )
    for other, status, phase, reason in (
        (examples.FAILED_UUID, "failed", "final", "retries-exhausted"),
        (examples.UNCONFIRMED_UUID, "queued", "unconfirmed", "unconfirmed"),
    ):
        changes = {"id": other, "status": status, "phase": phase, "reason": reason}
        await run(
            "INSERT INTO notification_outbox SELECT (jsonb_populate_record(o, $2)).* "
            "FROM notification_outbox o WHERE id = $1",
            examples.NOTIFICATION_UUID,
            json.dumps({**changes, "rule_key": status + phase}, default=str),
        )


async def document(api: Api) -> dict[str, Any]:
    """Fetch the description."""
    answer = await api.call("GET", "/openapi.json", key=None)
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (path, method, operation), reading calls first."""
    found = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    return sorted(found, key=lambda one: (one[1] != "get", one[2]["operationId"]))


async def test_every_example_is_answered_as_documented(api: Api) -> None:
    """Each is sent, and gets its status and an answer that fits the schema's required fields."""
    await seed(api)
    described = await document(api)
    sent = 0
    for path, method, operation in operations(described):
        for name, example in operation["x-examples"].items():
            url = path.format(**example["path"])
            more: dict[str, Any] = {"params": example["query"]} if example["query"] else {}
            headers = dict(example["headers"])
            if "body" in example:
                more["content"] = msgspec.json.encode(example["body"])
                headers["Content-Type"] = example["mediaType"]
            key = "test" if operation.get("x-test-key") else "platform"
            answer = await api.call(method.upper(), url, key=key, headers=headers, **more)
            where = f"{method} {path} ({name}): {answer.status_code} {answer.text}"
            assert answer.status_code == example["status"], where
            sent += 1
            if answer.status_code == 204:
                assert not answer.content, where
                continue
            documented = operation["responses"][str(answer.status_code)]["content"]
            schema = documented["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            required = described["components"]["schemas"][schema].get("required", [])
            assert set(required) <= set(answer.json()), where
    assert sent >= 20


async def test_every_operation_is_described_in_full(api: Api) -> None:
    """An id of its own, a tag, a summary, its problems, and the key where one is needed."""
    described = await document(api)
    ids = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in described["tags"]}
    for path, method, operation in operations(described):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert set(operation["tags"]) <= tags, where
        assert {"500", "503"} <= set(operation["responses"]), where
        if path.startswith("/v1") and "x-scope" in operation:
            assert {"401", "403"} <= set(operation["responses"]), where
            assert operation["security"] == [{"apiKey": []}], where
        if not path.startswith("/hooks"):
            assert operation["x-examples"], where
        in_path = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), where


async def test_every_route_is_described(api: Api) -> None:
    """What is mounted stands in the description, except the description's own pages."""
    described = await document(api)
    mounted = {
        (re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path), method)
        for route in api.app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if method not in ("OPTIONS", "HEAD")
    }
    listed = {(path, method.upper()) for path, method, _ in operations(described)}
    assert {one for one in mounted if one[0] not in OWN_PAGES} == listed


async def test_the_description_changes_only_on_purpose(api: Api) -> None:
    """docs/openapi.json is the description that callers saw last."""
    described = await document(api)
    kept = msgspec.json.decode(SNAPSHOT.read_bytes())
    assert described == kept, "write it anew with: python -m core.api.snapshot docs/openapi.json"


async def test_every_callback_is_described(api: Api) -> None:
    """Each type that can be subscribed to, with its signed headers and its body."""
    told = (await document(api))["webhooks"]
    assert set(told) == set(KINDS)
    for kind, methods in told.items():
        [operation] = methods.values()
        assert operation["summary"] == KINDS[kind]
        [content] = operation["requestBody"]["content"].values()
        [example] = content["examples"].values()
        assert example["value"]["type"] == kind
        assert {one["name"] for one in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }


async def test_all_references_lead_somewhere(api: Api) -> None:
    """No schema is missing."""
    described = await document(api)
    text = msgspec.json.encode(described).decode()
    for name in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert name in described["components"]["schemas"]
    assert r"(?!" not in text, "patterns are for every language's regular expressions"


async def test_the_pages_fetch_nothing_from_elsewhere(api: Api) -> None:
    """They work offline, under a policy that allows nothing but their own style."""
    for path in ("/docs", "/problems", "/problems/validation"):
        page = await api.call("GET", path, key=None)
        assert page.status_code == 200
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "http://" not in page.text.replace("http://patchbay", "")
        assert "<script" not in page.text
    calls = (await api.call("GET", "/docs", key=None)).text
    assert "tellEvent" in calls
    problems = (await api.call("GET", "/problems", key=None)).text
    assert all(f"id='{slug}'" in problems for slug in PROBLEMS)
    assert (await api.call("GET", "/problems/none", key=None)).status_code == 404


async def test_the_catalogues_can_be_read_by_programs(api: Api) -> None:
    """Problems and event types, without a key."""
    problems = (await api.call("GET", "/v1/problems", key=None)).json()["data"]
    assert {one["code"] for one in problems} == set(PROBLEMS)
    types = (await api.call("GET", "/v1/event-types", key=None)).json()["data"]
    assert "booking.confirmed" in {one["type"] for one in types}
    assert all(one["schema"]["$defs"] for one in types)
