"""The command line: what there is, how it explains itself, how it fails."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rich_click as click
import structlog

from core import cli
from core.access.tables import Role
from core.commands.people import PURPOSES, ROLES, SOURCES
from core.consent.tables import Purpose, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "serve": (),
    "worker": (),
    "all": (),
    "migrate": (),
    "demo": (),
    "simulator": (),
    "business": ("add", "list"),
    "connect": ("console", "whatsapp"),
    "api-key": ("create", "list", "revoke", "rotate"),
    "user": ("create",),
    "consent": ("grant", "import", "revoke"),
    "limits": (),
    "pause": (),
    "resume": (),
    "alert": ("list", "ack", "resolve"),
    "template": ("set",),
    "plugin": ("list",),
    "config": ("check", "show"),
    "health": (),
}
PATHS = [
    *((name,) for name in EXPECTED),
    *((name, sub) for name, subs in EXPECTED.items() for sub in subs),
]
JSON = [
    ("migrate",),
    ("health",),
    ("limits",),
    ("pause",),
    ("resume",),
    *(path for path in PATHS if len(path) > 1),
]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without any setting of the machine; put the log back as it was."""
    for name in list(os.environ):
        if name.startswith("PATCHBAY_"):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    hook = sys.excepthook
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:], root.level = before
    sys.excepthook = hook


def test_help_lists_exactly_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """What works is listed; what does not exist yet is not."""
    assert cli.main(["--help"]) == 0
    listed = re.findall(r"^│ ([a-z][a-z-]*) {2,}", capsys.readouterr().out, re.MULTILINE)
    assert listed == list(EXPECTED)


@pytest.mark.parametrize("name", [name for name, subs in EXPECTED.items() if subs])
def test_groups_hold_exactly_their_commands(name: str) -> None:
    """The same holds for each group."""
    context = click.RichContext(cli.patchbay)
    group = cli.patchbay.get_command(context, name)
    assert isinstance(group, click.Group)
    assert sorted(group.list_commands(context)) == sorted(EXPECTED[name])


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_each_help_has_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks for help finds a line to paste, of this very command."""
    assert cli.main([*path, "--help"]) == 0
    said = capsys.readouterr().out
    example = said.partition("Example:")[2]
    assert f"patchbay {path[0]}" in example
    if len(path) == 2:
        assert f"patchbay {' '.join(path)}" in example


@pytest.mark.parametrize("path", JSON, ids=" ".join)
def test_what_prints_an_answer_prints_json_too(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs read JSON."""
    assert cli.main([*path, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_no_secret_is_an_option_value(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Command lines are seen by everybody on the machine and kept in histories."""
    assert cli.main([*path, "--help"]) == 0
    options = re.findall(r"--([a-z-]+)", capsys.readouterr().out)
    secrets = {name for name in options if re.search(r"token|password|secret|pin$", name)}
    assert {name for name in secrets if not name.endswith("-stdin")} == set()


@pytest.mark.parametrize("path", [path for path in PATHS if path[0] != "connect"], ids=" ".join)
def test_each_command_is_documented(path: tuple[str, ...]) -> None:
    """The page of commands names every one of them."""
    page = (ROOT / "docs" / "commands.md").read_text()
    assert re.search(rf"`patchbay {' '.join(path)}[ `]", page)


def test_choices_are_those_of_the_tables() -> None:
    """The words that `--help` offers are the words the database takes."""
    assert set(ROLES) == set(Role)
    assert set(SOURCES) == set(Source)
    assert set(PURPOSES) == set(Purpose)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["business", "add"], "Missing argument 'ID'."),
        (["business", "add", "a b", "--name", "x", "--country", "IT"], "1 to 64 letters"),
        (["nonsense"], "No such command 'nonsense'."),
        (["connect", "console"], "Missing option '--business'"),
        (["user", "create", "anna@example.com", "--role", "owner"], "needs --business"),
        (["user", "create", "x", "--role", "platform_admin"], "Give --email"),
    ],
)
def test_a_wrong_question_is_status_2_and_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is wrong and which help to read, on standard error."""
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert sentence in said.err
    assert "--help` shows how." in said.err
    assert len(said.err.splitlines()) == 1


def test_a_failure_is_status_1_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody reads a traceback who did not ask for it."""
    assert cli.main(["connect", "pigeon", "--business", "x"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("There is no channel 'pigeon'; the loaded ones are: console, ")
    assert "Traceback" not in said.err


def test_debug_shows_the_whole_story(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for by option or by variable, the traceback stands before the sentence."""
    assert cli.main(["--debug", "connect", "pigeon", "--business", "x"]) == 1
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("PATCHBAY_DEBUG", "1")
    assert cli.main(["connect", "pigeon", "--business", "x"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_config_check_names_every_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look shows all that is to be done."""
    monkeypatch.setenv("PATCHBAY_ENV", "production")
    monkeypatch.setenv("PATCHBAY_PORT", "http")
    monkeypatch.setenv("PATCHBAY_QUEUE_URL", "amqp://x")
    assert cli.main(["config", "check"]) == 1
    said = capsys.readouterr().err
    for name in ("DATABASE_URL", "SECRET_KEYS", "PUBLIC_URL", "PORT", "QUEUE_URL"):
        assert f"PATCHBAY_{name}" in said
    assert cli.main(["config", "check", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert len(answer["faults"]) == 5


def test_config_check_asks_the_channels_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel's own settings are checked by its struct; strange variables are named."""
    monkeypatch.setenv("PATCHBAY_CONSOLE_KEEP_DAYS", "many")
    monkeypatch.setenv("PATCHBAY_WHATSAPP_GRAPH_URL", "ftp://x")
    assert cli.main(["config", "check"]) == 1
    said = capsys.readouterr().err
    assert "PATCHBAY_CONSOLE_KEEP_DAYS" in said
    assert "graph_url" in said
    monkeypatch.setenv("PATCHBAY_CONSOLE_KEEP_DAYS", "3")
    monkeypatch.delenv("PATCHBAY_WHATSAPP_GRAPH_URL")
    monkeypatch.setenv("PATCHBAY_PUBLIC_ULR", "http://x")
    assert cli.main(["config", "check"]) == 0
    assert "PATCHBAY_PUBLIC_ULR is read by nobody" in capsys.readouterr().out


def test_config_show_shows_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every setting with its origin; passwords and keys as stars."""
    monkeypatch.setenv("PATCHBAY_QUEUE_URL", "redis://user:hunter2@127.0.0.1:6379/0")
    monkeypatch.setenv("PATCHBAY_WHATSAPP_APP_SECRET", "hunter2")
    assert cli.main(["config", "show"]) == 0
    said = capsys.readouterr().out
    assert "redis://user:***@127.0.0.1:6379/0" in said
    assert "hunter2" not in said
    assert cli.main(["config", "show", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["PATCHBAY_QUEUE_URL"]["origin"] == "env"
    assert "hunter2" not in json.dumps(rows)


def test_a_host_that_is_not_there_is_not_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listens on port 9, so the status is 1 and the sentence says where it looked."""
    assert cli.main(["health", "--url", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.startswith("There is no host at http://127.0.0.1:9")


@pytest.mark.alone
def test_help_is_quick() -> None:
    """`patchbay --help` takes less than half a second of processor time, and no framework."""
    program = (
        "import sys, time; from core import cli; cli.main(['--help']);"
        "slow = ('litestar', 'piccolo', 'saq', 'asyncpg', 'aiohttp', 'msgspec', 'cryptography');"
        "loaded = [name for name in slow if name in sys.modules];"
        "print(time.process_time(), loaded, file=sys.stderr)"
    )
    found: list[float] = []
    for _ in range(3):  # the quickest: the others had a neighbour on their core
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        seconds, _, loaded = done.stderr.strip().partition(" ")
        assert loaded == "[]"
        found.append(float(seconds))
    assert min(found) < 0.5, found
