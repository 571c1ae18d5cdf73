"""The catalogue of alerts: complete in every language, and every kind that is raised is in it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerts.kinds import KINDS, LANGUAGES, Kind, kind_named, kinds_of, read_kinds
from core.alerts.mail_outbox import Mail, wait_after
from core.alerts.mail_text import compose, one_line
from core.callbacks import endpoints
from core.channels.registry import load
from core.errors import PluginContractError
from core.mailserver import MailServer
from core.notify.aftermath import SUSPENDED
from core.notify.connections import QUALITY_STOP, QUALITY_WARNING
from core.notify.consent_check import ALERT
from core.notify.fallbacks import DELIVERED_TWICE
from core.secret import Secret

ROOT = Path(__file__).parents[2]
ALL = kinds_of(load())
AT = datetime(2026, 11, 22, 9, 2, 12, tzinfo=UTC)
SERVER = MailServer(
    host="mail.example.com",
    port=587,
    tls=False,
    starttls=True,
    user="",
    password=Secret(""),
    sender="alerts@example.com",
    sender_name="Patchbay",
)


def mail(**changes: object) -> Mail:
    """Return a claimed mail."""
    fields: dict[str, object] = {
        "id": UUID("019ab000-0000-7000-8000-00000000a001"),
        "business_name": "Salone Aurora",
        "address": "anna@example.com",
        "kind": "channel-suspended",
        "language": "en",
        "raised": 1,
        "resolved": 0,
        "subjects": ["whatsapp"],
        "arguments": {"reason": "too-many-failures"},
        "since_at": AT,
        "created_at": AT,
        "attempt": 1,
    }
    return Mail(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_kind_speaks_every_language(name: str) -> None:
    """What is so and what to do, as sentences; the codes are kebab-case."""
    kind: Kind = ALL[name]
    assert re.fullmatch(r"([a-z][a-z0-9_]*\.)?[a-z]+(-[a-z]+)*", name)
    for language in LANGUAGES:
        for words in (kind.summary, kind.action):
            said = words.in_language(language)
            assert said == getattr(words, language)
            assert said.endswith(".")
            assert said.isprintable()
            assert len(said) < 200


def test_every_kind_that_the_host_raises_is_in_the_catalogue() -> None:
    """In Python and in SQL, and what the WhatsApp channel reports."""
    sources = [*(ROOT / "core").rglob("*.py"), *(ROOT / "core" / "migrations").rglob("*.sql")]
    text = "\n".join(path.read_text() for path in sources)
    raised = set(re.findall(r'kind="([a-z-]+)"', text))
    raised |= set(re.findall(r"alert_raise\([^,]+, '([a-z-]+)'", text))
    raised |= set(re.findall(r"raise_alert\(\s*\w+, None, \"([a-z-]+)\"", text))
    raised |= {ALERT, DELIVERED_TWICE, QUALITY_STOP, QUALITY_WARNING, SUSPENDED, endpoints.ALERT}
    assert {"credentials-rejected", "template-withdrawn", "webhook-not-applied"} <= raised
    assert {name for name in raised if not name.endswith("-")} - set(KINDS) == set()
    reports = (ROOT / "plugins" / "whatsapp" / "errors.toml").read_text()
    told = {f"whatsapp.{fact}" for fact in re.findall(r'^report = "(.+)"', reports, re.MULTILINE)}
    assert told
    assert told - set(ALL) == set()


def test_an_unknown_fact_still_has_words() -> None:
    """A channel that brings no file of its own is heard all the same."""
    assert kind_named(ALL, "pigeon.lost").severity == "warning"
    assert kind_named(ALL, "pigeon.lost").action.en


def test_a_file_that_is_not_as_it_should_be_is_refused(tmp_path: Path) -> None:
    """An unknown field, a missing sentence, no TOML at all."""
    for text in ("[a]\nseverity = 'loud'", "[a]\ncolour = 1", "[[["):
        path = tmp_path / "alerts.toml"
        path.write_text(text)
        with pytest.raises(PluginContractError):
            read_kinds(path, "x")


def test_the_same_mail_is_the_same_bytes() -> None:
    """Message-ID, date and words do not change from attempt to attempt."""
    first = compose(mail(), ALL, SERVER, "https://patchbay.example.com")
    again = compose(mail(attempt=7), ALL, SERVER, "https://patchbay.example.com")
    assert first == again
    assert compose(mail(id=UUID(int=5)), ALL, SERVER, "x") != first


@given(
    name=st.text(max_size=200),
    subjects=st.lists(st.text(max_size=200), max_size=10),
    language=st.sampled_from(LANGUAGES),
    raised=st.integers(0, 1000),
    resolved=st.integers(0, 1000),
)
def test_no_words_of_a_stranger_become_a_header(
    name: str, subjects: list[str], language: str, raised: int, resolved: int
) -> None:
    """Whatever a name or a subject holds: the same headers, and ASCII on the wire."""
    odd = mail(
        business_name=name,
        subjects=subjects,
        language=language,
        raised=raised,
        resolved=resolved,
        arguments={"x\r\nBcc": name},
    )
    sent = compose(odd, ALL, SERVER, "https://patchbay.example.com")
    assert sent.isascii()
    read = message_from_bytes(sent, policy=policy.default)
    assert set(read.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    assert read["To"] == "anna@example.com"
    assert max(len(line) for line in sent.split(b"\r\n")) <= 998


@given(st.text())
def test_a_line_is_a_line(text: str) -> None:
    """Nothing invisible, nothing long."""
    said = one_line(text)
    assert said.isprintable()
    assert len(said) <= 80


def test_waits_grow_to_an_hour() -> None:
    """A minute at first; a day holds about thirty attempts."""
    waits = [wait_after(attempt, lambda: 0.5).total_seconds() for attempt in range(1, 9)]
    assert waits == sorted(waits)
    assert waits[0] == 60
    assert waits[-1] == 3600
