"""The tables of users, sessions, keys and the audit trail."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from piccolo.apps.user.tables import BaseUser
from piccolo.columns import (
    JSONB,
    UUID,
    Array,
    Bytea,
    DoublePrecision,
    Integer,
    Timestamptz,
    Varchar,
)
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.table import Table
from piccolo_api.session_auth.tables import SessionsBase

from core.channels.columns import UUIDv7

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_OURS: Final = "Sessions are opened, found and ended by core.access.sessions."


class AppUser(BaseUser, tablename="app_user"):
    """A person who signs in; what they may do stands in their memberships."""

    locale = Varchar(length=16, default="en")
    totp_sealed = Bytea(null=True, default=None)
    disabled_at = Timestamptz(null=True, default=None)


class UserSession(SessionsBase, tablename="user_session"):
    """A signed-in browser; `token` holds the SHA-256 of the cookie, never the cookie."""

    business_id = UUID(null=True, default=None, help_text="The business chosen for this session.")
    revoked_at = Timestamptz(null=True, default=None)

    @classmethod
    async def create_session(
        cls,
        user_id: int,
        expiry_date: datetime | None = None,
        max_expiry_date: datetime | None = None,
    ) -> SessionsBase:
        """Refuse: Piccolo's own way would store the cookie; core.access.sessions has ours."""
        del user_id, expiry_date, max_expiry_date
        raise RuntimeError(_OURS)

    @classmethod
    async def get_user_id(cls, token: str, increase_expiry: timedelta | None = None) -> int | None:
        """Refuse, see `create_session`."""
        del token, increase_expiry
        raise RuntimeError(_OURS)

    @classmethod
    async def remove_session(cls, token: str) -> None:
        """Refuse, see `create_session`."""
        del token
        raise RuntimeError(_OURS)


class LoginAttempt(Table, tablename="login_attempt"):
    """One failed try to sign in; counted per user and per address by all processes."""

    id = UUID(default=UUIDv7(), primary_key=True)
    key_hash = Bytea()
    at = Timestamptz(default=TimestamptzNow())


class Role(StrEnum):
    """What a member may do; the actions of each role stand in code (core/access/roles.py)."""

    OWNER = "owner"
    MANAGER = "manager"
    VIEWER = "viewer"
    PRIVACY_OFFICER = "privacy_officer"
    SUPPORT = "support"
    PLATFORM_OPERATOR = "platform_operator"
    PLATFORM_ADMIN = "platform_admin"


class Membership(Table, tablename="membership"):
    """A user's role in one business, or on the platform where `business_id` is empty."""

    id = UUID(default=UUIDv7(), primary_key=True)
    user_id = Integer()
    business_id = UUID(null=True, default=None)
    role = Varchar(length=20, choices=Role)
    created_at = Timestamptz(default=TimestamptzNow())


class ApiKey(Table, tablename="api_key"):
    """A key of the booking system: only a keyed hash of its secret is kept.

    Its rate is the host's own where none is set; `rate_tokens` were left at `rate_filled_at`.
    `allowed_from` lists the networks it may be used from; empty means everywhere.
    """

    id = UUID(default=UUIDv7(), primary_key=True)
    key_id = Varchar(length=16, unique=True)
    secret_hmac = Bytea()
    secret_hmac_next = Bytea(null=True, default=None)
    business_id = UUID(null=True, default=None)
    name = Varchar(length=100)
    scopes = Array(base_column=Varchar(length=32))
    mode = Varchar(length=4, default="live")
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
    rate_per_second = Integer(null=True, default=None)
    rate_burst = Integer(null=True, default=None)
    rate_tokens = DoublePrecision(default=0.0)
    rate_filled_at = Timestamptz(null=True, default=None)
    allowed_from = Array(base_column=Varchar(length=64))


class AuditLog(Table, tablename="audit_log"):
    """Who did what to which thing, before and after; append-only by grants and trigger."""

    id = UUID(default=UUIDv7(), primary_key=True)
    business_id = UUID(null=True, default=None)
    actor = Varchar(length=100)
    action = Varchar(length=100)
    target = Varchar(length=200)
    before = JSONB(null=True, default=None)
    after = JSONB(null=True, default=None)
    ip = Varchar(length=64, null=True, default=None)
    created_at = Timestamptz(default=TimestamptzNow())
