"""Who may do what: roles and their actions stand here, memberships are rows (rulings C).

One function answers for the admin, the console and whoever else has a person in front of it.
Its answer carries the reason, so that a refusal can be explained in a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.access.tables import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.ids import BusinessId

ACTIONS: Final = {
    "business.read": "see the business's name, time zone and language",
    "business.change": "change the business's name, time zone and language",
    "customers.read": "see which customers there are, by the booking system's id",
    "consents.read": "see consents and their history",
    "consent-texts.read": "see the sentences people agreed to",
    "notifications.read": "see events, decisions, notifications and why each was sent or not",
    "channels.read": "see connections, templates and the channels' own tables",
    "channels.change": "change what a channel's own screens allow to change",
    "limits.read": "see caps and how much of them is used",
    "alerts.read": "see alerts",
    "alerts.acknowledge": "take an alert on",
    "members.read": "see who works here and in which role",
    "keys.read": "see API keys, never their secrets",
    "audit.read": "see the audit trail",
}
"""Every action of the core and what it lets a person do."""

_WATCH: Final = frozenset(
    {
        "business.read",
        "consent-texts.read",
        "notifications.read",
        "channels.read",
        "limits.read",
        "alerts.read",
    }
)
_RUN: Final = _WATCH | {
    "customers.read",
    "consents.read",
    "channels.change",
    "alerts.acknowledge",
}
_OVERSEE: Final = frozenset({"members.read", "keys.read", "audit.read"})

ROLE_ACTIONS: Final = {
    Role.OWNER: _RUN | _OVERSEE | {"business.change"},
    Role.MANAGER: _RUN,
    Role.VIEWER: _WATCH,
    Role.PRIVACY_OFFICER: frozenset(
        {
            "business.read",
            "customers.read",
            "consents.read",
            "consent-texts.read",
            "notifications.read",
            "audit.read",
        }
    ),
    Role.SUPPORT: _WATCH,
    Role.PLATFORM_OPERATOR: _WATCH
    | _OVERSEE
    | {"customers.read", "consents.read", "alerts.acknowledge"},
    Role.PLATFORM_ADMIN: frozenset(ACTIONS),
}
"""What each role may do. A channel's own actions go to whoever may `channels.change`."""

PLATFORM_ROLES: Final = frozenset({Role.PLATFORM_OPERATOR, Role.PLATFORM_ADMIN})
"""Roles that are held on the platform; the others are held in one business."""

_AREAS: Final = frozenset(action.partition(".")[0] for action in ACTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One role a person holds; `business_id` is None for the platform's own."""

    role: Role
    business_id: BusinessId | None = None
    business_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A signed-in person.

    Attributes:
        held: every role they hold.
        business_id: the business they work in now; None means the platform, or nothing at all.
    """

    user_id: int
    username: str
    locale: str = "en"
    held: tuple[Held, ...] = ()
    business_id: BusinessId | None = None

    @property
    def on_platform(self) -> bool:
        """Tell whether they work for the platform rather than for one business."""
        return self.business_id is None and any(one.business_id is None for one in self.held)

    @property
    def businesses(self) -> tuple[Held, ...]:
        """Return the businesses they may choose from, one entry each, by name."""
        first = {one.business_id: one for one in self.held if one.business_id is not None}
        return tuple(sorted(first.values(), key=lambda one: (one.business_name, str(one))))

    @property
    def business_name(self) -> str:
        """Return the name of the business they work in now."""
        chosen = (one.business_name for one in self.held if one.business_id == self.business_id)
        return next(chosen, "") if self.business_id is not None else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, and why in a sentence."""

    granted: bool
    why: str

    def __bool__(self) -> bool:
        """Be true when the action is allowed."""
        return self.granted


def allowed(actor: Actor, action: str, business: BusinessId | None) -> Verdict:
    """Say whether the actor may do this in this business, and why.

    Args:
        actor: who asks.
        action: one of `ACTIONS`, or a channel's own, `<slug>.<what>`.
        business: whose rows it is about; None means all, which is the platform's matter.
    """
    if (needed := _needed(action)) is None:
        return Verdict(granted=False, why=f"There is no action called {action}.")
    roles = [one.role for one in actor.held if one.business_id in (None, business)]
    for role in roles:
        if needed in ROLE_ACTIONS[role]:
            return Verdict(granted=True, why=f"The role {_words(role)} may {_what(action)}.")
    if not roles:
        return Verdict(granted=False, why="You have no role in this business.")
    return Verdict(
        granted=False,
        why=f"Your role ({', '.join(_words(role) for role in sorted(set(roles)))}) may not "
        f"{_what(action)}; {_able(needed)} may.",
    )


def roles_able(action: str) -> tuple[Role, ...]:
    """Return the roles that may do this."""
    needed = _needed(action)
    return tuple(role for role, actions in ROLE_ACTIONS.items() if needed in actions)


def fits(role: Role, business: BusinessId | None) -> bool:
    """Tell whether a role can be held there: platform roles without a business, others in one."""
    return (role in PLATFORM_ROLES) == (business is None)


def table_rows() -> Iterable[tuple[str, str, tuple[Role, ...]]]:
    """Return action, meaning and roles, for the docs."""
    return ((action, words, roles_able(action)) for action, words in ACTIONS.items())


def _needed(action: str) -> str | None:
    if action in ACTIONS:
        return action
    area, dot, rest = action.partition(".")
    return "channels.change" if dot and rest and area not in _AREAS else None


def _what(action: str) -> str:
    return ACTIONS.get(action, f"do {action}")


def _able(needed: str) -> str:
    return " or ".join(_words(role) for role in roles_able(needed))


def _words(role: Role) -> str:
    return role.value.replace("_", " ")
