"""Sealed values open only where they belong, and only as they were written."""

from __future__ import annotations

import base64
import pickle
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.keyring import SecretKey
from core.secret import Secret
from core.vault import Vault, VaultError

SHOP = UUID("0192d6a0-0000-7000-8000-000000000001")
SALON = UUID("0192d6a0-0000-7000-8000-000000000002")
PLACE = ("business_whatsapp_config", "access_token_encrypted", str(SHOP), "row-1")
TOKEN = b"EAAG-token-of-a-shop"


def key(name: str, first_byte: int) -> SecretKey:
    """Make a key whose bytes are known."""
    return SecretKey(
        name, Secret(base64.b64encode(bytes(range(first_byte, first_byte + 32))).decode())
    )


OLD, NEW, OTHER = key("k1", 0), key("k2", 100), key("k3", 200)


def test_what_was_sealed_opens_again() -> None:
    """The same vault gives back the same bytes."""
    vault = Vault([OLD])
    assert vault.open(vault.seal(TOKEN, context=PLACE), context=PLACE) == TOKEN


@settings(max_examples=50)
@given(plain=st.text(), context=st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_survives(plain: str, context: list[str]) -> None:
    """Every text, in every context, comes back as it was."""
    vault = Vault([OLD])
    sealed = vault.seal_text(plain, context=tuple(context))
    assert vault.open_text(sealed, context=tuple(context)) == plain


def test_the_format_is_the_documented_one() -> None:
    """Another program can open a value from the written format alone."""
    sealed = Vault([OLD]).seal(TOKEN, context=("a", "bc"))
    assert sealed[:4] == b"\x01\x02k1"
    bound = b"\0\0\0\x02v1" + b"\0\0\0\x02k1" + b"\0\0\0\x01a" + b"\0\0\0\x02bc"
    assert AESGCM(OLD.material()).decrypt(sealed[4:16], sealed[16:], bound) == TOKEN


def test_every_flipped_bit_is_refused() -> None:
    """No single bit of a sealed value, header included, may change unnoticed."""
    vault = Vault([OLD, NEW])
    sealed = vault.seal(TOKEN, context=PLACE)
    opened = []
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            opened.append((bit, vault.open(bytes(damaged), context=PLACE)))
        except VaultError:
            continue
    assert opened == []


def test_every_cut_is_refused() -> None:
    """A value that lost its tail, however long, is refused in our own words."""
    vault = Vault([OLD])
    sealed = vault.seal(TOKEN, context=PLACE)
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            vault.open(sealed[:length], context=PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        (*PLACE[:2], str(SALON), PLACE[3]),
        (PLACE[0], "app_secret_encrypted", *PLACE[2:]),
        (*PLACE[:3], "row-2"),
        ("other_table", *PLACE[1:]),
        PLACE[:3],
        (*PLACE, ""),
        (PLACE[0] + PLACE[1], "", *PLACE[2:]),
    ],
    ids=["business", "column", "row", "table", "shorter", "longer", "shifted"],
)
def test_another_place_does_not_open_it(elsewhere: tuple[str, ...]) -> None:
    """A value copied to another business, column, row or table stays closed."""
    vault = Vault([OLD])
    with pytest.raises(VaultError):
        vault.open(vault.seal(TOKEN, context=PLACE), context=elsewhere)


def test_an_unknown_key_is_named_as_such_without_the_content() -> None:
    """The error says what to look for and shows nothing of the value."""
    sealed = Vault([OTHER]).seal(TOKEN, context=PLACE)
    with pytest.raises(VaultError, match="not in the ring") as caught:
        Vault([OLD]).open(sealed, context=PLACE)
    assert TOKEN.decode() not in str(caught.value)
    assert caught.value.__context__ is None


def test_equal_texts_do_not_look_equal() -> None:
    """Two rows with the same content cannot be linked by their sealed values."""
    vault = Vault([OLD])
    assert vault.seal(TOKEN, context=PLACE) != vault.seal(TOKEN, context=PLACE)


def test_rotation_moves_to_the_first_key_and_then_rests() -> None:
    """After rotation the old key may go; a second rotation changes nothing."""
    before = Vault([OLD]).seal(TOKEN, context=PLACE)
    both = Vault([NEW, OLD])
    assert both.needs_rotation(before)
    rotated = both.rotate(before, context=PLACE)
    assert not both.needs_rotation(rotated)
    assert both.rotate(rotated, context=PLACE) == rotated
    assert Vault([NEW]).open(rotated, context=PLACE) == TOKEN


def test_rotation_refuses_a_value_of_another_place() -> None:
    """Rotation cannot be used to move a value."""
    sealed = Vault([OLD]).seal(TOKEN, context=PLACE)
    with pytest.raises(VaultError):
        Vault([NEW, OLD]).rotate(sealed, context=("elsewhere",))


def test_blind_index_finds_within_a_business_only() -> None:
    """Equal values meet inside one business and kind, and nowhere else."""
    vault = Vault([OLD])
    found = vault.blind_index(SHOP, "phone", "+34600000001")
    assert found == vault.blind_index(SHOP, "phone", "+34600000001")
    others = {
        vault.blind_index(SALON, "phone", "+34600000001"),
        vault.blind_index(SHOP, "email", "+34600000001"),
        vault.blind_index(SHOP, "phone", "+34600000002"),
    }
    assert found not in others
    assert len(others) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Vault([OLD]), Vault([NEW, OLD])),
        (Vault([OLD, key("index", 50)]), Vault([NEW, key("index", 50)])),
        (Vault([OLD], index_key=OTHER.encoded), Vault([NEW], index_key=OTHER.encoded)),
    ],
    ids=["last key stays", "key named index", "index key of its own"],
)
def test_hashes_survive_rotation(before: Vault, after: Vault) -> None:
    """What was stored before a rotation is still found after it."""
    assert before.blind_index(SHOP, "phone", "+1") == after.blind_index(SHOP, "phone", "+1")
    assert before.keyed_hash("api-key", b"x") == after.keyed_hash("api-key", b"x")


def test_keyed_hashes_of_two_labels_are_unrelated() -> None:
    """A hash for one purpose says nothing about another, even with shifted borders."""
    vault = Vault([OLD])
    assert vault.keyed_hash("ab", b"c") != vault.keyed_hash("a", b"bc")


def test_the_vault_hides_its_keys() -> None:
    """Neither repr nor pickle gives a key away, and there is no `vars`."""
    vault = Vault([OLD])
    assert repr(vault) == "Vault(keys=['k1'], seals_with='k1')"
    assert not hasattr(vault, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(vault)


def test_an_empty_ring_stops_the_start() -> None:
    """Without a key nothing may pretend to be sealed."""
    with pytest.raises(ConfigurationError):
        Vault([])
