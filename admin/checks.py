"""What new values of the few changeable columns must look like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import available_timezones

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTRY: Final = re.compile(r"^[A-Z]{2}$")
_LOCALE: Final = re.compile(r"^[a-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}$")


def check_business(values: Mapping[str, Any]) -> str:
    """Return what is wrong with new values of a business, or an empty string."""
    if "name" in values and not str(values["name"] or "").strip():
        return "A business needs a name."
    if "timezone" in values and values["timezone"] not in available_timezones():
        return "The time zone must be a name such as Europe/Rome."
    if values.get("country") and not _COUNTRY.match(values["country"]):
        return "The country must be two capital letters, for example IT."
    if "default_locale" in values and not _LOCALE.match(values["default_locale"] or ""):
        return "The language must be a code such as it or pt-BR."
    return ""
