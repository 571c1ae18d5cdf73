"""A channel that does as it is told: for tests of the host, and of what surrounds a channel."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import msgspec

from core.channels.messages import (
    Check,
    ProviderEvent,
    Receipt,
    Rendered,
    Status,
    StatusUpdate,
)
from core.channels.plugin import ChannelPlugin
from core.errors import (
    CredentialsRejectedError,
    OutcomeUnknownError,
    PermanentError,
    RetryableError,
    ThrottledError,
    ThrottleScope,
    WebhookRejectedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.channel import Channel
    from core.channels.host import Host, Transaction
    from core.channels.messages import (
        ChannelEvent,
        ConnectionState,
        OutboundMessage,
        WebhookRequest,
    )
    from core.ids import BusinessId

SIGNATURE = "x-scripted-signature"
SIGNED = "yes"


class Step(StrEnum):
    """What the provider does with the next message."""

    ACCEPT = "accept"
    RETRY = "retry"
    THROTTLE = "throttle"
    HANG = "hang"
    LOSE_ANSWER = "lose-answer"
    REFUSE = "refuse"
    REJECT_CREDENTIALS = "reject-credentials"
    BREAK = "break"


@dataclass
class ScriptedChannel:
    """Follows a script of steps, one per message; after its end every message is accepted.

    Attributes:
        latency: seconds each answer takes.
        retry_after: what a throttled message is told to wait.
        sent: the messages that were handed over, in order.
        accepted: callback id of an accepted message -> the provider's id.
        most_at_once: the most messages that were on their way at one time.
        most_per_business: the same for the busiest business.
        released: lets messages that hang go on; they are then accepted.
    """

    latency: float = 0.0
    retry_after: timedelta = timedelta(milliseconds=200)
    script: deque[Step] = field(default_factory=deque)
    sent: list[OutboundMessage] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    most_at_once: int = 0
    most_per_business: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    _under_way: Counter[BusinessId] = field(default_factory=Counter)

    def then(self, *steps: Step) -> None:
        """Write steps at the end of the script."""
        self.script.extend(steps)

    async def send(self, message: OutboundMessage) -> Receipt:
        """Do with the message what the script says.

        Raises:
            SendError: if the script says so.
        """
        step = self.script.popleft() if self.script else Step.ACCEPT
        self.sent.append(message)
        self._under_way[message.business_id] += 1
        self.most_at_once = max(self.most_at_once, self._under_way.total())
        self.most_per_business = max(self.most_per_business, *self._under_way.values())
        try:
            await asyncio.sleep(self.latency)
            return await self._do(step, message)
        finally:
            self._under_way[message.business_id] -= 1

    async def _do(self, step: Step, message: OutboundMessage) -> Receipt:
        match step:
            case Step.RETRY:
                raise RetryableError("the provider is down", code="503")
            case Step.THROTTLE:
                raise ThrottledError(
                    "slower", scope=ThrottleScope.RECIPIENT, retry_after=self.retry_after
                )
            case Step.LOSE_ANSWER:
                raise OutcomeUnknownError("no answer came", code="no-answer")
            case Step.REFUSE:
                raise PermanentError("the provider refuses", code="400")
            case Step.REJECT_CREDENTIALS:
                raise CredentialsRejectedError("the token is no longer valid", code="401")
            case Step.BREAK:
                raise RuntimeError("the channel is broken")
            case Step.HANG:
                await self.released.wait()
            case Step.ACCEPT:
                pass
        return Receipt(provider_message_id=self._take(message))

    def _take(self, message: OutboundMessage) -> str:
        return self.accepted.setdefault(message.callback_id, f"prov-{message.callback_id}")

    async def render(self, message: OutboundMessage) -> Rendered:
        """Show the values."""
        return Rendered(text=message.text or ", ".join(p.value for p in message.parameters))

    async def set_state(
        self,
        transaction: Transaction,
        business_id: BusinessId,
        state: ConnectionState,
        reason: str,
    ) -> None:
        """Keep nothing."""

    async def apply(self, transaction: Transaction, events: Sequence[ChannelEvent]) -> None:
        """Keep nothing."""

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """Give the challenge back."""
        return query.get("challenge")

    def verify(self, request: WebhookRequest) -> None:
        """Look for the mark.

        Raises:
            WebhookRejectedError: it is not there.
        """
        if request.headers.get(SIGNATURE) != SIGNED:
            raise WebhookRejectedError("not signed")

    def parse(self, request: WebhookRequest) -> Sequence[ProviderEvent]:
        """Read a list of status updates."""
        return msgspec.json.decode(request.body, type=list[StatusUpdate])

    async def probe(self, business_id: BusinessId) -> Sequence[Check]:
        """Be well."""
        del business_id
        return [Check(name="scripted", passed=True, detail="It does as it is told.")]

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class ScriptedPlugin(ChannelPlugin):
    """Brings a scripted channel, and nothing else."""

    name: ClassVar[str] = "scripted"
    title: ClassVar[str] = "Scripted"
    settles_by_callback: ClassVar[bool] = True

    def __init__(self, scripted: ScriptedChannel | None = None) -> None:
        self.scripted = scripted or ScriptedChannel()

    def channel(self, host: Host) -> Channel:
        """Return the one scripted channel."""
        del host
        return self.scripted


def status_body(account: str, updates: Sequence[tuple[str, str, Status]]) -> bytes:
    """Write a provider's call: (callback id, provider's id, status) of each message."""
    now = datetime.fromtimestamp(0, UTC) + timedelta(days=20_000)
    return msgspec.json.encode(
        [
            StatusUpdate(
                account=account,
                callback_id=callback,
                dedupe=f"{provider_id}:{status.value}",
                provider_message_id=provider_id,
                status=status,
                occurred_at=now,
            )
            for callback, provider_id, status in updates
        ]
    )
