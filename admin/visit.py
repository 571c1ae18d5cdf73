"""One request of a signed-in person on its way through Piccolo Admin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.authentication import BaseUser

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

    from core.access.roles import Actor
    from core.channels.host import Transaction

KEY: Final = "patchbay.visit"
"""Where the visit stands in the ASGI scope."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, from where, and the transaction everything happens in.

    Attributes:
        transaction: None where a request holds no transaction (a change of password).
    """

    actor: Actor
    address: str
    transaction: Transaction | None = None


class SignedIn(BaseUser):
    """The person as Starlette and Piccolo Admin want to see them."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit

    @property
    def is_authenticated(self) -> bool:
        """Be true: whoever stands here has signed in."""
        return True

    @property
    def display_name(self) -> str:
        """Return the name for the corner of the screen."""
        return self.visit.actor.username

    @property
    def user_id(self) -> int:
        """Return the number of the user."""
        return self.visit.actor.user_id


class PlainTransaction:
    """Lets the core's functions write through Piccolo's connection.

    Piccolo wants JSON as text, so its connections have no codec; the core hands over objects.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement and return its command tag."""
        return str(await self._connection.execute(query, *map(_written, arguments)))

    async def executemany(self, query: str, arguments: Iterable[Any]) -> None:
        """Run a statement once per set of arguments."""
        await self._connection.executemany(query, [tuple(map(_written, one)) for one in arguments])

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Return all rows."""
        return list(await self._connection.fetch(query, *map(_written, arguments)))

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row, or None."""
        return await self._connection.fetchrow(query, *map(_written, arguments))

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """Return the first value of the first row, or None."""
        return await self._connection.fetchval(query, *map(_written, arguments))


def _written(argument: Any) -> Any:
    return json.dumps(argument) if isinstance(argument, dict) else argument
