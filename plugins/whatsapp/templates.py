"""Reads Meta's templates: placeholders, state, and what the customer would see; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from core.channels.messages import Rendered
from plugins.whatsapp.fields import part, text_of
from plugins.whatsapp.payloads import BUTTON, COPY_CODE, HEADER, clean
from plugins.whatsapp.tables import Category, TemplateStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.channels.messages import Parameter

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]{1,50})\s*\}\}")
_CATEGORIES: Final = {category.value: category for category in Category}

_STATUSES: Final = {
    "APPROVED": TemplateStatus.APPROVED,
    "PENDING": TemplateStatus.PENDING,
    "IN_APPEAL": TemplateStatus.PENDING,
    # Usable again, says the event; only reading the template back makes it so.
    "REINSTATED": TemplateStatus.PENDING,
    "UNARCHIVED": TemplateStatus.PENDING,
    "REJECTED": TemplateStatus.REJECTED,
    "PAUSED": TemplateStatus.PAUSED,
    "FLAGGED": TemplateStatus.PAUSED,
    "LOCKED": TemplateStatus.PAUSED,
    "DISABLED": TemplateStatus.DISABLED,
    "ARCHIVED": TemplateStatus.DISABLED,
    "DELETED": TemplateStatus.DISABLED,
    "PENDING_DELETION": TemplateStatus.DISABLED,
    "LIMIT_EXCEEDED": TemplateStatus.DISABLED,
}
# What a send can fill; a template with another component cannot be sent from here.
_COMPONENTS: Final = frozenset({"HEADER", "BODY", "FOOTER", "BUTTONS"})
_BUTTONS: Final = frozenset(
    {
        "QUICK_REPLY",
        "URL",
        "PHONE_NUMBER",
        "COPY_CODE",
        "OTP",
        "VOICE_CALL",
        "REQUEST_CONTACT_INFO",
    }
)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A template as read from Meta, in the words of our tables.

    Attributes:
        parameters: the placeholders in order, each named with its place (see `payloads`).
        unfit: why it cannot be sent from here although Meta approved it; empty if it can.
    """

    name: str
    language: str
    category: str
    status: str
    meta_id: str
    meta_status: str
    components: list[dict[str, Any]]
    parameter_format: str
    parameters: tuple[str, ...]
    body: str
    quality: str = ""
    rejected_reason: str = ""
    unfit: str = ""

    @property
    def usable(self) -> bool:
        """Tell whether it may be sent now."""
        return self.status == TemplateStatus.APPROVED and not self.unfit

    @property
    def reason(self) -> str:
        """Return why it may not be sent, as a word for programs."""
        if self.status != TemplateStatus.APPROVED:
            return f"template-{self.status}"
        return self.unfit


def read(row: Mapping[str, Any]) -> Draft | None:
    """Read one template of a listing; None if it has no name or language."""
    name, language = text_of(row.get("name"), 512), text_of(row.get("language"), 16)
    if not name or not language:
        return None
    listed = row.get("components")
    components = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    meta_status = text_of(row.get("status"), 32).upper()
    rejected = text_of(row.get("rejected_reason"), 200)
    return Draft(
        name=name,
        language=language.replace("-", "_"),
        category=category(text_of(row.get("category"), 32)),
        status=status(meta_status),
        meta_id=text_of(row.get("id"), 64),
        meta_status=meta_status,
        components=components,
        parameter_format=parameter_format(text_of(row.get("parameter_format"), 16), components),
        parameters=parameters(components),
        body=_component_text(components, "BODY"),
        quality=text_of(part(row, "quality_score").get("score"), 16).upper(),
        rejected_reason="" if rejected == "NONE" else rejected,
        unfit=_unfit(components),
    )


def status(meta_status: str) -> TemplateStatus:
    """Return our word for Meta's; a word we do not know never reads approved."""
    return _STATUSES.get(meta_status.upper(), TemplateStatus.DISABLED)


def category(meta_category: str) -> Category:
    """Return our word for Meta's category; the strictest one for a word we do not know."""
    return _CATEGORIES.get(meta_category.lower(), Category.MARKETING)


def parameter_format(said: str, components: Iterable[Mapping[str, Any]]) -> str:
    """Return named or positional: what Meta says, else what the placeholders look like."""
    if said.upper() in {"NAMED", "POSITIONAL"}:
        return said.lower()
    names = [n.removeprefix(HEADER) for n in parameters(components) if not _is_button(n)]
    return "positional" if all(name.isdigit() for name in names) else "named"


def parameters(components: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return every placeholder once, in the order header, body, buttons."""
    found: dict[str, None] = {}
    listed = list(components)
    for kind, prefix in (("HEADER", HEADER), ("BODY", "")):
        names = dict.fromkeys(_PLACEHOLDER.findall(_component_text(listed, kind)))
        ordered = sorted(names, key=int) if all(n.isdigit() for n in names) else list(names)
        found.update(dict.fromkeys(f"{prefix}{name}" for name in ordered))
    for index, button in enumerate(_buttons(listed)):
        kind = text_of(button.get("type"), 32).upper()
        if kind == "COPY_CODE":
            found[f"{COPY_CODE}{index}"] = None
        elif kind == "OTP" or _PLACEHOLDER.search(text_of(button.get("url"))):
            found[f"{BUTTON}{index}"] = None
    return tuple(found)


def render(components: Iterable[Mapping[str, Any]], values: Iterable[Parameter]) -> Rendered:
    """Return what the customer would see; a placeholder without a value stays visible."""
    listed = list(components)
    given = {value.name: clean(value.value) for value in values}
    header = {n.removeprefix(HEADER): v for n, v in given.items() if n.startswith(HEADER)}
    body = {n: v for n, v in given.items() if not n.startswith(HEADER) and not _is_button(n)}
    return Rendered(
        text=_filled(_component_text(listed, "BODY"), body),
        header=_filled(_component_text(listed, "HEADER"), header),
        footer=_component_text(listed, "FOOTER"),
        buttons=tuple(text_of(button.get("text"), 60) for button in _buttons(listed)),
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def _is_button(name: str) -> bool:
    return name.startswith((BUTTON, COPY_CODE))


def _component_text(components: Iterable[Mapping[str, Any]], kind: str) -> str:
    for component in components:
        if text_of(component.get("type"), 32).upper() == kind:
            return text_of(component.get("text"))
    return ""


def _buttons(components: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    for component in components:
        if text_of(component.get("type"), 32).upper() == "BUTTONS":
            listed = component.get("buttons")
            return [b for b in listed if isinstance(b, dict)] if isinstance(listed, list) else []
    return []


def _unfit(components: list[dict[str, Any]]) -> str:
    for component in components:
        kind = text_of(component.get("type"), 32).upper()
        if kind not in _COMPONENTS:
            return "component-unsupported"
        if kind == "HEADER" and text_of(component.get("format"), 32).upper() not in {"", "TEXT"}:
            return "header-unsupported"
    kinds = {text_of(button.get("type"), 32).upper() for button in _buttons(components)}
    return "button-unsupported" if kinds - _BUTTONS else ""
