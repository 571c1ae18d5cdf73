"""Settings are read once, refused with every fault at once, and never shown."""

from __future__ import annotations

import base64
import copy
import dataclasses
import pickle
import secrets
import stat
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from core.errors import ConfigurationError
from core.settings import (
    VARIABLES,
    Secret,
    Settings,
    describe,
    development_keys,
    options_for,
    read_settings,
    unknown_variables,
)

KEY = base64.b64encode(secrets.token_bytes(32)).decode()
SECOND = base64.b64encode(secrets.token_bytes(32)).decode()
DATABASE = "postgresql://app:hunter2@db.internal/patchbay"
PRODUCTION = {
    "PATCHBAY_ENV": "production",
    "PATCHBAY_DATABASE_URL": DATABASE,
    "PATCHBAY_SECRET_KEYS": f"a:{KEY}",
    "PATCHBAY_PUBLIC_URL": "https://notices.example.com/",
}


class ChannelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel could ask for."""

    app_secret: Secret
    app_id: str = "none"
    marked: Annotated[str, msgspec.Meta(extra={"secret": True})] = ""
    verify_token: str = ""
    tries: int = 3
    slowness: float | None = None
    loud: bool = False
    environment: str = ""


def faults_of(environ: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with an environment."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings(environ)
    return caught.value.faults


def test_an_empty_environment_is_a_first_run() -> None:
    """Nothing needs to be set for a first look: embedded database, loopback, no keys yet."""
    settings = read_settings({})
    assert (settings.environment, settings.database_url, settings.queue_url) == (
        "development",
        None,
        None,
    )
    assert (settings.host, settings.port, settings.secret_keys) == ("127.0.0.1", 8000, ())
    assert settings.channels is None


def test_empty_variables_count_as_missing() -> None:
    """`NAME=` in an env file means: not set."""
    assert read_settings(dict.fromkeys((v.name for v in VARIABLES), "")) == read_settings({})


def test_everything_can_be_set() -> None:
    """Each variable reaches its field."""
    settings = read_settings(
        {
            **PRODUCTION,
            "PATCHBAY_MIGRATIONS_DATABASE_URL": "postgresql://owner@db.internal/patchbay",
            "PATCHBAY_QUEUE_URL": "redis://queue.internal:6379/0",
            "PATCHBAY_HOST": "0.0.0.0",  # noqa: S104 - only read, nothing listens
            "PATCHBAY_PORT": "9000",
            "PATCHBAY_SECRET_KEYS": f"b:{SECOND}, a:{KEY}",
            "PATCHBAY_INDEX_KEY": SECOND,
            "PATCHBAY_DATA_DIR": "/srv/patchbay",
            "PATCHBAY_ADDON_PATHS": "/srv/one:/srv/two",
            "PATCHBAY_CHANNELS": "whatsapp, console",
            "PATCHBAY_LOG_LEVEL": "debug",
            "PATCHBAY_LOG_FORMAT": "console",
        }
    )
    assert settings.public_url == "https://notices.example.com"
    assert settings.migrations_database_url == "postgresql://owner@db.internal/patchbay"
    assert settings.queue_url == "redis://queue.internal:6379/0"
    assert [key.id for key in settings.secret_keys] == ["b", "a"]
    assert settings.secret_keys[1].material() == base64.b64decode(KEY)
    assert settings.index_key == Secret(SECOND)
    assert settings.data_dir == Path("/srv/patchbay")
    assert settings.addon_paths == (Path("/srv/one"), Path("/srv/two"))
    assert settings.channels == ("whatsapp", "console")
    assert (settings.port, settings.log_level, settings.log_format) == (9000, "debug", "console")


def test_migrations_use_the_database_url_by_default() -> None:
    """One login is enough where one login may do both."""
    assert read_settings(PRODUCTION).migrations_database_url == DATABASE


def test_all_faults_are_told_at_once() -> None:
    """Who sets up a server repairs everything in one go."""
    faults = faults_of(
        {
            "PATCHBAY_ENV": "prod",
            "PATCHBAY_DATABASE_URL": "mysql://x",
            "PATCHBAY_QUEUE_URL": "amqp://x",
            "PATCHBAY_PORT": "70000",
            "PATCHBAY_SECRET_KEYS": f"a:{KEY},a:{SECOND},broken,short:YWJj",
            "PATCHBAY_INDEX_KEY": "%%%",
            "PATCHBAY_LOG_LEVEL": "loud",
            "PATCHBAY_CRASHPOINT": "nowhere:1",
            "PATCHBAY_PUBLIC_URL": "ftp://x",
            "PATCHBAY_HOST_FILE": "/nowhere/at/all",
        }
    )
    for name in (
        "PATCHBAY_ENV",
        "PATCHBAY_DATABASE_URL",
        "PATCHBAY_QUEUE_URL",
        "PATCHBAY_PORT",
        "PATCHBAY_INDEX_KEY",
        "PATCHBAY_LOG_LEVEL",
        "PATCHBAY_PUBLIC_URL",
        "PATCHBAY_HOST_FILE",
        "PATCHBAY_CRASHPOINT",
    ):
        assert [fault for fault in faults if fault.startswith(name)], name
    assert len([fault for fault in faults if "PATCHBAY_SECRET_KEYS" in fault]) == 3


def test_faults_never_quote_a_value() -> None:
    """An error about a secret does not print the secret."""
    faults = faults_of(
        {
            "PATCHBAY_DATABASE_URL": "postgres//app:hunter2@db/x",
            "PATCHBAY_SECRET_KEYS": "a:hunter2hunter2,hunter2",
            "PATCHBAY_INDEX_KEY": "hunter2",
        }
    )
    assert "hunter2" not in "\n".join(faults)


def test_production_is_complete() -> None:
    """A full production environment starts."""
    assert read_settings(PRODUCTION).environment == "production"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"PATCHBAY_DATABASE_URL": ""}, "PATCHBAY_DATABASE_URL"),
        ({"PATCHBAY_SECRET_KEYS": ""}, "PATCHBAY_SECRET_KEYS"),
        ({"PATCHBAY_DATABASE_URL": "", "PATCHBAY_SECRET_KEYS": ""}, "PATCHBAY_SECRET_KEYS"),
        ({"PATCHBAY_PUBLIC_URL": ""}, "PATCHBAY_PUBLIC_URL"),
        ({"PATCHBAY_PUBLIC_URL": "http://127.0.0.1:8000"}, "PATCHBAY_PUBLIC_URL"),
        ({"PATCHBAY_SECRET_KEYS": f"development:{KEY}"}, "PATCHBAY_SECRET_KEYS"),
        ({"PATCHBAY_CRASHPOINT": "after_claim:1"}, "PATCHBAY_CRASHPOINT"),
    ],
)
def test_production_refuses_what_is_unsafe(change: dict[str, str], named: str) -> None:
    """No missing or first-run key, no embedded database, no plain http."""
    assert any(fault.startswith(named) for fault in faults_of({**PRODUCTION, **change}))


@pytest.mark.parametrize(
    "material", [bytes(32), b"\xff" * 32, bytes([1, 2] * 16), b"correct horse battery staple 123"]
)
def test_a_guessable_key_is_refused(material: bytes) -> None:
    """Zeros, patterns and passphrases are not keys, in any environment."""
    encoded = base64.b64encode(material).decode()
    assert "not random" in faults_of({"PATCHBAY_SECRET_KEYS": f"a:{encoded}"})[0]


def test_the_index_key_never_seals() -> None:
    """A key that must stay for ever is no key to seal with."""
    assert "index" in faults_of({"PATCHBAY_SECRET_KEYS": f"index:{KEY},a:{SECOND}"})[0]


def test_one_key_under_two_ids_is_refused() -> None:
    """A rotation to the same key is no rotation."""
    assert "twice" in faults_of({"PATCHBAY_SECRET_KEYS": f"a:{KEY},b:{KEY}"})[0]


def test_a_real_database_needs_a_key_ring() -> None:
    """A process that is given addresses only writes no key file, so it must be given keys."""
    faults = faults_of({"PATCHBAY_DATABASE_URL": DATABASE})
    assert faults == ("PATCHBAY_SECRET_KEYS is required with PATCHBAY_DATABASE_URL.",)


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    """`<NAME>_FILE` is read and stripped, for the host's own and for channels' variables."""
    (tmp_path / "keys").write_text(f"a:{KEY}\n")
    (tmp_path / "secret").write_text("  s3cret\n")
    settings = read_settings(
        {
            "PATCHBAY_SECRET_KEYS_FILE": str(tmp_path / "keys"),
            "PATCHBAY_WHATSAPP_APP_SECRET_FILE": str(tmp_path / "secret"),
        }
    )
    assert settings.secret_keys[0].id == "a"
    assert options_for(settings, "whatsapp", ChannelOptions).app_secret == Secret("s3cret")
    assert settings.origins["PATCHBAY_SECRET_KEYS"] == "file"


def test_value_and_file_together_are_a_fault(tmp_path: Path) -> None:
    """Two sources for one value are a mistake, not a question of order."""
    (tmp_path / "port").write_text("1")
    faults = faults_of({"PATCHBAY_PORT": "2", "PATCHBAY_PORT_FILE": str(tmp_path / "port")})
    assert faults == ("PATCHBAY_PORT and PATCHBAY_PORT_FILE are both set; keep one.",)


def test_a_channel_gets_its_own_struct() -> None:
    """Texts become the struct's types; what is missing keeps its default."""
    settings = read_settings(
        {
            "PATCHBAY_WHATSAPP_APP_SECRET": "s3cret",
            "PATCHBAY_WHATSAPP_TRIES": "7",
            "PATCHBAY_WHATSAPP_SLOWNESS": "0.5",
            "PATCHBAY_WHATSAPP_LOUD": "true",
            "PATCHBAY_CONSOLE_TRIES": "9",
        }
    )
    options = options_for(settings, "whatsapp", ChannelOptions)
    assert options == ChannelOptions(
        app_secret=Secret("s3cret"), tries=7, slowness=0.5, loud=True, environment="development"
    )
    assert "s3cret" not in repr(options)


def test_a_channels_faults_are_told_at_once_without_values() -> None:
    """Missing and unfit options of a channel are listed together."""
    settings = read_settings(
        {"PATCHBAY_WHATSAPP_TRIES": "hunter2", "PATCHBAY_WHATSAPP_LOUD": "hunter2"}
    )
    with pytest.raises(ConfigurationError) as caught:
        options_for(settings, "whatsapp", ChannelOptions)
    assert [fault.split(":")[0].split()[0] for fault in caught.value.faults] == [
        "PATCHBAY_WHATSAPP_APP_SECRET",
        "PATCHBAY_WHATSAPP_TRIES",
        "PATCHBAY_WHATSAPP_LOUD",
    ]
    assert "hunter2" not in str(caught.value)


def test_a_channel_may_refuse_a_combination() -> None:
    """A ValueError of the struct becomes a fault that names the channel's variables."""

    class Strict(msgspec.Struct, frozen=True):
        environment: str = ""

        def __post_init__(self) -> None:
            raise ValueError("no secret in " + self.environment)

    with pytest.raises(ConfigurationError, match=r"PATCHBAY_MAIL_\*: no secret in production"):
        options_for(read_settings(PRODUCTION), "mail", Strict)


def test_slips_of_the_pen_are_found() -> None:
    """A variable that nobody reads can be told."""
    settings = read_settings({"PATCHBAY_DATABSE_URL": "x", "PATCHBAY_WHATSAPP_TRIES": "1"})
    assert unknown_variables(settings, {"whatsapp": ChannelOptions}) == ["PATCHBAY_DATABSE_URL"]


def test_description_shows_no_secret() -> None:
    """`patchbay config show` prints origin and value, and stars for what is secret."""
    settings = read_settings(
        {
            **PRODUCTION,
            "PATCHBAY_QUEUE_URL": "rediss://:hunter2@queue.internal:6379/0?password=hunter2",
            "PATCHBAY_INDEX_KEY": SECOND,
            "PATCHBAY_WHATSAPP_APP_SECRET": "hunter2",
            "PATCHBAY_WHATSAPP_MARKED": "hunter2",
            "PATCHBAY_WHATSAPP_VERIFY_TOKEN": "hunter2",
            "PATCHBAY_WHATSAPP_APP_ID": "4711",
            "PATCHBAY_WHATSAPP_STRANGE": "hunter2",
        }
    )
    rows = {row.name: row for row in describe(settings, {"whatsapp": ChannelOptions})}
    assert set(rows) >= {variable.name for variable in VARIABLES}
    printed = "\n".join(f"{row.name} {row.value} {row.origin}" for row in rows.values())
    for secret in ("hunter2", KEY, SECOND):
        assert secret not in printed
    assert rows["PATCHBAY_DATABASE_URL"].value == "postgresql://app:***@db.internal/patchbay"
    assert rows["PATCHBAY_SECRET_KEYS"].value == "a:***"
    assert rows["PATCHBAY_WHATSAPP_APP_ID"].value == "4711"
    assert (rows["PATCHBAY_ENV"].origin, rows["PATCHBAY_PORT"].origin) == ("env", "default")


def test_settings_give_nothing_away_by_accident() -> None:
    """Repr, pickle and JSON encoding of the settings show no secret."""
    settings = read_settings({**PRODUCTION, "PATCHBAY_WHATSAPP_APP_SECRET": "hunter2"})
    for shown in (repr(settings), str(settings), f"{settings}", repr(settings.secret_keys)):
        assert "hunter2" not in shown
        assert KEY not in shown
    with pytest.raises(TypeError):
        pickle.dumps(settings)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)
    with pytest.raises(TypeError):
        msgspec.json.encode(read_settings({}))
    assert not hasattr(settings, "__dict__")


def test_settings_do_not_change() -> None:
    """The struct is frozen, and so are the mappings in it."""
    settings = read_settings({})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]  # the promise is that this fails
    with pytest.raises(TypeError):
        settings.origins["x"] = "y"  # type: ignore[index]  # the promise is that this fails
    assert dataclasses.replace(settings, port=1) == Settings(port=1)


def test_a_secret_hides_in_every_form() -> None:
    """A secret shows as stars, is not pickled, not encoded, has no `vars`, and compares."""
    secret = Secret("hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", "%s" % secret):  # noqa: UP031 - this form too
        assert "hunter2" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    assert not hasattr(secret, "__dict__")
    assert copy.deepcopy(secret) is secret
    assert (secret == Secret("hunter2"), secret == Secret("x"), secret == "hunter2") == (
        True,
        False,
        False,
    )
    assert (bool(secret), bool(Secret(""))) == (True, False)
    assert len({secret, Secret("hunter2")}) == 1
    assert secret.reveal() == "hunter2"


def test_first_run_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    """The key file is made once, 0600, and gives the same ring to every later start."""
    keys = development_keys(tmp_path)
    assert development_keys(tmp_path) == keys
    assert [key.id for key in keys] == ["development", "index"]
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_open_key_file_is_refused(tmp_path: Path) -> None:
    """Keys that others may read are no longer secret."""
    development_keys(tmp_path)
    (tmp_path / "secret-keys").chmod(0o644)
    with pytest.raises(ConfigurationError, match="0600"):
        development_keys(tmp_path)


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    """A broken key file stops the start instead of being replaced: data hangs on it."""
    path = tmp_path / "secret-keys"
    path.touch(mode=0o600)
    path.write_text("rubbish")
    with pytest.raises(ConfigurationError):
        development_keys(tmp_path)
    assert path.read_text() == "rubbish"
