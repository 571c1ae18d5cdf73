"""The settings of the mail server: read once, refused with every fault, and never shown."""

from __future__ import annotations

import pytest

from core.errors import ConfigurationError
from core.settings import describe, read_settings

MAIL_FROM = "Patchbay <alerts@example.com>"


def faults_of(environ: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with an environment."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings(environ)
    return caught.value.faults


def mail_environ(url: str, sender: str | None = MAIL_FROM) -> dict[str, str]:
    """Return an environment with a mail server."""
    return {"PATCHBAY_SMTP_URL": url} | ({"PATCHBAY_MAIL_FROM": sender} if sender else {})


def test_a_mail_server_is_read_from_its_url() -> None:
    """Both parts of the login are percent-encoded; ports and STARTTLS have safe defaults."""
    url = "smtp://anna%40x:p%40ss%3Aw%2Frd@mail.example.com"
    server = read_settings(mail_environ(url)).mail_server
    assert server is not None
    assert (server.host, server.port, server.tls, server.starttls) == (
        "mail.example.com",
        587,
        False,
        True,
    )
    assert (server.user, server.password.reveal()) == ("anna@x", "p@ss:w/rd")
    assert (server.sender, server.sender_name) == ("alerts@example.com", "Patchbay")
    for text, port, tls, starttls in (
        ("smtps://mail.example.com", 465, True, False),
        ("smtp://127.0.0.1:2525", 2525, False, False),
        ("smtp://127.0.0.1:2525?starttls=required", 2525, False, True),
        ("smtp://mail.example.com:25?starttls=off", 25, False, False),
        ("smtp://u:p@localhost/", 587, False, False),
        ("smtp://[::1]:2525", 2525, False, False),
    ):
        server = read_settings(mail_environ(text)).mail_server
        assert server is not None
        assert (server.port, server.tls, server.starttls) == (port, tls, starttls)
    assert read_settings({}).mail_server is None


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        (mail_environ("http://mail.example.com"), 1),
        (mail_environ("smtp://mail.example.com", None), 1),
        (mail_environ("smtp://mail.example.com", "nobody"), 1),
        (mail_environ("smtp://mail.example.com", "a@b.c\nBcc: x@y.z"), 1),
        ({"PATCHBAY_MAIL_FROM": MAIL_FROM}, 1),
        (mail_environ("smtp://u@mail.example.com"), 1),
        (mail_environ("smtp://u:hunter2@mail.example.com?starttls=off"), 1),
        (mail_environ("smtp://u:hun%0Ater2@mail.example.com"), 1),
        (mail_environ("smtp://mail.example.com:99999"), 1),
        (mail_environ("smtp://mail.example.com/path"), 1),
        (mail_environ("smtp://mail.example.com?verify=no"), 1),
        (mail_environ("smtps://mail.example.com?starttls=off"), 1),
        (mail_environ("ftp://u:hunter2@x", "nobody") | {"PATCHBAY_PORT": "0"}, 3),
    ],
)
def test_an_unfit_mail_server_is_refused_with_every_fault(
    environ: dict[str, str], count: int
) -> None:
    """All at once, and none quotes the password."""
    faults = faults_of(environ)
    assert len(faults) == count
    assert "hunter2" not in str(faults)


def test_the_password_of_the_mail_server_is_never_shown() -> None:
    """Neither in what is listed nor in any representation."""
    settings = read_settings(mail_environ("smtp://u:hunter2@mail.example.com"))
    shown = str([describe(settings), settings, settings.mail_server])
    assert "hunter2" not in shown
    assert "smtp://u:***@mail.example.com" in shown
