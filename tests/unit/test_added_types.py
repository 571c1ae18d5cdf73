"""What a channel must keep to when it adds event types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from core.channels.plugin import EventType
from core.channels.registry import _check
from core.errors import PluginContractError
from core.testing.channels import ScriptedPlugin

if TYPE_CHECKING:
    from collections.abc import Sequence


class Open(msgspec.Struct):
    """Takes anything."""


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    """Takes nothing."""


class Odd(msgspec.Struct, forbid_unknown_fields=True):
    """Cannot be described."""

    thing: complex


def plugin_with(*kinds: EventType) -> ScriptedPlugin:
    """Return a plugin that adds these types."""

    class Adding(ScriptedPlugin):
        def event_types(self) -> Sequence[EventType]:
            return kinds

    return Adding()


def kind(name: str, details: type[Any] = Closed) -> EventType:
    """Return an event type."""
    return EventType(name=name, meaning="It happened.", details=details)


def test_a_type_of_ones_own_is_taken() -> None:
    """Its name begins with the slug, its details are closed."""
    _check("scripted", plugin_with(kind("scripted.done"), kind("scripted.seat.moved")))


@pytest.mark.parametrize(
    "kinds",
    [
        (kind("booking.confirmed"),),
        (kind("other.done"),),
        (kind("scripted"),),
        (kind("scripted.Done"),),
        (kind("scripted." + "x" * 60),),
        (kind("scripted.done"), kind("scripted.done")),
        (kind("scripted.done", Open),),
    ],
)
def test_what_breaks_the_contract_is_refused(kinds: tuple[EventType, ...]) -> None:
    """Somebody else's names, names twice, and details that take anything."""
    with pytest.raises(PluginContractError):
        _check("scripted", plugin_with(*kinds))


def test_details_without_a_schema_are_refused() -> None:
    """Callers could not be told what to send."""
    with pytest.raises(TypeError):
        _check("scripted", plugin_with(kind("scripted.done", Odd)))
