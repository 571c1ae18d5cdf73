"""Reads the environment once into one frozen struct; nobody else looks at `os.environ`.

Every variable may also be given as `<NAME>_FILE`, the path of a file that holds the value. All
faults are reported at once. Nothing here writes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec

from core.crashpoint import fault_of
from core.errors import ConfigurationError
from core.keyring import (
    DEVELOPMENT_KEY_ID,
    SecretKey,
    development_keys,
    key_fault,
    read_ring,
)
from core.mailserver import MailServer, read_mail_server
from core.secret import Secret, without_password
from core.variables import VARIABLES, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "VARIABLES",
    "Row",
    "Secret",
    "SecretKey",
    "Settings",
    "Variable",
    "describe",
    "development_keys",
    "options_for",
    "read_settings",
    "unknown_variables",
    "variable_of",
]

Environment = Literal["development", "production", "test"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["json", "console"]
Shape = TypeVar("Shape", bound=msgspec.Struct)

PREFIX: Final = "PATCHBAY_"

_FILE: Final = "_FILE"
_FILE_LIMIT: Final = 65_536
_DATABASE_SCHEMES: Final = ("postgresql", "postgres")
_QUEUE_SCHEMES: Final = ("redis", "rediss", *_DATABASE_SCHEMES)
_SECRET_WORDS: Final = frozenset({"secret", "token", "password", "key", "pin", "credentials"})
_MAIL: Final = ("PATCHBAY_SMTP_URL", "PATCHBAY_MAIL_FROM")
_KNOWN: Final = frozenset(variable.name for variable in VARIABLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The deployment's settings; they change with a restart, never in between.

    Attributes:
        database_url: None means the embedded database.
        queue_url: None means a queue in the database server.
        secret_keys: the first one seals; empty only with the embedded database.
        channels: None means every channel that is found.
        mail_server: what `smtp_url` and `mail_from` say together; None sends no mail.
        channel_options: the variables that are not the host's own, by full name.
        origins: where each variable came from: env or file; what is missing is a default.
    """

    environment: Environment = "development"
    database_url: str | None = field(default=None, repr=False)
    migrations_database_url: str | None = field(default=None, repr=False)
    queue_url: str | None = field(default=None, repr=False)
    public_url: str = "http://127.0.0.1:8000"
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    mail_server: MailServer | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    secret_keys: tuple[SecretKey, ...] = field(default=(), repr=False)
    index_key: Secret | None = field(default=None, repr=False)
    data_dir: Path | None = None
    addon_paths: tuple[Path, ...] = ()
    channels: tuple[str, ...] | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "json"
    crashpoint: str | None = None
    channel_options: Mapping[str, Secret] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    origins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: settings hold secrets."""
        raise TypeError("Settings hold secrets and are not pickled.")


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check every setting.

    Raises:
        ConfigurationError: lists all faults, not only the first.
    """
    return _Reader(os.environ if environ is None else environ).settings()


def options_for(settings: Settings, slug: str, shape: type[Shape]) -> Shape:
    """Build a channel's own struct from `PATCHBAY_<SLUG>_*`.

    Field `app_id` of channel `whatsapp` is `PATCHBAY_WHATSAPP_APP_ID`. A field of type `Secret`
    stays masked. A field named `environment` receives the host's environment. The struct's
    `__post_init__` may refuse a combination with ValueError.

    Raises:
        ConfigurationError: lists every missing or unfit variable; values are never quoted.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for entry in msgspec.structs.fields(shape):
        name = variable_of(slug, entry.name)
        given = settings.channel_options.get(name)
        if given is not None:
            try:
                values[entry.name] = msgspec.convert(
                    given.reveal(), entry.type, strict=False, dec_hook=_as_secret
                )
            except msgspec.ValidationError as error:
                faults.append(f"{name}: {error}.")
        elif entry.name == "environment":
            values[entry.name] = settings.environment
        elif entry.required:
            faults.append(f"{name} is required by the channel {slug}.")
    if faults:
        raise ConfigurationError(*faults)
    try:
        return shape(**values)
    except ValueError as error:
        raise ConfigurationError(f"{PREFIX}{slug.upper()}_*: {error}") from None


def variable_of(slug: str, name: str) -> str:
    """Return the variable that holds a channel's option."""
    return f"{PREFIX}{slug}_{name}".upper()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `patchbay config show`; the value is fit to be seen.

    Attributes:
        origin: env, file or default.
    """

    name: str
    value: str
    origin: str


def describe(
    settings: Settings, shapes: Mapping[str, type[msgspec.Struct]] | None = None
) -> list[Row]:
    """Return every setting with its masked value and where it came from.

    Args:
        settings: what was read.
        shapes: the channels' own structs by slug; what they do not declare is masked as well.
    """
    rows = [
        Row(
            variable.name,
            _shown(settings, variable),
            settings.origins.get(variable.name, "default"),
        )
        for variable in VARIABLES
    ]
    declared = _declared(shapes or {})
    for name, value in settings.channel_options.items():
        plain = name in declared and not declared[name]
        rows.append(Row(name, value.reveal() if plain else str(value), settings.origins[name]))
    return rows


def unknown_variables(settings: Settings, shapes: Mapping[str, type[msgspec.Struct]]) -> list[str]:
    """Return the `PATCHBAY_*` variables that nobody reads: most often a slip of the pen."""
    return sorted(set(settings.channel_options) - set(_declared(shapes)))


def _declared(shapes: Mapping[str, type[msgspec.Struct]]) -> dict[str, bool]:
    """Return the channels' variables, and whether each is a secret."""
    return {
        variable_of(slug, entry.name): _is_secret(entry)
        for slug, shape in shapes.items()
        for entry in msgspec.structs.fields(shape)
    }


def _is_secret(entry: msgspec.structs.FieldInfo) -> bool:
    """Tell by type, by mark (`Meta(extra={"secret": True})`), or to be safe by name."""
    kinds = (entry.type, *get_args(entry.type))
    marks = [kind.extra or {} for kind in kinds if isinstance(kind, msgspec.Meta)]
    return (
        Secret in kinds
        or any(mark.get("secret") for mark in marks)
        or not _SECRET_WORDS.isdisjoint(entry.name.split("_"))
    )


def _shown(settings: Settings, variable: Variable) -> str:
    value = getattr(settings, _field_of(variable.name))
    if value in (None, ()):
        return variable.default
    if variable.name == "PATCHBAY_SECRET_KEYS":
        return ",".join(f"{key.id}:***" for key in value)
    if variable.secret and isinstance(value, str):
        return without_password(value)
    if isinstance(value, tuple):
        joint = os.pathsep if variable.name == "PATCHBAY_ADDON_PATHS" else ","
        return joint.join(str(part) for part in value)
    return str(value)


def _field_of(name: str) -> str:
    field_name = name.removeprefix(PREFIX).lower()
    return "environment" if field_name == "env" else field_name


class _Reader:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self.values: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        for name, value in sorted(environ.items()):
            if name.startswith(PREFIX) and value:
                self._take(name, value)

    def _take(self, name: str, value: str) -> None:
        origin = "env"
        if name.endswith(_FILE):
            name, origin = name.removesuffix(_FILE), "file"
            value = self._content(name, Path(value))
        if name in self.values:
            self.faults.append(f"{name} and {name}{_FILE} are both set; keep one.")
        elif value:
            self.values[name], self.origins[name] = value, origin

    def _content(self, name: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return file.read(_FILE_LIMIT).decode().strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            self.faults.append(f"{name}{_FILE}: cannot read {path}: {reason}.")
            return ""

    def settings(self) -> Settings:
        """Check everything, then build the struct or raise with every fault."""
        settings = Settings(
            environment=self._choice("PATCHBAY_ENV", get_args(Environment), "development"),
            database_url=(database := self._url("PATCHBAY_DATABASE_URL", _DATABASE_SCHEMES)),
            migrations_database_url=(
                self._url("PATCHBAY_MIGRATIONS_DATABASE_URL", _DATABASE_SCHEMES) or database
            ),
            queue_url=self._url("PATCHBAY_QUEUE_URL", _QUEUE_SCHEMES),
            public_url=self._public_url(),
            smtp_url=(mail := self.values.get("PATCHBAY_SMTP_URL")),
            mail_from=(sender := self.values.get("PATCHBAY_MAIL_FROM")),
            mail_server=read_mail_server(mail, sender, _MAIL, self.faults),
            host=self.values.get("PATCHBAY_HOST", "127.0.0.1"),
            port=self._port(),
            secret_keys=self._keys(),
            index_key=self._index_key(),
            data_dir=self._path("PATCHBAY_DATA_DIR"),
            addon_paths=tuple(
                Path(part).expanduser()
                for part in self.values.get("PATCHBAY_ADDON_PATHS", "").split(os.pathsep)
                if part
            ),
            channels=self._channels(),
            log_level=self._choice("PATCHBAY_LOG_LEVEL", get_args(LogLevel), "info"),
            log_format=self._choice("PATCHBAY_LOG_FORMAT", get_args(LogFormat), "json"),
            crashpoint=self._crashpoint(),
            channel_options=MappingProxyType(
                {n: Secret(v) for n, v in self.values.items() if n not in _KNOWN}
            ),
            origins=MappingProxyType(dict(self.origins)),
        )
        self._together(settings)
        if self.faults:
            raise ConfigurationError(*self.faults)
        return settings

    def _choice(self, name: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self.values.get(name, default)
        if value not in allowed:
            self.faults.append(f"{name} must be one of {', '.join(allowed)}.")
        return value

    def _url(self, name: str, schemes: tuple[str, ...]) -> str | None:
        value = self.values.get(name)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            fits = parts.scheme in schemes and (parts.port or True)
        except ValueError:
            fits = False
        if not fits:
            wanted = " or ".join(f"{scheme}://" for scheme in schemes)
            self.faults.append(f"{name} must be a URL that begins with {wanted}.")
        return value

    def _public_url(self) -> str:
        value = self._url("PATCHBAY_PUBLIC_URL", ("https", "http")) or "http://127.0.0.1:8000"
        if "@" in value or "?" in value or "#" in value:
            self.faults.append("PATCHBAY_PUBLIC_URL must hold no login, query or fragment.")
        return value.rstrip("/")

    def _port(self) -> int:
        value = self.values.get("PATCHBAY_PORT", "8000")
        if value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= 65_535:  # noqa: PLR2004 - the highest port
            return int(value)
        self.faults.append("PATCHBAY_PORT must be a number from 1 to 65535.")
        return 0

    def _path(self, name: str) -> Path | None:
        value = self.values.get(name)
        return Path(value).expanduser() if value else None

    def _channels(self) -> tuple[str, ...] | None:
        value = self.values.get("PATCHBAY_CHANNELS")
        if value is None:
            return None
        return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))

    def _crashpoint(self) -> str | None:
        value = self.values.get("PATCHBAY_CRASHPOINT")
        if value and (fault := fault_of(value)):
            self.faults.append(f"PATCHBAY_CRASHPOINT {fault}.")
        return value

    def _keys(self) -> tuple[SecretKey, ...]:
        value = self.values.get("PATCHBAY_SECRET_KEYS")
        return read_ring(value, "PATCHBAY_SECRET_KEYS", self.faults) if value else ()

    def _index_key(self) -> Secret | None:
        value = self.values.get("PATCHBAY_INDEX_KEY")
        if value is None:
            return None
        if fault := key_fault(value):
            self.faults.append(f"PATCHBAY_INDEX_KEY {fault}.")
        return Secret(value)

    def _together(self, settings: Settings) -> None:
        if settings.database_url and not self.values.get("PATCHBAY_SECRET_KEYS"):
            self.faults.append("PATCHBAY_SECRET_KEYS is required with PATCHBAY_DATABASE_URL.")
        if settings.environment != "production":
            return
        if settings.crashpoint:
            self.faults.append("PATCHBAY_CRASHPOINT is for tests; take it away in production.")
        if not settings.database_url:
            self.faults.append(
                "PATCHBAY_DATABASE_URL is required in production; "
                "the embedded database is for a first look."
            )
            if not self.values.get("PATCHBAY_SECRET_KEYS"):
                self.faults.append("PATCHBAY_SECRET_KEYS is required in production.")
        if not settings.public_url.startswith("https://"):
            self.faults.append("PATCHBAY_PUBLIC_URL must begin with https:// in production.")
        if any(key.id == DEVELOPMENT_KEY_ID for key in settings.secret_keys):
            self.faults.append(
                f"PATCHBAY_SECRET_KEYS holds the key {DEVELOPMENT_KEY_ID!r} of a first run; "
                "make new keys for production."
            )


def _as_secret(wanted: type[Any], value: Any) -> Any:
    if wanted is Secret:
        return Secret(value)
    raise TypeError(f"{wanted!r} is no type of a setting")


def environment_of_children(changes: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with changes, for a process of ours."""
    return {**os.environ, **changes}
