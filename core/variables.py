"""Every environment variable of the host, as data: the documentation is tested against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One setting of the deployment, as the documentation and the command line show it."""

    name: str
    meaning: str
    default: str = ""
    secret: bool = False


VARIABLES: Final = (
    Variable(
        name="PATCHBAY_ENV",
        meaning="`development`, `test` or `production`; production refuses what is unsafe.",
        default="development",
    ),
    Variable(
        name="PATCHBAY_DATABASE_URL",
        meaning="PostgreSQL 15 or newer, `postgresql://...`; without it an embedded one is used.",
        secret=True,
    ),
    Variable(
        name="PATCHBAY_MIGRATIONS_DATABASE_URL",
        meaning="The same database as its owner, for `patchbay migrate` only.",
        default="the database URL",
        secret=True,
    ),
    Variable(
        name="PATCHBAY_QUEUE_URL",
        meaning="SAQ's queue: `redis://...` or `postgresql://...`.",
        default="a queue in the database server",
        secret=True,
    ),
    Variable(
        name="PATCHBAY_PUBLIC_URL",
        meaning="Where browsers and providers reach the host; `https` in production.",
        default="http://127.0.0.1:8000",
    ),
    Variable(
        name="PATCHBAY_SMTP_URL",
        meaning=(
            "Mail server for alerts: `smtp://user:password@host:587` or `smtps://...`, both parts "
            "percent-encoded. STARTTLS is a must, except on this machine or with `?starttls=off`."
        ),
        secret=True,
    ),
    Variable(
        name="PATCHBAY_MAIL_FROM",
        meaning="Who alerts come from: an address, or `Name <address>`; needed with the server.",
    ),
    Variable(name="PATCHBAY_HOST", meaning="Address to listen on.", default="127.0.0.1"),
    Variable(name="PATCHBAY_PORT", meaning="Port to listen on, 1 to 65535.", default="8000"),
    Variable(
        name="PATCHBAY_SECRET_KEYS",
        meaning=(
            "Key ring `id:base64,...` of 32-byte keys; the first one seals, all of them open. "
            "Only with the embedded database may it be left out: a key file is made then."
        ),
        secret=True,
    ),
    Variable(
        name="PATCHBAY_INDEX_KEY",
        meaning=(
            "Base64 of 32 bytes, for blind indexes and keyed hashes; it never changes, "
            "whatever becomes of the key ring."
        ),
        default="derived from the ring's key `index`, else from its last key",
        secret=True,
    ),
    Variable(
        name="PATCHBAY_DATA_DIR",
        meaning="Folder of the embedded database and its key file.",
        default="a folder under the user's data folder",
    ),
    Variable(
        name="PATCHBAY_ADDON_PATHS",
        meaning="Further folders to look for channels in, separated like PATH.",
    ),
    Variable(
        name="PATCHBAY_CHANNELS",
        meaning="The channels to load, separated by commas.",
        default="all that are found",
    ),
    Variable(
        name="PATCHBAY_LOG_LEVEL",
        meaning="`debug`, `info`, `warning` or `error`.",
        default="info",
    ),
    Variable(
        name="PATCHBAY_LOG_FORMAT",
        meaning="`json` (one object a line) or `console` (for people).",
        default="json",
    ),
    Variable(
        name="PATCHBAY_CRASHPOINT",
        meaning="Ends the process at a named step, `STEP:NTH`; for tests, refused in production.",
    ),
)
