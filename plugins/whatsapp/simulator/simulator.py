"""The simulator as a whole: its state, and what a customer can do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import httpx

from plugins.whatsapp.simulator.accounts import Accounts
from plugins.whatsapp.simulator.clock import Clock
from plugins.whatsapp.simulator.conversations import Bubble, Conversations
from plugins.whatsapp.simulator.delivery import Delivery
from plugins.whatsapp.simulator.faults import Faults
from plugins.whatsapp.simulator.identifiers import Identifiers
from plugins.whatsapp.simulator.journal import Journal
from plugins.whatsapp.simulator.limits import Limits
from plugins.whatsapp.simulator.magic import MagicNumbers
from plugins.whatsapp.simulator.payloads import describe_inbound
from plugins.whatsapp.simulator.rendering import Rendered

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.accounts import Number
    from plugins.whatsapp.simulator.options import Options

_CHALLENGE_TRIES: Final = 30
_OK: Final = 200


class Simulator:
    """Meta's side of the conversation, held in memory."""

    def __init__(self, options: Options, clock: Clock | None = None) -> None:
        self.options = options
        self.clock = Clock() if clock is None else clock
        self.identifiers = Identifiers(options.seed)
        self.accounts = Accounts(self.identifiers)
        self.journal = Journal(options.journal)
        self.conversations = Conversations()
        self.faults = Faults()
        self.magic = MagicNumbers(self.clock)
        self.limits = Limits(
            self.clock,
            options.throughput,
            has_pair_limit=options.pair_limit,
        )
        self.delivery = Delivery(options, self.clock, self._say_stop)
        self.challenge = "not asked"
        self._challenge_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver webhooks, and send the challenge when that was asked for."""
        self.delivery.start()
        if self.options.verify_webhook:
            self.challenge = "waiting"
            self._challenge_task = asyncio.get_running_loop().create_task(self._repeat_challenge())

    async def stop(self) -> None:
        """Stop everything and close the journal."""
        if self._challenge_task is not None:
            self._challenge_task.cancel()
            await asyncio.gather(self._challenge_task, return_exceptions=True)
        await self.delivery.stop()
        self.journal.close()

    def reset(self) -> None:
        """Forget accounts, messages, faults, added time and what was counted."""
        self.clock.reset()
        self.delivery.clear()
        self.accounts.clear()
        self.journal.clear()
        self.conversations.clear()
        self.faults.clear()
        self.magic.clear()
        self.limits.clear()

    def write_text(self, number: Number, customer: str, text: str) -> str:
        """Let a customer write to a business; returns the message's id."""
        return self._write(number, customer, text, {"type": "text", "text": {"body": text}})

    def press_button(
        self,
        number: Number,
        customer: str,
        payload: str,
        text: str,
        context_id: str,
    ) -> str:
        """Let a customer press a template's quick reply; returns the message's id."""
        content: dict[str, Any] = {"type": "button", "button": {"payload": payload, "text": text}}
        if context_id:
            content["context"] = {"from": number.digits, "id": context_id}
        return self._write(number, customer, text, content)

    async def verify_webhook(self) -> bool:
        """Send the challenge once; the outcome is kept for the health answer."""
        expected = str(int(self.identifiers.draw_hex(8), 16))
        query = {
            "hub.mode": "subscribe",
            "hub.challenge": expected,
            "hub.verify_token": self.options.verify_token,
        }
        if not self.options.webhook_url:
            self.challenge = "no webhook URL"
            return False
        try:
            answer = await self.delivery.client.get(self.options.webhook_url, params=query)
        except httpx.HTTPError as error:
            self.challenge = f"no answer ({type(error).__name__})"
            return False
        if answer.status_code == _OK and answer.text == expected:
            self.challenge = "passed"
            return True
        self.challenge = f"refused (HTTP {answer.status_code})"
        return False

    async def _repeat_challenge(self) -> None:
        # The receiver may start after us.
        for _ in range(_CHALLENGE_TRIES):
            if await self.verify_webhook():
                return
            await asyncio.sleep(1)

    def _say_stop(self, number: Number, customer: str) -> None:
        self.write_text(number, customer, "STOP")

    def _write(self, number: Number, customer: str, text: str, content: dict[str, Any]) -> str:
        identifier = self.identifiers.draw_inbound(customer)
        at = self.clock.timestamp()
        bubble = Bubble(
            id=identifier,
            phone_number_id=number.id,
            customer=customer,
            rendered=Rendered(body=text),
            written_at=at,
            is_inbound=True,
        )
        self.conversations.add(bubble)
        payload = describe_inbound(number, customer, identifier, int(at), content)
        self.delivery.post(payload, is_subscribed=number.waba.subscribed)
        return identifier
