"""Checks the components of a template send against the template, as Meta does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from plugins.whatsapp.simulator.errors import GraphError

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.message_templates import Button, MessageTemplate, Pattern

# Since this version Meta reports faults inside a component with a code of their own.
_VALIDATION_CODE_SINCE: Final = 23
_BAD_SPACING: Final = re.compile(r"[\n\t]| {5,}")
_BUTTON_KINDS: Final = {"QUICK_REPLY": "quick_reply", "URL": "url", "COPY_CODE": "copy_code"}


@dataclass(slots=True)
class Filling:
    """The values of one send."""

    header: dict[str, str] = field(default_factory=dict)
    body: dict[str, str] = field(default_factory=dict)
    buttons: dict[int, str] = field(default_factory=dict)
    header_media: str = ""


def read_parameters(template: MessageTemplate, components: object, version: int) -> Filling:
    """Return the values for every place of the template, or refuse the send."""
    filling = Filling()
    seen: set[tuple[str, int]] = set()
    for component in _read_components(components, version):
        kind = str(component.get("type", "")).lower()
        index = _read_index(component, version) if kind == "button" else 0
        if (kind, index) in seen:
            raise _refuse(version, f"component {kind} is given twice")
        seen.add((kind, index))
        given = _read_list(component, version)
        if kind == "body":
            filling.body = _match(template, template.body, given, "body", version)
        elif kind == "header":
            _fill_header(template, given, filling, version)
        elif kind == "button":
            filling.buttons[index] = _read_button(template, component, index, given, version)
        else:
            raise _refuse(version, f"component type {kind or '(none)'} is not known")
    _require_all(template, filling, seen)
    return filling


def _refuse(version: int, details: str) -> GraphError:
    return GraphError(132018 if version >= _VALIDATION_CODE_SINCE else 100, details)


def _read_components(components: object, version: int) -> list[dict[str, Any]]:
    if components is None:
        return []
    if not isinstance(components, list) or not all(isinstance(c, dict) for c in components):
        raise _refuse(version, "components must be a list of objects")
    return components


def _read_list(component: dict[str, Any], version: int) -> list[dict[str, Any]]:
    given = component.get("parameters", [])
    if not isinstance(given, list) or not all(isinstance(p, dict) for p in given):
        raise _refuse(version, "parameters must be a list of objects")
    return given


def _read_index(component: dict[str, Any], version: int) -> int:
    text = str(component.get("index", ""))
    if not text.isascii() or not text.isdigit() or len(text) > 1:
        raise _refuse(version, "a button's index must be 0 to 9")
    return int(text)


def _match(
    template: MessageTemplate,
    pattern: Pattern,
    given: list[dict[str, Any]],
    place: str,
    version: int,
) -> dict[str, str]:
    expected = pattern.variables
    if len(given) != len(expected):
        raise _refuse_count(place, len(given), len(expected))
    values = [_read_text(parameter, place, version) for parameter in given]
    if not template.is_named:
        if any("parameter_name" in parameter for parameter in given):
            raise GraphError(132012, f"{place}: the template is positional, names are not allowed")
        return dict(zip(expected, values, strict=True))
    names = [str(parameter.get("parameter_name")) for parameter in given]
    if set(names) != set(expected):
        wanted = ", ".join(expected)
        raise GraphError(132012, f"{place}: parameter_name must be each of {wanted} once")
    return dict(zip(names, values, strict=True))


def _refuse_count(place: str, given: int, expected: int) -> GraphError:
    return GraphError(
        132000,
        f"{place}: number of localizable_params ({given}) does not match the expected number of"
        f" params ({expected})",
    )


def _read_text(parameter: dict[str, Any], place: str, version: int) -> str:
    kind = str(parameter.get("type"))
    if kind == "text":
        text = parameter.get("text")
    elif kind in {"currency", "date_time"}:
        inner = parameter.get(kind)
        text = inner.get("fallback_value") if isinstance(inner, dict) else None
    else:
        raise GraphError(132012, f"{place}: expected a text parameter, got {kind}")
    if not isinstance(text, str) or not text:
        raise GraphError(131008, f"{place}: a parameter of type {kind} is missing its text value")
    if _BAD_SPACING.search(text):
        raise _refuse(
            version,
            f"{place}: param text cannot have new-line/tab characters or more than 4"
            " consecutive spaces",
        )
    return text


def _fill_header(
    template: MessageTemplate,
    given: list[dict[str, Any]],
    filling: Filling,
    version: int,
) -> None:
    if template.header is not None:
        filling.header = _match(template, template.header, given, "header", version)
        return
    if not template.header_format:
        raise _refuse_count("header", len(given), 0)
    if len(given) != 1:
        raise _refuse_count("header", len(given), 1)
    wanted = template.header_format.lower()
    media = given[0].get(wanted)
    if given[0].get("type") != wanted or not isinstance(media, dict):
        raise GraphError(132012, f"header: Format mismatch, expected {template.header_format}")
    if wanted != "location" and ("id" in media) == ("link" in media):
        raise GraphError(131008, "header: exactly one of id and link is required")
    filling.header_media = wanted


def _read_button(
    template: MessageTemplate,
    component: dict[str, Any],
    index: int,
    given: list[dict[str, Any]],
    version: int,
) -> str:
    if index >= len(template.buttons):
        raise _refuse(version, f"the template has no button at index {index}")
    button = template.buttons[index]
    kind = str(component.get("sub_type", "")).lower()
    if kind != _BUTTON_KINDS.get(button.kind):
        raise GraphError(132012, f"button at index {index} is of type {button.kind}, not {kind}")
    if len(given) != 1:
        raise _refuse_count(f"button {index}", len(given), 1)
    key = {"quick_reply": "payload", "url": "text", "copy_code": "coupon_code"}[kind]
    value = given[0].get(key)
    if given[0].get("type") != key:
        raise GraphError(132012, f"button {index}: expected a parameter of type {key}")
    if not isinstance(value, str) or not value:
        raise _refuse_button(button, index)
    if kind == "url" and not button.target.variables:
        raise _refuse_count(f"button {index}", 1, 0)
    return value


def _refuse_button(button: Button, index: int) -> GraphError:
    return GraphError(
        131008,
        f"buttons: Button at index {index} of type {button.kind} requires a parameter",
    )


def _require_all(
    template: MessageTemplate,
    filling: Filling,
    seen: set[tuple[str, int]],
) -> None:
    if template.body.variables and ("body", 0) not in seen:
        raise _refuse_count("body", 0, len(template.body.variables))
    header = template.header
    if header is not None and header.variables and ("header", 0) not in seen:
        raise _refuse_count("header", 0, len(header.variables))
    if header is None and template.header_format and not filling.header_media:
        raise GraphError(132012, f"header: Format mismatch, expected {template.header_format}")
    for index, button in enumerate(template.buttons):
        needs = button.kind == "COPY_CODE" or (button.kind == "URL" and button.target.variables)
        if needs and index not in filling.buttons:
            raise _refuse_button(button, index)
