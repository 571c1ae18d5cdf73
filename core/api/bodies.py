"""Reads what callers send: strictly, once, and with a pointer to what is wrong."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from core.api.operations import JSON
from core.api.problems import MediaTypeError
from core.errors import FieldFault, InvalidInputError, ProblemError

if TYPE_CHECKING:
    from datetime import datetime

    from litestar import Request

Shape = TypeVar("Shape")

BODY_LIMIT: Final = 64 * 1024
BATCH_LIMIT: Final = 1024 * 1024
WEBHOOK_LIMIT: Final = 3 * 1024 * 1024

_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2999
_PLACE: Final = re.compile(r" - at `\$(?P<path>.*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>[^`]+)`")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<name>.+)`$")
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+|\.\.\.)\]")


async def read_body(
    request: Request[Any, Any, Any],
    shape: type[Shape],
    *,
    media_types: tuple[str, ...] = (JSON,),
    optional: bool = False,
    as_it_came: bool = False,
) -> Shape:
    """Read the body as a struct.

    Args:
        request: the call; its handler's limit on the size applies.
        shape: the struct.
        media_types: what is read here.
        optional: an empty body counts as `{}`.
        as_it_came: the items of a batch are looked at one by one, with `read_item`.

    Raises:
        MediaTypeError: 415.
        ProblemError: 400, the body is no JSON.
        InvalidInputError: 422, it is JSON of another shape.
    """
    raw = await request.body()
    if not raw.strip() and optional:
        raw = b"{}"
    else:
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given not in media_types:
            wanted = " or ".join(media_types)
            raise MediaTypeError(f"Send the body as {wanted}.")
    content = _decoded(raw)
    if not as_it_came and b"\\u0000" in raw:
        _refuse_nul(content)
    return _shaped(content, shape, strict=True)


def read_item(content: object, shape: type[Shape]) -> Shape:
    """Read one item of a batch as a struct.

    Raises:
        ProblemError: 400, it is nested too deeply.
        InvalidInputError: 422, it is of another shape.
    """
    _refuse_nul(content)
    return _shaped(content, shape, strict=True)


def read_query(request: Request[Any, Any, Any], shape: type[Shape]) -> Shape:
    """Read the query as a struct; a name that is unknown or comes twice is refused.

    Raises:
        InvalidInputError: 422, with `?name` as the pointer.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            fault = FieldFault(f"?{name}", "repeated", "This parameter may come once.")
            raise InvalidInputError(f"The parameter {name} came twice.", errors=[fault])
        given[name] = value
    try:
        return _shaped(given, shape, strict=False)
    except InvalidInputError as error:
        renamed = [
            FieldFault(f"?{fault.pointer.lstrip('/')}", fault.code, fault.message)
            for fault in error.errors
        ]
        raise InvalidInputError(error.detail, errors=renamed) from None


def read_moment(moment: datetime | None, pointer: str) -> datetime | None:
    """Return a time in UTC.

    Raises:
        InvalidInputError: 422, no calendar of ours reaches that far.
    """
    if moment is None or _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return moment.astimezone(UTC) if moment else None
    fault = FieldFault(pointer, "out-of-range", "The year must lie between 2000 and 2999.")
    raise InvalidInputError(fault.message, errors=[fault])


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProblemError("The body is no JSON.") from None
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> ProblemError:
    return ProblemError("The body is nested too deeply.")


def _refuse_nul(content: object) -> None:
    try:
        holds_nul = _holds_nul(content)
    except RecursionError:
        raise _too_deep() from None
    if holds_nul:
        fault = FieldFault("", "invalid", "Texts may not hold the character NUL.")
        raise InvalidInputError(fault.message, errors=[fault])


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(one) for key, one in value.items())
    return isinstance(value, list) and any(_holds_nul(one) for one in value)


def _shaped(content: object, shape: type[Shape], *, strict: bool) -> Shape:
    try:
        return msgspec.convert(content, shape, strict=strict)
    except msgspec.ValidationError as error:
        fault = _fault(str(error))
        raise InvalidInputError(fault.message, errors=[fault]) from None


def _fault(said: str) -> FieldFault:
    place = _PLACE.search(said)
    message = said[: place.start()] if place else said
    steps = _STEP.findall(place["path"]) if place else []
    names = [name or index.replace("...", "*") for name, index in steps]
    code = "invalid"
    if missing := _MISSING.match(message):
        names.append(missing["name"])
        code = "missing"
    elif unknown := _UNKNOWN.match(message):
        names.append(unknown["name"][:100].replace("~", "~0").replace("/", "~1"))
        code, message = "unknown-field", "There is no such field."
    pointer = "".join(f"/{name}" for name in names)
    return FieldFault(pointer, code, f"{message.removesuffix('.')}.")
