"""Who may do what, and what they are told when they may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.core_screens import core_screens
from core.access.roles import (
    ACTIONS,
    PLATFORM_ROLES,
    ROLE_ACTIONS,
    Actor,
    Held,
    allowed,
    fits,
    roles_able,
    table_rows,
)
from core.access.tables import Role
from core.ids import BusinessId, new_uuid

OWN = BusinessId(new_uuid())
OTHER = BusinessId(new_uuid())
DOCS = Path(__file__).resolve().parents[2] / "docs" / "admin.md"


def _actor(role: Role) -> Actor:
    place = None if role in PLATFORM_ROLES else OWN
    return Actor(
        user_id=1, username="x", held=(Held(role=role, business_id=place),), business_id=place
    )


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_role_may_what_its_row_says(role: Role, action: str) -> None:
    """The answer is the table's, and its reason names the role."""
    verdict = allowed(_actor(role), action, OWN)
    assert bool(verdict) is (action in ROLE_ACTIONS[role])
    assert role.value.replace("_", " ") in verdict.why
    assert ACTIONS[action] in verdict.why


@given(st.sampled_from(sorted(set(Role) - PLATFORM_ROLES)), st.sampled_from(sorted(ACTIONS)))
def test_a_business_role_ends_at_its_business(role: Role, action: str) -> None:
    """No role in one business allows anything in another, or on the platform."""
    assert not allowed(_actor(role), action, OTHER)
    assert not allowed(_actor(role), action, None)


def test_a_platform_role_reaches_every_business() -> None:
    """Operators read everywhere and change no business's name; administrators may."""
    operator, administrator = _actor(Role.PLATFORM_OPERATOR), _actor(Role.PLATFORM_ADMIN)
    for business in (OWN, OTHER, None):
        assert allowed(operator, "notifications.read", business)
        assert not allowed(operator, "business.change", business)
        assert allowed(administrator, "business.change", business)


def test_a_channels_own_actions_go_with_its_tables() -> None:
    """`whatsapp.connect` is for whoever may change channels; a slip of the pen is for nobody."""
    assert allowed(_actor(Role.OWNER), "whatsapp.connect", OWN)
    assert not allowed(_actor(Role.VIEWER), "whatsapp.connect", OWN)
    for slip in ("notifications.raed", "connect", "", "whatsapp."):
        for role in Role:
            verdict = allowed(_actor(role), slip, OWN)
            assert not verdict
            assert verdict.why == f"There is no action called {slip}."


def test_a_person_without_a_role_may_nothing() -> None:
    """No membership, no action."""
    nobody = Actor(user_id=1, username="x")
    assert not any(allowed(nobody, action, OWN) for action in ACTIONS)
    assert allowed(nobody, "business.read", OWN).why == "You have no role in this business."


def test_every_action_is_somebodys() -> None:
    """There is no action without a role, and no role with an unknown action."""
    for action in ACTIONS:
        assert roles_able(action), action
    for role, actions in ROLE_ACTIONS.items():
        assert actions <= set(ACTIONS), role
    assert set(ROLE_ACTIONS) == set(Role)


def test_the_screens_ask_for_known_actions() -> None:
    """Every verb of every table asks for an action that exists."""
    for shown in core_screens():
        for action in (shown.read, shown.change, shown.add):
            assert action in {*ACTIONS, ""}, (shown.name, action)


def test_roles_are_held_where_they_belong() -> None:
    """Platform roles are held on the platform, all others in a business."""
    for role in Role:
        assert fits(role, None) is (role in PLATFORM_ROLES)
        assert fits(role, OWN) is (role not in PLATFORM_ROLES)


def test_the_page_shows_the_roles_as_they_are() -> None:
    """The table of the documentation is the table of the code."""
    wanted = [
        "| `"
        + action
        + "` | "
        + words
        + " | "
        + " | ".join("yes" if role in able else "" for role in Role)
        + " |"
        for action, words, able in table_rows()
    ]
    page = DOCS.read_text()
    assert [
        line for line in page.splitlines() if re.match(r"\| `[a-z-]+\.[a-z]+`", line)
    ] == wanted
    assert "| action | lets a person | " + " | ".join(role.value for role in Role) + " |" in page


def test_the_page_names_every_table() -> None:
    """Every table of the admin stands on the page with its actions."""
    page = DOCS.read_text()
    for shown in core_screens():
        assert f"| `{shown.name}` | {shown.group} | `{shown.read}` |" in page, shown.name
