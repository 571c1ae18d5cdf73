"""A call to Graph, read from an HTTP request: version, node, edge, token and parameters."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from plugins.whatsapp.simulator.errors import GraphError

_VERSION: Final = re.compile(r"v([0-9]{1,3})\.[0-9]{1,2}")
_OLDEST, _NEWEST = 17, 30
DEFAULT_VERSION: Final = 25
_SCHEMES: Final = ("bearer ", "oauth ")


class Call(msgspec.Struct):
    """What a request asks for."""

    method: str
    version: int
    node: str
    edge: str
    query: dict[str, str]
    body: dict[str, Any]
    token: str
    is_malformed: bool = False

    @property
    def to(self) -> str:
        """The recipient as digits, for faults that wait for one."""
        to = self.body.get("to")
        return re.sub(r"[^0-9]", "", to) if isinstance(to, str) else ""

    def read(self, name: str) -> str:
        """Return a parameter from the body or the query; empty when absent."""
        value = self.body.get(name, self.query.get(name, ""))
        return value if isinstance(value, str) else str(value)


def read_call(
    method: str,
    path: str,
    query: bytes,
    raw: bytes,
    *,
    content_type: str,
    authorization: str,
) -> Call:
    """Take a request apart; what is malformed is only noted, so that the token comes first."""
    segments = [segment for segment in path.split("/") if segment]
    version = DEFAULT_VERSION
    if segments and (found := _VERSION.fullmatch(segments[0])):
        version = int(found[1])
        segments = segments[1:]
    parameters = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
    body = _read_body(raw, content_type) if raw else {}
    call = Call(
        method=method,
        version=version,
        node=segments[0] if segments else "",
        edge="/".join(segments[1:]),
        query=parameters,
        body=body or {},
        token="",
        is_malformed=body is None,
    )
    call.token = _read_token(authorization) or call.read("access_token")
    return call


def require_version(call: Call) -> None:
    """Refuse versions that Graph does not serve."""
    if not _OLDEST <= call.version <= _NEWEST:
        raise GraphError(2635, f"v{call.version}.0 is not a version of this API")


def require_body(call: Call) -> None:
    """Refuse a body that is no JSON object and no form."""
    if call.is_malformed:
        raise GraphError(
            100,
            message="(#100) Invalid parameter",
            details="The request body is not a valid JSON object",
        )


def _read_token(authorization: str) -> str:
    lowered = authorization[:7].lower()
    for scheme in _SCHEMES:
        if lowered.startswith(scheme):
            return authorization[len(scheme) :].strip()
    return ""


def _read_body(raw: bytes, content_type: str) -> dict[str, Any] | None:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return _read_form(raw)
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _read_form(raw: bytes) -> dict[str, Any] | None:
    form: dict[str, Any] = {}
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True)
        for name, value in pairs:
            form[name] = msgspec.json.decode(value) if value[:1] in {"{", "["} else value
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    return form
