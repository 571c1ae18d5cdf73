"""Event types that a channel adds: described, checked, and answered by a business's rule."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from engine_steps import send_all

from core.api import examples
from core.catalogue.store import Catalogue
from core.channels.host import Template
from core.channels.plugin import EventType
from core.notify.connections import lane_follows
from core.testing.channels import ScriptedPlugin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx
    from api_world import Api

TYPE = "scripted.visit_rated"
RATED = {"stars": 4.5, "words": "Bellissimo", "rated_at": "2027-07-01T08:05:00Z"}


class Rating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a rating brings."""

    stars: float
    words: str
    rated_at: datetime
    next_visit: date | None = None
    tags: list[str] = []


class RatedPlugin(ScriptedPlugin):
    """Adds one event type."""

    def event_types(self) -> Sequence[EventType]:
        """Return it."""
        return [EventType(name=TYPE, meaning="A visit was rated.", details=Rating)]


@pytest.fixture
def rated(api: Api) -> Api:
    """Open the interface with the plugin in it."""
    api.services.registry.plugins["scripted"] = RatedPlugin()
    return api


async def tell(api: Api, details: Any, event_id: str = "r-1", query: str = "") -> httpx.Response:
    """Tell a rating."""
    data = {**examples.EVENT_BODY["data"], "details": details}
    body = {**examples.EVENT_BODY, "id": event_id, "type": TYPE, "data": data}
    return await api.call("POST", f"/v1/events{query}", json=body)


async def put_rule(api: Api) -> None:
    """Let the salon thank for ratings, with a template of its own."""
    thanks = Template(
        business_id=api.own.id,
        name="thanks",
        language="it",
        usable=True,
        parameters=("first_name", "stars", "words", "rated_at_date", "rated_at_time"),
        body="{{first_name}}: {{stars}} {{words}} {{rated_at_date}} {{rated_at_time}}",
    )
    async with api.services.database.engine() as transaction:
        await Catalogue("whatsapp", lane_follows).put_templates(transaction, [thanks])
    path = f"/v1/businesses/{examples.BUSINESS}/rules/thanks"
    made = await api.call("PUT", path, json={"event_type": TYPE, "template": "thanks"})
    assert made.status_code == 201, made.text


async def test_a_rule_answers_an_added_event(rated: Api) -> None:
    """Numbers and times are in the customer's language, by the salon's clock; it is sent."""
    await rated.grant()
    await rated.tell()
    await put_rule(rated)
    shown = (await tell(rated, RATED, query="?dry_run=true")).json()["decisions"]
    assert [one["rule"] for one in shown] == ["thanks"]
    assert shown[0]["rendered"] == "Giulia: 4,5 Bellissimo gio 1 lug 10:05"
    told = await tell(rated, RATED)
    assert told.status_code == 202, told.text
    assert told.json()["decisions"][0]["outcome"] == "queued"
    assert await send_all(rated.services) == 2
    channel: Any = rated.services.channels["whatsapp"]
    assert channel.sent[-1].template == "thanks"
    again = await tell(rated, RATED)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    other = await tell(rated, {**RATED, "stars": 1})
    assert other.json()["code"] == "idempotency-mismatch"


async def test_details_that_do_not_fit_are_pointed_at(rated: Api) -> None:
    """Each fault is a 422 below /data/details; nothing is stored."""
    wrong: list[tuple[Any, str]] = [
        (None, "/data/details"),
        ({}, "/data/details"),
        ({**RATED, "stars": "many"}, "/data/details/stars"),
        ({**RATED, "rated_at": "soon"}, "/data/details/rated_at"),
        ({**RATED, "tags": ["a", 1]}, "/data/details/tags/1"),
        ({**RATED, "more": 1}, "/data/details"),
    ]
    for details, pointer in wrong:
        refused = await tell(rated, details)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"].startswith(pointer), refused.text
    batch = {"events": [{**examples.EVENT_BODY, "type": TYPE}]}
    item = (await rated.call("POST", "/v1/events/batch", json=batch)).json()["items"][0]
    assert item["status"] == 422
    assert await rated.count("event") == 0


async def test_the_hosts_own_types_bring_no_details(rated: Api) -> None:
    """What nobody reads is refused, so that a typo in the type is found."""
    data = {**examples.EVENT_BODY["data"], "details": {}}
    refused = await rated.tell(data=data)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/data/details")


async def test_an_unknown_type_names_the_added_ones(rated: Api) -> None:
    """In an event and in a rule."""
    refused = await rated.tell(type="scripted.visit_ratted")
    assert TYPE in refused.json()["errors"][0]["message"]
    path = f"/v1/businesses/{examples.BUSINESS}/rules/thanks"
    body = {"event_type": "scripted.visit_ratted", "template": "thanks"}
    rule = await rated.call("PUT", path, json=body)
    assert rule.status_code == 422
    assert TYPE in rule.json()["errors"][0]["message"]


async def test_added_types_are_described_with_their_schema(rated: Api) -> None:
    """A caller can check an event before telling it; the host's own types have no details."""
    listed = (await rated.call("GET", "/v1/event-types", key=None)).json()["data"]
    by_name = {one["type"]: one for one in listed}
    parts = by_name[TYPE]["schema"]["$defs"]
    assert by_name[TYPE]["meaning"] == "A visit was rated."
    assert parts["EventData"]["properties"]["details"] == {"$ref": "#/$defs/Rating"}
    assert "details" in parts["EventData"]["required"]
    assert parts["Rating"]["additionalProperties"] is False
    assert set(parts["Rating"]["required"]) == {"stars", "words", "rated_at"}
    own = by_name["booking.confirmed"]["schema"]["$defs"]
    assert "details" not in own["EventData"]["properties"]
