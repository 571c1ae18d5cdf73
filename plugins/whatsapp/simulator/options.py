"""What the simulator is started with: command line first, then the environment."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "SIMULATOR_"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})


class OptionsError(Exception):
    """An option that cannot be used, said in one sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be chosen at the start."""

    host: str = "127.0.0.1"
    port: int = 9100
    webhook_url: str = ""
    app_secret: str = "simulator-app-secret"  # noqa: S105 - a default for a program that plays Meta
    app_id: str = "123450000067890"
    verify_token: str = "simulator-verify-token"  # noqa: S105 - as above
    journal: Path | None = None
    seed: int | None = None
    delay_ms: int = 50
    latency_ms: int = 0
    throughput: int = 0
    pair_limit: bool = False
    batch_size: int = 100
    retry_seconds: float = 300.0
    webhook_version: int = 25
    verify_webhook: bool = False


def read_options(argv: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read and check the options; raises OptionsError."""
    parsed = vars(_build_parser().parse_args(argv))
    texts = {
        name: environment.get(PREFIX + name.upper(), "") if given is None else given
        for name, given in parsed.items()
    }
    default = Options()
    journal = texts["journal"]
    return Options(
        host=texts["host"] or default.host,
        port=_read_number("port", texts["port"], default.port, 65_535),
        webhook_url=_read_url(texts["webhook_url"]),
        app_secret=texts["app_secret"] or default.app_secret,
        app_id=texts["app_id"] or default.app_id,
        verify_token=texts["verify_token"] or default.verify_token,
        journal=Path(journal) if journal else None,
        seed=_read_number("seed", texts["seed"], 0, 2**63) if texts["seed"] else None,
        delay_ms=_read_number("delay-ms", texts["delay_ms"], default.delay_ms, 3_600_000),
        latency_ms=_read_number("latency-ms", texts["latency_ms"], 0, 600_000),
        throughput=_read_number("throughput", texts["throughput"], 0, 1_000_000),
        pair_limit=texts["pair_limit"].lower() in _TRUE,
        batch_size=_read_number("batch-size", texts["batch_size"], default.batch_size, 1000) or 1,
        retry_seconds=_read_number("retry-seconds", texts["retry_seconds"], 300, 604_800),
        webhook_version=_read_number("webhook-version", texts["webhook_version"], 25, 99),
        verify_webhook=texts["verify_webhook"].lower() in _TRUE,
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="simulator",
        description="Plays Meta's Graph API for WhatsApp on this machine.",
        epilog="Every option is also read from SIMULATOR_<NAME>; give secrets that way, so that"
        " they do not show in the process list.",
    )
    add = parser.add_argument
    add("--host", help="address to listen on (127.0.0.1)")
    add("--port", help="port to listen on (9100); 0 or taken: the next free one")
    add("--webhook-url", help="where webhooks go; without it none are sent")
    add("--app-secret", help="signs webhooks")
    add("--app-id", help="the app's id, half of the app token")
    add("--verify-token", help="shown in the webhook challenge")
    add("--journal", help="file that accepted messages are appended to, one JSON object a line")
    add("--seed", help="makes identifiers repeat from run to run")
    add("--delay-ms", help="time between two statuses of one message (50)")
    add("--latency-ms", help="time every successful answer takes (0)")
    add("--throughput", help="messages a second a number may send (0: no limit; Meta: 80)")
    add(
        "--pair-limit",
        action="store_const",
        const="1",
        help="45 messages at once to one recipient, then one in 6 seconds",
    )
    add("--batch-size", help="most statuses in one webhook (100)")
    add("--retry-seconds", help="how long a failing webhook is repeated (300)")
    add("--webhook-version", help="shape of webhooks: 23 has conversations, 25 does not (25)")
    add(
        "--verify-webhook",
        action="store_const",
        const="1",
        help="send the GET challenge at the start",
    )
    return parser


def _read_number(name: str, text: str, default: int, highest: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or int(text) > highest:
        raise OptionsError(f"--{name} must be a whole number from 0 to {highest}, not {text!r}.")
    return int(text)


def _read_url(text: str) -> str:
    if text and (urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname):
        raise OptionsError("--webhook-url must begin with http:// or https:// and name a host.")
    return text
