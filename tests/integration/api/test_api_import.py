"""Files of consents over the interface, and the worker that writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from core.api import examples
from core.ids import JOB, inward, outward
from core.jobs import store
from tasks.errands import Errands

if TYPE_CHECKING:
    from api_world import Api

HEAD = "customer_id,channel,source,granted_at,text_version,proof_reference,phone,first_name"
CSV = "text/csv"
NDJSON = "application/x-ndjson"
MANY = 1_200
"""More than one bite, so that there is something to resume."""


def line(place: int, **changes: str) -> str:
    """Write one line of CSV."""
    cells = {
        "customer_id": f"c-{place}",
        "channel": "whatsapp",
        "source": "web",
        "granted_at": "2026-10-01T09:30:00Z",
        "text_version": "it-v1",
        "proof_reference": f"form/{place}",
        "phone": f"333 {place:07d}",
        "first_name": f"Anna{place}",
    }
    return ",".join((cells | changes).values())


def sheet(*lines: str) -> bytes:
    """Write a file."""
    return "\n".join((HEAD, *lines)).encode()


async def upload(
    api: Api, raw: bytes, *, media: str = CSV, key: str = "bound", **query: str
) -> Any:
    """Send a file."""
    headers = {"Content-Type": media}
    return await api.call(
        "POST", "/v1/consents/import", key=key, headers=headers, content=raw, params=query
    )


async def work(api: Api) -> None:
    """Do what a worker does until nothing is left."""
    errands = Errands(api.services)
    while await errands.step():
        pass


async def job(api: Api, job_id: str, key: str = "bound") -> dict[str, Any]:
    """Read a job."""
    answer = await api.call("GET", f"/v1/jobs/{job_id}", key=key)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def done(api: Api, raw: bytes, **more: Any) -> dict[str, Any]:
    """Import a file and return the job at its end."""
    taken = await upload(api, raw, **more)
    assert taken.status_code == 202, taken.text
    assert taken.headers["location"] == f"/v1/jobs/{taken.json()['id']}"
    assert taken.json()["state"] == "waiting"
    await work(api)
    return await job(api, taken.json()["id"])


async def faults(api: Api, job_id: str, limit: int = 200) -> list[tuple[int, str | None, str]]:
    """Read every fault of a job, page by page."""
    found: list[tuple[int, str | None, str]] = []
    cursor = ""
    while True:
        asked = f"?limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        answer = (await api.call("GET", f"/v1/jobs/{job_id}/faults{asked}", key="bound")).json()
        found += [(one["line"], one["field"], one["code"]) for one in answer["data"]]
        if not answer["has_more"]:
            return found
        cursor = answer["next_cursor"]


async def unequal(api: Api) -> int:
    """Count where consents and their ledger differ."""
    counted: int = await api.superuser.fetchval(
        "SELECT count(*) FROM consent_differences((SELECT array_agg(id) FROM business))"
    )
    return counted


async def test_a_file_becomes_consents_and_a_second_run_adds_nothing(api: Api) -> None:
    """Exam C08 in small: written with proof, equal to the ledger; again: 0 added."""
    raw = sheet(*(line(place) for place in range(20)))
    first = await done(api, raw)
    assert first["state"] == "done"
    assert first["result"] == {"added": 20, "unchanged": 0, "overruled": 0, "bad": 0}
    again = await done(api, raw)
    assert again["result"] == {"added": 0, "unchanged": 20, "overruled": 0, "bad": 0}
    assert await api.count("consent_event") == 20
    entry = await api.superuser.fetchrow("SELECT * FROM consent_event LIMIT 1")
    assert entry["proof_reference"].startswith("form/")
    assert (entry["text_version"], entry["locale"], len(entry["text_hash"])) == ("it-v1", "it", 32)
    assert entry["actor"].startswith("key:")
    assert await unequal(api) == 0
    assert await api.count("job_part") == 0, "what was uploaded is forgotten"
    phones = await api.superuser.fetchval(
        "SELECT count(DISTINCT address_hash) FROM customer_address"
    )
    assert phones == 20
    pairs = [{"customer_id": "c-7", "channel": "whatsapp"}]
    asked = await api.call("POST", "/v1/consents/check", key="bound", json={"pairs": pairs})
    assert asked.json()["data"][0]["allowed"]


async def test_every_bad_line_is_listed_with_its_reason(api: Api) -> None:
    """By line, field and reason; the good ones between them are written; nothing is repeated."""
    raw = sheet(
        line(1),
        line(2, source="hearsay"),
        line(3, phone="12"),
        line(4, text_version="xx-v9"),
        line(5, channel="pigeon"),
        line(6, granted_at="2999-01-01T00:00:00Z"),
        line(7, proof_reference=""),
        line(8, first_name="=cmd()"),
        line(9, text_version="it-v1") + ",more",
        line(10),
    )
    ended = await done(api, raw)
    assert ended["result"] == {"added": 2, "unchanged": 0, "overruled": 0, "bad": 8}
    listed = await faults(api, ended["id"], limit=3)
    assert listed == [
        (3, "source", "invalid"),
        (4, "phone", "phone-invalid"),
        (5, "text_version", "unknown"),
        (6, "channel", "unknown"),
        (7, "granted_at", "out-of-range"),
        (8, "proof_reference", "missing"),
        (9, "first_name", "formula"),
        (10, None, "columns"),
    ]
    assert ended["faults"] == 8
    kept = await api.superuser.fetchval("SELECT string_agg(message, ' ') FROM job_fault")
    for secret in ("Anna", "hearsay", "pigeon", "cmd"):
        assert secret not in kept


async def test_a_dry_run_tells_everything_and_writes_nothing(api: Api) -> None:
    """The same counts and faults as the real run, also for a line that stands there twice."""
    raw = sheet(line(1), line(2, phone="12"), line(3), line(3))
    told = await done(api, raw, dry_run="true")
    assert (told["state"], told["dry_run"]) == ("done", True)
    assert [one[0] for one in await faults(api, told["id"])] == [3]
    for table in ("consent_event", "customer_consents", "customer", "customer_address"):
        assert await api.count(table) == 0
    assert (await done(api, raw))["result"] == told["result"]
    assert told["result"] == {"added": 2, "unchanged": 1, "overruled": 0, "bad": 1}


async def test_an_old_yes_does_not_undo_a_no(api: Api) -> None:
    """It is kept in the ledger, counted apart, and changes nothing; a newer one counts."""
    await api.grant()
    [consent] = await api.superuser.fetch("SELECT id FROM customer_consents")
    await api.call("POST", f"/v1/consents/{outward('cns', consent['id'])}/revoke")
    old = line(1, customer_id=examples.CUSTOMER, granted_at="2026-01-01T00:00:00Z")
    ended = await done(api, sheet(old))
    assert ended["result"]["overruled"] == 1
    assert not await api.superuser.fetchval("SELECT opt_in FROM customer_consents")
    now = api.services.clock.now().isoformat()
    assert (await done(api, sheet(old, line(1, customer_id=examples.CUSTOMER, granted_at=now))))[
        "result"
    ] == {"added": 1, "unchanged": 1, "overruled": 0, "bad": 0}
    assert await api.superuser.fetchval("SELECT opt_in FROM customer_consents")
    assert await unequal(api) == 0


async def test_lines_of_json_are_read_too(api: Api) -> None:
    """NDJSON, and a person told of in several lines."""
    lines = [examples.IMPORT_LINE, {**examples.IMPORT_LINE, "purpose": "marketing"}]
    ended = await done(api, b"\n".join(msgspec.json.encode(one) for one in lines), media=NDJSON)
    assert ended["result"]["added"] == 2
    assert await api.count("customer") == 1
    assert await unequal(api) == 0


async def test_a_killed_worker_costs_and_doubles_nothing(api: Api) -> None:
    """Another goes on after the last whole bite; the first, if it wakes, writes nothing more."""
    taken = await upload(api, sheet(*(line(place) for place in range(MANY))))
    first = Errands(api.services)
    assert await first.step()
    assert await first.step()
    halfway = await job(api, taken.json()["id"])
    assert (halfway["state"], halfway["done"], halfway["total"]) == ("running", 1000, MANY)
    await work(api)
    assert (await job(api, taken.json()["id"]))["done"] == 1000, "the lease still holds"
    await api.superuser.execute("UPDATE job SET lease_until = now() - interval '1 s'")
    second = Errands(api.services)
    assert await second.step()
    assert await first.step(), "the first is told that the job is lost"
    await work(api)
    while await second.step():
        pass
    ended = await job(api, taken.json()["id"])
    assert (ended["state"], ended["done"]) == ("done", MANY)
    assert ended["result"] == {"added": MANY, "unchanged": 0, "overruled": 0, "bad": 0}
    assert await api.count("consent_event") == MANY
    assert await unequal(api) == 0


async def test_a_worker_that_stops_leaves_its_job_to_others(api: Api) -> None:
    """It waits again at once, and is not counted as a try that failed."""
    taken = await upload(api, sheet(line(1)))
    stopping = Errands(api.services)
    await stopping.step()
    await stopping.close()
    assert (await job(api, taken.json()["id"]))["state"] == "waiting"
    await work(api)
    assert (await job(api, taken.json()["id"]))["state"] == "done"


async def test_a_job_that_never_moves_on_is_given_up(api: Api) -> None:
    """After five tries it has failed, with a reason, and stands in nobody's way."""
    taken = await upload(api, sheet(line(1)))
    await api.superuser.execute(
        "UPDATE job SET state = 'running', attempts = $1, lease_token = id, "
        "lease_until = now() - interval '1 s'",
        store.TRIES,
    )
    await work(api)
    told = await job(api, taken.json()["id"])
    assert (told["state"], told["error"]) == ("failed", "gave-up")


@pytest.mark.parametrize(
    ("raw", "media", "status", "code"),
    [
        (b"", CSV, 422, "validation"),
        (b"name,surname\nA,B\n", CSV, 422, "validation"),
        ("Zoë".encode("utf-16"), CSV, 422, "validation"),
        (sheet(line(1)), "application/json", 415, "unsupported-media-type"),
        (b" " * (33 * 1024 * 1024), NDJSON, 413, "too-large"),
    ],
)
async def test_what_cannot_be_a_file_of_consents_is_refused_at_once(
    api: Api, raw: bytes, media: str, status: int, code: str
) -> None:
    """Empty, no such columns, another encoding, another kind, too large: no job is made."""
    answer = await upload(api, raw, media=media)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await api.count("job") == 0


async def test_a_job_is_seen_by_its_own_business_only(api: Api) -> None:
    """Foreign and unknown jobs are 404, a key without the scope is 403; ten may wait at once."""
    taken = await upload(api, sheet(line(1)))
    job_id = taken.json()["id"]
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/faults"):
        assert (await api.call("GET", path, key="foreign")).status_code == 404
        assert (await api.call("GET", path, key="reader")).status_code == 403
        assert (await api.call("GET", path, key="platform")).status_code == 200
    assert (await upload(api, sheet(line(1)), key="reader")).status_code == 403
    other = await upload(api, sheet(line(1)), key="foreign", business_id=examples.BUSINESS)
    assert other.status_code == 404
    for _ in range(9):
        assert (await upload(api, sheet(line(1)))).status_code == 202
    assert (await upload(api, sheet(line(1)))).status_code == 409
    await api.superuser.execute(
        "UPDATE job SET kind = 'secret' WHERE id = $1", inward(JOB, job_id)
    )
    assert (await api.call("GET", f"/v1/jobs/{job_id}", key="bound")).status_code == 404


async def test_the_upload_is_kept_sealed(api: Api) -> None:
    """Nothing of a file can be read in the database; a result that names people neither."""
    taken = await upload(api, sheet(line(1)))
    [part] = await api.superuser.fetch("SELECT body_sealed FROM job_part")
    assert b"Anna" not in part["body_sealed"]
    services, token = api.services, inward(JOB, taken.json()["id"])
    async with services.database.engine() as transaction:
        claimed = await store.claim(transaction, ["consent-import"], token)
        assert claimed is not None
        await store.finish(transaction, services.vault, claimed, token, personal={"name": "Anna"})
    sealed = await api.superuser.fetchval("SELECT result_sealed FROM job")
    assert b"Anna" not in sealed
    assert (await job(api, taken.json()["id"]))["result"] == {"name": "Anna"}
