"""Section 3 of the specification, as data, against the tables as PostgreSQL holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from walled_rows import allowed_values

from core.channels.messages import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT: Final = "character varying"
TIME: Final = "timestamp with time zone"
SEALED: Final = "bytea"

SECTION_3: Final = {
    "business_whatsapp_config": {
        "id": "uuid",
        "business_id": "uuid",
        "waba_id": TEXT,
        "phone_number_id": TEXT,
        "access_token_encrypted": SEALED,
        "token_expires_at": TIME,
        "connected_at": TIME,
        "status": TEXT,
        "quality_rating": TEXT,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "whatsapp_templates": {
        "id": "uuid",
        "business_id": "uuid",
        "template_name": TEXT,
        "category": TEXT,
        "language_code": TEXT,
        "status": TEXT,
        "created_at": TIME,
    },
    "customer_consents": {
        "id": "uuid",
        "customer_id": "uuid",
        "business_id": "uuid",
        "channel": TEXT,
        "opt_in": "boolean",
        "opt_in_at": TIME,
        "source": TEXT,
        "proof_reference": TEXT,
        "revoked_at": TIME,
        "created_at": TIME,
    },
    "notification_outbox": {
        "id": "uuid",
        "business_id": "uuid",
        "customer_id": "uuid",
        "channel": TEXT,
        "event_type": TEXT,
        "template_name": TEXT,
        "payload_json": "jsonb",
        "status": TEXT,
        "provider_message_id": TEXT,
        "error_code": TEXT,
        "retry_count": "integer",
        "next_retry_at": TIME,
        "created_at": TIME,
        "updated_at": TIME,
    },
    "whatsapp_message_log": {
        "id": "uuid",
        "business_id": "uuid",
        "customer_id": "uuid",
        "direction": TEXT,
        "message_type": TEXT,
        "content_snapshot": SEALED,
        "provider_message_id": TEXT,
        "delivery_status": TEXT,
        "timestamp": TIME,
    },
}
"""Table -> column -> type; what is a secret or personal text is sealed, so its type is bytea."""

WORDS: Final = {
    ("business_whatsapp_config", "status"): {"active", "disabled", "error"},
    ("whatsapp_templates", "category"): {"utility", "authentication", "marketing"},
    ("whatsapp_templates", "status"): {"approved", "pending", "rejected"},
    ("customer_consents", "source"): {"web", "app", "whatsapp", "paper"},
    ("notification_outbox", "status"): {"queued", "sent", "delivered", "read", "failed"},
    ("whatsapp_message_log", "direction"): {"outbound", "inbound"},
}
"""The values the specification allows, where it lists them."""

ADDED: Final = {
    ("whatsapp_templates", "status"): {"paused", "disabled"},
    ("notification_outbox", "status"): {"canceled"},
}
"""What our own rulings add: a template Meta paused, a notice that was taken back."""


async def columns_of(connection: Any, table: str) -> dict[str, str]:
    """Return column -> type."""
    rows = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1",
        table,
    )
    return {row["column_name"]: row["data_type"] for row in rows}


def missing(wanted: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that are not there, or are of another type."""
    return {name: kind for name, kind in wanted.items() if there.get(name) != kind}


@pytest.mark.parametrize("table", SECTION_3)
async def test_tables_have_the_columns_of_the_specification(superuser: Any, table: str) -> None:
    """Every table and column of section 3 is there under its own name, with its type."""
    there = await columns_of(superuser, table)
    assert missing(SECTION_3[table], there) == {}
    key = (
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = to_regclass($1) AND contype = 'p'"
    )
    assert await superuser.fetchval(key, table) == "PRIMARY KEY (id)"


@pytest.mark.parametrize(("table", "column"), WORDS)
async def test_columns_allow_the_words_of_the_specification(
    superuser: Any, table: str, column: str
) -> None:
    """The database takes the listed words, those we added by a ruling, and no other."""
    allowed = await allowed_values(superuser, table)
    added = ADDED.get((table, column), set())
    assert set(allowed[column]) == WORDS[table, column] | added


async def test_delivery_statuses_are_those_of_a_message(superuser: Any) -> None:
    """The log speaks the outbox's words, and says of an inbound message that it came."""
    allowed = await allowed_values(superuser, "whatsapp_message_log")
    assert set(allowed["delivery_status"]) == set(Status) | {"received"}


@pytest.mark.parametrize("table", SECTION_3)
async def test_rows_belong_to_a_business_that_exists(superuser: Any, table: str) -> None:
    """`business_id` is required and leads, directly or with its customer, to a business."""
    query = """
        SELECT count(*) FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
        WHERE c.conrelid = to_regclass($1) AND c.contype = 'f' AND a.attname = 'business_id'
          AND c.confrelid IN ('business'::regclass, 'customer'::regclass)
    """
    assert await superuser.fetchval(query, table) >= 1
    required = (
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = "
    )
    assert await superuser.fetchval(required + "'business_id'", table)


async def test_a_difference_would_be_found(superuser: Any) -> None:
    """The comparison itself works: a renamed column, another type and another word are seen."""
    await superuser.execute("ALTER TABLE notification_outbox RENAME COLUMN event_type TO kind_of")
    await superuser.execute("ALTER TABLE notification_outbox ALTER retry_count TYPE bigint")
    there = await columns_of(superuser, "notification_outbox")
    assert set(missing(SECTION_3["notification_outbox"], there)) == {"event_type", "retry_count"}
    await superuser.execute(
        "ALTER TABLE customer_consents DROP CONSTRAINT customer_consents_source_check, "
        "ADD CONSTRAINT other CHECK (source IN ('web', 'fax'))"
    )
    allowed = await allowed_values(superuser, "customer_consents")
    assert set(allowed["source"]) == {"web", "fax"}
