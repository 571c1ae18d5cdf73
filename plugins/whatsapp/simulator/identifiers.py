"""Makes identifiers that look like Meta's."""

from __future__ import annotations

from base64 import b64encode
from random import Random
from string import ascii_letters, digits

_TRACE_ALPHABET = ascii_letters + digits + "_-"
_TRACE_LENGTH = 22
# The bytes of a message id: a fixed head, the customer's digits, the direction, a hex text.
_HEAD = b"\x1c\x18"
_MIDDLE = b"\x15\x02\x00"
_TO_CUSTOMER = b"\x11\x18\x12"
_FROM_CUSTOMER = b"\x12\x18\x14"


class Identifiers:
    """Draws identifiers; the same seed gives the same sequence."""

    def __init__(self, seed: int | None = None) -> None:
        # Nothing here is a secret; without a seed two runs must not repeat each other's ids.
        self._random = Random(seed)  # noqa: S311 - look-alike identifiers, not keys

    def draw_outbound(self, customer: str) -> str:
        """Return the id of a message to this customer (digits)."""
        return self._compose(customer, _TO_CUSTOMER, 18)

    def draw_inbound(self, customer: str) -> str:
        """Return the id of a message from this customer (digits)."""
        return self._compose(customer, _FROM_CUSTOMER, 20)

    def draw_trace(self) -> str:
        """Return a trace id as error bodies and headers carry it."""
        return "A" + "".join(self._random.choices(_TRACE_ALPHABET, k=_TRACE_LENGTH))

    def draw_object(self) -> str:
        """Return the number of a new object, such as a template."""
        return str(self._random.randrange(10**14, 10**15))

    def draw_hex(self, length: int) -> str:
        """Return so many lowercase hex digits."""
        return f"{self._random.getrandbits(4 * length):0{length}x}"

    def _compose(self, customer: str, direction: bytes, length: int) -> str:
        text = self.draw_hex(length).upper()
        raw = b"".join(
            (
                _HEAD,
                bytes((len(customer),)),
                customer.encode("ascii", "replace"),
                _MIDDLE,
                direction,
                text.encode("ascii"),
                b"\x00",
            ),
        )
        return "wamid." + b64encode(raw).decode("ascii")
