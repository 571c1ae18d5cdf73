"""Meta's templates are read as they are, and shown as the customer would see them."""

from __future__ import annotations

from typing import Any

import pytest

from core.channels.messages import Parameter, Rendered
from plugins.whatsapp import pack, templates

BOOKED: dict[str, Any] = {
    "id": "900100",
    "name": "booked",
    "language": "en-US",
    "status": "APPROVED",
    "category": "UTILITY",
    "components": [
        {"type": "HEADER", "format": "TEXT", "text": "Hello {{1}}"},
        {"type": "BODY", "text": "Dear {{2}}, {{1}} expects you. Again: {{2}}, {{10}}, {{3}}."},
        {"type": "FOOTER", "text": "Answer STOP to leave"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Cancel"},
                {"type": "URL", "text": "Open", "url": "https://example.test/b/{{1}}"},
                {"type": "URL", "text": "Site", "url": "https://example.test/"},
                {"type": "COPY_CODE", "text": "Copy", "example": "X"},
            ],
        },
    ],
}


def _changed(**values: Any) -> templates.Draft:
    draft = templates.read({**BOOKED, **values})
    assert draft is not None
    return draft


def test_placeholders_are_listed_once_with_their_place() -> None:
    """Header, body in the order of the numbers, then buttons; static buttons need nothing."""
    draft = _changed()
    assert draft.parameters == ("header.1", "1", "2", "3", "10", "button.1", "code.3")
    assert (draft.parameter_format, draft.language, draft.usable) == ("positional", "en_US", True)


def test_named_placeholders_keep_the_order_of_the_text() -> None:
    """Names are recognised even where Meta does not say that they are names."""
    body = {"type": "BODY", "text": "Hi {{first_name}}, on {{date}} at {{ time }}, {{date}}!"}
    draft = _changed(components=[body])
    assert draft.parameters == ("first_name", "date", "time")
    assert draft.parameter_format == "named"


@pytest.mark.parametrize(
    ("meta", "ours"),
    [
        ("APPROVED", "approved"),
        ("approved", "approved"),
        ("PENDING", "pending"),
        ("IN_APPEAL", "pending"),
        ("REINSTATED", "pending"),
        ("UNARCHIVED", "pending"),
        ("REJECTED", "rejected"),
        ("PAUSED", "paused"),
        ("FLAGGED", "paused"),
        ("LOCKED", "paused"),
        ("DISABLED", "disabled"),
        ("ARCHIVED", "disabled"),
        ("PENDING_DELETION", "disabled"),
        ("DELETED", "disabled"),
        ("LIMIT_EXCEEDED", "disabled"),
        ("SOMETHING_NEW", "disabled"),
        ("", "disabled"),
    ],
)
def test_only_approved_reads_approved(meta: str, ours: str) -> None:
    """Every other word of Meta's, known or not, keeps the template from being sent."""
    draft = _changed(status=meta)
    assert draft.status == ours
    assert draft.usable is (ours == "approved")
    assert draft.reason == ("" if ours == "approved" else f"template-{ours}")


@pytest.mark.parametrize(
    ("meta", "ours"),
    [("UTILITY", "utility"), ("authentication", "authentication"), ("SPAM", "marketing")],
)
def test_an_unknown_category_counts_as_marketing(meta: str, ours: str) -> None:
    """What we do not know gets the strictest rules."""
    assert _changed(category=meta).category == ours


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        ({"type": "HEADER", "format": "IMAGE"}, "header-unsupported"),
        ({"type": "CAROUSEL", "cards": []}, "component-unsupported"),
        ({"type": "BUTTONS", "buttons": [{"type": "FLOW", "text": "x"}]}, "button-unsupported"),
    ],
)
def test_what_cannot_be_filled_cannot_be_sent(component: dict[str, Any], reason: str) -> None:
    """An approved template with a picture, a carousel or a flow is named, not tried."""
    draft = _changed(components=[component, {"type": "BODY", "text": "Hi"}])
    assert (draft.usable, draft.reason) == (False, reason)


def test_a_preview_shows_every_part() -> None:
    """Header and body take their own values; a missing value stays visible."""
    values = [
        ("header.1", "Zoë"),
        ("1", "Salon"),
        ("2", "Zoë\nM"),
        ("3", "x"),
        ("button.1", "b/1"),
    ]
    shown = templates.render(
        BOOKED["components"], [Parameter(name=name, value=value) for name, value in values]
    )
    assert shown == Rendered(
        text="Dear Zoë M, Salon expects you. Again: Zoë M, {{10}}, x.",
        header="Hello Zoë",
        footer="Answer STOP to leave",
        buttons=("Cancel", "Open", "Site", "Copy"),
    )


@pytest.mark.parametrize(
    "row", [{}, {"name": "x"}, {"name": "", "language": "en"}, {"name": [], "language": "en"}]
)
def test_a_template_without_name_or_language_is_left_out(row: dict[str, Any]) -> None:
    """A listing's odd row costs only itself."""
    assert templates.read(row) is None


@pytest.mark.parametrize("components", [None, "x", [7, None], [{"type": 3}], [{"buttons": 1}]])
def test_odd_components_are_survived(components: Any) -> None:
    """Whatever stands there, the template is read."""
    assert templates.read({**BOOKED, "components": components}) is not None


@pytest.mark.parametrize("language", pack.languages())
def test_the_pack_keeps_metas_rules(language: str) -> None:
    """Five utility templates per language, none with a fault that can be seen from here."""
    found = pack.read_pack(language)
    assert found.language == language
    assert set(found.templates) == {
        "booking_confirmed",
        "booking_rescheduled",
        "booking_canceled",
        "reminder_24h",
        "reminder_2h",
    }
    for name, template in found.templates.items():
        assert pack.faults(name, template) == []
        body = pack.creation(name, language, template)
        assert (body["category"], body["parameter_format"]) == ("UTILITY", "named")
        told = body["components"][0]["example"]["body_text_named_params"]
        assert {one["param_name"] for one in told} == set(template.examples)


def test_the_pack_is_written_in_six_languages() -> None:
    """Each language has the same templates, with the same placeholders."""
    assert pack.languages() == ["de", "en", "es", "fr", "it", "pt"]
    english = pack.read_pack("en")
    for language in pack.languages():
        other = pack.read_pack(language)
        assert set(other.templates) == set(english.templates)
        for name, template in english.templates.items():
            assert set(template.examples) == set(other.templates[name].examples)
    with pytest.raises(LookupError):
        pack.read_pack("../en")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("{{name}} is booked.", "start or end"),
        ("You are {{name}}.", "start or end"),
        ("For {{name}} {{time}} it is.", "side by side"),
        ("For {{Name}} it is.", "lower_case"),
        ("x" * 1025, "longer"),
    ],
)
def test_drafts_that_meta_would_reject_are_named(body: str, word: str) -> None:
    """Each rule that can be checked here is."""
    template = pack.PackTemplate(category="utility", body=body, examples={})
    assert any(word in fault for fault in pack.faults("fine", template))
    assert pack.faults("Not-Fine", template)
