"""People who sign in: their passwords and their memberships.

Passwords are hashed by Piccolo's own PBKDF2 (600,000 rounds), on threads of their own, so that
neither the event loop nor other work waits for it, and never inside a transaction (rulings B14).
"""

from __future__ import annotations

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import asyncpg

from core.access.roles import Held, fits
from core.access.tables import AppUser, Role
from core.errors import ConflictError, FieldFault, InvalidInputError, NotFoundError
from core.ids import BusinessId, new_uuid

if TYPE_CHECKING:
    from core.channels.host import Transaction
    from core.db import Database

MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 128
MAX_USERNAME: Final = 100

# Two at a time: guessing must not take the whole machine.
_hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


async def create_user(
    database: Database, *, username: str, password: str, email: str, locale: str = "en"
) -> int:
    """Add a person who may sign in; they see nothing before they are a member somewhere.

    Raises:
        InvalidInputError: the name or the password does not do.
        ConflictError: the name or the e-mail address is taken.
    """
    faults = _username_faults(username) + password_faults(password)
    if faults:
        raise InvalidInputError("The user cannot be added.", errors=faults)
    hashed = await _hash(password)
    try:
        async with database.engine() as transaction:
            user_id = await transaction.fetchval(
                "INSERT INTO app_user (username, password, email, locale, active, admin) "
                "VALUES ($1, $2, $3, $4, true, true) RETURNING id",
                username,
                hashed,
                email,
                locale,
            )
    except asyncpg.UniqueViolationError:
        raise ConflictError("The name or the e-mail address is taken.") from None
    return int(user_id)


async def find_user(database: Database, username: str) -> int:
    """Return the id of a user by name.

    Raises:
        NotFoundError: there is nobody of this name.
    """
    async with database.engine() as transaction:
        user_id = await transaction.fetchval(
            "SELECT id FROM app_user WHERE username = $1", username
        )
    if user_id is None:
        raise NotFoundError(f"There is no user {username!r}.")
    return int(user_id)


async def add_membership(
    database: Database, user_id: int, role: Role, business_id: BusinessId | None = None
) -> None:
    """Give a person a role; who is a member there already changes to the new role.

    Raises:
        InvalidInputError: the role belongs to the platform, or to a business, and is not asked
            for there.
    """
    if not fits(role, business_id):
        place = "a business" if business_id is None else "the platform"
        raise InvalidInputError(f"The role {role.value} is held in {place}.")
    async with database.engine() as transaction:
        await transaction.execute(
            "DELETE FROM membership WHERE user_id = $1 AND business_id IS NOT DISTINCT FROM $2",
            user_id,
            business_id,
        )
        await transaction.execute(
            "INSERT INTO membership (id, user_id, business_id, role) VALUES ($1, $2, $3, $4)",
            new_uuid(),
            user_id,
            business_id,
            role.value,
        )


async def held_by(transaction: Transaction, user_id: int) -> tuple[Held, ...]:
    """Return every role a person holds, in an engine transaction."""
    rows = await transaction.fetch(
        "SELECT m.role, m.business_id, b.name FROM membership m "
        "LEFT JOIN business b ON b.id = m.business_id WHERE m.user_id = $1 "
        "ORDER BY b.name NULLS FIRST, m.id",
        user_id,
    )
    return tuple(
        Held(
            role=Role(row["role"]),
            business_id=None if row["business_id"] is None else BusinessId(row["business_id"]),
            business_name=row["name"] or "",
        )
        for row in rows
    )


async def verify(database: Database, username: str, password: str) -> int | None:
    """Return who this is, or None; an unknown name takes as long as a wrong password."""
    if len(username) > MAX_USERNAME or len(password) > MAX_PASSWORD:
        return None
    async with database.engine() as transaction:
        row = await transaction.fetchrow(
            "SELECT id, password FROM app_user "
            "WHERE username = $1 AND active AND disabled_at IS NULL",
            username,
        )
    stored = row["password"] if row else None
    if not await _matches(password, stored):
        return None
    return int(row["id"])


async def change_password(database: Database, user_id: int, password: str) -> None:
    """Set a new password.

    Raises:
        InvalidInputError: the password does not do.
    """
    if faults := password_faults(password):
        raise InvalidInputError(faults[0].message, errors=faults)
    hashed = await _hash(password)
    async with database.engine() as transaction:
        await transaction.execute(
            "UPDATE app_user SET password = $2 WHERE id = $1", user_id, hashed
        )


def password_faults(password: str) -> list[FieldFault]:
    """Say what is wrong with a new password."""
    if len(password) < MIN_PASSWORD:
        message = f"The password must have at least {MIN_PASSWORD} characters."
        return [FieldFault("/password", "too-short", message)]
    if len(password) > MAX_PASSWORD:
        message = f"The password must have at most {MAX_PASSWORD} characters."
        return [FieldFault("/password", "too-long", message)]
    return []


def _username_faults(username: str) -> list[FieldFault]:
    if username and len(username) <= MAX_USERNAME and username.isprintable():
        return []
    message = f"The name must have 1 to {MAX_USERNAME} visible characters."
    return [FieldFault("/username", "invalid", message)]


async def _hash(password: str, salt: str = "", rounds: int | None = None) -> str:
    def work() -> str:
        return AppUser.hash_password(password, salt, rounds)

    return await asyncio.get_running_loop().run_in_executor(_hashing, work)


async def _matches(password: str, stored: str | None) -> bool:
    if stored is None:
        await _hash(password)  # as much work as for a name that exists
        return False
    _, rounds, salt, _ = AppUser.split_stored_password(stored)
    return hmac.compare_digest(await _hash(password, salt, int(rounds)), stored)
