"""The console channel by itself: its texts, what it refuses, what it shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest

from core.channels.messages import OutboundMessage, Parameter, WebhookRequest
from core.channels.registry import load
from core.errors import WebhookRejectedError
from core.ids import BusinessId, CustomerId
from plugins.console.templates import templates_of

REQUIRED = {
    "booking_confirmed",
    "booking_rescheduled",
    "booking_canceled",
    "reminder_24h",
    "reminder_2h",
}


@pytest.fixture
def channel() -> Any:
    """Build the channel as the host does; it needs nothing of the host for what is tested here."""
    return load(only=("console",)).plugins["console"].channel(cast("Any", SimpleNamespace()))


def message(template: str, language: str, text: str = "", **values: str) -> OutboundMessage:
    """Make a message."""
    return OutboundMessage(
        callback_id="ntf_x",
        business_id=BusinessId(uuid4()),
        customer_id=CustomerId(uuid4()),
        account="console:x",
        address="+393331234567",
        template=template,
        language=language,
        text=text,
        parameters=tuple(Parameter(name=name, value=value) for name, value in values.items()),
    )


def test_the_required_templates_are_there_in_two_languages() -> None:
    """Connecting brings the five templates of the specification, each with its placeholders."""
    made = templates_of(BusinessId(uuid4()))
    assert {(one.name, one.language) for one in made} == {
        (name, language) for name in REQUIRED for language in ("en", "it")
    }
    known = {"first_name", "business_name", "service", "date", "time"}
    for one in made:
        assert one.usable
        assert set(one.parameters) <= known
        assert len(one.parameters) >= 4
        assert all(f"{{{{{name}}}}}" in one.body for name in one.parameters)
        same = {set(two.parameters) == set(one.parameters) for two in made if two.name == one.name}
        assert same == {True}


async def test_what_the_customer_would_see(channel: Any) -> None:
    """A preview has the values in it; a free text is itself; a strange template shows its name."""
    shown = await channel.render(
        message("reminder_2h", "en", first_name="Ada", business_name="Aurora", time="9:30")
    )
    assert shown.text == "Hello Ada, Aurora expects you today at 9:30: {{service}}."
    assert (await channel.render(message("", "", text="Hi"))).text == "Hi"
    assert (await channel.render(message("own", "en", a="1"))).text == "own a=1"


def test_nobody_may_call(channel: Any) -> None:
    """There is no provider, so a webhook and its challenge are refused."""
    call = WebhookRequest(headers={}, query={}, body=b"{}")
    with pytest.raises(WebhookRejectedError):
        channel.verify(call)
    assert channel.challenge({"hub.challenge": "1"}) is None
    assert channel.parse(call) == ()
