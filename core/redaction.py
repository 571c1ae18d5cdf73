"""What is never logged: secrets, addresses, and what people wrote to each other.

Three nets, one behind the other: fields with a telling name are masked whole; texts are searched
for what looks like a secret or an address; objects of unknown type show their type only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

MASK: Final = "***"
LIMIT_BYTES: Final = 8192

_DEPTH: Final = 6
_ITEMS: Final = 64
_KEY_CHARACTERS: Final = 128
_TAIL: Final = 512  # longer than any secret that a cut could leave half of
_BIGGEST: Final = 2**64
_WIDEST: Final = 4  # bytes of a character in UTF-8

_TELLING_WORDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "email",
        "mobile",
        "otp",
        "passwd",
        "password",
        "phone",
        "phones",
        "pin",
        "secret",
        "secrets",
        "signature",
        "token",
        "tokens",
    }
)
_TELLING_NAMES: Final = frozenset(
    {
        "address",
        "addresses",
        "answer",
        "api_key",
        "apikey",
        "bodies",
        "body",
        "caption",
        "contact",
        "contacts",
        "content",
        "content_snapshot",
        "customer_name",
        "display_name",
        "family_name",
        "first_name",
        "from",
        "full_name",
        "given_name",
        "headers",
        "last_name",
        "local_variables",
        "locals",
        "message_text",
        "messages",
        "msisdn",
        "name",
        "names",
        "parameters",
        "params",
        "payload",
        "payload_json",
        "proof",
        "proof_reference",
        "provider_message_id",
        "query",
        "raw",
        "recipient",
        "recipients",
        "secret_keys",
        "surname",
        "text",
        "texts",
        "to",
        "value",
        "values",
        "variables",
        "wa_id",
        "wamid",
    }
)
_HARMLESS_NAMES: Final = frozenset({"phone_number_id", "token_expires_at", "waba_id"})
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_ASSIGNED: Final = (
    r"(?i)((?:token|secret|password|passwd|api_?key|\bpin)"
    r"[\"']?\s?[=:]\s?[\"']?)[^\s&\"',;]+"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"wamid\.[\w+/=-]+", "wamid.***"),
        (r"(?i)\b(bearer|basic)(\s+|%20|\+)[^\s\"',;]+", r"\1 ***"),
        (r"EAA[A-Za-z0-9]{8,}", "EAA***"),
        (r"\bpb_(live|test)_[\w-]+", r"pb_\1_***"),
        (r"\bwhsec_[\w+/=-]+", "whsec_***"),
        (r"(://[^\s:/@]{0,256}):[^\s/@]{1,512}@", r"\1:***@"),
        (_ASSIGNED, r"\1***"),
        (r"([?&]code=)[^\s&]+", r"\1***"),
        (r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+", "***@***"),
        (r"(?:\+|%2[Bb]|\\u002[bB])[ ]?\d(?:[ ().\-/]{0,2}\d){6,14}", MASK),
        (r"(?<![\w-])(?:00)?\d{10,15}(?!\w)", MASK),
    )
)
_MARKS: Final = (
    *("@", "+", "%", "\\", "://", "code=", "pin", "token", "secret", "passw", "apikey", "api_key"),
    *("wamid", "bearer", "basic", "eaa", "pb_", "whsec_"),
)
"""What no pattern but the last can do without: most texts hold none and are done after a look."""

_LONG_NUMBER: Final = re.compile(r"(?<![\w-])\d{10}")


@lru_cache(maxsize=2048)
def is_telling(name: str) -> bool:
    """Tell whether a field of this name may hold what must not be logged."""
    plain = _CAMEL.sub("_", name).lower().replace("-", "_").replace(".", "_")
    if plain in _HARMLESS_NAMES:
        return False
    return plain in _TELLING_NAMES or not _TELLING_WORDS.isdisjoint(plain.split("_"))


def scrub(text: str) -> str:
    """Mask what looks like a secret or an address, and cut the text to 8 KiB."""
    cut = len(text) > LIMIT_BYTES
    if cut:
        text = text[:LIMIT_BYTES]
        blank = max(text.rfind(" ", LIMIT_BYTES - _TAIL), text.rfind("\n", LIMIT_BYTES - _TAIL))
        text = text[: blank if blank > 0 else LIMIT_BYTES - _TAIL]
    lowered = text.lower()
    if any(mark in lowered for mark in _MARKS) or _LONG_NUMBER.search(text):
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
    if not cut and len(text) * _WIDEST <= LIMIT_BYTES:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    room = LIMIT_BYTES - len("…".encode())
    if len(encoded) > room:
        text, cut = encoded[:room].decode("utf-8", "ignore"), True
    return f"{text}…" if cut else text


def redact(value: object, depth: int = _DEPTH) -> Any:
    """Return the value as plain JSON types that are fit for a log."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < _BIGGEST else f"<{value.bit_length()} bits>"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return scrub(str(value))
    if isinstance(value, (UUID, datetime, date, timedelta, PurePath)):
        return scrub(str(value))
    return _redact_shape(value, depth)


def redact_fields(fields: Mapping[Any, Any], depth: int = _DEPTH) -> dict[str, Any]:
    """Mask the telling fields of a mapping and redact the others."""
    shown: dict[str, Any] = {}
    for name, value in list(fields.items())[:_ITEMS]:
        key = (
            scrub(name[:_KEY_CHARACTERS]) if isinstance(name, str) else f"<{type(name).__name__}>"
        )
        harmless = value is None or isinstance(value, bool)
        shown[key] = MASK if is_telling(key) and not harmless else redact(value, depth)
    if len(fields) > _ITEMS:
        shown["…"] = len(fields) - _ITEMS
    return shown


def _redact_shape(value: object, depth: int) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {first_line(value)}"
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return redact_fields(value, depth - 1)
    if isinstance(value, (list, tuple, set, frozenset)):
        rest = [f"… {len(value) - _ITEMS} more"] if len(value) > _ITEMS else []
        return [redact(item, depth - 1) for item in list(value)[:_ITEMS]] + rest
    return f"<{type(value).__name__}>"


def first_line(error: BaseException) -> str:
    """Return what an error says, without the further lines in which drivers quote values."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not cost the log line
        return "<no text>"
    lines = text.splitlines()
    return scrub(lines[0]) if lines else ""
