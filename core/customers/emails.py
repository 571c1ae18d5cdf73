"""E-mail addresses: the part of RFC 5322 that people use."""

from __future__ import annotations

import re
from typing import Final

_EMAIL: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z]{2,63}"
)


def is_email(text: str) -> bool:
    """Tell whether this can be an e-mail address."""
    return _EMAIL.fullmatch(text) is not None
