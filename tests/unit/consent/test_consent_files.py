"""Files of consents, split and read line by line."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.consent.tables import Purpose, Source
from core.errors import InvalidInputError
from core.notify.consent_files import (
    COLUMNS,
    CSV,
    LINE_LIMIT,
    NDJSON,
    REQUIRED,
    LineError,
    read_sheet,
)

GOOD = {
    "customer_id": "cus_1",
    "channel": "whatsapp",
    "source": "web",
    "granted_at": "2026-10-01T09:30:00+02:00",
    "text_version": "it-v1",
    "proof_reference": "form/41",
    "phone": "333 123 4567",
    "first_name": "Giulia",
}
PLAIN = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


def table(*rows: dict[str, Any], delimiter: str = ",", end: str = "\r\n") -> bytes:
    """Write rows as a spreadsheet would."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(GOOD), delimiter=delimiter, lineterminator=end)
    writer.writeheader()
    writer.writerows({**GOOD, **row} for row in rows)
    return out.getvalue().encode()


def fault(raw: bytes, place: int = 0, form: str = CSV) -> tuple[str, str]:
    """Return field and code of what is wrong with a record."""
    with pytest.raises(LineError) as refused:
        read_sheet(form, raw).read(place)
    return refused.value.field, refused.value.code


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_spreadsheets_write_is_read(end: str, delimiter: str, mark: bytes) -> None:
    """Either delimiter, either end of line, a byte order mark, quotes, breaks inside quotes."""
    name = 'Anna "la rossa", detta\nNina'
    raw = mark + table({"proof_reference": "a; b, c"}, {}, delimiter=delimiter, end=end)
    sheet = read_sheet(CSV, raw)
    assert sheet.read(0).proof_reference == "a; b, c"
    assert [line for line, _ in sheet.records] == [2, 3]
    broken = read_sheet(CSV, mark + table({"first_name": name}, {}, delimiter=delimiter, end=end))
    assert [line for line, _ in broken.records] == [2, 4]
    assert broken.read(1).first_name == "Giulia"


def test_both_forms_say_the_same() -> None:
    """A line of JSON reads as a line of CSV."""
    lines = msgspec.json.encode(GOOD) + b"\n\n" + msgspec.json.encode(GOOD)
    sheet = read_sheet(NDJSON, lines)
    assert [line for line, _ in sheet.records] == [1, 3]
    assert sheet.read(1) == read_sheet(CSV, table({})).read(0)


@pytest.mark.parametrize("missing", REQUIRED)
def test_nothing_that_proves_a_consent_may_be_missing(missing: str) -> None:
    """No silent yes: who, channel, source, time, text version and proof must all be there."""
    assert fault(table({missing: ""})) == (missing, "missing")
    told = {name: value for name, value in GOOD.items() if name != missing}
    assert fault(msgspec.json.encode(told), form=NDJSON) == (missing, "missing")
    head = ",".join(name for name in COLUMNS if name != missing)
    with pytest.raises(InvalidInputError) as refused:
        read_sheet(CSV, f"{head}\nx\n".encode())
    assert refused.value.errors[0].code == "missing-column"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": "hearsay"}, "source"),
        ({"granted_at": "yesterday"}, "granted_at"),
        ({"granted_at": "2026-10-01T09:30:00"}, "granted_at"),
        ({"customer_id": "=1+1"}, "customer_id"),
        ({"first_name": "a\x07b"}, "first_name"),
    ],
)
def test_unfit_cells_are_named(change: dict[str, str], field: str) -> None:
    """The field is said, and nothing of what stood there."""
    assert fault(table(change)) == (field, "invalid")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_formulas_are_refused(sign: str) -> None:
    """What a spreadsheet would run is not taken in; a phone number may begin with a plus."""
    for field in ("first_name", "proof_reference"):
        assert fault(table({field: f"{sign}HYPERLINK(1)"})) == (field, "formula")
    assert read_sheet(CSV, table({"phone": "+39 333 1234567"})).read(0).phone is not None


def test_a_bad_line_costs_itself_only() -> None:
    """Wrong bytes, an open quote, a cell too many: the lines around them are read."""
    good = table({}).split(b"\r\n")[1]
    head = table({}).split(b"\r\n")[0]
    lines = [
        head,
        good,
        b"\xff" + good,
        good,
        b'"' + good,
        good,
        good + b",more",
        good,
        b"\0" + good,
    ]
    sheet = read_sheet(CSV, b"\n".join([*lines, *[good] * 30]))
    outcomes = []
    for place in range(len(sheet.records)):
        try:
            sheet.read(place)
            outcomes.append("")
        except LineError as error:
            outcomes.append(error.code)
    assert outcomes[:8] == ["", "encoding", "", "quotes", "", "columns", "", "invalid"]
    assert outcomes[8:] == [""] * 30


@pytest.mark.parametrize(
    ("form", "raw", "code"),
    [
        (CSV, b"", "missing-column"),
        (CSV, table(), "empty"),
        (CSV, "Giulia,+393331234567\n".encode("utf-16"), "encoding"),
        (CSV, b"\xff,b\n", "encoding"),
        (CSV, b"customer_id,birthday\n", "unknown-column"),
        (CSV, b"channel,channel\n", "repeated-column"),
        (NDJSON, b" \n\n", "empty"),
        (NDJSON, b"{}\n" * (LINE_LIMIT + 1), "too-many-lines"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(form: str, raw: bytes, code: str) -> None:
    """At once, with the reason, repeating nothing of it."""
    with pytest.raises(InvalidInputError) as refused:
        read_sheet(form, raw)
    assert refused.value.errors[0].code == code
    assert "Giulia" not in str(refused.value)
    assert "birthday" not in str(refused.value)


@given(
    st.lists(st.fixed_dictionaries({"proof_reference": PLAIN, "first_name": PLAIN}), min_size=1)
)
def test_whatever_a_spreadsheet_quotes_comes_back(rows: list[dict[str, str]]) -> None:
    """Every cell is read as it was written, or refused; no record swallows another."""
    sheet = read_sheet(CSV, table(*rows))
    assert len(sheet.records) == len(rows)
    for place, row in enumerate(rows):
        try:
            line = sheet.read(place)
        except LineError as error:
            assert error.code in {"formula", "invalid", "missing"}  # noqa: PT017
        else:
            assert line.proof_reference == row["proof_reference"]
            assert line.first_name == row["first_name"]


@given(st.binary(max_size=400), st.sampled_from([CSV, NDJSON]))
def test_any_bytes_are_answered(raw: bytes, form: str) -> None:
    """Whatever is uploaded is read or refused with a reason."""
    head = ",".join(COLUMNS).encode() + b"\n" if form == CSV else b""
    try:
        sheet = read_sheet(form, head + raw)
    except InvalidInputError:
        return
    for place in range(len(sheet.records)):
        try:
            sheet.read(place)
        except LineError as error:
            assert error.code  # noqa: PT017


def test_the_words_are_those_of_the_tables() -> None:
    """Sources and purposes of a file are those of the ledger."""
    for word in Source:
        assert read_sheet(CSV, table({"source": word})).read(0).source == word
    purposes = {"purpose": list(Purpose)}
    for purpose in purposes["purpose"]:
        raw = msgspec.json.encode({**GOOD, "purpose": purpose})
        assert read_sheet(NDJSON, raw).read(0).purpose == purpose
