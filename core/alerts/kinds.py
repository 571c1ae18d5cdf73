"""The catalogue of alerts: what each kind means, how grave it is, and what to do about it.

The core's kinds stand in `kinds.toml`; a channel's own facts in an `alerts.toml` of the same form
in the plugin's folder, without the slug. API, mail and command line read the same words.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from core.errors import PluginContractError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.channels.registry import Registry

FILE: Final = "alerts.toml"
LANGUAGES: Final = ("en", "es", "it")

_CORE: Final = Path(__file__).parent / "kinds.toml"


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sentence in every language of the staff."""

    en: str
    es: str = ""
    it: str = ""

    def in_language(self, language: str) -> str:
        """Return it in this language, else in English."""
        return str(getattr(self, language, "") or self.en)


class Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of alert.

    Attributes:
        summary: what is so.
        action: what a person can do next.
        ends_with: `connection` when an account that works again ends it.
        by_mail: whether people are written about it.
    """

    severity: Literal["info", "warning", "critical"]
    summary: Words
    action: Words
    ends_with: Literal["", "connection"] = ""
    by_mail: bool = True


def read_kinds(path: Path, slug: str = "") -> dict[str, Kind]:
    """Read a file of kinds; a plugin's own are named `<slug>.<fact>`.

    Raises:
        PluginContractError: the file is not as it should be.
    """
    try:
        told = msgspec.convert(tomllib.loads(path.read_text()), dict[str, Kind])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PluginContractError(f"{path.name}: {error}") from error
    return {f"{slug}.{name}" if slug else name: kind for name, kind in told.items()}


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(read_kinds(_CORE))
"""The core's own kinds."""

_UNNAMED: Final = Kind(
    severity="warning",
    summary=Words(
        en="A channel reported something that a person should look at.",
        es="Un canal informó de algo que una persona debería mirar.",
        it="Un canale ha segnalato qualcosa che una persona dovrebbe guardare.",
    ),
    action=Words(
        en="Look at the channel's page and at the provider's.",
        es="Mire la página del canal y la del proveedor.",
        it="Guardi la pagina del canale e quella del fornitore.",
    ),
)


def kinds_of(registry: Registry) -> dict[str, Kind]:
    """Return the kinds of the core and of every loaded plugin."""
    found = dict(KINDS)
    for slug in registry.plugins:
        found |= plugin_kinds(registry, slug)
    return found


def plugin_kinds(registry: Registry, slug: str) -> dict[str, Kind]:
    """Return one plugin's own kinds.

    Raises:
        PluginContractError: its file is not as it should be.
    """
    package = registry.packages.get(slug)
    if package is None:
        return {}
    return _kept(Path(str(import_module(package).__file__)).parent / FILE, slug)


@cache
def _kept(path: Path, slug: str) -> dict[str, Kind]:
    return read_kinds(path, slug) if path.is_file() else {}


def kind_named(kinds: Mapping[str, Kind], name: str) -> Kind:
    """Return a kind; what a channel reports without a word of its own gets general ones."""
    return kinds.get(name, _UNNAMED)
