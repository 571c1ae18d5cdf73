"""The channel and the simulator were written apart; here they meet over real sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from core.channels.messages import (
    InboundMessage,
    OutboundMessage,
    Parameter,
    StatusUpdate,
    WebhookRequest,
)
from core.errors import (
    CredentialsRejectedError,
    RetryableError,
    SendError,
    TemplateRejectedError,
    ThrottledError,
)
from core.ids import BusinessId, CustomerId, new_uuid
from plugins.whatsapp import pack
from plugins.whatsapp.channel import WhatsAppChannel
from plugins.whatsapp.connect import connect
from plugins.whatsapp.settings import WhatsAppSettings
from plugins.whatsapp.simulator.app import build_app
from plugins.whatsapp.simulator.options import Options
from plugins.whatsapp.simulator.server import build_server, open_socket
from plugins.whatsapp.simulator.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from core.channels.host import Host
    from core.channels.messages import ProviderEvent

WABA, PHONE, TOKEN = "700100200300400", "100200300400500", "EAAsimulatedToken1"
APP_SECRET = "unit-test-app-secret"
POSITIONAL = {
    "name": "counted",
    "language": "en",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Hello {{1}}"},
        {"type": "BODY", "text": "Dear {{1}}, see you on {{2}} at our place."},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Cancel"},
                {"type": "URL", "text": "Open", "url": "https://example.test/b/{{1}}"},
            ],
        },
    ],
}


class Meeting:
    """The simulator's address, and the news it sent."""

    def __init__(self, url: str, meta: Any) -> None:
        self.url = url
        self.meta = meta

    async def news(self, channel: WhatsAppChannel, number: int) -> list[ProviderEvent]:
        """Wait for so many pieces of news, each body verified before it is read."""
        for _ in range(500):
            if len(told := self._told(channel)) >= number:
                return told
            await asyncio.sleep(0.02)
        raise TimeoutError

    def _told(self, channel: WhatsAppChannel) -> list[ProviderEvent]:
        told: list[ProviderEvent] = []
        for call in self.meta.sent("POST whatsapp"):
            request = WebhookRequest(headers=call.headers, query=call.query, body=call.raw)
            channel.verify(request)
            told.extend(channel.parse(request))
        return told


@pytest.fixture
async def meeting(meta: Any) -> AsyncIterator[Meeting]:
    """Run the simulator, its webhooks going to the stand-in, with one account."""
    meta.on("POST whatsapp", {})
    options = Options(
        webhook_url=f"http://127.0.0.1:{meta.port}/hooks/whatsapp",
        app_secret=APP_SECRET,
        seed=7,
        delay_ms=2,
    )
    with open_socket("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = build_server(build_app(options, Simulator(options)), url)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        for _ in range(500):
            if server.started:
                break
            await asyncio.sleep(0.01)
        account = {
            "waba_id": WABA,
            "phone_number_id": PHONE,
            "display_phone_number": "+39 055 000 4411",
            "verified_name": "Salon Aurora",
            "token": TOKEN,
            "templates": [POSITIONAL, *_pack()],
        }
        async with httpx.AsyncClient(timeout=30) as control:
            answer = await control.post(f"{url}/simulator/accounts", json=account)
        assert answer.status_code == 200, answer.text
        yield Meeting(url, meta)
        server.should_exit = True
        await serving


def _pack() -> list[dict[str, Any]]:
    """Return the template pack as the simulator's accounts take it."""
    drafts = [
        pack.creation(name, language, template)
        for language in pack.languages()
        for name, template in pack.read_pack(language).templates.items()
    ]
    wanted = ("name", "language", "category", "parameter_format", "components")
    return [
        {**{key: draft[key] for key in wanted}, "parameter_format": "NAMED"} for draft in drafts
    ]


@pytest.fixture
def settings(meeting: Meeting) -> WhatsAppSettings:
    """Point the channel at the simulator, with the application it plays."""
    return WhatsAppSettings(app_id=Options().app_id, app_secret=APP_SECRET, graph_url=meeting.url)


@pytest.fixture
async def business(
    stored_host: Host, new_business: Callable[[str], Awaitable[BusinessId]]
) -> BusinessId:
    """Connect one business to the simulator."""
    made = await new_business("aurora")
    checks = await connect(stored_host, made, WABA, PHONE, TOKEN)
    assert all(check.passed for check in checks), checks
    return made


def _message(business: BusinessId, **changes: Any) -> OutboundMessage:
    values = {
        "first_name": "Zoë",
        "business_name": "Salon Aurora",
        "service": "Taglio",
        "date": "mar 24 nov",
        "time": "10:30",
    }
    message = OutboundMessage(
        callback_id="ntf_abc",
        business_id=business,
        customer_id=CustomerId(new_uuid()),
        account=PHONE,
        address="+34600111222",
        template="booking_confirmed",
        language="it",
        parameters=tuple(Parameter(name=name, value=value) for name, value in values.items()),
    )
    return msgspec.structs.replace(message, **changes)


async def test_from_send_to_read(
    stored_host: Host, business: BusinessId, meeting: Meeting
) -> None:
    """A named template is accepted, and its signed news come back with our id, up to read."""
    channel = WhatsAppChannel(stored_host)
    receipt = await channel.send(_message(business))
    news: list[Any] = await meeting.news(channel, 3)
    assert [one.status.value for one in news] == ["sent", "delivered", "read"]
    assert {one.callback_id for one in news} == {"ntf_abc"}
    assert {one.provider_message_id for one in news} == {receipt.provider_message_id}
    assert {one.account for one in news} == {PHONE}


async def test_a_numbered_template_with_header_and_link(
    stored_host: Host, business: BusinessId
) -> None:
    """What the catalogue lists as placeholders is what the provider accepts as values."""
    async with stored_host.begin() as transaction:
        listed = await transaction.fetchval(
            "SELECT parameters FROM channel_template WHERE name = 'counted'"
        )
    assert listed == ["header.1", "1", "2", "button.1"]
    parameters = tuple(Parameter(name=name, value=f"v{at}") for at, name in enumerate(listed))
    message = _message(
        business,
        template="counted",
        language="en",
        parameters=parameters,
        parameter_format="positional",
    )
    channel = WhatsAppChannel(stored_host)
    assert (await channel.send(message)).provider_message_id.startswith("wamid.")
    fewer = msgspec.structs.replace(message, parameters=parameters[:2])
    with pytest.raises(TemplateRejectedError):
        await channel.send(fewer)


async def test_every_template_of_the_pack_can_be_sent(
    stored_host: Host, business: BusinessId
) -> None:
    """The five templates, in each language, pass the provider's own checks."""
    channel = WhatsAppChannel(stored_host)
    sent = 0
    for language in pack.languages():
        for name, template in pack.read_pack(language).templates.items():
            values = tuple(Parameter(name=k, value=v) for k, v in template.examples.items())
            message = _message(business, template=name, language=language, parameters=values)
            await channel.send(message)
            sent += 1
    assert sent == 5 * len(pack.languages())


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("+12025550103", RetryableError),
        ("+12025550104", ThrottledError),
        ("+12025550105", TemplateRejectedError),
        ("+12025550109", CredentialsRejectedError),
    ],
)
async def test_the_simulators_refusals_are_understood(
    stored_host: Host, business: BusinessId, address: str, kind: type[SendError]
) -> None:
    """The numbers with a fixed fate raise the errors that stand for it."""
    with pytest.raises(kind):
        await WhatsAppChannel(stored_host).send(_message(business, address=address))


async def test_a_late_failure_names_its_code(
    stored_host: Host, business: BusinessId, meeting: Meeting
) -> None:
    """A number that is not on WhatsApp is accepted first and refused by news."""
    channel = WhatsAppChannel(stored_host)
    await channel.send(_message(business, address="+12025550102"))
    (news,) = await meeting.news(channel, 1)
    assert isinstance(news, StatusUpdate)
    assert (news.status.value, news.error_code) == ("failed", "131026")
    assert "5550102" not in news.error_detail


async def test_a_token_of_another_account_is_refused(
    stored_host: Host, new_business: Callable[[str], Awaitable[BusinessId]], meeting: Meeting
) -> None:
    """The check of a wrong token fails in plain words and nothing is kept."""
    checks = await connect(stored_host, await new_business("b"), WABA, PHONE, "EAAstranger-token")
    assert [check.passed for check in checks] == [False]
    with pytest.raises(CredentialsRejectedError):
        await WhatsAppChannel(stored_host).send(_message(await new_business("c")))
    assert meeting.meta.calls == []


@pytest.mark.usefixtures("business")
async def test_a_reply_arrives_as_words(stored_host: Host, meeting: Meeting) -> None:
    """What a customer writes on the simulator's phone is told with number and text."""
    async with httpx.AsyncClient(timeout=30) as control:
        answer = await control.post(
            f"{meeting.url}/simulator/inbound",
            json={"phone_number_id": PHONE, "from": "+34600111222", "text": "STOP"},
        )
    assert answer.status_code == 202, answer.text
    (news,) = await meeting.news(WhatsAppChannel(stored_host), 1)
    assert isinstance(news, InboundMessage)
    assert (news.sender, news.text, news.account) == ("+34600111222", "STOP", PHONE)
