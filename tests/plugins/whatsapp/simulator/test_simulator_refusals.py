"""Wrong sends: each is refused with the documented code and HTTP status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from plugins.whatsapp.simulator.simulator import Simulator

    Send = Callable[..., Awaitable[httpx.Response]]

PATH = "/v25.0/100200300400500/messages"


def text(value: object = "x", **more: object) -> dict[str, Any]:
    """Write a text parameter."""
    return {"type": "text", "text": value, **more}


def template(name: str, *components: dict[str, Any], language: str = "en") -> dict[str, Any]:
    """Write a template send."""
    return {"name": name, "language": {"code": language}, "components": list(components)}


def body(*parameters: dict[str, Any]) -> dict[str, Any]:
    """Write a body component."""
    return {"type": "body", "parameters": list(parameters)}


def button(kind: str, index: object, *parameters: dict[str, Any]) -> dict[str, Any]:
    """Write a button component."""
    return {
        "type": "button",
        "sub_type": kind,
        "index": index,
        "parameters": list(parameters),
    }


HEADER = {"type": "header", "parameters": [text()]}
URL = button("url", "1", text("9f2k"))
TWO = body(text("Zoë"), text("Monday"))

ENVELOPES: dict[str, tuple[dict[str, Any], int, int]] = {
    "product absent": ({"messaging_product": None}, 100, 400),
    "product wrong": ({"messaging_product": "messenger"}, 100, 400),
    "no recipient": ({"to": None}, 100, 400),
    "recipient a number": ({"to": 34600111222}, 100, 400),
    "recipient with letters": ({"to": "+34600CALLME"}, 131009, 400),
    "recipient too short": ({"to": "+34600"}, 131009, 400),
    "recipient too long": ({"to": "+3460011122233344455"}, 131009, 400),
    "recipient is the sender": ({"to": "+34600000001"}, 131021, 400),
    "user id malformed": ({"to": None, "recipient": "Zoë"}, 131009, 400),
    "group": ({"recipient_type": "group"}, 100, 400),
    "type unknown": ({"type": "hologram"}, 100, 400),
    "type no text": ({"type": 7}, 100, 400),
    "object of the type absent": ({"template": None}, 131008, 400),
    "callback data too long": ({"biz_opaque_callback_data": "x" * 513}, 100, 400),
    "callback data no text": ({"biz_opaque_callback_data": {"a": 1}}, 100, 400),
    "text empty": ({"type": "text", "text": {"body": ""}}, 100, 400),
    "text too long": ({"type": "text", "text": {"body": "x" * 4097}}, 100, 400),
    "text outside the window": ({"type": "text", "text": {"body": "Hi"}}, 131047, 400),
    "image without source": ({"type": "image", "image": {}}, 131008, 400),
    "image with two sources": ({"type": "image", "image": {"id": "1", "link": "x"}}, 131008, 400),
    "image outside the window": ({"type": "image", "image": {"id": "1"}}, 131047, 400),
    "interactive of unknown type": ({"type": "interactive", "interactive": {}}, 131009, 400),
    "location without place": ({"type": "location", "location": {}}, 131008, 400),
    "contacts empty": ({"type": "contacts", "contacts": []}, 131008, 400),
    "reaction to nothing": ({"type": "reaction", "reaction": {}}, 131008, 400),
}

TEMPLATES: dict[str, tuple[dict[str, Any], int, int]] = {
    "name absent": ({"language": {"code": "en"}}, 131008, 400),
    "language absent": ({"name": "plain"}, 131008, 400),
    "unknown name": (template("absent"), 132001, 404),
    "unknown language": (template("plain", language="fr"), 132001, 404),
    "paused": (template("paused"), 132015, 400),
    "disabled": (template("disabled"), 132016, 400),
    "pending": (template("pending"), 132001, 404),
    "rejected": (template("rejected"), 132001, 404),
    "body parameters absent": (template("counted", HEADER, URL), 132000, 400),
    "one parameter too few": (template("counted", HEADER, body(text()), URL), 132000, 400),
    "one parameter too many": (template("plain", body(text())), 132000, 400),
    "header parameter absent": (template("counted", TWO, URL), 132000, 400),
    "header that is not there": (template("plain", HEADER), 132000, 400),
    "image for a text": (
        template("counted", HEADER, body(text(), {"type": "image", "image": {"id": "1"}}), URL),
        132012,
        400,
    ),
    "text for an image": (template("pictured", HEADER), 132012, 400),
    "image header absent": (template("pictured"), 132012, 400),
    "names for a positional template": (
        template("counted", HEADER, body(text(parameter_name="1"), text()), URL),
        132012,
        400,
    ),
    "no names for a named template": (
        template("named", body(text(), text()), language="es"),
        132012,
        400,
    ),
    "wrong name": (
        template(
            "named",
            body(text(parameter_name="customer"), text(parameter_name="whem")),
            language="es",
        ),
        132012,
        400,
    ),
    "same name twice": (
        template(
            "named",
            body(text(parameter_name="customer"), text(parameter_name="customer")),
            language="es",
        ),
        132012,
        400,
    ),
    "value empty": (template("counted", HEADER, body(text(""), text()), URL), 131008, 400),
    "value no text": (template("counted", HEADER, body(text(5), text()), URL), 131008, 400),
    "line break in a value": (
        template("counted", HEADER, body(text("a\nb"), text()), URL),
        132018,
        400,
    ),
    "five spaces in a value": (
        template("counted", HEADER, body(text("a     b"), text()), URL),
        132018,
        400,
    ),
    "body grows too long": (
        template("counted", HEADER, body(text("x" * 1000), text("y" * 100)), URL),
        132005,
        400,
    ),
    "link of a button absent": (template("counted", HEADER, TWO), 131008, 400),
    "link of a button empty": (
        template("counted", HEADER, TWO, button("url", "1", text(""))),
        131008,
        400,
    ),
    "button of another kind": (
        template("counted", HEADER, TWO, button("url", "0", text("x")), URL),
        132012,
        400,
    ),
    "button that is not there": (
        template("counted", HEADER, TWO, URL, button("url", "5", text("x"))),
        132018,
        400,
    ),
    "button index no digit": (
        template("counted", HEADER, TWO, button("url", "²", text("x"))),
        132018,
        400,
    ),
    "component twice": (template("counted", HEADER, TWO, TWO, URL), 132018, 400),
    "component unknown": (template("plain", {"type": "sidebar"}), 132018, 400),
    "components no list": ({**template("plain"), "components": {"type": "body"}}, 132018, 400),
    "parameters no list": (template("plain", {"type": "body", "parameters": "x"}), 132018, 400),
}


async def refuse(send: Send, simulator: Simulator, changes: dict[str, Any]) -> tuple[int, int]:
    """Send, check the refusal's shape, and return its code and HTTP status."""
    answer = await send(**changes)
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "code", "fbtrace_id"}
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert simulator.journal.accepted == []
    return error["code"], answer.status_code


@pytest.mark.parametrize(("changes", "code", "status"), ENVELOPES.values(), ids=ENVELOPES)
async def test_wrong_envelope_is_refused(
    send: Send, simulator: Simulator, changes: dict[str, Any], code: int, status: int
) -> None:
    """What is wrong with the message itself has Meta's code and is not accepted."""
    assert await refuse(send, simulator, changes) == (code, status)


@pytest.mark.parametrize(("content", "code", "status"), TEMPLATES.values(), ids=TEMPLATES)
async def test_wrong_template_send_is_refused(
    send: Send, simulator: Simulator, content: dict[str, Any], code: int, status: int
) -> None:
    """What does not fit the template has Meta's code and is not accepted."""
    assert await refuse(send, simulator, {"template": content}) == (code, status)


async def test_faults_inside_a_component_were_code_100_before_version_23(
    graph: httpx.AsyncClient,
) -> None:
    """The version of the address decides on the code."""
    message = {
        "messaging_product": "whatsapp",
        "to": "+34600111222",
        "type": "template",
        "template": template("plain", {"type": "sidebar"}),
    }
    old = await graph.post("/v22.0/100200300400500/messages", json=message)
    assert (old.status_code, old.json()["error"]["code"]) == (400, 100)


async def test_refusal_says_what_is_wrong_in_its_details(send: Send) -> None:
    """The details of a wrong parameter count hold both numbers."""
    error = (await send(template=template("counted", HEADER, body(text()), URL))).json()["error"]
    assert error["type"] == "OAuthException"
    assert error["message"].startswith("(#132000) ")
    assert error["error_data"] == {
        "messaging_product": "whatsapp",
        "details": "body: number of localizable_params (1) does not match the expected number of"
        " params (2)",
    }


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{not json", "application/json"),
        (b'["a list"]', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"template={broken", "application/x-www-form-urlencoded"),
    ],
)
async def test_body_that_is_no_object_is_refused(
    graph: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    """A body that cannot be read is answered with code 100."""
    answer = await graph.post(PATH, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


async def test_body_over_a_megabyte_is_refused_in_metas_shape(graph: httpx.AsyncClient) -> None:
    """A body that is too large has an error body too."""
    answer = await graph.post(PATH, content=b"x" * 1_000_001)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == 100


async def test_number_that_is_not_registered_cannot_send(
    graph: httpx.AsyncClient, send: Send
) -> None:
    """Sending needs a registration; the second registration needs the first one's PIN."""
    path = "/v25.0/100200300400500"
    assert (await graph.post(f"{path}/deregister")).json() == {"success": True}
    refused = await send()
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 133010)
    pin = {"messaging_product": "whatsapp", "pin": "604182"}
    assert (await graph.post(f"{path}/register", json=pin)).json() == {"success": True}
    assert (await send()).status_code == 200
    wrong = await graph.post(f"{path}/register", json={**pin, "pin": "000000"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, 133005)
    letters = await graph.post(f"{path}/register", json={**pin, "pin": "secret"})
    assert (letters.status_code, letters.json()["error"]["code"]) == (400, 100)


@pytest.mark.parametrize(
    ("method", "path", "code", "subcode"),
    [
        ("GET", "/v25.0/999", 100, 33),
        ("POST", "/v25.0/999/messages", 100, 33),
        ("GET", "/v25.0/100200300400500/nonsense", 100, None),
        ("PUT", "/v25.0/100200300400500/messages", 100, None),
        ("DELETE", "/v25.0/700100200300400", 100, 33),
        ("GET", "/v25.0/nonsense", 100, 33),
        ("GET", "/v25.0", 100, 33),
        ("GET", "/v3.0/100200300400500", 2635, None),
        ("GET", "/v25.0/100200300400500?fields=shoe_size", 100, None),
    ],
)
async def test_unknown_path_has_an_error_body(
    graph: httpx.AsyncClient, method: str, path: str, code: int, subcode: int | None
) -> None:
    """What does not exist is refused with 400 in Meta's shape."""
    answer = await graph.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("error_subcode")) == (400, code, subcode)
