"""The benchmark at its smallest: it works, and the provider's journal finds nothing amiss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fixture_house import process_environment

from bench.__main__ import quick_measures
from bench.ground import APP_SECRET, CHANNEL, Ground

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_postgres import FreshDatabase


@pytest.fixture
def ground(migrated_database: FreshDatabase, tmp_path: Path) -> Ground:
    """Give the measures the test's own database."""
    return Ground(
        environment=process_environment(
            migrated_database,
            PATCHBAY_CHANNELS=CHANNEL,
            PATCHBAY_WHATSAPP_APP_SECRET=APP_SECRET,
        ),
        superuser_url=migrated_database.superuser_url,
        folder=tmp_path,
    )


async def test_claim_and_drain_are_measured(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker of its own sends all of it once; every figure that was promised is printed."""
    measures = quick_measures()
    await measures["claim"](ground)
    assert "claimed twice 0" in capsys.readouterr().out
    await measures["drain"](ground)
    printed = capsys.readouterr().out
    assert "120 messages, lost 0, doubled 0" in printed
    assert "CPU per 1,000" in printed
