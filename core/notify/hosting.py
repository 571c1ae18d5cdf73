"""Builds what the host lends to each channel, and then the channels.

Nothing here connects anywhere: hosts and channels are built before the pools are opened, so that
a web process knows its routes and a worker its tasks from the start.
"""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from core.alerts import store as alerts
from core.alerts.kinds import kind_named, plugin_kinds
from core.catalogue.store import Catalogue
from core.channels.host import Host
from core.clock import SystemClock
from core.db import Database, savepoint
from core.errors import ConfigurationError
from core.notify.connections import lane_follows
from core.notify.outgoing import open_client
from core.notify.wording import preview
from core.sandbox.channel import SandboxedChannel
from core.sandbox.provider import SandboxProvider
from core.schema import classification, missing_walls
from core.settings import options_for
from core.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx
    import msgspec

    from core.alerts.kinds import Kind
    from core.channels.channel import Channel
    from core.channels.host import Transaction
    from core.channels.registry import Registry
    from core.clock import Clock
    from core.db import PoolSizes
    from core.deployment import Deployment
    from core.ids import BusinessId
    from core.settings import Settings

RESOLVED: Final = "resolved"
"""A fact reported with this detail ends the alert that the same fact raised."""

_NAMED: Final = 5

_log = structlog.get_logger("patchbay.hosting")


class Queue(Protocol):
    """Queues a task by its full name, `<slug>.<name>`."""

    async def __call__(self, task: str, /, **arguments: str) -> None:
        """Queue it."""
        ...


@dataclass(slots=True)
class Opened:
    """The channels of a process and what was lent to them, by slug."""

    channels: dict[str, Channel] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)

    async def close(self) -> None:
        """Close every channel; one that cannot be closed does not keep the others open."""
        for slug, channel in self.channels.items():
            try:
                await channel.close()
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises
                _log.warning("channel-not-closed", channel=slug, error=type(error).__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplies:
    """What a process has and lends to its channels.

    Attributes:
        enqueue: queues a task by its full name.
    """

    settings: Settings
    database: Database
    vault: Vault
    clock: Clock
    http: httpx.AsyncClient
    enqueue: Queue

    async def close(self) -> None:
        """Let go of the connections."""
        await self.http.aclose()
        await self.database.close()


def gather_supplies(
    settings: Settings, deployment: Deployment, *, sizes: PoolSizes, slots: int, enqueue: Queue
) -> Supplies:
    """Make the parts of a process; the pools of the database are still to be opened.

    Args:
        settings: the deployment's settings.
        deployment: where the database is, and the keys.
        sizes: database connections per role.
        slots: how many messages the process sends at once.
        enqueue: queues a task by its full name.
    """
    return Supplies(
        settings=settings,
        database=Database(deployment.database_url, sizes),
        vault=Vault(deployment.secret_keys, index_key=settings.index_key),
        clock=SystemClock(),
        http=open_client(slots),
        enqueue=enqueue,
    )


def open_channels(supplies: Supplies, registry: Registry) -> Opened:
    """Build every loaded channel; one that raises is taken out of service and named.

    Before each stands the sandbox: what belongs to a test business goes no further.
    """
    opened = Opened()
    sandbox = SandboxProvider(supplies.database, supplies.vault, supplies.clock, preview)
    for slug, plugin in list(registry.plugins.items()):
        kinds = guarded(registry, slug, "alerts", partial(plugin_kinds, registry, slug))
        if kinds is None:
            continue
        host = build_host(supplies, slug, kinds)
        channel = guarded(registry, slug, "channel", partial(plugin.channel, host))
        if channel is not None:
            opened.channels[slug] = SandboxedChannel(slug, channel, sandbox)
            opened.hosts[slug] = host
    return opened


async def check_schema(database: Database, registry: Registry) -> None:
    """Look whether every table stands behind its wall.

    Raises:
        ConfigurationError: one does not.
    """
    async with database.engine() as transaction:
        missing = await missing_walls(transaction, classification(registry))
    if missing:
        listed = ", ".join(missing[:_NAMED]) + (" and others" if missing[_NAMED:] else "")
        raise ConfigurationError(
            f"The database is not up to date ({listed}); run `patchbay migrate`."
        )


def build_host(supplies: Supplies, slug: str, kinds: Mapping[str, Kind] | None = None) -> Host:
    """Put together what one channel may use.

    Args:
        supplies: what the process has.
        slug: the channel.
        kinds: the plugin's own kinds of alerts.
    """
    settings, database = supplies.settings, supplies.database

    def options(shape: type[msgspec.Struct]) -> Any:
        return options_for(settings, slug, shape)

    async def enqueue_own(task: str, /, **arguments: str) -> None:
        await supplies.enqueue(f"{slug}.{task}", **arguments)

    async def report(
        business_id: BusinessId,
        fact: str,
        /,
        *,
        transaction: Transaction | None = None,
        **details: str,
    ) -> None:
        subject = details.pop("subject", "")
        over = details.pop(RESOLVED, "")
        kind = f"{slug}.{fact}"
        matter = alerts.Matter(
            business_id=business_id,
            kind=kind,
            subject=subject,
            arguments=details,
            ends_with=kind_named(kinds or {}, kind).ends_with,
        )
        async with AsyncExitStack() as stack:
            if transaction is None:
                transaction = await stack.enter_async_context(database.engine())
            else:
                # What cannot be told must not undo what the channel keeps in it.
                await stack.enter_async_context(savepoint(transaction))
            if over:
                await alerts.resolve_alerts(transaction, [(business_id, kind, subject)])
            else:
                await alerts.raise_alerts(transaction, [matter])

    return Host(
        slug=slug,
        clock=supplies.clock,
        http=supplies.http,
        vault=supplies.vault,
        options=options,
        begin=database.engine,
        enqueue=enqueue_own,
        report=report,
        catalogue=Catalogue(slug, lane_follows),
        public_url=settings.public_url,
    )


def guarded(registry: Registry, slug: str, part: str, build: Callable[[], Any]) -> Any:
    """Let a plugin build one of its parts; if it raises, the plugin is out and None comes back."""
    try:
        return build()
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises must not stop the host
        reason = f"{part}: {type(error).__name__}: {error}".splitlines()[0]
        registry.fail(slug, reason, traceback.format_exc())
        _log.error("channel-failed", channel=slug, part=part, error=type(error).__name__)
        return None
