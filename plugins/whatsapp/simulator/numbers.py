"""Phone numbers as Meta reads them."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from plugins.whatsapp.simulator.errors import GraphError

_ALLOWED: Final = re.compile(r"\+?[0-9 ()\-.]{5,32}")
_E164: Final = re.compile(r"[1-9][0-9]{6,14}")
_SCOPED: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9]{1,128}")
_NOT_DIGITS: Final = re.compile(r"[^0-9]")
# The calling codes of two digits; 1 and 7 have one, every other has three.
_TWO_DIGITS: Final = frozenset(
    str(code)
    for code in (
        *(20, 27, *range(30, 35), 36, 39, 40, 41, *range(43, 50)),
        *(*range(51, 59), *range(60, 67), 81, 82, 84, 86, *range(90, 96), 98),
    )
)
_COUNTRIES: Final = {
    "1": "US", "7": "KZ", "27": "ZA", "30": "GR", "31": "NL", "32": "BE", "33": "FR", "34": "ES",
    "39": "IT", "40": "RO", "41": "CH", "43": "AT", "44": "GB", "45": "DK", "46": "SE",
    "47": "NO", "48": "PL", "49": "DE", "52": "MX", "54": "AR", "55": "BR", "57": "CO",
    "61": "AU", "62": "ID", "65": "SG", "81": "JP", "90": "TR", "91": "IN", "351": "PT",
    "353": "IE", "971": "AE", "972": "IL",
}  # fmt: skip


def read_calling_code(number: str) -> str:
    """Return the country calling code that digits begin with."""
    if number[:1] in {"1", "7"}:
        return number[:1]
    return number[:2] if number[:2] in _TWO_DIGITS else number[:3]


def strip_number(text: str) -> str:
    """Return the digits of a number."""
    return _NOT_DIGITS.sub("", text)


def read_recipient(text: str, sender: str) -> str:
    """Return the digits a message goes to.

    A number without ``+`` that does not begin with the sender's calling code gets that code put
    in front, as Meta does: the message then goes to somebody else.
    """
    if not _ALLOWED.fullmatch(text):
        raise GraphError(131009, "Recipient phone number is not a valid phone number")
    digits = strip_number(text)
    code = read_calling_code(sender)
    if not text.startswith("+") and not digits.startswith(code):
        digits = code + digits
    if not _E164.fullmatch(digits):
        raise GraphError(131009, "Recipient phone number is not a valid phone number")
    return digits


def read_customer(text: str) -> str | None:
    """Return who a customer is: digits, or a business-scoped user id; None for anything else."""
    if _SCOPED.fullmatch(text):
        return text
    digits = strip_number(text)
    return digits if _ALLOWED.fullmatch(text) and _E164.fullmatch(digits) else None


def read_scoped_id(text: str) -> str:
    """Return a business-scoped user id, or refuse what is none."""
    if not _SCOPED.fullmatch(text):
        raise GraphError(131009, "recipient is not a valid business-scoped user id")
    return text


def derive_scoped_id(digits: str) -> str:
    """Return the business-scoped user id that stands for a number; the same each time."""
    country = _COUNTRIES.get(read_calling_code(digits), "US")
    return f"{country}.{int(sha256(digits.encode()).hexdigest()[:9], 16):011d}"
