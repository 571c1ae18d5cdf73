"""Starts the simulator: ``python -m plugins.whatsapp.simulator``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from plugins.whatsapp.simulator.app import build_app
from plugins.whatsapp.simulator.options import Options, OptionsError, read_options
from plugins.whatsapp.simulator.server import build_server, open_socket

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; returns the exit status."""
    try:
        options = read_options(sys.argv[1:] if argv is None else argv, os.environ)
        return _serve(options)
    except OptionsError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        return _complain(f"The simulator cannot start: {error}.")


def _complain(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 2


def _serve(options: Options) -> int:
    listener = open_socket(options.host, options.port)
    with listener:
        port = listener.getsockname()[1]
        if options.port not in {0, port}:
            sys.stderr.write(f"Port {options.port} is taken; the simulator uses {port}.\n")
        host = f"[{options.host}]" if ":" in options.host else options.host
        server = build_server(build_app(options), f"http://{host}:{port}")
        try:
            asyncio.run(server.serve(sockets=[listener]))
        except SystemExit as error:
            # uvicorn ends this way when the application does not start.
            return int(error.code or 0)
    return 0 if server.started else 1


if __name__ == "__main__":
    raise SystemExit(main())
