"""Every named reason why a message is not sent, or not yet: one table for API, pages and docs.

A reason says what is so and what to do about it, in plain words and without personal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason.

    Attributes:
        code: kebab-case, the same in answers, tables and documentation.
        summary: what is so.
        action: what a person can do next.
        retryable: whether sending the same message again can help.
    """

    code: str
    summary: str
    action: str
    retryable: bool = False


_ALL: Final = (
    Reason(
        code="rule-disabled",
        summary="The business switched this rule off.",
        action="Switch the rule on, if such messages are wanted.",
    ),
    # Checks, in the order they run (specification 8).
    Reason(
        code="channel-disabled",
        summary="This channel is switched off for the business.",
        action="Switch the channel on in the business's settings.",
    ),
    Reason(
        code="channel-unavailable",
        summary="The plugin of this channel is not loaded.",
        action="Ask the platform's operators; `patchbay plugin list` names the fault.",
    ),
    Reason(
        code="business-not-connected",
        summary="The business has no working connection on this channel.",
        action="Connect the business's account, or connect it again.",
        retryable=True,
    ),
    Reason(
        code="template-unknown",
        summary="The provider holds no template of this name in a fitting language.",
        action="Create the template and have it approved, then synchronise the templates.",
        retryable=True,
    ),
    Reason(
        code="template-not-approved",
        summary="The provider has not approved this template, or has paused it.",
        action="Look at the template's state at the provider; edit it or wait for the approval.",
        retryable=True,
    ),
    Reason(
        code="consent-missing",
        summary="The customer never agreed to be written to on this channel.",
        action="Ask the customer; record the consent with its text and its source.",
    ),
    Reason(
        code="consent-revoked",
        summary="The customer withdrew the consent for this channel.",
        action="Nothing may be sent; only the customer can agree again.",
    ),
    Reason(
        code="marketing-consent-missing",
        summary="This is advertising, and the customer did not agree to advertising.",
        action="Ask for consent to advertising, or use a template that is no advertising.",
    ),
    Reason(
        code="address-missing",
        summary="There is no address of this customer for the channel.",
        action="Send the customer's phone number or address with the next event.",
    ),
    Reason(
        code="address-suppressed",
        summary="Somebody with this address asked that nobody writes to it.",
        action="Nothing may be sent to this address.",
    ),
    Reason(
        code="variable-missing",
        summary="The template needs a value that the event did not bring.",
        action="Send the missing field with the event, or change the template.",
    ),
    Reason(
        code="superseded",
        summary="A newer event of the same booking made this message pointless.",
        action="Nothing; the newer message counts.",
    ),
    Reason(
        code="expired",
        summary="The message would have come too late to be useful.",
        action="Nothing; look at the delays if this happens often.",
    ),
    Reason(
        code="too-late",
        summary="The booking came too late for this message: its moment had passed.",
        action="Nothing; a later reminder still goes out if its moment is ahead.",
    ),
    Reason(
        code="quiet-hours",
        summary="Its moment lay in the business's quiet hours, and it was not to be deferred.",
        action="Change the rule's quiet hours, or let it defer messages.",
    ),
    Reason(
        code="already-sent",
        summary="The same reminder of this booking was sent already, or is on its way.",
        action="Nothing.",
    ),
    # While it waits.
    Reason(
        code="held",
        summary="Sending stands still for this business; the message waits.",
        action="Look at the connection's state and lift what stops it.",
        retryable=True,
    ),
    Reason(
        code="temporary-failure",
        summary="The provider had a passing fault; the message will be tried again.",
        action="Nothing; it is tried up to five times more.",
        retryable=True,
    ),
    Reason(
        code="throttled",
        summary="The provider asked us to slow down; the message waits its turn.",
        action="Nothing; the waiting is not counted as a try.",
        retryable=True,
    ),
    Reason(
        code="recipient-paced",
        summary="The provider wants fewer messages to this recipient; the message waits its turn.",
        action="Nothing; others are not held up by it.",
        retryable=True,
    ),
    Reason(
        code="credentials-rejected",
        summary="The provider no longer accepts the business's credentials; the message waits.",
        action="Connect the business's account again; the queue is kept.",
        retryable=True,
    ),
    Reason(
        code="unconfirmed",
        summary="It may have been sent: the provider's answer never came.",
        action="Wait for the provider's news, or settle it by hand; it is not sent again blindly.",
    ),
    # Final.
    Reason(
        code="retries-exhausted",
        summary="Every try failed.",
        action="Look at the last error of the provider, then send it again.",
        retryable=True,
    ),
    Reason(
        code="unknown-outcome",
        summary="It may have been sent, and this provider cannot tell us.",
        action="Ask the customer, or send it again knowing that it may come twice.",
        retryable=True,
    ),
    Reason(
        code="recipient-not-reachable",
        summary="The address cannot be reached on this channel.",
        action="Check the number, or use another channel; trying again will not help.",
    ),
    Reason(
        code="template-rejected",
        summary="The provider refused the template or its values.",
        action="Compare the template with the values sent, and correct it at the provider.",
    ),
    Reason(
        code="policy-violation",
        summary="The provider refused the message for policy reasons.",
        action="Read the provider's policy notice before anything more is sent.",
    ),
    Reason(
        code="opted-out",
        summary="The customer told the provider to stop messages of this business.",
        action="Nothing may be sent; the consent was revoked.",
    ),
    Reason(
        code="provider-rejected",
        summary="The provider refused the message for good.",
        action="Look at the provider's code; trying again will not help.",
    ),
    Reason(
        code="provider-failed",
        summary="The provider took the message over and could not deliver it.",
        action="Look at the provider's code to see whether sending it again can help.",
    ),
    Reason(
        code="recipient-limit",
        summary="This recipient got as many messages today as one recipient may get.",
        action="Look for a loop in the booking system; raise `per_recipient_day` if it is none.",
    ),
    Reason(
        code="settled-failed",
        summary="The provider's answer was lost, and a person said that nothing was sent.",
        action="Send it again if it is still wanted.",
        retryable=True,
    ),
    Reason(
        code="delivered-meanwhile",
        summary="The message whose place it was to take has arrived after all.",
        action="Nothing; the customer has the message once.",
    ),
    Reason(
        code="delivered-twice",
        summary="It arrived, but so late that the next channel had taken over already.",
        action="If it happens often, allow more time: raise the rule's `fallback_after`.",
    ),
    Reason(
        code="canceled",
        summary="A person or the booking system canceled the message.",
        action="Nothing.",
    ),
)

REASONS: Final = MappingProxyType({reason.code: reason for reason in _ALL})
