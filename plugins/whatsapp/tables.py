"""The channel's tables: connections, templates and the message log."""

from __future__ import annotations

from enum import StrEnum

from piccolo.columns import JSONB, Bytea, Integer, Text, Timestamptz, Varchar
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.constraints import Check, Unique
from piccolo.table import Table

from core.channels.columns import BusinessRow
from core.channels.messages import ConnectionState
from core.channels.tables import MessageLog


class Category(StrEnum):
    """What Meta says a template is for."""

    UTILITY = "utility"
    AUTHENTICATION = "authentication"
    MARKETING = "marketing"


class TemplateStatus(StrEnum):
    """A template's state in our words; Meta's own word stands in `meta_status`."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"
    PAUSED = "paused"
    DISABLED = "disabled"


class BusinessWhatsappConfig(BusinessRow, Table, tablename="business_whatsapp_config"):
    """A business's number at Meta (specification 3.1); one business may have several."""

    waba_id = Varchar(length=64)
    phone_number_id = Varchar(length=64)
    access_token_encrypted = Bytea(null=True, default=None, secret=True)
    token_expires_at = Timestamptz(null=True, default=None)
    connected_at = Timestamptz(default=TimestamptzNow())
    status = Varchar(length=8, choices=ConnectionState, default=ConnectionState.ACTIVE)
    quality_rating = Varchar(length=16, default="")
    pin_sealed = Bytea(null=True, default=None, secret=True)
    display_phone_sealed = Bytea(null=True, default=None)
    state_reason = Varchar(length=64, default="")
    token_version = Integer(default=1)
    billing_mode = Varchar(length=8, default="self")
    updated_at = Timestamptz(default=TimestamptzNow())

    business_whatsapp_config_phone_number_id_key = Unique([phone_number_id])
    business_whatsapp_config_status_check = Check("status IN ('active', 'disabled', 'error')")
    business_whatsapp_config_billing_mode_check = Check("billing_mode IN ('self', 'reseller')")


class WhatsappTemplate(BusinessRow, Table, tablename="whatsapp_templates"):
    """A template as Meta holds it now (specification 3.2)."""

    template_name = Varchar(length=512)
    category = Varchar(length=16, choices=Category, default=Category.UTILITY)
    language_code = Varchar(length=16)
    status = Varchar(length=8, choices=TemplateStatus, default=TemplateStatus.PENDING)
    waba_id = Varchar(length=64)
    meta_id = Varchar(length=64, default="")
    meta_status = Varchar(length=32, default="")
    components = JSONB(default="[]")
    parameter_format = Varchar(length=16, default="named")
    quality = Varchar(length=16, default="")
    rejected_reason = Text(default="")
    version = Integer(default=1)
    updated_at = Timestamptz(default=TimestamptzNow())

    whatsapp_templates_place_key = Unique(
        ["business_id", "waba_id", "template_name", "language_code"]
    )
    whatsapp_templates_category_check = Check(
        "category IN ('utility', 'authentication', 'marketing')"
    )
    whatsapp_templates_status_check = Check(
        "status IN ('approved', 'pending', 'rejected', 'paused', 'disabled')"
    )
    whatsapp_templates_parameter_format_check = Check(
        "parameter_format IN ('named', 'positional')"
    )


class WhatsappMessageLog(MessageLog, tablename="whatsapp_message_log"):
    """Every message, in and out (specification 3.5); the host writes it."""

    whatsapp_message_log_direction_check = Check("direction IN ('outbound', 'inbound')")
    whatsapp_message_log_delivery_status_check = Check(
        "delivery_status IN ('queued', 'sent', 'delivered', 'read', 'failed', 'received')"
    )
