"""Reads files of consents, CSV or NDJSON, record by record; pure.

One bad record never costs another: each is split off, decoded and checked alone, and what is
wrong with it is told by line, field and reason, without repeating what stood there.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from core.errors import FieldFault, InvalidInputError
from core.jobs.store import Fault
from core.notify.events import CustomerIn, Line, Moment, Name, Ref

if TYPE_CHECKING:
    from collections.abc import Iterator

CSV: Final = "csv"
NDJSON: Final = "ndjson"

SIZE_LIMIT: Final = 32 * 1024 * 1024
LINE_LIMIT: Final = 200_000

_BOM: Final = b"\xef\xbb\xbf"
_OTHER_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_JOINED: Final = 20
"""Over so many lines one quoted record may stretch; a quote left open costs its own line only."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PLACE: Final = re.compile(r" - at `\$\.?(?P<field>[a-z_]*)[^`]*`$")
_NAMED: Final = re.compile(
    r"^Object (?:missing required|contains unknown) field `(?P<field>[^`]+)`"
)


class ImportLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One yes as a file tells it; nothing of what proves it may be left out."""

    customer_id: Ref
    channel: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
    source: Literal["web", "app", "whatsapp", "paper"]
    granted_at: Moment
    text_version: Annotated[str, Meta(min_length=1, max_length=64)]
    proof_reference: Annotated[Line, Meta(min_length=1)]
    purpose: Literal["transactional", "marketing"] = "transactional"
    locale: Annotated[str, Meta(max_length=16)] | None = None
    phone: Annotated[str, Meta(max_length=40)] | None = None
    email: Annotated[str, Meta(max_length=254)] | None = None
    first_name: Name | None = None
    last_name: Name | None = None

    def customer(self) -> CustomerIn:
        """Return the person, as an event would tell them."""
        return CustomerIn(
            id=self.customer_id,
            first_name=self.first_name,
            last_name=self.last_name,
            phone=self.phone,
            email=self.email,
        )


_FIELDS: Final = msgspec.structs.fields(ImportLine)
COLUMNS: Final = tuple(one.name for one in _FIELDS)
REQUIRED: Final = tuple(one.name for one in _FIELDS if one.required)
_WANTED: Final = {
    "customer_id": "Wanted is an id: up to 64 of A-Za-z0-9._:-",
    "source": "Wanted is one of web, app, whatsapp and paper.",
    "purpose": "Wanted is transactional or marketing.",
    "granted_at": "Wanted is a time with its zone, such as 2026-10-01T09:30:00+02:00.",
}
_FREE: Final = ("first_name", "last_name", "proof_reference")


class LineError(Exception):
    """A record is not as it must be."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code
        self.message = message

    def at(self, line: int) -> Fault:
        """Return it as the fault of a line."""
        return Fault(line=line, field=self.field, code=self.code, message=self.message)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file, split into records that are not looked at yet.

    Attributes:
        records: the number of the line where each begins, and its bytes.
    """

    form: str
    records: list[tuple[int, bytes]]
    columns: tuple[str, ...] = ()
    delimiter: str = ","

    def read(self, place: int) -> ImportLine:
        """Read one record.

        Raises:
            LineError: it is not as it must be.
        """
        _, raw = self.records[place]
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise LineError("", "encoding", "The line is not written in UTF-8.") from None
        if "\0" in text:
            raise LineError("", "invalid", "The line holds the character NUL.")
        told = self._cells(text) if self.form == CSV else _decoded(text)
        for field in _FREE:
            if isinstance(told.get(field), str) and told[field].startswith(_FORMULA):
                raise LineError(field, "formula", "A spreadsheet would run this as a formula.")
        try:
            return msgspec.convert(told, ImportLine)
        except msgspec.ValidationError as error:
            raise _line_error(str(error)) from None

    def _cells(self, text: str) -> dict[str, Any]:
        try:
            [cells] = csv.reader([text], delimiter=self.delimiter, strict=True)
        except (csv.Error, ValueError):
            raise LineError("", "quotes", "The quotes of this line do not match.") from None
        if len(cells) != len(self.columns):
            message = f"The line has {len(cells)} cells, the first one {len(self.columns)}."
            raise LineError("", "columns", message)
        pairs = zip(self.columns, cells, strict=True)
        return {column: cell.strip() for column, cell in pairs if cell.strip()}


def read_sheet(form: str, raw: bytes) -> Sheet:
    """Split a file.

    Raises:
        InvalidInputError: it cannot be read at all: empty, another encoding, a wrong first line.
    """
    if raw.startswith(_OTHER_BOMS):
        raise _unreadable("encoding", "Save the file as UTF-8.")
    lines = raw.removeprefix(_BOM).split(b"\n")
    if form == NDJSON:
        records = [(at, line) for at, line in enumerate(lines, 1) if line.strip()]
        sheet = Sheet(NDJSON, records)
    else:
        columns, delimiter = _head(lines[0])
        sheet = Sheet(CSV, list(_split(lines)), columns, delimiter)
    if not sheet.records:
        raise _unreadable("empty", "The file holds no line.")
    if len(sheet.records) > LINE_LIMIT:
        raise _unreadable("too-many-lines", f"A file may hold {LINE_LIMIT} lines; split it.")
    return sheet


def _head(line: bytes) -> tuple[tuple[str, ...], str]:
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise _unreadable("encoding", "Save the file as UTF-8.") from None
    delimiter = ";" if text.count(";") > text.count(",") else ","
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        cells = []
    columns = tuple(cell.strip().lower() for cell in cells)
    if unknown := [name for name in columns if name not in COLUMNS]:
        # A stranger's cell is not repeated: it may be a person's name in a file without a head.
        raise _unreadable(
            "unknown-column",
            f"The first line names the columns; {len(unknown)} of them are unknown. "
            f"Known are: {', '.join(COLUMNS)}.",
        )
    if len(set(columns)) < len(columns):
        raise _unreadable("repeated-column", "A column stands there twice.")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise _unreadable("missing-column", f"Columns are missing: {', '.join(missing)}.")
    return columns, delimiter


def _split(lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Split records off; a quoted cell may go over several lines."""
    place = 1
    while place < len(lines):
        record, taken = lines[place], 1
        if record.count(b'"') % 2:
            end = min(place + _JOINED, len(lines))
            for further in range(place + 1, end):
                joined = b"\n".join(lines[place : further + 1])
                if joined.count(b'"') % 2 == 0:
                    record, taken = joined, further + 1 - place
                    break
        if record.strip():
            yield place + 1, record.rstrip(b"\r")
        place += taken


def _decoded(text: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise LineError("", "malformed", "The line is no JSON.") from None
    if not isinstance(told, dict):
        raise LineError("", "malformed", "The line is no JSON object.")
    return told


def _line_error(said: str) -> LineError:
    place = _PLACE.search(said)
    message = said[: place.start()] if place else said
    if named := _NAMED.match(message):
        missing = "missing" in message[:20]
        field = named["field"] if named["field"] in COLUMNS else ""
        if missing:
            return LineError(field, "missing", "A consent without this proves nothing.")
        return LineError("", "unknown-field", "The line has a field that is not known.")
    # The decoder's own sentence may repeat what stood there.
    field = place["field"] if place else ""
    return LineError(field, "invalid", _WANTED.get(field, "This cannot stand here."))


def _unreadable(code: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, errors=[FieldFault("", code, message)])
