"""Message templates: their definition, checked and taken apart once so that sends stay cheap."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from plugins.whatsapp.simulator.errors import GraphError

NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
CATEGORIES: Final = frozenset({"UTILITY", "MARKETING", "AUTHENTICATION"})
_VARIABLE: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAMED: Final = re.compile(r"[a-z][a-z0-9_]*")
_POSITION: Final = re.compile(r"[1-9][0-9]?")
_MAX_BUTTONS: Final = 10
BODY_LIMIT: Final = 1024
HEADER_LIMIT: Final = 60
FOOTER_LIMIT: Final = 60
BUTTON_LIMIT: Final = 25
MEDIA_FORMATS: Final = frozenset({"IMAGE", "VIDEO", "DOCUMENT", "LOCATION", "GIF"})


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text with places for values."""

    pieces: tuple[str, ...]  # literal, variable, literal, variable, ..., literal
    variables: tuple[str, ...]  # each once, in order of first appearance

    def fill(self, values: dict[str, str]) -> str:
        """Put the values in."""
        if not self.variables:
            return self.pieces[0]
        return "".join(
            values[piece] if place % 2 else piece for place, piece in enumerate(self.pieces)
        )


@dataclass(frozen=True, slots=True)
class Button:
    """One button of a template."""

    kind: str
    label: str
    target: Pattern


@dataclass(slots=True)
class MessageTemplate:
    """A template as an account holds it."""

    id: str
    name: str
    language: str
    category: str
    status: str
    parameter_format: str
    components: list[dict[str, Any]]
    body: Pattern
    header: Pattern | None = None
    header_format: str = ""
    footer: str = ""
    buttons: tuple[Button, ...] = field(default=())

    @property
    def is_named(self) -> bool:
        """Whether parameters go by name."""
        return self.parameter_format == "NAMED"


def compile_template(
    definition: dict[str, Any],
    identifier: str,
    status: str,
) -> MessageTemplate:
    """Check a definition and take it apart; raises GraphError 100."""
    name, language = definition.get("name"), definition.get("language")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _refuse("name may hold lowercase letters, digits and underscores only")
    if not isinstance(language, str) or not LANGUAGE.fullmatch(language):
        raise _refuse("language is not a supported language code")
    category = str(definition.get("category", "")).upper()
    if category not in CATEGORIES:
        raise _refuse("category must be one of UTILITY, MARKETING, AUTHENTICATION")
    components = definition.get("components")
    if not isinstance(components, list) or not all(isinstance(c, dict) for c in components):
        raise _refuse("components must be a list of objects")
    named = str(definition.get("parameter_format", "POSITIONAL")).upper()
    if named not in {"NAMED", "POSITIONAL"}:
        raise _refuse("parameter_format must be NAMED or POSITIONAL")
    parts = _sort_components(components)
    if "BODY" not in parts:
        raise _refuse("a template needs a BODY component")
    header = parts.get("HEADER", {})
    header_format = str(header.get("format", "TEXT")).upper() if header else ""
    if header_format not in MEDIA_FORMATS | {"TEXT", ""}:
        raise _refuse("the header's format is not known")
    return MessageTemplate(
        id=identifier,
        name=name,
        language=language,
        category=category,
        status=status.upper(),
        parameter_format=named,
        components=components,
        body=_read_pattern(parts["BODY"], named, BODY_LIMIT),
        header=_read_pattern(header, named, HEADER_LIMIT) if header_format == "TEXT" else None,
        header_format=header_format,
        footer=_read_footer(parts.get("FOOTER")),
        buttons=_read_buttons(parts.get("BUTTONS"), named),
    )


def _refuse(text: str) -> GraphError:
    return GraphError(100, text, message="Invalid parameter")


def _sort_components(components: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {}
    for component in components:
        kind = str(component.get("type", "")).upper()
        if kind not in {"HEADER", "BODY", "FOOTER", "BUTTONS"}:
            raise _refuse(f"component type {kind or '(none)'} is not known")
        if kind in parts:
            raise _refuse(f"{kind} is given twice")
        parts[kind] = component
    return parts


def _read_pattern(component: dict[str, Any], named: str, limit: int) -> Pattern:
    text = component.get("text")
    if not isinstance(text, str) or not text.strip():
        raise _refuse("text is required")
    if len(text) > limit:
        raise _refuse(f"text must be at most {limit} characters long")
    return _split_text(text, named)


def _split_text(text: str, named: str) -> Pattern:
    pieces = tuple(_VARIABLE.split(text))
    if any("{{" in literal or "}}" in literal for literal in pieces[::2]):
        raise _refuse("the braces of a variable are not balanced")
    variables = tuple(dict.fromkeys(pieces[1::2]))
    if named == "NAMED":
        if not all(_NAMED.fullmatch(variable) for variable in variables):
            raise _refuse("a named variable may hold lowercase letters, digits and underscores")
        return Pattern(pieces, variables)
    if not all(_POSITION.fullmatch(variable) for variable in variables):
        raise _refuse("the variables of a positional template are numbers")
    ordered = tuple(sorted(variables, key=int))
    if ordered != tuple(str(place) for place in range(1, len(ordered) + 1)):
        raise _refuse("positional variables must be sequential from 1")
    return Pattern(pieces, ordered)


def _read_footer(component: dict[str, Any] | None) -> str:
    if component is None:
        return ""
    pattern = _read_pattern(component, "NAMED", FOOTER_LIMIT)
    if pattern.variables:
        raise _refuse("a footer holds no variables")
    return pattern.pieces[0]


def _read_buttons(component: dict[str, Any] | None, named: str) -> tuple[Button, ...]:
    if component is None:
        return ()
    found = component.get("buttons")
    if not isinstance(found, list) or not 0 < len(found) <= _MAX_BUTTONS:
        raise _refuse(f"buttons must be a list of 1 to {_MAX_BUTTONS}")
    return tuple(_read_button(button, named) for button in found)


def _read_button(button: object, named: str) -> Button:
    if not isinstance(button, dict):
        raise _refuse("a button must be an object")
    kind = str(button.get("type", "")).upper()
    label = button.get("text", "Copy code" if kind == "COPY_CODE" else None)
    if not isinstance(label, str) or not 0 < len(label) <= BUTTON_LIMIT:
        raise _refuse(f"a button's text is required and at most {BUTTON_LIMIT} characters long")
    target = button.get("url", "") if kind == "URL" else button.get("phone_number", "")
    if kind == "URL" and not target:
        raise _refuse("a URL button needs its url")
    # A URL's only variable is {{1}}, whatever the format of the template's text.
    style = "POSITIONAL" if kind == "URL" and "{{1}}" in str(target) else named
    return Button(kind=kind, label=label, target=_split_text(str(target), style))
