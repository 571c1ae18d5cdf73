"""Seals what must not be read in the database: AES-256-GCM under a ring of named keys.

A sealed value is 0x01, the length of the key id, the key id, 12 bytes of nonce, ciphertext and
tag. The context it belongs to (table, column, business, row) is authenticated with it, so that a
value copied to another row, column or business does not open there.

Blind indexes and keyed hashes come from a key of their own, because they must stay the same when
the ring is rotated: `PATCHBAY_INDEX_KEY`, else the ring's key named `index`, else its last key.
Who rotates the last key away must set `PATCHBAY_INDEX_KEY` (or name a key `index`) before.
"""

from __future__ import annotations

import base64
import hmac
import os
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import ConfigurationError, PatchbayError
from core.keyring import INDEX_KEY_ID, KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.keyring import SecretKey
    from core.secret import Secret

_FORMAT: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = 2


class VaultError(PatchbayError):
    """A sealed value does not open: damaged, moved, or sealed with a key we do not hold."""


class Vault:
    """Seals and opens secrets; knows which key sealed what.

    Args:
        keys: the ring; the first one seals, all of them open.
        index_key: base64 of the key for blind indexes, if it is not part of the ring.

    Raises:
        ConfigurationError: the ring is empty.
    """

    __slots__ = ("_ciphers", "_first", "_index_key")

    def __init__(self, keys: Sequence[SecretKey], *, index_key: Secret | None = None) -> None:
        if not keys:
            raise ConfigurationError("PATCHBAY_SECRET_KEYS holds no key; the vault needs one.")
        self._ciphers = {key.id: AESGCM(key.material()) for key in keys}
        self._first = keys[0].id
        if index_key is not None:
            root = base64.b64decode(index_key.reveal())
        else:
            named = [key for key in keys if key.id == INDEX_KEY_ID]
            root = (named or keys)[-1].material()
        self._index_key = _derive(root, b"patchbay/index/v1")

    def __repr__(self) -> str:
        """Name the keys, never show them."""
        return f"Vault(keys={sorted(self._ciphers)}, seals_with={self._first!r})"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the vault holds the keys."""
        raise TypeError("A Vault holds keys and is not pickled.")

    def seal(self, plain: bytes, *, context: tuple[str, ...]) -> bytes:
        """Encrypt for storage, bound to (table, column, business, row)."""
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self._first.encode()
        header = bytes((_FORMAT, len(key_id))) + key_id
        cipher = self._ciphers[self._first]
        return header + nonce + cipher.encrypt(nonce, plain, _bound(self._first, context))

    def open(self, sealed: bytes, *, context: tuple[str, ...]) -> bytes:
        """Decrypt what was sealed in this context, with whichever key did it.

        Raises:
            VaultError: damaged, moved to another place, or sealed with an unknown key.
        """
        key_id, start = _key_id(sealed)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError("The value was sealed with a key that is not in the ring.")
        nonce = sealed[start : start + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[start + _NONCE_BYTES :], _bound(key_id, context))
        except InvalidTag:
            raise VaultError("The value was damaged, or it belongs to another place.") from None

    def seal_text(self, plain: str, *, context: tuple[str, ...]) -> bytes:
        """Encrypt text, see `seal`."""
        return self.seal(plain.encode(), context=context)

    def open_text(self, sealed: bytes, *, context: tuple[str, ...]) -> str:
        """Decrypt text, see `open`."""
        return self.open(sealed, context=context).decode()

    def needs_rotation(self, sealed: bytes) -> bool:
        """Tell whether another key than the first one sealed this.

        Raises:
            VaultError: this is no sealed value.
        """
        return _key_id(sealed)[0] != self._first

    def rotate(self, sealed: bytes, *, context: tuple[str, ...]) -> bytes:
        """Seal anew with the first key; what it already sealed comes back as it is.

        Raises:
            VaultError: the value does not open here.
        """
        plain = self.open(sealed, context=context)
        return self.seal(plain, context=context) if self.needs_rotation(sealed) else sealed

    def blind_index(self, business: UUID, kind: str, value: str) -> bytes:
        """Return a keyed hash by which equal values of one business can be found.

        The same value of two businesses, or of two kinds, gives unrelated hashes.
        """
        subkey = self.keyed_hash("blind-index", _joined((kind, str(business))))
        return hmac.digest(subkey, value.encode(), "sha256")

    def keyed_hash(self, label: str, value: bytes) -> bytes:
        """Return a keyed hash that joins rows without holding the value."""
        return hmac.digest(self._index_key, _joined((label,)) + value, "sha256")


def _bound(key_id: str, context: tuple[str, ...]) -> bytes:
    """Return what is authenticated besides the text."""
    return _joined(("v1", key_id, *context))


def _joined(parts: tuple[str, ...]) -> bytes:
    """Join with lengths in front: ("ab", "c") must differ from ("a", "bc")."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _key_id(sealed: bytes) -> tuple[str, int]:
    """Return the id of the key and where the nonce begins."""
    start = _HEADER_BYTES + (sealed[1] if len(sealed) > 1 else 0)
    if len(sealed) < start + _NONCE_BYTES + _TAG_BYTES or sealed[0] != _FORMAT:
        raise VaultError("This is no sealed value.")
    try:
        return sealed[_HEADER_BYTES:start].decode(), start
    except UnicodeDecodeError:
        raise VaultError("This is no sealed value.") from None


def _derive(root: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(root)
