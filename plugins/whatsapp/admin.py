"""The channel's screens in Piccolo Admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piccolo.columns import UUID, Integer, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table

from core.channels.columns import BusinessRow, UUIDv7
from core.channels.messages import ConnectionState
from core.channels.plugin import Screen
from plugins.whatsapp.tables import WhatsappTemplate

if TYPE_CHECKING:
    from collections.abc import Sequence


class WhatsappConnectionScreen(BusinessRow, Table, tablename="business_whatsapp_config"):
    """Connections without their secrets; the migrations know the other class (rulings A5)."""

    waba_id = Varchar(length=64)
    phone_number_id = Varchar(length=64)
    status = Varchar(length=8, choices=ConnectionState, default=ConnectionState.ACTIVE)
    state_reason = Varchar(length=64, default="")
    quality_rating = Varchar(length=16, default="")
    token_expires_at = Timestamptz(null=True, default=None)
    connected_at = Timestamptz(default=TimestamptzNow())
    billing_mode = Varchar(length=8, default="self")
    token_version = Integer(default=1)
    updated_at = Timestamptz(default=TimestamptzNow())


class WhatsappMessageScreen(Table, tablename="whatsapp_message_log"):
    """The message log without contents and addresses."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=False, default=None)
    direction = Varchar(length=8)
    message_type = Varchar(length=32)
    delivery_status = Varchar(length=16)
    timestamp = Timestamptz(default=TimestamptzNow())
    notification_id = UUID(null=True, default=None)
    account_ref = Varchar(length=64)


def screens() -> Sequence[Screen]:
    """Return the tables to show."""
    connection, message, template = (
        WhatsappConnectionScreen,
        WhatsappMessageScreen,
        WhatsappTemplate,
    )
    return (
        Screen(
            table=connection,
            title="WhatsApp connections",
            columns=(
                connection.phone_number_id,
                connection.waba_id,
                connection.status,
                connection.state_reason,
                connection.quality_rating,
                connection.token_expires_at,
                connection.connected_at,
            ),
            link=connection.phone_number_id,
            filters=(connection.status, connection.quality_rating),
            newest_first=connection.connected_at,
            help_text="The numbers businesses send from. Tokens are never shown.",
        ),
        Screen(
            table=template,
            title="WhatsApp templates",
            columns=(
                template.template_name,
                template.language_code,
                template.category,
                template.status,
                template.meta_status,
                template.quality,
                template.updated_at,
            ),
            link=template.template_name,
            filters=(template.status, template.category, template.language_code),
            newest_first=template.updated_at,
            help_text="As Meta holds them now; only approved ones are sent.",
        ),
        Screen(
            table=message,
            title="WhatsApp messages",
            columns=(
                message.timestamp,
                message.direction,
                message.message_type,
                message.delivery_status,
                message.account_ref,
                message.notification_id,
            ),
            link=message.timestamp,
            filters=(message.direction, message.delivery_status),
            newest_first=message.timestamp,
            help_text="Every message, in and out, without its content.",
        ),
    )
