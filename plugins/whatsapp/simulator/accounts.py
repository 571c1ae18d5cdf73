"""The business accounts, their numbers, tokens and templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from plugins.whatsapp.simulator.errors import GraphError, refuse_object, refuse_token
from plugins.whatsapp.simulator.message_templates import MessageTemplate, compile_template
from plugins.whatsapp.simulator.numbers import strip_number

if TYPE_CHECKING:
    from plugins.whatsapp.simulator.identifiers import Identifiers

MESSAGING: Final = "whatsapp_business_messaging"
MANAGEMENT: Final = "whatsapp_business_management"

Identifier = Annotated[str, msgspec.Meta(pattern="^[0-9]{3,32}$")]


class TemplateDefinition(msgspec.Struct, forbid_unknown_fields=True):
    """A template as the control API takes it."""

    name: str
    language: str
    category: str = "UTILITY"
    status: str = "APPROVED"
    parameter_format: str = "POSITIONAL"
    components: list[dict[str, Any]] = []


class AccountDefinition(msgspec.Struct, forbid_unknown_fields=True):
    """An account with one number, as the control API takes it."""

    waba_id: Identifier
    phone_number_id: Identifier
    display_phone_number: Annotated[str, msgspec.Meta(min_length=5, max_length=32)]
    verified_name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    token: Annotated[str, msgspec.Meta(min_length=8, max_length=4096)]
    templates: list[TemplateDefinition] = []
    scopes: tuple[str, ...] = (MANAGEMENT, MESSAGING)
    access: Literal["valid", "expired", "revoked"] = "valid"
    token_expires_at: Annotated[int, msgspec.Meta(ge=0)] = 0
    registered: bool = True
    subscribed: bool = True


class Number(msgspec.Struct):
    """A phone number a business sends from."""

    id: str
    waba: Waba
    display: str
    digits: str
    verified_name: str
    registered: bool = True
    pin: str = ""
    service_messages: int = 0


class Waba(msgspec.Struct):
    """A WhatsApp business account."""

    id: str
    token: str = ""
    access: str = "valid"
    token_expires_at: int = 0
    scopes: frozenset[str] = frozenset()
    subscribed: bool = True
    numbers: dict[str, Number] = {}
    templates: dict[tuple[str, str], MessageTemplate] = {}


class Accounts:
    """Everything that requests can name, with who may see it."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers
        self.wabas: dict[str, Waba] = {}
        self.numbers: dict[str, Number] = {}
        self._tokens: dict[str, Waba] = {}

    def clear(self) -> None:
        """Forget every account."""
        self.wabas.clear()
        self.numbers.clear()
        self._tokens.clear()

    def upsert(self, definition: AccountDefinition) -> Number:
        """Create or change an account, its number and the templates that are named."""
        holder = self._tokens.get(definition.token)
        if holder is not None and holder.id != definition.waba_id:
            raise GraphError(100, "this token already belongs to another account")
        number = self.numbers.get(definition.phone_number_id)
        if number is not None and number.waba.id != definition.waba_id:
            raise GraphError(100, "this phone number already belongs to another account")
        compiled = [
            compile_template(
                msgspec.to_builtins(template),
                self._identifiers.draw_object(),
                template.status,
            )
            for template in definition.templates
        ]
        waba = self.wabas.setdefault(definition.waba_id, Waba(id=definition.waba_id))
        self._tokens.pop(waba.token, None)
        self._tokens[definition.token] = waba
        waba.token, waba.access = definition.token, definition.access
        waba.token_expires_at = definition.token_expires_at
        waba.scopes, waba.subscribed = frozenset(definition.scopes), definition.subscribed
        for template in compiled:
            self.put_template(waba, template)
        return self._put_number(waba, definition)

    def put_template(self, waba: Waba, template: MessageTemplate) -> None:
        """Store a template; one that exists keeps its id."""
        known = waba.templates.get((template.name, template.language))
        if known is not None:
            template.id = known.id
        waba.templates[template.name, template.language] = template

    def find_by_token(self, token: str) -> Waba | None:
        """Return the account a token was made for, whatever the token's state."""
        return self._tokens.get(token)

    def authenticate(self, token: str) -> Waba:
        """Return the account a token opens, or refuse with code 190."""
        waba = self._tokens.get(token)
        if waba is None:
            raise GraphError(190, message="Invalid OAuth access token - Cannot parse access token")
        if waba.access == "expired":
            raise refuse_token(463, "Session has expired.")
        if waba.access == "revoked":
            raise refuse_token(467, "The session has been invalidated.")
        return waba

    def find_number(self, waba: Waba, identifier: str, method: str) -> Number:
        """Return a number of this account; anything else looks absent."""
        number = waba.numbers.get(identifier)
        if number is None:
            raise refuse_object(method, identifier)
        return number

    def _put_number(self, waba: Waba, definition: AccountDefinition) -> Number:
        number = waba.numbers.get(definition.phone_number_id)
        if number is None:
            number = Number(
                id=definition.phone_number_id,
                waba=waba,
                display="",
                digits="",
                verified_name="",
            )
        number.display = definition.display_phone_number
        number.digits = strip_number(definition.display_phone_number)
        number.verified_name = definition.verified_name
        number.registered = definition.registered
        waba.numbers[number.id] = number
        self.numbers[number.id] = number
        return number


def require_scope(waba: Waba, scope: str) -> None:
    """Refuse a token that lacks a permission: code 10 for messages, 200 for the rest."""
    if scope in waba.scopes:
        return
    if scope == MESSAGING:
        raise GraphError(
            10,
            message="(#10) Application does not have permission for this action",
        )
    raise GraphError(200, message=f"(#200) You do not have the {scope} permission")


def describe_account(number: Number) -> dict[str, Any]:
    """Return what the control API shows of an account; never its token."""
    waba = number.waba
    return {
        "waba_id": waba.id,
        "phone_number_id": number.id,
        "display_phone_number": number.display,
        "verified_name": number.verified_name,
        "access": waba.access,
        "registered": number.registered,
        "subscribed": waba.subscribed,
        "templates": [
            {
                "name": template.name,
                "language": template.language,
                "category": template.category,
                "status": template.status,
                "parameter_format": template.parameter_format,
            }
            for template in waba.templates.values()
        ],
    }
