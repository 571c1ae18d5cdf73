"""The commands at work on a database: what they make, what they show, what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fixture_house import process_environment

from core.ids import ALERT, outward

if TYPE_CHECKING:
    from fixture_postgres import FreshDatabase

ROOT = Path(__file__).parents[2]
PROGRAM = """
import contextlib, io, json, sys
from core.cli import main

done = []
for arguments, typed in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    sys.stdin = io.StringIO(typed)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(arguments)
    done.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(done))
"""
BUSINESS = ("--business", "salone-aurora")
CUSTOMER = (*BUSINESS, "--customer", "c-1", "--channel", "console")


@dataclass(frozen=True)
class Said:
    """What one command answered."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """Return the JSON answer."""
        return json.loads(self.out)


def run(database: FreshDatabase, *lines: tuple[str, ...], typed: str = "") -> list[Said]:
    """Run commands one after the other, in one process, each with the same standard input."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=process_environment(database),
        input=json.dumps([(line, typed) for line in lines]),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Said(*one) for one in json.loads(done.stdout)]


ADD = ("business", "add", "salone-aurora", "--name", "Salone Aurora", "--country", "it")


def test_businesses(migrated_database: FreshDatabase) -> None:
    """A business is added once, checked, and listed."""
    added, again, wrong, listed, words = run(
        migrated_database,
        (*ADD, "--timezone", "Europe/Rome", "--json"),
        ADD,
        ("business", "add", "b", "--name", "B", "--country", "IT", "--timezone", "Mars"),
        ("business", "list", "--json"),
        ("business", "list"),
    )
    assert added.answer["id"] == "salone-aurora"
    assert added.answer["country"] == "IT"
    assert (again.status, again.err) == (1, "There is a business 'salone-aurora' already.\n")
    assert (wrong.status, wrong.err) == (1, "This is no IANA time zone.\n")
    assert [one["timezone"] for one in listed.answer] == ["Europe/Rome"]
    assert "Salone Aurora" in words.out


def test_keys(migrated_database: FreshDatabase) -> None:
    """A key is printed once, listed without its secret, and revoked for good."""
    create = ("api-key", "create", "--name", "booking", "--json")
    made, wrong, nobody, listed = run(
        migrated_database,
        (*create, "--scopes", "*"),
        (*create, "--scopes", "everything"),
        (*create, "--scopes", "*", "--business", "nobody"),
        ("api-key", "list", "--json"),
    )
    key, key_id = made.answer["key"], made.answer["key_id"]
    assert key.startswith(f"pb_live_{key_id}_")
    assert wrong.status == 1
    assert "Unknown scope 'everything'" in wrong.err
    assert nobody.err.startswith("There is no business 'nobody'")
    assert [one["key_id"] for one in listed.answer] == [key_id]
    assert key.rpartition("_")[2] not in listed.out
    revoked, strange, after = run(
        migrated_database,
        ("api-key", "revoke", key_id),
        ("api-key", "revoke", "nokey"),
        ("api-key", "list", "--json"),
    )
    assert revoked.status == 0
    assert (strange.status, strange.err) == (1, "There is no such key.\n")
    assert after.answer[0]["revoked_at"]


def test_keys_with_bounds(migrated_database: FreshDatabase) -> None:
    """A key has a rate, networks and a mode of its own; its secret is changed in two steps."""
    create = ("api-key", "create", "--scopes", "*", "--json")
    trial = ("business", "add", "trial", "--name", "T", "--country", "IT", "--mode", "test")
    bound = ("--name", "b", "--mode", "test", "--rate", "7", "--from", "10.0.0.0/8")
    _, added, made, odd, crossed, listed = run(
        migrated_database,
        ADD,
        trial,
        (*create, *bound, "--business", "trial"),
        (*create, "--name", "c", "--from", "home"),
        (*create, "--name", "d", "--mode", "test", "--business", "salone-aurora"),
        ("api-key", "list", "--json"),
    )
    assert "connected to the sandbox" in added.out
    assert made.answer["key"].startswith("pb_test_")
    assert (odd.status, odd.err) == (1, "'home' is no address and no network.\n")
    assert (crossed.status, crossed.err[:23]) == (1, "This is a live business")
    [row] = listed.answer
    assert (row["rate_per_second"], row["allowed_from"]) == (7, ["10.0.0.0/8"])
    key_id = made.answer["key_id"]
    second, finished, again = run(
        migrated_database,
        ("api-key", "rotate", key_id, "--json"),
        ("api-key", "rotate", key_id, "--finish"),
        ("api-key", "rotate", key_id, "--finish"),
    )
    assert second.answer["key"].startswith(f"pb_test_{key_id}_")
    assert second.answer["key"] != made.answer["key"]
    assert finished.status == 0
    assert (again.status, again.err) == (1, "There is no such key in rotation.\n")


def test_consents(migrated_database: FreshDatabase) -> None:
    """A yes needs what proves it; a no is acknowledged and may be repeated."""
    grant = ("consent", "grant", *CUSTOMER, "--text-version", "en-v1", "--json")
    _, bare, wrong, given, late, revoked, again, unknown = run(
        migrated_database,
        ADD,
        (*grant, "--source", "paper"),
        (*grant, "--source", "web", "--phone", "12"),
        (*grant, "--source", "paper", "--proof-reference", "folder 7", "--phone", "333 123 4567"),
        (*grant, "--source", "web", "--at", "2999-01-01"),
        ("consent", "revoke", *CUSTOMER, "--json"),
        ("consent", "revoke", *CUSTOMER, "--json"),
        ("consent", "revoke", *BUSINESS, "--customer", "c-2", "--channel", "console"),
    )
    assert bare.status == wrong.status == late.status == unknown.status == 1
    assert "proof" in bare.err
    assert "phone number" in wrong.err
    assert given.answer["state"] == "granted"
    assert given.answer["id"].startswith("cns_")
    nothing_left = {"customer": "c-1", "state": "revoked", "canceled": 0, "draining": 0}
    assert revoked.answer == again.answer == nothing_left
    assert unknown.err == "salone-aurora has no customer 'c-2'.\n"


def test_consents_from_a_file(migrated_database: FreshDatabase, tmp_path: Path) -> None:
    """Good lines are written at once, bad ones listed; rehearsed it writes nothing, again 0."""
    file = tmp_path / "people.csv"
    head = "customer_id;channel;source;granted_at;text_version;proof_reference;phone\n"
    good = "c-1;console;web;2026-10-01T09:30:00Z;en-v1;form/1;333 123 4567\n"
    file.write_text(head + good + good.replace("web", "hearsay").replace("c-1", "c-2"))
    strange = tmp_path / "people.xls"
    strange.write_text("x")
    command = ("consent", "import", str(file), *BUSINESS)
    _, rehearsed, first, again, wrong = run(
        migrated_database,
        ADD,
        (*command, "--dry-run"),
        (*command, "--json"),
        (*command, "--json"),
        ("consent", "import", str(strange), *BUSINESS),
    )
    assert rehearsed.status == first.status == again.status == wrong.status == 1
    assert rehearsed.out.startswith("Would be: 1 added, 0 unchanged, 0 overruled, 1 bad.")
    assert "3     source  Wanted is one of web, app, whatsapp and paper." in rehearsed.out
    assert first.answer["result"] == {"added": 1, "unchanged": 0, "overruled": 0, "bad": 1}
    assert first.answer["faults"] == [{"line": 3, "field": "source", "code": "invalid"}]
    assert again.answer["result"] == {"added": 0, "unchanged": 1, "overruled": 0, "bad": 1}
    assert ".ndjson" in wrong.err


async def test_templates(migrated_database: FreshDatabase, superuser: Any) -> None:
    """A template is kept for a channel without a provider, and refused where there is one."""
    _, made, refused, strange = run(
        migrated_database,
        ADD,
        (
            *("template", "set", *BUSINESS, "--name", "hello", "--language", "en", "--json"),
            *("--body", "Hi {{first_name}}, {{ business_name }} and {{first_name}}"),
        ),
        (
            *("template", "set", *BUSINESS, "--name", "hello", "--language", "en"),
            *("--channel", "whatsapp"),
        ),
        (
            *("template", "set", *BUSINESS, "--name", "hello", "--language", "en"),
            *("--channel", "pigeon"),
        ),
    )
    assert made.answer["parameters"] == ["first_name", "business_name"]
    assert refused.status == strange.status == 1
    assert refused.err.startswith("WhatsApp has accounts at a provider")
    rows = await superuser.fetch("SELECT channel, name, usable FROM channel_template")
    assert [tuple(row) for row in rows] == [("console", "hello", True)]


async def test_users(migrated_database: FreshDatabase, superuser: Any) -> None:
    """A person is added with a role; the password is read, never shown, and kept as a hash."""
    create = ("user", "create", "anna@example.com", "--password-stdin", "--json")
    owner = (*create, "--role", "owner", *BUSINESS)
    password = "a long enough password"
    _, made, again = run(migrated_database, ADD, owner, owner, typed=password + "\n")
    (short,) = run(migrated_database, owner, typed="short\n")
    (empty,) = run(migrated_database, owner)
    assert made.answer == {
        "username": "anna@example.com",
        "role": "owner",
        "business": "salone-aurora",
    }
    assert again.err == "The name or the e-mail address is taken.\n"
    assert "at least 10 characters" in short.err
    assert (empty.status, empty.err.partition(".")[0]) == (2, "Standard input holds no password")
    stored = await superuser.fetchval("SELECT password FROM app_user")
    assert password not in stored
    assert await superuser.fetchval("SELECT role FROM membership") == "owner"


async def test_every_change_is_in_the_audit_trail(
    migrated_database: FreshDatabase, superuser: Any
) -> None:
    """Who works at the command line leaves the same trail as everybody else."""
    run(
        migrated_database,
        ADD,
        ("connect", "console", *BUSINESS),
        ("api-key", "create", "--name", "x", "--scopes", "*"),
        ("consent", "grant", *CUSTOMER, "--text-version", "en-v1", "--source", "web"),
    )
    rows = await superuser.fetch("SELECT action FROM audit_log WHERE actor = 'cli' ORDER BY id")
    actions = [row["action"] for row in rows]
    assert actions == ["business.add", "channel.connect", "api-key.create", "consent.grant"]


async def test_limits_and_the_kill_switch(migrated_database: FreshDatabase) -> None:
    """Limits are shown and changed one by one; a pause is told once and ended by a resume."""
    _, shown, changed, wrong, paused, again, resumed, all_of_it, bare, strange = run(
        migrated_database,
        ADD,
        ("limits", *BUSINESS, "--json"),
        ("limits", *BUSINESS, "--per-minute", "7", "--unconfirmed", "resend", "--json"),
        ("limits", *BUSINESS, "--per-minute", "0"),
        ("pause", *BUSINESS, "--channel", "console", "--reason", "holidays", "--json"),
        ("pause", *BUSINESS, "--channel", "console"),
        ("resume", *BUSINESS, "--channel", "console"),
        ("pause", "--everything"),
        ("pause",),
        ("pause", "--channel", "pigeon"),
    )
    assert shown.answer["per_minute"] == 60
    assert changed.answer == {**shown.answer, "per_minute": 7, "unconfirmed": "resend"}
    assert wrong.status == bare.status == 2
    assert paused.answer["changed"] is True
    assert paused.answer["pauses"][0]["reason"] == "holidays"
    assert again.out == "Was paused already: salone-aurora on console.\n"
    assert resumed.out == "Resumed: salone-aurora on console.\n"
    assert all_of_it.out == "Paused: every business.\n"
    assert strange.status == 1
    assert "There is no channel 'pigeon'" in strange.err


async def test_alerts(migrated_database: FreshDatabase, superuser: Any) -> None:
    """Listed with what to do, taken on, ended; what is over is shown on demand; both audited."""
    run(migrated_database, ADD)
    row_id = await superuser.fetchval(
        "INSERT INTO alert (business_id, kind, subject) "
        "SELECT id, 'quality-low', 'whatsapp:1' FROM business RETURNING id"
    )
    one = outward(ALERT, row_id)
    listed, taken, ended, none, history, strange = run(
        migrated_database,
        ("alert", "list", *BUSINESS, "--json"),
        ("alert", "ack", one),
        ("alert", "resolve", one, "--json"),
        ("alert", "list", "--json"),
        ("alert", "list", "--all", "--json"),
        ("alert", "ack", outward(ALERT, UUID(int=1))),
    )
    [shown] = listed.answer
    assert (shown["id"], shown["severity"], shown["state"]) == (one, "critical", "open")
    assert shown["action"]
    assert taken.out == "quality-low: acked.\n"
    assert ended.answer == {"id": one, "state": "resolved", "acknowledged_by": "cli"}
    assert none.answer == []
    assert [old["state"] for old in history.answer] == ["resolved"]
    assert strange.status == 1
    actions = await superuser.fetch("SELECT action FROM audit_log WHERE action LIKE 'alert.%'")
    assert sorted(row["action"] for row in actions) == ["alert.acknowledge", "alert.resolve"]
