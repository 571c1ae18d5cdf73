"""The WhatsApp channel: sends templates and replies, and reads Meta's news."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog

from core.channels.messages import Receipt, Rendered
from core.errors import CredentialsRejectedError, SendError
from plugins.whatsapp import (
    changes,
    connections,
    health,
    payloads,
    shelf,
    sync,
    templates,
    webhooks,
)
from plugins.whatsapp.client import GraphClient
from plugins.whatsapp.credentials import Credentials
from plugins.whatsapp.failures import raised, report_for
from plugins.whatsapp.fields import text_of
from plugins.whatsapp.settings import WhatsAppSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.host import Host, Transaction
    from core.channels.messages import (
        ChannelEvent,
        Check,
        ConnectionState,
        OutboundMessage,
        ProviderEvent,
        WebhookRequest,
    )
    from core.ids import BusinessId

_WAMID_LENGTH: Final = 255
_log: Final = structlog.get_logger(__name__)


class WhatsAppChannel:
    """Speaks to Meta for every business of this host.

    Args:
        host: everything the channel borrows.
    """

    __slots__ = ("_credentials", "_graph", "_host", "_settings")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings = host.options(WhatsAppSettings)
        self._graph = GraphClient(host, self._settings)
        self._credentials = Credentials(host)

    async def send(self, message: OutboundMessage) -> Receipt:
        """Hand one message to Meta, once.

        Raises:
            SendError: the subclass tells the host what to do next.
        """
        body = payloads.build(message)
        credential = await self._credentials.of(message.business_id, message.account)
        try:
            answer = await self._post(message.account, credential.token, body)
        except CredentialsRejectedError as rejection:
            # Refused means not sent, so a token that was replaced meanwhile gets its turn.
            newer = await self._credentials.newer_than(credential, message.account)
            if newer is None:
                await self._report(message, rejection)
                raise
            answer = await self._post(message.account, newer.token, body)
        except SendError as error:
            await self._report(message, error)
            raise
        return Receipt(provider_message_id=_wamid(answer))

    async def render(self, message: OutboundMessage) -> Rendered:
        """Say what the customer would see, without calling Meta.

        Raises:
            TemplateRejectedError: there is no such template here.
        """
        if not message.template:
            return Rendered(text=text_of(payloads.text(message.text)["body"]))
        async with self._host.begin() as transaction:
            draft = await shelf.find(
                transaction, message.business_id, message.template, message.language
            )
        if draft is None:
            raise raised("template-missing", message.template)
        return templates.render(draft.components, message.parameters)

    async def set_state(
        self,
        transaction: Transaction,
        business_id: BusinessId,
        state: ConnectionState,
        reason: str,
    ) -> None:
        """Keep what the host found out, on every number of the business."""
        numbers = await connections.numbers_of(transaction, business_id)
        await connections.change_state(
            transaction,
            [number.id for number in numbers],
            state,
            reason,
            self._host.clock.now(),
        )
        await connections.publish(self._host, transaction, business_id)
        for number in numbers:
            self._credentials.forget(number.phone_number_id)

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Take account, template and quality news into our tables and the catalogue."""
        for account in await changes.apply(self._host, transaction, events):
            self._credentials.forget(account)

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Answer Meta's one-time check of our webhook address; None refuses it."""
        return webhooks.challenge(query, self._settings)

    def verify(self, request: WebhookRequest) -> None:
        """Check over the raw bytes, in constant time, that Meta signed this.

        Raises:
            WebhookRejectedError: wrong or missing signature, or no secret is configured.
        """
        webhooks.verify(request, self._settings)

    def parse(self, request: WebhookRequest) -> Sequence[ProviderEvent]:
        """Translate a verified request into news in our words; pure, never raises."""
        return webhooks.parse(request.body)

    async def probe(self, business_id: BusinessId) -> Sequence[Check]:
        """Look at a business's numbers from the outside and say what is wrong with them."""
        return await health.probe(self._host, self._graph, self._credentials, business_id)

    async def sync(self, business_id: BusinessId) -> int:
        """Read templates and quality back from Meta; return how many templates can be sent.

        Raises:
            SendError: Meta did not answer, or no longer accepts the token.
        """
        return await sync.sync(self._host, self._graph, self._credentials, business_id)

    async def close(self) -> None:
        """Forget every open token."""
        self._credentials.forget_all()

    async def _post(self, account: str, token: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._graph.write(f"{account}/messages", token=token, body=body)

    async def _report(self, message: OutboundMessage, error: SendError) -> None:
        fact = report_for(error.code)
        if not fact:
            return
        try:
            await self._host.report(message.business_id, fact, code=error.code)
        except Exception as trouble:  # noqa: BLE001 - what Meta answered matters more than telling it
            _log.warning("fact-not-reported", fact=fact, error=type(trouble).__name__)


def _wamid(answer: Mapping[str, Any]) -> str:
    """Return the id of an accepted message.

    Raises:
        OutcomeUnknownError: the answer carries none, although Meta called it a success.
    """
    listed = answer.get("messages")
    first = listed[0] if isinstance(listed, list) and listed else None
    found = first.get("id") if isinstance(first, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= _WAMID_LENGTH:
        raise raised("unreadable-answer", "no message id")
    return found
