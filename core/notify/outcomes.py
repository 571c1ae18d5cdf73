"""What a channel's error means for its message: the error's type is the instruction."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.errors import (
    CredentialsRejectedError,
    InvalidRecipientError,
    OptedOutError,
    OutcomeUnknownError,
    PermanentError,
    PolicyViolationError,
    SendError,
    TemplateRejectedError,
    ThrottledError,
)
from core.outbox.retry import RetryPolicy
from core.outbox.store import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


class ValueMissingError(PermanentError):
    """The template wants a value that the event did not bring; nothing was sent."""


SHORTEST_THROTTLE: Final = timedelta(seconds=1)
"""Who is asked to slow down waits at least this long, whatever the provider says."""


class NotLeftError(ThrottledError):
    """We kept the message back ourselves: it waits, and nobody else has to for it."""


REASONS: Final = {
    InvalidRecipientError: "recipient-not-reachable",
    TemplateRejectedError: "template-rejected",
    PolicyViolationError: "policy-violation",
    OptedOutError: "opted-out",
    ValueMissingError: "variable-missing",
}
"""Permanent errors with a reason of their own; the others are `provider-rejected`."""


def is_counted(error: SendError | None) -> bool:
    """Tell whether an error is a passing fault that uses up one of the tries."""
    return error is not None and not isinstance(
        error,
        ThrottledError | CredentialsRejectedError | OutcomeUnknownError | PermanentError,
    )


def outcome_of(
    error: SendError,
    message_id: UUID,
    retries_so_far: int,
    random: Callable[[], float],
    policy: RetryPolicy | None = None,
) -> Recorded:
    """Turn an error into the outbox's words.

    Args:
        error: what the channel raised.
        message_id: the notification.
        retries_so_far: how many counted retries it had.
        random: a number from 0 up to 1, for the jitter.
        policy: how long to wait between tries.
    """
    delay: timedelta | None = None
    match error:
        case NotLeftError():
            outcome, reason, delay = "wait", "throttled", error.retry_after
        case ThrottledError():
            delay = max(error.retry_after, SHORTEST_THROTTLE)
            outcome, reason = "wait", "throttled"
        case CredentialsRejectedError():
            outcome, reason, delay = "wait", "credentials-rejected", timedelta(0)
        case OutcomeUnknownError():
            outcome, reason = "unknown", "unconfirmed"
        case PermanentError():
            outcome = "failed"
            reason = REASONS.get(type(error), "provider-rejected")
        case _:
            delay = (policy or RetryPolicy()).delay(retries_so_far, random)
            outcome, reason = (
                ("failed", "retries-exhausted")
                if delay is None
                else ("retry", "temporary-failure")
            )
    return Recorded(id=message_id, outcome=outcome, reason=reason, code=error.code, delay=delay)
