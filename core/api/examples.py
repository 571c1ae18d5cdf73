"""The examples of the documentation: one business, one customer, one booking through all calls.

They are sent by a test, against a host where these rows exist.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from core.ids import (
    ALERT,
    CONSENT,
    DECISION,
    EVENT,
    JOB,
    NOTIFICATION,
    WEBHOOK_ENDPOINT,
    outward,
)

BUSINESS: Final = "salon-aurora"
TRIAL: Final = "salon-trial"
CUSTOMER: Final = "cus_88"
BOOKING: Final = "B-1001"

CONSENT_UUID: Final = UUID("019ab000-0000-7000-8000-00000000c051")
EVENT_UUID: Final = UUID("019ab000-0000-7000-8000-00000000e001")
NOTIFICATION_UUID: Final = UUID("019ab000-0000-7000-8000-00000000a001")
DECISION_UUID: Final = UUID("019ab000-0000-7000-8000-00000000d001")
ENDPOINT_UUID: Final = UUID("019ab000-0000-7000-8000-00000000f001")
ALERT_UUID: Final = UUID("019ab000-0000-7000-8000-00000000f003")
OLD_ENDPOINT_UUID: Final = UUID("019ab000-0000-7000-8000-00000000f002")

CONSENT_ID: Final = outward(CONSENT, CONSENT_UUID)
FAILED_UUID: Final = UUID("019ab000-0000-7000-8000-00000000a002")
UNCONFIRMED_UUID: Final = UUID("019ab000-0000-7000-8000-00000000a003")

FAILED_ID: Final = outward(NOTIFICATION, FAILED_UUID)
UNCONFIRMED_ID: Final = outward(NOTIFICATION, UNCONFIRMED_UUID)
EVENT_ID: Final = outward(EVENT, EVENT_UUID)
NOTIFICATION_ID: Final = outward(NOTIFICATION, NOTIFICATION_UUID)
DECISION_ID: Final = outward(DECISION, DECISION_UUID)
ENDPOINT_ID: Final = outward(WEBHOOK_ENDPOINT, ENDPOINT_UUID)
JOB_UUID: Final = UUID("019ab000-0000-7000-8000-000000000b01")
JOB_ID: Final = outward(JOB, JOB_UUID)
ALERT_ID: Final = outward(ALERT, ALERT_UUID)
OLD_ENDPOINT_ID: Final = outward(WEBHOOK_ENDPOINT, OLD_ENDPOINT_UUID)

BUSINESS_BODY: Final = {
    "name": "Salone Aurora",
    "timezone": "Europe/Rome",
    "country": "IT",
    "default_locale": "it",
}
CUSTOMER_BODY: Final = {
    "id": CUSTOMER,
    "first_name": "Giulia",
    "phone": "+393331234567",
    "locale": "it",
}
BOOKING_BODY: Final = {
    "ref": BOOKING,
    "starts_at": "2027-03-23T10:30:00+01:00",
    "service": "Taglio",
    "version": 1,
}
EVENT_BODY: Final[dict[str, Any]] = {
    "id": "bk-1001-confirmed-1",
    "source": "/booking/prod",
    "type": "booking.confirmed",
    "time": "2026-11-22T09:02:11Z",
    "data": {"business_id": BUSINESS, "booking": BOOKING_BODY, "customer": CUSTOMER_BODY},
}
CLOUD_EVENT_BODY: Final[dict[str, Any]] = EVENT_BODY | {
    "specversion": "1.0",
    "id": "bk-1001-rescheduled-2",
    "type": "booking.rescheduled",
    "subject": f"booking/{BOOKING}",
    "data": EVENT_BODY["data"] | {"booking": BOOKING_BODY | {"version": 2}},
}
BATCH_EVENTS: Final[list[dict[str, Any]]] = [
    EVENT_BODY
    | {
        "id": f"bk-{number}-imported",
        "type": "booking.imported",
        "data": EVENT_BODY["data"] | {"booking": BOOKING_BODY | {"ref": f"B-{number}"}},
    }
    for number in (2001, 2002)
]
CONSENT_BODY: Final[dict[str, Any]] = {
    "business_id": BUSINESS,
    "customer_id": CUSTOMER,
    "channel": "whatsapp",
    "purpose": "transactional",
    "source": "web",
    "granted_at": "2026-11-03T18:04:00Z",
    "text_version": "it-v1",
    "proof_reference": "form/41",
    "proof": {"form_url": "https://booking.example.com/s/aurora"},
    "customer": {"first_name": "Giulia", "phone": "+393331234567", "locale": "it"},
}
IMPORT_LINE: Final[dict[str, Any]] = {
    "customer_id": "cus_91",
    "channel": "whatsapp",
    "source": "paper",
    "granted_at": "2026-10-01T09:30:00+02:00",
    "text_version": "it-v1",
    "proof_reference": "folder 7, sheet 12",
    "phone": "333 765 4321",
    "first_name": "Marco",
}
ENDPOINT_BODY: Final[dict[str, Any]] = {
    "url": "https://booking.example.com/hooks/patchbay",
    "events": ["notification.*", "consent.revoked"],
    "description": "prod",
}
