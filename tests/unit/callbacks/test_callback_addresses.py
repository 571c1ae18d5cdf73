"""Callbacks reach the open network and nothing else."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from core.callbacks import outgoing
from core.callbacks.addresses import ForbiddenAddressError, check_address, check_url
from core.callbacks.outgoing import CheckedResolver, look_at

if TYPE_CHECKING:
    from collections.abc import Callable

FORBIDDEN_URLS = (
    # another scheme
    "file:///etc/passwd",
    "gopher://example.com:80/_GET",
    "unix:/var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/x",
    "ftp://example.com/",
    "javascript:alert(1)",
    "//example.com/x",
    "example.com/x",
    "",
    # addresses of our own network, as they are
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[ff02::1]/",
    # version 4 inside version 6
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:53aa:64c::1]/",
    "http://[2001:db8::1]/",
    # version 4 in other clothes
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.1./",
    "http://0/",
    # who is asked for, and who is asked
    "http://user@example.com/",
    "http://user:word@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://example.com/#part",
    "http://exa mple.com/",
    "http://example.com/\r\nX: y",
    "http://exämple.com/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://[::1/",
    "http://",
    "http:///path",
    "http://-example.com/",
    "http://example..com/",
    f"http://example.com/{'x' * 2000}",
    # ports of other services
    "http://example.com:22/",
    "http://example.com:25/",
    "http://example.com:5432/",
    "http://example.com:6379/",
    "http://example.com:7999/",
    "http://example.com:10000/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:-1/",
)
ALLOWED_URLS = (
    "https://booking.example.com/hooks/patchbay",
    "http://booking.example.com/",
    "https://booking.example.com:443/?a=b",
    "https://booking.example.com:8443/x",
    "https://booking.example.com:9999/x",
    "https://93.184.215.14/",
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    "https://xn--exmple-cua.com/",
    "https://a_b.example.com./",
)


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_a_forbidden_url_is_refused_in_production(url: str) -> None:
    """Whatever its clothes: another scheme, an inner address, a login, a service's port."""
    with pytest.raises(ForbiddenAddressError):
        check_url(url, local=False)


@pytest.mark.parametrize("url", ALLOWED_URLS)
def test_an_open_url_is_taken(url: str) -> None:
    """Names and addresses of the open network, on the ports of the web."""
    check_url(url, local=False)


def test_outside_production_this_machine_is_allowed_and_nothing_more() -> None:
    """Loopback and any port, for tests and the demo; the rest stays closed."""
    for url in ("http://127.0.0.1:45123/x", "http://[::1]:1234/", "http://localhost:9/"):
        check_url(url, local=True)
    for url in FORBIDDEN_URLS:
        if not url.startswith(("http://127.", "http://[::1]/", "http://example.com:")):
            with pytest.raises(ForbiddenAddressError):
                check_url(url, local=True)
    with pytest.raises(ForbiddenAddressError):
        check_address("10.0.0.1", local=True)


def answering(*answers: str) -> Callable[..., list[Any]]:
    """Return a name server in place of the machine's own: one more answer with each question."""
    asked = iter(answers)

    def look(host: str, port: int, **_: object) -> list[Any]:
        del host
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port, *tail))
            for address in next(asked).split()
            for family, tail in (
                ((socket.AF_INET6, (0, 0)) if ":" in address else (socket.AF_INET, ())),
            )
        ]

    return look


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "93.184.215.14 10.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1"],
)
async def test_a_name_that_leads_inside_is_refused_after_its_resolution(
    monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Also when only one of several addresses leads inside; by CNAME or not is the same to us."""
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", answering(answer, answer))
    resolver = CheckedResolver(local=False)
    with pytest.raises(ForbiddenAddressError):
        await resolver.resolve("booking.example.com", 443)
    with pytest.raises(ForbiddenAddressError):
        await look_at("https://booking.example.com/", local=False)
    await resolver.close()


async def test_a_name_that_changes_its_answer_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was looked at is what is connected to: the second answer is looked at again."""
    monkeypatch.setattr(
        outgoing.socket, "getaddrinfo", answering("93.184.215.14", "93.184.215.14", "127.0.0.1")
    )
    await look_at("https://booking.example.com/", local=False)
    resolver = CheckedResolver(local=False)
    first = await resolver.resolve("booking.example.com", 443)
    assert [one["host"] for one in first] == ["93.184.215.14"]
    assert first[0]["flags"] & socket.AI_NUMERICHOST
    with pytest.raises(ForbiddenAddressError):
        await resolver.resolve("booking.example.com", 443)
    await resolver.close()


async def test_an_address_bound_to_one_network_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scope id comes back from the resolver apart from the address."""

    def look(host: str, port: int, **_: object) -> list[Any]:
        del host
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:2800::1", port, 0, 7))]

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", look)
    resolver = CheckedResolver(local=False)
    with pytest.raises(ForbiddenAddressError):
        await resolver.resolve("booking.example.com", 443)
    await resolver.close()


async def test_a_name_that_does_not_resolve_yet_may_be_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked at again before each connection."""

    def look(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", look)
    await look_at("https://soon.example.com/", local=False)
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="unknown"):
            await CheckedResolver(local=False).resolve("soon.example.com", 443)
