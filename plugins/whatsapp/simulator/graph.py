"""The door of the Graph API: every path that is not the simulator's own."""

import asyncio
from typing import Any, Final

import msgspec
from litestar import Request, Response, route
from litestar.params import FromPath

from plugins.whatsapp.simulator.accidents import answer_html, reset, stall
from plugins.whatsapp.simulator.accounts import MESSAGING, Waba, require_scope
from plugins.whatsapp.simulator.calls import Call, read_call, require_body, require_version
from plugins.whatsapp.simulator.errors import GraphError, refuse_object, refuse_parameter
from plugins.whatsapp.simulator.faults import AFTER, BEFORE, REFUSALS, Fault
from plugins.whatsapp.simulator.journal import Attempt
from plugins.whatsapp.simulator.nodes import (
    NUMBER_CALLS,
    WABA_CALLS,
    debug_token,
    refuse_unknown,
    require_management,
)
from plugins.whatsapp.simulator.sends import accept_message
from plugins.whatsapp.simulator.signing import is_same, prove_token
from plugins.whatsapp.simulator.simulator import Simulator
from plugins.whatsapp.simulator.template_edges import TEMPLATE_CALLS

_BODY_LIMIT: Final = 1_000_000
_JSON: Final = "application/json; charset=UTF-8"
_OK: Final = 200
_DEFAULT_SLOWNESS_MS: Final = 1000
_ENCODER: Final = msgspec.json.Encoder()


@route(
    "/{tail:path}",
    http_method=["GET", "POST", "PUT", "PATCH", "DELETE"],
    request_max_body_size=_BODY_LIMIT,
)
async def answer_graph(request: Request[Any, Any, Any], tail: FromPath[str]) -> Response[bytes]:
    """Answer a call to Graph and note how."""
    simulator: Simulator = request.app.state.simulator
    raw = await request.body()
    scope = request.scope
    headers = request.headers
    call = read_call(
        scope["method"],
        tail,
        scope["query_string"],
        raw,
        content_type=headers.get("content-type", ""),
        authorization=headers.get("authorization", ""),
    )
    try:
        accident = await _meet_fault(simulator, call, request)
        if accident is not None:
            note(simulator, call, scope["path"], accident.status_code or _OK, None)
            return accident
        payload = serve(simulator, call)
    except GraphError as error:
        note(simulator, call, scope["path"], error.status, error.code)
        return refuse(simulator, error, call.version)
    note(simulator, call, scope["path"], _OK, None)
    if simulator.options.latency_ms:
        await asyncio.sleep(simulator.options.latency_ms / 1000)
    fault = simulator.faults.take(AFTER, call.edge, call.to) if simulator.faults.waiting else None
    if fault is not None:
        return await _lose_answer(simulator, fault, payload, request)
    return _answer(simulator, _ENCODER.encode(payload), _OK, call.version)


def serve(simulator: Simulator, call: Call) -> dict[str, Any]:
    """Return the body of a successful answer or raise GraphError."""
    require_version(call)
    if call.node == "debug_token" and call.method == "GET" and not call.edge:
        return debug_token(simulator, call)
    waba = _authenticate(simulator, call)
    require_body(call)
    if call.node in simulator.accounts.numbers:
        return _serve_number(simulator, waba, call)
    if call.node in simulator.accounts.wabas:
        return _serve_waba(simulator, waba, call)
    if not call.node.isdigit():
        raise refuse_unknown(call)
    raise refuse_object(call.method, call.node)


def refuse(simulator: Simulator, error: GraphError, version: int) -> Response[bytes]:
    """Answer with Meta's error body."""
    body = _ENCODER.encode(error.describe(simulator.identifiers.draw_trace()))
    response = _answer(simulator, body, error.status, version)
    if error.status == 401:  # noqa: PLR2004 - the status that asks for credentials
        response.headers["WWW-Authenticate"] = f'OAuth "Facebook Platform" "{error.code}"'
    return response


def note(simulator: Simulator, call: Call, path: str, status: int, code: int | None) -> None:
    """Keep a request for ``GET /simulator/requests``; the query stays out, it may hold a token."""
    simulator.journal.add_attempt(
        Attempt(
            sequence=0,
            at=simulator.clock.now().isoformat(),
            method=call.method,
            path=path,
            status=status,
            code=code,
            to=call.to or None,
        ),
    )


def _answer(simulator: Simulator, body: bytes, status: int, version: int) -> Response[bytes]:
    return Response(
        body,
        status_code=status,
        media_type=_JSON,
        headers={
            "facebook-api-version": f"v{version}.0",
            "x-fb-trace-id": simulator.identifiers.draw_trace(),
        },
    )


def _authenticate(simulator: Simulator, call: Call) -> Waba:
    if not call.token:
        raise GraphError(104, message="An access token is required to request this resource.")
    waba = simulator.accounts.authenticate(call.token)
    proof = call.read("appsecret_proof")
    if proof and not is_same(proof, prove_token(simulator.options.app_secret, call.token)):
        raise refuse_parameter("Invalid appsecret_proof provided in the API argument")
    return waba


def _serve_number(simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    number = simulator.accounts.find_number(waba, call.node, call.method)
    if call.edge == "messages" and call.method == "POST":
        require_scope(waba, MESSAGING)
        return accept_message(simulator, number, call.body, call.version)
    handle = NUMBER_CALLS.get((call.method, call.edge))
    if handle is None:
        raise refuse_unknown(call)
    require_management(waba)
    return handle(simulator, number, call)


def _serve_waba(simulator: Simulator, waba: Waba, call: Call) -> dict[str, Any]:
    if waba.id != call.node:
        raise refuse_object(call.method, call.node)
    key = (call.method, call.edge)
    handle = WABA_CALLS.get(key) or TEMPLATE_CALLS.get(key)
    if handle is None:
        raise refuse_unknown(call)
    require_management(waba)
    return handle(simulator, waba, call)


async def _meet_fault(
    simulator: Simulator,
    call: Call,
    request: Request[Any, Any, Any],
) -> Response[bytes] | None:
    if not simulator.faults.waiting:
        return None
    fault = simulator.faults.take(BEFORE, call.edge, call.to)
    if fault is None:
        return None
    if fault.kind in REFUSALS:
        raise fault.build_error()
    if fault.kind == "timeout_before":
        return await stall(request)
    if fault.kind == "reset_before":
        return reset(request)
    if fault.kind == "http_502_html":
        return answer_html(502)
    await asyncio.sleep((_DEFAULT_SLOWNESS_MS if fault.ms is None else fault.ms) / 1000)
    return None


async def _lose_answer(
    simulator: Simulator,
    fault: Fault,
    payload: dict[str, Any],
    request: Request[Any, Any, Any],
) -> Response[bytes]:
    if fault.kind == "timeout_after_accept":
        return await stall(request)
    if fault.kind == "reset_after_accept":
        return reset(request)
    body = _ENCODER.encode(payload)
    return _answer(simulator, body[: len(body) // 2], _OK, simulator.options.webhook_version)
