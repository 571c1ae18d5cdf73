"""What Piccolo Admin sees of the core's tables: the same rows, without what it must not show.

These classes stand on the core's table names but leave out every sealed, secret or keyed-hash
column, so that no question to the admin's API can reach them. They live here and not in the
core, because Piccolo's migrations read the core's classes and must not meet a table twice.
Foreign keys stand in place of plain ids, so that lists show names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    Boolean,
    Date,
    ForeignKey,
    Integer,
    Text,
    Timestamp,
    Timestamptz,
    Varchar,
)
from piccolo.columns.readable import Readable
from piccolo.table import Table

from core.access.tables import Role
from core.alerts.tables import AlertState
from core.businesses.tables import Mode
from core.channels.columns import UUIDv7
from core.channels.messages import ConnectionState
from core.consent.tables import ConsentAction, Purpose, Source
from core.limits.tables import LaneState
from core.notify.tables import Outcome
from core.outbox.tables import OutboxStatus, Phase

if TYPE_CHECKING:
    from piccolo.columns import Column


def _moment() -> Column:
    return Timestamptz(null=True, default=None)


class BusinessScreen(Table, tablename="business"):
    """The business itself: a person of it sees exactly one row."""

    id = UUID(default=UUIDv7(), primary_key=True)
    ref = Varchar(  # type: ignore[assignment]  # Piccolo's Table.ref is not used here
        length=64, help_text="The booking system's id of this business."
    )
    name = Varchar(length=200, help_text="As customers know it.")
    timezone = Varchar(length=64, help_text="For example Europe/Rome.")
    country = Varchar(length=2, help_text="Two letters, for example IT.")
    default_locale = Varchar(length=16, help_text="Language of messages, for example it.")
    mode = Varchar(length=4, choices=Mode)
    killed_at = _moment()
    created_at = _moment()

    @classmethod
    def get_readable(cls) -> Readable:
        """Show the name where another table points here."""
        return Readable(template="%s", columns=[cls.name])


class OfBusiness:
    """The first columns of rows that belong to one business."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = ForeignKey(references=BusinessScreen, null=False)
    created_at = _moment()


class CustomerScreen(OfBusiness, Table, tablename="customer"):
    """A person, by the booking system's id; name and addresses stay sealed."""

    ref = Varchar(length=64)  # type: ignore[assignment]  # see BusinessScreen
    locale = Varchar(length=16, null=True)
    timezone = Varchar(length=64, null=True)
    erased_at = _moment()

    @classmethod
    def get_readable(cls) -> Readable:
        """Show the booking system's id where another table points here."""
        return Readable(template="%s", columns=[cls.ref])


class OfCustomer(OfBusiness):
    """Rows about one person."""

    customer_id = ForeignKey(references=CustomerScreen, null=True)


class ConsentScreen(OfCustomer, Table, tablename="customer_consents"):
    """What holds now; changed through the consent functions only, never here."""

    channel = Varchar(length=32)
    purpose = Varchar(length=16, choices=Purpose)
    opt_in = Boolean()
    opt_in_at = _moment()
    source = Varchar(length=8, choices=Source)
    proof_reference = Varchar(length=200, null=True)
    revoked_at = _moment()
    text_version = Varchar(length=64, null=True)
    locale = Varchar(length=16, null=True)


class ConsentEventScreen(OfCustomer, Table, tablename="consent_event"):
    """A line of the consent ledger."""

    channel = Varchar(length=32)
    purpose = Varchar(length=16, choices=Purpose)
    action = Varchar(length=8, choices=ConsentAction)
    at = _moment()
    source = Varchar(length=8, choices=Source)
    actor = Varchar(length=100)
    text_version = Varchar(length=64, null=True)
    locale = Varchar(length=16, null=True)
    proof_reference = Varchar(length=200, null=True)


class ConsentTextScreen(OfBusiness, Table, tablename="consent_text"):
    """A sentence people were shown."""

    key = Varchar(length=64)
    version = Integer()
    locale = Varchar(length=16)
    body = Text()


class EventScreen(OfCustomer, Table, tablename="event"):
    """What the booking system told us, without its content."""

    type = Varchar(length=64)
    source = Varchar(length=200)
    external_id = Varchar(length=200)
    occurred_at = _moment()
    booking_ref = Varchar(length=64, null=True)


class DecisionScreen(OfCustomer, Table, tablename="decision"):
    """Why a notice was or was not sent."""

    outcome = Varchar(length=12, choices=Outcome)
    reason = Varchar(length=64)
    channel = Varchar(length=32)
    template_name = Varchar(length=512)
    language_code = Varchar(length=16)
    booking_ref = Varchar(length=64, null=True)
    rule_key = Varchar(length=64)
    event_id = UUID(null=True)
    notification_id = UUID(null=True)
    checks = JSONB()


class OutboxScreen(OfCustomer, Table, tablename="notification_outbox"):
    """A notification; the provider's id stays out, it holds the phone number."""

    channel = Varchar(length=32)
    event_type = Varchar(length=64)
    template_name = Varchar(length=512)
    language_code = Varchar(length=16)
    status = Varchar(length=12, choices=OutboxStatus)
    phase = Varchar(length=12, choices=Phase)
    reason = Varchar(length=64)
    error_code = Varchar(length=64, null=True)
    retry_count = Integer()
    next_retry_at = _moment()
    booking_ref = Varchar(length=64, null=True)
    rule_key = Varchar(length=64)
    purpose = Varchar(length=16, choices=Purpose)
    sent_at = _moment()
    delivered_at = _moment()
    read_at = _moment()
    failed_at = _moment()
    updated_at = _moment()

    @classmethod
    def get_readable(cls) -> Readable:
        """Show what it was about where another table points here."""
        return Readable(template="%s (%s)", columns=[cls.template_name, cls.status])


class AttemptScreen(OfBusiness, Table, tablename="send_attempt"):
    """One hand-over to the provider."""

    notification_id = ForeignKey(references=OutboxScreen, null=False)
    number = Integer()
    begun_at = _moment()
    ended_at = _moment()
    outcome = Varchar(length=16)
    error_code = Varchar(length=64, null=True)
    http_status = Integer(null=True)


class StatusUpdateScreen(OfBusiness, Table, tablename="status_update"):
    """One piece of the provider's news."""

    notification_id = ForeignKey(references=OutboxScreen, null=False)
    status = Varchar(length=12)
    occurred_at = _moment()
    error_code = Varchar(length=64, null=True)


class ConnectionScreen(OfBusiness, Table, tablename="channel_connection"):
    """A business's account with a provider."""

    channel = Varchar(length=32)
    account_ref = Varchar(length=64)
    state = Varchar(length=8, choices=ConnectionState)
    reason = Varchar(length=64)
    is_default = Boolean()
    quality = Varchar(length=16)
    checked_at = _moment()


class TemplateScreen(OfBusiness, Table, tablename="channel_template"):
    """A template as the provider holds it now."""

    channel = Varchar(length=32)
    name = Varchar(length=512)
    language = Varchar(length=16)
    usable = Boolean()
    reason = Varchar(length=64)
    category = Varchar(length=16)
    parameters = Array(base_column=Varchar(length=64))
    body = Text()
    updated_at = _moment()


class LaneScreen(OfBusiness, Table, tablename="lane"):
    """Caps of one business on one channel, and how much of today is used."""

    channel = Varchar(length=32)
    state = Varchar(length=12, choices=LaneState)
    reason = Varchar(length=64)
    cap_minute = Integer()
    cap_day = Integer()
    day = Date(null=True)
    day_count = Integer()
    tz = Varchar(length=64)


class AlertScreen(OfBusiness, Table, tablename="alert"):
    """Something a person should act on."""

    business_id = ForeignKey(references=BusinessScreen, null=True)
    kind = Varchar(length=64)
    subject = Varchar(length=200)
    state = Varchar(length=8, choices=AlertState)
    acked_by = Varchar(length=100, null=True, default=None)
    resolved_at = _moment()


class UserScreen(Table, tablename="app_user"):
    """A colleague: the name only. Users are made and changed outside of these screens."""

    username = Varchar(length=100)
    locale = Varchar(length=16)
    active = Boolean()
    last_login = Timestamp(null=True, default=None)
    disabled_at = _moment()

    @classmethod
    def get_readable(cls) -> Readable:
        """Show the name where a membership points here."""
        return Readable(template="%s", columns=[cls.username])


class MembershipScreen(OfBusiness, Table, tablename="membership"):
    """Who works here, in which role."""

    business_id = ForeignKey(references=BusinessScreen, null=True)
    user_id = ForeignKey(references=UserScreen)
    role = Varchar(length=20, choices=Role)


class ApiKeyScreen(OfBusiness, Table, tablename="api_key"):
    """A key of the booking system, without anything of its secret."""

    business_id = ForeignKey(references=BusinessScreen, null=True)
    key_id = Varchar(length=16)
    name = Varchar(length=100)
    scopes = Array(base_column=Varchar(length=32))
    mode = Varchar(length=4)
    expires_at = _moment()
    last_used_at = _moment()
    revoked_at = _moment()


class AuditScreen(OfBusiness, Table, tablename="audit_log"):
    """Who did what to which thing."""

    business_id = ForeignKey(references=BusinessScreen, null=True)
    actor = Varchar(length=100)
    action = Varchar(length=100)
    target = Varchar(length=200)
    before = JSONB(null=True)
    after = JSONB(null=True)
    ip = Varchar(length=64, null=True)
