"""Writes the core's picture of connections and templates; lent to channels as `host.catalogue`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.channels.messages import ConnectionState
from core.db import affected
from core.errors import ConflictError
from core.ids import BusinessId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from core.channels.host import Connection, Template, Transaction

    LaneFollows = Callable[[Transaction, UUID, str, ConnectionState, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One channel's hand on the catalogue.

    Args:
        channel: the channel's slug; it can write nothing of another channel.
        lane_follows: starts or stops the lane of a business with its connection.
    """

    channel: str
    lane_follows: LaneFollows

    async def put_connections(
        self, transaction: Transaction, connections: Sequence[Connection]
    ) -> None:
        """Insert or update connections, and let their lanes start or stop.

        Raises:
            ConflictError: an account belongs to another business already.
        """
        tag = await transaction.execute(
            """
            INSERT INTO channel_connection AS c (id, business_id, channel, account_ref, state,
                                                 reason, is_default, quality)
            SELECT gen_random_uuid(), t.business_id, $1, t.account_ref, t.state, t.reason,
                   t.is_default, t.quality
            FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::text[])
                AS t(business_id, account_ref, state, reason, is_default, quality)
            ON CONFLICT (channel, account_ref) DO UPDATE
            SET state = excluded.state, reason = excluded.reason, quality = excluded.quality,
                is_default = excluded.is_default, version = c.version + 1,
                checked_at = clock_timestamp()
            WHERE c.business_id = excluded.business_id
            """,
            self.channel,
            [one.business_id for one in connections],
            [one.account_ref for one in connections],
            [one.state.value for one in connections],
            [one.reason for one in connections],
            [one.is_default for one in connections],
            [one.quality for one in connections],
        )
        if affected(tag) != len(connections):
            raise ConflictError("This account is connected to another business already.")
        for business_id in sorted({one.business_id for one in connections}):
            await self._follow(transaction, business_id)

    async def put_templates(self, transaction: Transaction, templates: Sequence[Template]) -> None:
        """Insert or update templates; the version counts what a customer would see change."""
        await transaction.executemany(
            """
            INSERT INTO channel_template AS t (id, business_id, channel, name, language, usable,
                reason, category, parameter_format, parameters, body)
            VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT (business_id, channel, name, language) DO UPDATE
            SET usable = excluded.usable, reason = excluded.reason, category = excluded.category,
                parameter_format = excluded.parameter_format, parameters = excluded.parameters,
                body = excluded.body, updated_at = clock_timestamp(),
                version = t.version + (
                    t.body <> excluded.body OR t.parameters <> excluded.parameters
                    OR t.parameter_format <> excluded.parameter_format)::int
            """,
            [
                (
                    one.business_id,
                    self.channel,
                    one.name,
                    one.language,
                    one.usable,
                    one.reason,
                    one.category,
                    one.parameter_format,
                    list(one.parameters),
                    one.body,
                )
                for one in templates
            ],
        )

    async def business_of(self, transaction: Transaction, account_ref: str) -> BusinessId | None:
        """Return the business that owns this account on this channel."""
        found = await transaction.fetchval(
            "SELECT business_id FROM channel_connection WHERE channel = $1 AND account_ref = $2",
            self.channel,
            account_ref,
        )
        return BusinessId(found) if found is not None else None

    async def _follow(self, transaction: Transaction, business_id: UUID) -> None:
        """A lane runs while at least one of its connections does."""
        row = await transaction.fetchrow(
            """
            SELECT state, reason FROM channel_connection
            WHERE business_id = $1 AND channel = $2
            ORDER BY (state = 'active') DESC, is_default DESC, checked_at DESC LIMIT 1
            """,
            business_id,
            self.channel,
        )
        if row is not None:
            state = ConnectionState(row["state"])
            await self.lane_follows(transaction, business_id, self.channel, state, row["reason"])
