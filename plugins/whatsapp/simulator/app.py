"""Builds the application."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.static_files import create_static_files_router

from plugins.whatsapp.simulator.calls import DEFAULT_VERSION
from plugins.whatsapp.simulator.control import CONTROL_HANDLERS
from plugins.whatsapp.simulator.errors import METHOD, GraphError
from plugins.whatsapp.simulator.graph import answer_graph, refuse
from plugins.whatsapp.simulator.options import Options
from plugins.whatsapp.simulator.pages import FOLDER, PAGE_HANDLERS, render_lost
from plugins.whatsapp.simulator.simulator import Simulator

_OWN_PATHS: Final = ("/simulator/", "/phones/", "/static/")
_READ_ONLY: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_INTERNAL: Final = 500


def build_app(options: Options, simulator: Simulator | None = None) -> Litestar:
    """Build the application; a test may hand in a simulator of its own making."""
    state = Simulator(options) if simulator is None else simulator

    @asynccontextmanager
    async def run(app: Litestar) -> AsyncGenerator[None, None]:
        app.state.simulator.start()
        try:
            yield
        finally:
            await app.state.simulator.stop()

    app = Litestar(
        route_handlers=[
            *PAGE_HANDLERS,
            *CONTROL_HANDLERS,
            create_static_files_router(path="/static", directories=[FOLDER / "static"]),
            answer_graph,
        ],
        lifespan=[run],
        before_request=refuse_other_sites,
        exception_handlers={
            GraphError: answer_graph_error,
            HTTPException: answer_http_error,
            Exception: answer_unexpected,
        },
        openapi_config=None,
        logging_config=None,
    )
    app.state.simulator = state
    return app


async def refuse_other_sites(request: Request[Any, Any, Any]) -> Response[dict[str, str]] | None:
    """Refuse writes that a browser sends on behalf of another site."""
    if request.scope["method"] in _READ_ONLY:
        return None
    if request.headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return None
    return Response({"error": "Another site may not write here."}, status_code=403)


def answer_graph_error(request: Request[Any, Any, Any], error: GraphError) -> Response[Any]:
    """Answer a refusal: in Meta's shape on Graph, in plain words elsewhere."""
    if not _is_own(request):
        return refuse(request.app.state.simulator, error, DEFAULT_VERSION)
    text = f"{error.message}: {error.details}" if error.details else error.message
    return _answer_plainly(request, error.status, text)


def answer_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Answer what the framework refuses."""
    if _is_own(request):
        return _answer_plainly(request, error.status_code, error.detail, error.extra)
    refusal = GraphError(
        100,
        status=error.status_code,
        message=f"Unsupported {request.scope['method'].lower()} request.",
        kind=METHOD,
    )
    return refuse(request.app.state.simulator, refusal, DEFAULT_VERSION)


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer a fault of our own: logged whole, shown without any detail."""
    # Only a crash needs it, and importing it would slow down every start.
    import structlog  # noqa: PLC0415

    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    )
    logger.error("simulator_failed", path=request.scope["path"], exc_info=error)
    if _is_own(request):
        return _answer_plainly(request, _INTERNAL, "The simulator failed; its log says why.")
    refusal = GraphError(1, status=_INTERNAL, message="An unknown error has occurred.")
    return refuse(request.app.state.simulator, refusal, DEFAULT_VERSION)


def _is_own(request: Request[Any, Any, Any]) -> bool:
    path = request.scope["path"]
    return path == "/" or path.startswith(_OWN_PATHS)


def _answer_plainly(
    request: Request[Any, Any, Any],
    status: int,
    text: str,
    extra: Any = None,
) -> Response[Any]:
    if request.scope["path"].startswith("/simulator/"):
        body: dict[str, Any] = {"error": text}
        if extra:
            body["extra"] = extra
        return Response(body, status_code=status, media_type="application/json")
    return render_lost(text, status)
