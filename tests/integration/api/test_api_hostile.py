"""Strange input gets a documented answer, never a 5xx, and nothing half-written."""

from __future__ import annotations

import copy
import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.api import examples
from core.api.application import document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api_world import Api

HOSTILE: list[Any] = [
    None,
    True,
    -1,
    2**63,
    10**400,
    1e308,
    "",
    " ",
    "\0",
    "a\nb",
    "\u202egnp.exe",
    "x" * 5000,
    "'; DROP TABLE event; --",
    "{{7*7}}${jndi:ldap://x}",
    "2026-13-45T99:99:99Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+14:00",
    [],
    {},
    [[]],
    {"a": {"b": None}},
]
WRITES = [
    ("PUT", "/v1/businesses/{ref}", "/v1/businesses/salon-aurora", examples.BUSINESS_BODY),
    ("POST", "/v1/events", "/v1/events", examples.EVENT_BODY),
    ("POST", "/v1/consents", "/v1/consents", examples.CONSENT_BODY),
    (
        "POST",
        "/v1/consents/check",
        "/v1/consents/check",
        {
            "business_id": examples.BUSINESS,
            "pairs": [{"customer_id": "c", "channel": "whatsapp", "purpose": "marketing"}],
        },
    ),
]


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of every value in a body, containers included."""
    if path:
        yield path
    inner = body.items() if isinstance(body, dict) else enumerate(body)
    for name, value in inner if isinstance(body, dict | list) else ():
        if isinstance(value, dict | list):
            yield from places(value, (*path, name))
        else:
            yield (*path, name)


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a body with one value replaced."""
    changed = copy.deepcopy(body)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


async def test_every_field_survives_every_strange_value(api: Api) -> None:
    """The answer is one that the description names, and below 500."""
    described = document()["paths"]
    number = itertools.count()
    for method, template, path, body in WRITES:
        documented = set(described[template][method.lower()]["responses"])
        seen: set[str] = set()
        for place in places(body):
            for value in HOSTILE:
                changed = replaced(body, place, value)
                if template == "/v1/events" and place != ("id",):
                    changed["id"] = f"e-{next(number)}"
                content = json.dumps(changed).encode()
                answer = await api.call(
                    method,
                    path,
                    content=content,
                    headers={
                        "Content-Type": "application/json",
                        "Idempotency-Key": f"k-{next(number)}",
                    },
                )
                where = (method, path, place, repr(value)[:40], answer.status_code, answer.text)
                assert answer.status_code < 500, where
                assert str(answer.status_code) in documented, where
                seen.add(str(answer.status_code))
        assert {"422"} < seen, "some were refused and some were taken"
    orphans = await api.superuser.fetchval("SELECT count(*) FROM event WHERE answer IS NULL")
    assert orphans == 0, "an event was stored without its decisions"


async def test_addresses_and_queries_survive_strange_text(api: Api) -> None:
    """Whatever stands in a path or a query is found, not found, or refused."""
    texts = ["%00", "..%2f..%2fetc", "%ff%fe", quote("'; --"), quote("ü" * 40), "x" * 3000, "ntf_"]
    paths = [
        "/v1/businesses/{}",
        "/v1/businesses/{}/channels",
        "/v1/businesses/{}/consent-text",
        "/v1/events/{}",
        "/v1/notifications/{}",
        "/v1/notifications/{}/attempts",
        "/v1/notifications?business_id={}",
        "/v1/notifications?business_id=salon-aurora&customer_id={}",
        "/v1/notifications?business_id=salon-aurora&cursor={}",
        "/v1/notifications?business_id=salon-aurora&created_after={}",
        "/v1/events?business_id=salon-aurora&booking_ref={}",
        "/v1/consents?business_id=salon-aurora&customer_id={}",
        "/v1/businesses?limit={}",
        "/v1/businesses?{}=1",
        "/hooks/{}",
        "/problems/{}",
    ]
    for path, text in itertools.product(paths, texts):
        answer = await api.call("GET", path.format(text))
        assert answer.status_code in (200, 401, 403, 404, 422), (path, text, answer.text)
    for text in texts:
        for path in ("/v1/consents/{}/revoke", "/hooks/{}"):
            answer = await api.call("POST", path.format(text))
            assert answer.status_code == 404, (path, text, answer.text)
        put = await api.call("PUT", f"/v1/businesses/{text}", json=examples.BUSINESS_BODY)
        assert put.status_code in (404, 422) or text == "ntf_", (text, put.text)


async def test_times_beyond_the_calendar_are_refused(api: Api) -> None:
    """In the body of a revocation, and in a query."""
    consent = (await api.grant()).json()["id"]
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        revoked = await api.call("POST", f"/v1/consents/{consent}/revoke", json={"at": moment})
        assert revoked.status_code == 422, revoked.text
        query = {"business_id": examples.BUSINESS, "created_after": moment}
        listed = await api.call("GET", "/v1/notifications", params=query)
        assert listed.status_code == 422, listed.text
    assert await api.superuser.fetchval("SELECT opt_in FROM customer_consents")
