"""Signed-in browsers: the cookie is known to the browser only, its SHA-256 to the database.

All of it runs in the engine's role: before a session is found there is no business to be walled
into. Times are naive UTC, as Piccolo's session table holds them.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.access.roles import Actor
from core.access.users import held_by
from core.errors import NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from core.clock import Clock
    from core.db import Database
    from core.ids import BusinessId

COOKIE: Final = "id"
IDLE: Final = timedelta(hours=2)
LONGEST: Final = timedelta(hours=24)

_COOKIE_BYTES: Final = 32


def token_hash(cookie: str) -> str:
    """Return what the database holds of a session cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, user_id: int) -> str:
        """Open a session and return its cookie; nobody can read it from the database again."""
        cookie = secrets.token_urlsafe(_COOKIE_BYTES)
        now = self._now()
        async with self._database.engine() as transaction:
            await transaction.execute(
                "DELETE FROM user_session WHERE user_id = $1 AND max_expiry_date <= $2",
                user_id,
                now,
            )
            await transaction.execute(
                "INSERT INTO user_session (token, user_id, expiry_date, max_expiry_date) "
                "VALUES ($1, $2, $3, $4)",
                token_hash(cookie),
                user_id,
                now + IDLE,
                now + LONGEST,
            )
            await transaction.execute(
                "UPDATE app_user SET last_login = $2 WHERE id = $1", user_id, now
            )
        return cookie

    async def find(self, cookie: str) -> Actor | None:
        """Return whose session this is, with their roles as they stand now."""
        now = self._now()
        async with self._database.engine() as transaction:
            row = await transaction.fetchrow(
                "SELECT s.id, s.user_id, s.business_id, s.expiry_date, u.username, u.locale "
                "FROM user_session s JOIN app_user u ON u.id = s.user_id "
                "WHERE s.token = $1 AND s.revoked_at IS NULL AND s.expiry_date > $2 "
                "AND s.max_expiry_date > $2 AND u.active AND u.disabled_at IS NULL",
                token_hash(cookie),
                now,
            )
            if row is None:
                return None
            if row["expiry_date"] - now < IDLE / 2:
                await transaction.execute(
                    "UPDATE user_session SET expiry_date = $2 WHERE id = $1", row["id"], now + IDLE
                )
            held = await held_by(transaction, int(row["user_id"]))
        actor = Actor(
            user_id=int(row["user_id"]),
            username=row["username"],
            locale=row["locale"],
            held=held,
        )
        return _in_business(actor, row["business_id"])

    async def choose_business(self, cookie: str, business_id: BusinessId | None) -> None:
        """Work in this business from now on; None returns to the platform or to the first one.

        Raises:
            NotFoundError: the person is no member there, or there is no such session.
        """
        actor = await self.find(cookie)
        choices = [one.business_id for one in actor.businesses] if actor else []
        if business_id is not None and business_id not in choices:
            raise NotFoundError("You are no member of such a business.")
        async with self._database.engine() as transaction:
            await transaction.execute(
                "UPDATE user_session SET business_id = $2 WHERE token = $1",
                token_hash(cookie),
                business_id,
            )

    async def end(self, cookie: str) -> None:
        """End one session; an unknown one is no fault."""
        now = self._clock.now()
        async with self._database.engine() as transaction:
            await transaction.execute(
                "UPDATE user_session SET revoked_at = $2 WHERE token = $1 AND revoked_at IS NULL",
                token_hash(cookie),
                now,
            )

    async def end_all(self, user_id: int) -> None:
        """End every session of a person, on all devices."""
        now = self._clock.now()
        async with self._database.engine() as transaction:
            await transaction.execute(
                "UPDATE user_session SET revoked_at = $2 "
                "WHERE user_id = $1 AND revoked_at IS NULL",
                user_id,
                now,
            )

    def _now(self) -> datetime:
        return self._clock.now().replace(tzinfo=None)


def _in_business(actor: Actor, chosen: BusinessId | None) -> Actor:
    """Place the person: the chosen business, else the platform, else their first business."""
    places = [one.business_id for one in actor.businesses]
    if chosen in places:
        place = chosen
    elif any(one.business_id is None for one in actor.held):
        place = None
    else:
        place = places[0] if places else None
    return Actor(
        user_id=actor.user_id,
        username=actor.username,
        locale=actor.locale,
        held=actor.held,
        business_id=place,
    )
