"""Whatever a signed body or a template holds, the readers stand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.whatsapp import templates
from plugins.whatsapp.failures import failure
from plugins.whatsapp.payloads import clean
from plugins.whatsapp.webhooks import parse

BODIES = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.json"))
]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            found.extend(_places(one, (*path, key)))
    return found


def _put(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_one_strange_value_never_stops_the_reader(data: st.DataObject) -> None:
    """A known body with any one value replaced is read, and what is told can be stored."""
    body = data.draw(st.sampled_from(BODIES))
    path = data.draw(st.sampled_from(_places(body)))
    changed = _put(body, path, data.draw(ANYTHING))
    for news in parse(json.dumps(changed).encode()):
        assert news.dedupe
        assert msgspec.json.decode(msgspec.json.encode(news), type=type(news)) == news


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_read(body: bytes) -> None:
    """Bytes that are no envelope at all give news or none, never an error."""
    assert isinstance(parse(body), list)


@settings(max_examples=200, deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=60) | ANYTHING.map(json.dumps))
def test_any_answer_becomes_an_error(status: int, body: bytes | str) -> None:
    """Whatever answer comes, there is an instruction for the host."""
    raw = body if isinstance(body, bytes) else body.encode()
    assert failure(status, raw, {"retry-after": raw.decode("latin-1")}).code


@settings(max_examples=200, deadline=None)
@given(components=st.lists(ANYTHING) | ANYTHING)
def test_any_components_are_read(components: Any) -> None:
    """A template with any components is read, and a preview of it can be drawn."""
    draft = templates.read({"name": "n", "language": "en", "components": components})
    assert draft is not None
    assert templates.render(draft.components, ()).text is not None


@settings(max_examples=200, deadline=None)
@given(value=st.text(st.characters(codec=None), max_size=60))
def test_cleaning_is_final(value: str) -> None:
    """A cleaned value is one line, can be encoded, and cleaning it again changes nothing."""
    cleaned = clean(value)
    assert clean(cleaned) == cleaned
    assert cleaned == " ".join(cleaned.split())
    assert cleaned.encode().decode() == cleaned
