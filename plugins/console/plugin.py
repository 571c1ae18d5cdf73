"""What the channel adds to the host; every import that costs time is inside its method."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from core.channels.plugin import ChannelPlugin, Schedule, Screen, Task

from .settings import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.types import ControllerRouterHandler

    from core.channels.channel import Channel
    from core.channels.host import Host, Template
    from core.channels.messages import Check
    from core.ids import BusinessId

SLUG: Final = __name__.split(".")[-2]


class ConsolePlugin(ChannelPlugin):
    """A channel whose provider is the log."""

    name = SLUG
    title = SLUG.replace("_", " ").capitalize()
    settings = ConsoleSettings

    def channel(self, host: Host) -> Channel:
        """Build the channel."""
        from .channel import ConsoleChannel  # noqa: PLC0415 - lazy, see above

        return ConsoleChannel(host)

    def routes(self, host: Host) -> Sequence[ControllerRouterHandler]:
        """Show a business what was handed over."""
        from .routes import entries_route  # noqa: PLC0415 - lazy, see above

        return [entries_route(host)]

    def tasks(self, host: Host) -> Sequence[Task]:
        """Delete old entries."""

        async def clean_up(context: Mapping[str, Any], /, **arguments: str) -> None:
            del context, arguments
            keep = timedelta(days=host.options(ConsoleSettings).keep_days)
            async with host.begin() as transaction:
                await transaction.execute(
                    f"DELETE FROM {SLUG}_entry WHERE handed_over_at < $1", host.clock.now() - keep
                )

        return [Task(name="clean_up", function=clean_up)]

    def schedules(self, host: Host) -> Sequence[Schedule]:
        """Clean up each night."""
        return [Schedule(task="clean_up", cron=host.options(ConsoleSettings).cleanup_cron)]

    def screens(self) -> Sequence[Screen]:
        """Show the entries in the admin."""
        from .tables import Entry  # noqa: PLC0415 - lazy, see above

        return [
            Screen(
                table=Entry,
                title=f"{self.title} entries",
                columns=(Entry.handed_over_at, Entry.template, Entry.language),
                link=Entry.template,
                filters=(Entry.template, Entry.handed_over_at),
                newest_first=Entry.handed_over_at,
            )
        ]

    def first_templates(self, business_id: BusinessId) -> Sequence[Template]:
        """Return all of them: nobody has to approve them."""
        from .templates import templates_of  # noqa: PLC0415 - lazy, see above

        return templates_of(business_id)

    async def connect(
        self, host: Host, business_id: BusinessId, values: Mapping[str, str]
    ) -> Sequence[Check]:
        """Connect a business; its templates are usable at once."""
        from .templates import templates_of  # noqa: PLC0415 - lazy, see above

        checks = await super().connect(host, business_id, values)
        async with host.begin() as transaction:
            await host.catalogue.put_templates(transaction, templates_of(business_id))
        return checks


plugin = ConsolePlugin()
