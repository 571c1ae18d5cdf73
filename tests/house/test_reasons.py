"""Every reason why a message is not sent is explained on one page."""

from __future__ import annotations

import re
from pathlib import Path

from core.notify.reasons import REASONS, Reason

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reasons.md"


def block(reason: Reason) -> str:
    """Write a reason as the page shows it."""
    again = "Sending it again can help." if reason.retryable else "Sending it again does not help."
    return f"## {reason.code}\n\n{reason.summary} {again}\n\nWhat to do: {reason.action}\n"


def test_every_reason_is_explained_as_the_code_has_it() -> None:
    """The page holds each reason's own block; the failure prints the blocks to put there."""
    page = PAGE.read_text()
    missing = [block(reason) for reason in REASONS.values() if block(reason) not in page]
    assert not missing, "\n".join(missing)


def test_no_reason_is_explained_that_does_not_exist() -> None:
    """A reason that is gone leaves the page, too."""
    explained = re.findall(r"^## (\S+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(REASONS)


def test_reasons_are_codes_and_sentences() -> None:
    """A code is kebab-case, and what people read ends like a sentence."""
    for code, reason in REASONS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert reason.code == code
        assert reason.summary.endswith(".")
        assert reason.action.endswith(".")
