"""Writes the OpenAPI document down: `python -m core.api.snapshot docs/openapi.json`.

A test compares the file with the interface, so that it changes on purpose only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from core.api.application import document


def snapshot() -> bytes:
    """Return the document as it is kept: indented, with a line break at its end."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(snapshot())
