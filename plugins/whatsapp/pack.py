"""The five templates every booking business needs (specification 6), ready to be submitted.

The texts are in `locales/`, one file per language. `faults` applies Meta's rules that can be
checked here, so that a draft is not sent away only to come back rejected.
"""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from core.channels.host import Template
from plugins.whatsapp.templates import parameters

if TYPE_CHECKING:
    from core.ids import BusinessId

BODY_LENGTH: Final = 1024
_NAME: Final = re.compile(r"^[a-z0-9_]{1,512}$")
_PLACEHOLDER: Final = re.compile(r"\{\{([a-z_]+)\}\}")
_AT_AN_END: Final = re.compile(r"^\s*\{\{|\}\}\W*$")
_ADJACENT: Final = re.compile(r"\}\}\s*\{\{")


class PackTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One template of the pack.

    Attributes:
        examples: a value for each placeholder, in the order of the text.
        ttl_seconds: after so long Meta gives up delivering; None is Meta's own default.
    """

    category: Literal["utility"]
    body: str
    examples: dict[str, str]
    ttl_seconds: Annotated[int, msgspec.Meta(ge=30, le=43_200)] | None = None


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The templates of one language by name."""

    language: str
    templates: dict[str, PackTemplate]


def languages() -> list[str]:
    """Return the languages the pack is written in."""
    folder = files("plugins.whatsapp").joinpath("locales")
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def read_pack(language: str) -> Pack:
    """Read the pack of one language.

    Raises:
        LookupError: it is not written in this language.
    """
    if language not in languages():
        raise LookupError(f"The template pack is not written in {language}.")
    file = files("plugins.whatsapp").joinpath("locales", f"{language}.toml")
    return msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), Pack)


def creation(name: str, language: str, template: PackTemplate) -> dict[str, Any]:
    """Return the body by which Meta is asked to approve a template."""
    examples = [{"param_name": key, "example": template.examples[key]} for key in _names(template)]
    component: dict[str, Any] = {"type": "BODY", "text": template.body}
    if examples:
        component["example"] = {"body_text_named_params": examples}
    body: dict[str, Any] = {
        "name": name,
        "language": language,
        "category": template.category.upper(),
        "parameter_format": "named",
        "components": [component],
    }
    if template.ttl_seconds is not None:
        body["message_send_ttl_seconds"] = template.ttl_seconds
    return body


def pack_templates(business_id: BusinessId) -> list[Template]:
    """Return the whole pack as the catalogue would hold it, approved."""
    return [
        Template(
            business_id=business_id,
            name=name,
            language=language,
            usable=True,
            category=template.category,
            parameters=_names(template),
            body=template.body,
        )
        for language in languages()
        for name, template in read_pack(language).templates.items()
    ]


def faults(name: str, template: PackTemplate) -> list[str]:
    """Return why Meta would reject a draft, as far as can be told from here."""
    found: list[str] = []
    if not _NAME.match(name):
        found.append("the name may hold only lower-case letters, digits and underscores")
    if len(template.body) > BODY_LENGTH:
        found.append(f"the body is longer than {BODY_LENGTH} characters")
    if _AT_AN_END.search(template.body):
        found.append("a placeholder stands at the very start or end")
    if _ADJACENT.search(template.body):
        found.append("two placeholders stand side by side")
    if template.body.count("{{") != len(_PLACEHOLDER.findall(template.body)):
        found.append("a placeholder is not written as {{lower_case_name}}")
    if set(_names(template)) != set(template.examples):
        found.append("the examples do not fit the placeholders")
    return found


def _names(template: PackTemplate) -> tuple[str, ...]:
    return parameters([{"type": "BODY", "text": template.body}])
