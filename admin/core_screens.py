"""The core's own tables in the admin."""

from __future__ import annotations

from admin import tables as t
from admin.checks import check_business
from admin.shown import Shown


def core_screens() -> tuple[Shown, ...]:
    """Return the core's own tables."""
    return (*_messages(), *_people(), *_channels(), *_house())


def _messages() -> tuple[Shown, ...]:
    outbox, decision, event = t.OutboxScreen, t.DecisionScreen, t.EventScreen
    attempt, news = t.AttemptScreen, t.StatusUpdateScreen
    group, read = "Messages", "notifications.read"
    return (
        Shown(
            table=outbox,
            group=group,
            read=read,
            link=outbox.template_name,
            columns=(
                outbox.created_at,
                outbox.template_name,
                outbox.business_id,
                outbox.customer_id,
                outbox.status,
                outbox.reason,
                outbox.error_code,
            ),
            filters=(
                outbox.status,
                outbox.phase,
                outbox.reason,
                outbox.channel,
                outbox.event_type,
                outbox.booking_ref,
                outbox.customer_id,
                outbox.created_at,
            ),
            newest_first=outbox.created_at,
        ),
        Shown(
            table=decision,
            group=group,
            read=read,
            link=decision.outcome,
            columns=(
                decision.created_at,
                decision.outcome,
                decision.reason,
                decision.template_name,
                decision.business_id,
                decision.customer_id,
                decision.booking_ref,
            ),
            filters=(
                decision.outcome,
                decision.reason,
                decision.booking_ref,
                decision.created_at,
            ),
            newest_first=decision.created_at,
        ),
        Shown(
            table=event,
            group=group,
            read=read,
            link=event.type,
            columns=(
                event.created_at,
                event.type,
                event.business_id,
                event.customer_id,
                event.booking_ref,
                event.source,
            ),
            filters=(event.type, event.booking_ref, event.source, event.created_at),
            newest_first=event.created_at,
        ),
        Shown(
            table=attempt,
            group=group,
            read=read,
            link=attempt.outcome,
            columns=(
                attempt.begun_at,
                attempt.notification_id,
                attempt.number,
                attempt.outcome,
                attempt.error_code,
                attempt.http_status,
            ),
            filters=(attempt.outcome, attempt.error_code, attempt.begun_at),
            newest_first=attempt.begun_at,
        ),
        Shown(
            table=news,
            group=group,
            read=read,
            link=news.status,
            columns=(news.occurred_at, news.notification_id, news.status, news.error_code),
            filters=(news.status, news.occurred_at),
            newest_first=news.occurred_at,
        ),
    )


def _people() -> tuple[Shown, ...]:
    customer, consent = t.CustomerScreen, t.ConsentScreen
    ledger, text = t.ConsentEventScreen, t.ConsentTextScreen
    group = "Customers"
    return (
        Shown(
            table=customer,
            group=group,
            read="customers.read",
            link=customer.ref,
            columns=(customer.ref, customer.business_id, customer.locale, customer.created_at),
            filters=(customer.ref, customer.locale),
            newest_first=customer.created_at,
        ),
        Shown(
            table=consent,
            group=group,
            read="consents.read",
            link=consent.channel,
            columns=(
                consent.customer_id,
                consent.business_id,
                consent.channel,
                consent.purpose,
                consent.opt_in,
                consent.opt_in_at,
                consent.revoked_at,
            ),
            filters=(consent.customer_id, consent.opt_in, consent.purpose, consent.source),
            newest_first=consent.created_at,
        ),
        Shown(
            table=ledger,
            group=group,
            read="consents.read",
            link=ledger.action,
            columns=(
                ledger.at,
                ledger.action,
                ledger.customer_id,
                ledger.channel,
                ledger.purpose,
                ledger.source,
                ledger.actor,
            ),
            filters=(ledger.customer_id, ledger.action, ledger.at),
            newest_first=ledger.at,
        ),
        Shown(
            table=text,
            group=group,
            read="consent-texts.read",
            link=text.key,
            columns=(text.key, text.business_id, text.version, text.locale, text.body),
        ),
    )


def _channels() -> tuple[Shown, ...]:
    connection, template, lane = t.ConnectionScreen, t.TemplateScreen, t.LaneScreen
    group = "Channels"
    return (
        Shown(
            table=connection,
            group=group,
            read="channels.read",
            link=connection.account_ref,
            columns=(
                connection.channel,
                connection.account_ref,
                connection.business_id,
                connection.state,
                connection.reason,
                connection.quality,
                connection.checked_at,
            ),
            filters=(connection.channel, connection.state, connection.quality),
        ),
        Shown(
            table=template,
            group=group,
            read="channels.read",
            link=template.name,
            columns=(
                template.name,
                template.business_id,
                template.language,
                template.category,
                template.usable,
                template.reason,
                template.updated_at,
            ),
            filters=(template.name, template.language, template.usable, template.category),
        ),
        Shown(
            table=lane,
            group=group,
            read="limits.read",
            link=lane.channel,
            columns=(
                lane.channel,
                lane.business_id,
                lane.state,
                lane.reason,
                lane.cap_minute,
                lane.cap_day,
                lane.day_count,
            ),
            filters=(lane.channel, lane.state),
        ),
    )


def _house() -> tuple[Shown, ...]:
    business, alert, audit = t.BusinessScreen, t.AlertScreen, t.AuditScreen
    member, user, key = t.MembershipScreen, t.UserScreen, t.ApiKeyScreen
    group = "House"
    return (
        Shown(
            table=business,
            group=group,
            read="business.read",
            change="business.change",
            changeable=frozenset({"name", "timezone", "country", "default_locale"}),
            check=check_business,
            link=business.name,
            columns=(
                business.name,
                business.ref,
                business.timezone,
                business.country,
                business.default_locale,
                business.mode,
            ),
            filters=(business.name, business.ref, business.mode),
        ),
        Shown(
            table=alert,
            group=group,
            read="alerts.read",
            change="alerts.acknowledge",
            changeable=frozenset({"state", "acked_by"}),
            link=alert.kind,
            columns=(
                alert.created_at,
                alert.kind,
                alert.subject,
                alert.business_id,
                alert.state,
                alert.acked_by,
            ),
            filters=(alert.kind, alert.state, alert.created_at),
            newest_first=alert.created_at,
        ),
        Shown(
            table=member,
            group=group,
            read="members.read",
            link=member.role,
            columns=(member.user_id, member.role, member.business_id, member.created_at),
            filters=(member.role,),
        ),
        Shown(
            table=user,
            group=group,
            read="members.read",
            link=user.username,
            columns=(user.username, user.locale, user.active, user.last_login),
            filters=(user.username, user.active),
        ),
        Shown(
            table=key,
            group=group,
            read="keys.read",
            link=key.key_id,
            columns=(
                key.key_id,
                key.name,
                key.business_id,
                key.scopes,
                key.last_used_at,
                key.expires_at,
                key.revoked_at,
            ),
            filters=(key.name, key.mode),
            newest_first=key.created_at,
        ),
        Shown(
            table=audit,
            group=group,
            read="audit.read",
            link=audit.action,
            columns=(
                audit.created_at,
                audit.actor,
                audit.action,
                audit.target,
                audit.business_id,
                audit.ip,
            ),
            filters=(audit.actor, audit.action, audit.target, audit.created_at),
            newest_first=audit.created_at,
        ),
    )
