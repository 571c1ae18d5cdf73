"""What WhatsApp adds to the host; everything heavy is imported when it is asked for."""

# The methods import what they need, so that no process loads what it never uses.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING

from core.channels.plugin import Action, ChannelPlugin, ConnectField, PersonalData
from core.errors import InvalidInputError
from plugins.whatsapp.settings import WhatsAppSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.types import ControllerRouterHandler

    from core.channels.channel import Channel
    from core.channels.host import Host, Template
    from core.channels.messages import Check
    from core.channels.plugin import Schedule, Screen, Task
    from core.channels.tables import MessageLog
    from core.ids import BusinessId


class WhatsAppPlugin(ChannelPlugin):
    """Adds WhatsApp through Meta's Cloud API."""

    name = "whatsapp"
    title = "WhatsApp"
    address_kind = "phone"
    settles_by_callback = True
    settings = WhatsAppSettings

    def channel(self, host: Host) -> Channel:
        """Build the channel."""
        from plugins.whatsapp.channel import WhatsAppChannel

        return WhatsAppChannel(host)

    def connect_fields(self) -> Sequence[ConnectField]:
        """Return what a business's account at Meta is known by."""
        return (
            ConnectField(
                name="waba-id",
                title="WhatsApp Business Account ID",
                help="Meta's WhatsApp Manager shows it under Settings.",
            ),
            ConnectField(
                name="phone-number-id",
                title="Phone number ID",
                help="The number's own id at Meta, not the number itself.",
            ),
            ConnectField(
                name="token",
                title="Access token",
                secret=True,
                help="A system user's token with both WhatsApp permissions.",
            ),
        )

    async def connect(
        self, host: Host, business_id: BusinessId, values: Mapping[str, str]
    ) -> Sequence[Check]:
        """Check the number, its account and the token at Meta, and keep them if all is well.

        Raises:
            InvalidInputError: a value is missing.
        """
        from plugins.whatsapp.connect import connect

        if missing := [one.title for one in self.connect_fields() if not values.get(one.name)]:
            raise InvalidInputError(f"Missing: {', '.join(missing)}.")
        return await connect(
            host, business_id, values["waba-id"], values["phone-number-id"], values["token"]
        )

    def routes(self, host: Host) -> Sequence[ControllerRouterHandler]:
        """Return the handlers under `/v1/channels/whatsapp`."""
        from plugins.whatsapp.routes import routes

        return routes(host)

    def tasks(self, host: Host) -> Sequence[Task]:
        """Return the functions the worker may run."""
        from plugins.whatsapp.tasks import tasks

        return tasks(host)

    def schedules(self, host: Host) -> Sequence[Schedule]:
        """Return the timetable."""
        from plugins.whatsapp.tasks import schedules

        del host
        return schedules()

    def screens(self) -> Sequence[Screen]:
        """Return the tables to show in the admin."""
        from plugins.whatsapp.admin import screens

        return screens()

    def actions(self) -> Sequence[Action]:
        """Return the permissions this channel adds."""
        return (
            Action(
                name="whatsapp.connect",
                description="Connect, replace and remove WhatsApp numbers.",
            ),
            Action(
                name="whatsapp.templates.sync",
                description="Read the templates back from Meta.",
            ),
        )

    def personal_data(self) -> Sequence[PersonalData]:
        """Return the tables that hold facts about customers."""
        from plugins.whatsapp.tables import WhatsappMessageLog

        log = WhatsappMessageLog
        return (
            PersonalData(
                table=log,
                customer=log.customer_id,
                recorded_at=log.timestamp,
                content=(log.content_snapshot, log.provider_message_id, log.address_hash),
            ),
        )

    def first_templates(self, business_id: BusinessId) -> Sequence[Template]:
        """Return the pack in all its languages, as if Meta had approved it."""
        from plugins.whatsapp.pack import pack_templates

        return pack_templates(business_id)

    def message_log(self) -> type[MessageLog]:
        """Return the table the host keeps this channel's log in."""
        from plugins.whatsapp.tables import WhatsappMessageLog

        return WhatsappMessageLog

    def error_words(self) -> Mapping[str, tuple[str, str]]:
        """Return Meta's codes in plain words, and what to do."""
        from plugins.whatsapp.failures import words

        return words()


plugin = WhatsAppPlugin()
