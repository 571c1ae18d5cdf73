"""Meta's refusals: which HTTP status, code, title and body each one has."""

from __future__ import annotations

from typing import Any, Final

OAUTH: Final = "OAuthException"
METHOD: Final = "GraphMethodException"
DOCS: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/"

# code: (HTTP status, title). The texts of webhooks and of answers are both made from these.
KNOWN: Final[dict[int, tuple[int, str]]] = {
    0: (401, "AuthException"),
    1: (400, "API Unknown"),
    2: (503, "API Service"),
    3: (500, "API Method"),
    4: (429, "API Too Many Calls"),
    10: (403, "Permission Denied"),
    33: (400, "Parameter value is not valid"),
    100: (400, "Invalid parameter"),
    104: (401, "An access token is required to request this resource."),
    190: (401, "Access token has expired"),
    200: (403, "API Permission"),
    368: (403, "Temporarily blocked for policies violations"),
    2635: (400, "You are calling a version of the API that does not exist"),
    80007: (429, "Rate limit issues"),
    130429: (400, "Rate limit hit"),
    130472: (400, "User's number is part of an experiment"),
    130497: (403, "Business account is restricted from messaging users in this country"),
    131000: (500, "Something went wrong"),
    131005: (403, "Access denied"),
    131008: (400, "Required parameter is missing"),
    131009: (400, "Parameter value is not valid"),
    131016: (500, "Service unavailable"),
    131021: (400, "Recipient cannot be sender"),
    131026: (400, "Message undeliverable"),
    131030: (400, "Recipient phone number not in allowed list"),
    131031: (403, "Business Account has been locked"),
    131042: (400, "Business eligibility payment issue"),
    131045: (500, "Incorrect certificate"),
    131047: (400, "Re-engagement message"),
    131048: (400, "Spam rate limit hit"),
    131049: (400, "Message not delivered to maintain healthy ecosystem engagement"),
    131050: (400, "User has stopped marketing messages from this business"),
    131051: (400, "Unsupported message type"),
    131053: (400, "Media upload error"),
    131056: (400, "(Business Account, Consumer Account) pair rate limit hit"),
    131057: (500, "Account in maintenance mode"),
    131062: (400, "Business-scoped user ids are not supported for this message"),
    131064: (400, "Messaging limited because of template classification violations"),
    132000: (400, "Number of parameters does not match the expected number of params"),
    132001: (404, "Template name does not exist in the translation"),
    132005: (400, "Template hydrated text too long"),
    132007: (400, "Template format character policy violated"),
    132012: (400, "Parameter format does not match format in the created template"),
    132015: (400, "Template is paused"),
    132016: (400, "Template is disabled"),
    132018: (400, "Template validation error"),
    133005: (400, "Two step verification PIN mismatch"),
    133010: (400, "Phone number not registered"),
    135000: (400, "Generic user error"),
}


class GraphError(Exception):
    """A request that Meta would refuse, with everything its answer needs."""

    def __init__(
        self,
        code: int,
        details: str = "",
        *,
        status: int | None = None,
        message: str | None = None,
        kind: str = OAUTH,
        subcode: int | None = None,
        is_transient: bool = False,
    ) -> None:
        known_status, title = KNOWN.get(code, (400, "Unknown error"))
        self.code = code
        self.details = details
        self.status = known_status if status is None else status
        self.message = f"(#{code}) {title}" if message is None else message
        self.kind = kind
        self.subcode = subcode
        self.is_transient = is_transient
        super().__init__(self.message)

    def describe(self, trace: str) -> dict[str, Any]:
        """Return the answer's body."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind, "code": self.code}
        if self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.is_transient:
            error["is_transient"] = True
        error["fbtrace_id"] = trace
        return {"error": error}


def describe_failure(code: int, details: str) -> dict[str, Any]:
    """Return an entry of ``statuses[].errors``."""
    title = KNOWN.get(code, (400, "Unknown error"))[1]
    return {
        "code": code,
        "title": title,
        "message": title,
        "error_data": {"details": details},
        "href": DOCS,
    }


def refuse_parameter(text: str) -> GraphError:
    """Return code 100 with Meta's own kind of sentence."""
    return GraphError(100, message=f"(#100) {text}")


def refuse_object(method: str, identifier: str) -> GraphError:
    """Return what Graph says of an object that is absent or that the token may not see."""
    return GraphError(
        100,
        message=f"Unsupported {method.lower()} request. Object with ID '{identifier}' does not"
        " exist, cannot be loaded due to missing permissions, or does not support this operation.",
        kind=METHOD,
        subcode=33,
    )


def refuse_token(subcode: int | None, reason: str) -> GraphError:
    """Return code 190: the token cannot be used."""
    return GraphError(190, message=f"Error validating access token: {reason}", subcode=subcode)
