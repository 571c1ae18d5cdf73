"""The published test kit, as a channel's author gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
THEIR_TEST = """
import asyncio

import pytest
from core.channels.messages import OutboundMessage
from core.errors import RetryableError
from core.ids import BusinessId, CustomerId, new_uuid
from core.testing.channels import Step

def test_theirs(patchbay_channel):
    message = OutboundMessage(
        callback_id="ntf_a",
        business_id=BusinessId(new_uuid()),
        customer_id=CustomerId(new_uuid()),
        account="a",
        address="b",
    )
    patchbay_channel.then(Step.RETRY)
    with pytest.raises(RetryableError):
        asyncio.run(patchbay_channel.send(message))
    assert asyncio.run(patchbay_channel.send(message)).provider_message_id == "prov-ntf_a"
    assert len(patchbay_channel.sent) == 2
"""


def test_the_fixtures_work_in_somebody_elses_tests(tmp_path: Path) -> None:
    """With the kit as a plugin, a test of another project scripts a channel."""
    (tmp_path / "test_theirs.py").write_text(THEIR_TEST)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "core.testing.plugin",
            "-p",
            "no:cacheprovider",
        ],
        cwd=tmp_path,
        # By name only: where the product is installed, its entry point would name it again.
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_the_plugin_costs_pytest_nothing() -> None:
    """Every pytest run in the environment loads the plugin: it imports none of the host."""
    code = (
        "import pytest, sys; before = set(sys.modules); import core.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.split() == ["core", "core.testing", "core.testing.plugin"]
