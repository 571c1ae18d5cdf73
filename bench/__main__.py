"""`make bench`: measures the engine's hot paths on an embedded PostgreSQL of its own.

    make bench ARGS="claim --rows 1000000 --tenants 10000"
    make bench ARGS="intake drain webhooks import"
    make bench ARGS=--quick

It stops by itself. Rates move with the machine's other work; processor seconds for each 1,000
messages do so much less: compare those, of runs made side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import claims, consents, drain, intake, webhooks
from bench.ground import prepared_ground

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.ground import Ground

    Measure = Callable[[Ground], Awaitable[None]]


def main() -> None:
    """Run the measures that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="claim, intake, drain, webhooks, import")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--tenants", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--messages", type=int, default=4_000, help="of drain")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes, in seconds")
    options = parser.parse_args()
    measures = quick_measures() if options.quick else _measures(options)
    if unknown := set(options.names) - set(measures):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(measures)}")
    # Ended by force, it still stops its server and deletes its data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="patchbay-bench-") as folder:
        # PostgreSQL runs as 'nobody' where we are root, and must be able to enter.
        Path(folder).chmod(0o711)
        with prepared_ground(Path(folder)) as ground:
            for name in options.names or measures:
                print(f"\n{name}", flush=True)
                asyncio.run(_run(measures[name], ground))


def quick_measures() -> dict[str, Measure]:
    """Return every measure at its smallest: it shows that they work, not how quick we are."""
    return {
        "claim": partial(claims.measure, rows=[2_000], tenants=[10, 100], calls=5),
        "intake": partial(intake.measure, singles=20, sets=1),
        "drain": partial(drain.measure, messages=60, shops=3),
        "webhooks": partial(webhooks.measure, singles=20, per_call=50, calls=2),
        "import": partial(consents.measure, lines=200),
    }


def _measures(options: argparse.Namespace) -> dict[str, Measure]:
    return {
        "claim": partial(claims.measure, rows=options.rows, tenants=options.tenants, calls=100),
        "intake": partial(intake.measure, singles=1_000, sets=40),
        "drain": partial(drain.measure, messages=options.messages, shops=20),
        "webhooks": partial(webhooks.measure, singles=2_000, per_call=1_000, calls=10),
        "import": partial(consents.measure, lines=100_000),
    }


async def _run(measure: Measure, ground: Ground) -> None:
    await measure(ground)


if __name__ == "__main__":
    main()
