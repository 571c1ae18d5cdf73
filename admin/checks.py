"""What new values of the few changeable columns must look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.businesses.places import is_country, is_locale, is_timezone

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_business(values: Mapping[str, Any]) -> str:
    """Return what is wrong with new values of a business, or an empty string."""
    if "name" in values and not str(values["name"] or "").strip():
        return "A business needs a name."
    if "timezone" in values and not is_timezone(values["timezone"] or ""):
        return "The time zone must be a name such as Europe/Rome."
    if values.get("country") and not is_country(values["country"]):
        return "The country must be two capital letters, for example IT."
    if "default_locale" in values and not is_locale(values["default_locale"] or ""):
        return "The language must be a code such as it or pt-BR."
    return ""
