"""Every named reason why a message is not sent, or not yet: one data file for API, pages and docs.

A reason says what is so and what to do about it, in plain words and without personal data.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE: Final = Path(__file__).parent / "reasons.toml"


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reason.

    Attributes:
        code: kebab-case, the same in answers, tables and documentation.
        summary: what is so.
        action: what a person can do next.
        retryable: whether sending the same message again can help.
    """

    code: str
    summary: str
    action: str
    retryable: bool = False


def _read() -> Mapping[str, Reason]:
    told = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {code: msgspec.convert({"code": code, **fields}, Reason) for code, fields in told.items()}
    )


REASONS: Final = _read()
