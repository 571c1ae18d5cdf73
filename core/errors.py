"""Every error this code raises on purpose; an error's type is an instruction.

* PatchbayError
  x ConfigurationError            stop at start, with every fault at once
    + PluginContractError         a plugin breaks the contract; it is left out, the host goes on
  x ProblemError                  a caller's mistake; becomes an RFC 9457 answer
    + PermissionDeniedError
    + NotFoundError
    + ConflictError
    + InvalidInputError
  x SendError                     raised by Channel.send
    + RetryableError              try again later; counts
    + ThrottledError              wait; does not count
    + OutcomeUnknownError         it may have been sent: unconfirmed, never a blind repeat
    + CredentialsRejectedError    pause this connection, tell the business, keep the queue
    + PermanentError              stop
      - InvalidRecipientError
      - TemplateRejectedError
      - PolicyViolationError
      - OptedOutError             stop, and write a revocation
  x WebhookRejectedError          the call did not come from the provider: 401
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta


class PatchbayError(Exception):
    """Base of every error this code raises on purpose."""


class ConfigurationError(PatchbayError):
    """The settings or the surroundings do not allow a start; lists every fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class PluginContractError(ConfigurationError):
    """A plugin does not keep the contract; it is left out and named."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One thing that is wrong with one field of a request.

    Attributes:
        pointer: JSON pointer to the field (RFC 6901), "" for the whole body.
        code: kebab-case word for programs.
        message: a sentence for people.
    """

    pointer: str
    code: str
    message: str


class ProblemError(PatchbayError):
    """A caller's mistake, ready to become an RFC 9457 answer.

    Args:
        detail: what went wrong this time, in a sentence.
        code: the problem type, a slug of the catalogue (rest-api, B2).
        errors: the faulty fields, if any.
    """

    status = 400
    code = "malformed"

    def __init__(
        self, detail: str, *, code: str | None = None, errors: Sequence[FieldFault] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        if code is not None:
            self.code = code


class PermissionDeniedError(ProblemError):
    """The caller is known but may not do this."""

    status = 403
    code = "scope-missing"


class NotFoundError(ProblemError):
    """There is no such thing, or it belongs to somebody else: the answer is the same."""

    status = 404
    code = "not-found"


class ConflictError(ProblemError):
    """The thing is in a state that does not allow this, or a key is in use."""

    status = 409
    code = "conflict"


class InvalidInputError(ProblemError):
    """Well-formed, but not valid."""

    status = 422
    code = "validation"


class SendError(PatchbayError):
    """A channel could not hand the message over; the subclass says what to do.

    Args:
        detail: plain words without personal data.
        code: the provider's own code, kept next to our words for it.
    """

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class RetryableError(SendError):
    """Surely not sent; try again later, and count it."""


class ThrottleScope(StrEnum):
    """How far a provider's "slow down" reaches."""

    RECIPIENT = "recipient"
    CONNECTION = "connection"
    ACCOUNT = "account"
    APPLICATION = "application"


class ThrottledError(SendError):
    """The provider asked us to slow down; wait, and do not count an attempt."""

    def __init__(
        self, detail: str, *, scope: ThrottleScope, retry_after: timedelta, code: str = ""
    ) -> None:
        super().__init__(detail, code=code)
        self.scope = scope
        self.retry_after = retry_after


class OutcomeUnknownError(SendError):
    """The request left and no answer came: it may have been sent."""


class CredentialsRejectedError(SendError):
    """The provider no longer accepts this business's credentials."""


class PermanentError(SendError):
    """Trying again will not help."""


class InvalidRecipientError(PermanentError):
    """The address cannot be reached on this channel."""


class TemplateRejectedError(PermanentError):
    """The provider does not accept this template, or not with these values."""


class PolicyViolationError(PermanentError):
    """The provider refuses for policy reasons; repeating it harms the account."""


class OptedOutError(PermanentError):
    """The recipient told the provider to stop; the core writes a revocation.

    Args:
        detail: plain words without personal data.
        code: the provider's own code.
        purposes: what the person no longer wants; everything, unless the provider said less.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "",
        purposes: tuple[str, ...] = ("transactional", "marketing"),
    ) -> None:
        super().__init__(detail, code=code)
        self.purposes = purposes


class WebhookRejectedError(PatchbayError):
    """The request did not come from the provider, or cannot be trusted."""
