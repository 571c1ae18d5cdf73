"""`make bench`: measures the engine's hot paths on an embedded PostgreSQL of its own.

    python -m bench [claim] [intake] [import] [--rows N]

Figures move with the machine's other work: compare ratios of runs made side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench import consents, engine
from bench.ground import prepared_database

MEASURES = {
    "claim": engine.measure_claim,
    "intake": engine.measure_intake,
    "import": consents.measure_import,
}


def main() -> None:
    """Run the measures that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", help="which measures")
    parser.add_argument("--rows", type=int, default=200_000, help="queued rows of the claim")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="patchbay-bench-") as folder:
        Path(folder).chmod(0o711)
        with prepared_database(Path(folder, "cluster")) as deployment:
            for name in options.names or MEASURES:
                print(f"\n{name}")
                asyncio.run(MEASURES[name](deployment, options.rows))


if __name__ == "__main__":
    main()
