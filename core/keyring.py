"""The key ring: how it is written, what makes a key unfit, and the ring of a first run."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.errors import ConfigurationError
from core.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32
INDEX_KEY_ID: Final = "index"
DEVELOPMENT_KEY_ID: Final = "development"

_FEWEST_DISTINCT_BYTES: Final = 12
_KEY_ID: Final = re.compile(r"^[A-Za-z0-9_-]{1,32}$")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One 32-byte key of the ring.

    Attributes:
        id: what sealed values name it by.
        encoded: the key in base64.
    """

    id: str
    encoded: Secret

    def material(self) -> bytes:
        """Return the 32 bytes."""
        return base64.b64decode(self.encoded.reveal())


def read_ring(text: str, name: str, faults: list[str]) -> tuple[SecretKey, ...]:
    """Read `id:base64,...`; what is wrong is added to `faults`, without the keys themselves."""
    keys: list[SecretKey] = []
    for place, part in enumerate(text.split(","), start=1):
        key_id, _, encoded = (piece.strip() for piece in part.partition(":"))
        if not _KEY_ID.fullmatch(key_id) or not encoded:
            faults.append(f"{name}: key {place} must look like id:base64.")
        elif fault := key_fault(encoded):
            faults.append(f"{name}: the key {key_id!r} {fault}.")
        else:
            keys.append(SecretKey(key_id, Secret(encoded)))
    if len({key.id for key in keys}) < len(keys):
        faults.append(f"{name}: two keys share one id.")
    if len({key.material() for key in keys}) < len(keys):
        faults.append(f"{name}: one key stands there twice.")
    if keys and keys[0].id == INDEX_KEY_ID:
        faults.append(f"{name}: the key {INDEX_KEY_ID!r} never seals; put another one first.")
    return tuple(keys)


def key_fault(encoded: str) -> str:
    """Say what makes a key unfit, or nothing."""
    try:
        material = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return "is not base64"
    if len(material) != KEY_BYTES:
        return f"must be {KEY_BYTES} bytes in base64"
    if len(set(material)) < _FEWEST_DISTINCT_BYTES or material.isascii():
        return "is not random; make one with: openssl rand -base64 32"
    return ""


def development_keys(data_dir: Path) -> tuple[SecretKey, ...]:
    """Return the key ring of a first run; made once, readable by its owner only.

    Raises:
        ConfigurationError: the key file is damaged, or others may read it.
    """
    path = data_dir / "secret-keys"
    if not path.exists():
        ring = ",".join(
            f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
            for key_id in (DEVELOPMENT_KEY_ID, INDEX_KEY_ID)
        )
        draft = data_dir / f"secret-keys.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(ring)
        try:
            os.link(draft, path)  # of two starters one wins, and both read the winner's keys
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} may be read by others; allow its owner only (0600).")
    faults: list[str] = []
    keys = read_ring(path.read_text().strip(), str(path), faults)
    if faults:
        raise ConfigurationError(*faults)
    return keys
