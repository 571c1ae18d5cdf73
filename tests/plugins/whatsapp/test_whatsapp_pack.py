"""What customers read: every text of the pack, filled as the engine fills it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.notify import wording
from core.notify.events import Booking, EventCustomer
from plugins.whatsapp import pack, templates

GOLDEN = Path(__file__).parent / "golden" / "pack.txt"
STARTS_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
FULL = wording.Source(
    business_name="Salone Aurora",
    timezone="Europe/Rome",
    customer=EventCustomer(id="c", first_name="Giulia"),
    booking=Booking(ref="B-1", starts_at=STARTS_AT, service="Taglio"),
)
SPARSE = wording.Source(
    business_name="Salone Aurora",
    timezone="America/New_York",
    customer=EventCustomer(id="c"),
    booking=Booking(ref="B-1", starts_at=STARTS_AT),
    fallbacks={"first_name": "*", "service": "(service)"},
)


def rendered(source: wording.Source, language: str, name: str) -> str:
    """Fill one template, the way `begin` and a dry run do."""
    body = pack.read_pack(language).templates[name].body
    wanted = templates.parameters([{"type": "BODY", "text": body}])
    filled, missing = wording.parameters(wanted, wording.values(source, language))
    assert missing == ()
    return wording.preview(body, filled)


def all_texts() -> str:
    """Return every text in every language, with everything told and with little told."""
    return "".join(
        f"{language} {name}\n  {rendered(FULL, language, name)}\n"
        f"  {rendered(SPARSE, language, name)}\n"
        for language in pack.languages()
        for name in sorted(pack.read_pack(language).templates)
    )


def test_every_text_reads_as_kept() -> None:
    """All texts of all languages stand in one file; a change shows there."""
    assert all_texts() == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", pack.languages())
def test_the_channel_and_the_engine_read_the_same(language: str) -> None:
    """A preview of the channel shows what the message log keeps."""
    for name, template in pack.read_pack(language).templates.items():
        components = [{"type": "BODY", "text": template.body}]
        wanted = templates.parameters(components)
        filled, _ = wording.parameters(wanted, wording.values(FULL, language))
        assert templates.render(components, filled).text == rendered(FULL, language, name)


@pytest.mark.parametrize("language", pack.languages())
def test_no_text_shows_a_placeholder(language: str) -> None:
    """Whatever is left out has a word in its place."""
    for name in pack.read_pack(language).templates:
        assert "{{" not in rendered(SPARSE, language, name)
