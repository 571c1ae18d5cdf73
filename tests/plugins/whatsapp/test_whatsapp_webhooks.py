"""Meta's webhooks: who signed them and what they tell."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.channels.messages import ChannelEvent, InboundMessage, StatusUpdate, WebhookRequest
from core.errors import WebhookRejectedError
from plugins.whatsapp.client import appsecret_proof
from plugins.whatsapp.settings import WhatsAppSettings
from plugins.whatsapp.webhooks import challenge, parse, signature, verify

FIXTURES = Path(__file__).parent / "fixtures"
SECRET = "unit-test-app-secret"
SETTINGS = WhatsAppSettings(app_secret=SECRET, verify_token="our-word")
VECTOR = (
    rb'{"object":"whatsapp_business_account","entry":[{"id":"700100200300400","changes":'
    rb'[{"field":"messages","value":{"messaging_product":"whatsapp","contacts":[{"profile":'
    rb'{"name":"Zo\u00eb Mu\u00f1oz"},"wa_id":"34600111222"}]}}]}]}'
)
VECTOR_SIGNATURE = "sha256=35030eb6d96d34fc5b20f47858af250fa469d67f036b7d6778a57f4431ed148c"
REWRITTEN_SIGNATURE = "sha256=b618bec9605a41745f7853c9232e40ea3c51267b8c6211822603fb00d88f29a4"
HAPPENED = datetime(2026, 11, 18, 11, 25, 12, tzinfo=UTC)


def _request(body: bytes, given: str | None) -> WebhookRequest:
    headers = {} if given is None else {"x-hub-signature-256": given}
    return WebhookRequest(headers=headers, query={}, body=body)


def _parsed(name: str) -> list[Any]:
    return list(parse((FIXTURES / f"{name}.json").read_bytes()))


def test_the_reference_vector_is_accepted() -> None:
    """The signature is taken over the bytes as they came."""
    verify(_request(VECTOR, VECTOR_SIGNATURE), SETTINGS)
    assert signature(SECRET, VECTOR).decode() == VECTOR_SIGNATURE


def test_a_body_written_anew_is_refused() -> None:
    """The same JSON with real letters has another signature: parsing first would be wrong."""
    rewritten = json.dumps(json.loads(VECTOR), ensure_ascii=False, separators=(",", ":")).encode()
    verify(_request(rewritten, REWRITTEN_SIGNATURE), SETTINGS)
    for body, given in ((VECTOR, REWRITTEN_SIGNATURE), (rewritten, VECTOR_SIGNATURE)):
        with pytest.raises(WebhookRejectedError):
            verify(_request(body, given), SETTINGS)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        VECTOR_SIGNATURE.removeprefix("sha256="),
        VECTOR_SIGNATURE.upper(),
        "sha256=" + VECTOR_SIGNATURE.removeprefix("sha256=").upper(),
        VECTOR_SIGNATURE[:-1],
        VECTOR_SIGNATURE + "0",
        VECTOR_SIGNATURE + "\n",
        f"{VECTOR_SIGNATURE}, {VECTOR_SIGNATURE}",
        "sha1=" + hmac.new(SECRET.encode(), VECTOR, hashlib.sha1).hexdigest(),
        "sha256=" + hmac.new(b"another secret", VECTOR, hashlib.sha256).hexdigest(),
        "sha256=" + "é" * 64,
    ],
)
def test_every_other_signature_is_refused(given: str | None) -> None:
    """Missing, cut, upper-case, doubled, older and foreign signatures are all refused."""
    with pytest.raises(WebhookRejectedError) as refusal:
        verify(_request(VECTOR, given), SETTINGS)
    assert VECTOR_SIGNATURE[7:] not in str(refusal.value)


def test_without_a_secret_nothing_is_trusted() -> None:
    """An empty secret never means "no check", not even for a body signed with the empty key."""
    forged = "sha256=" + hmac.new(b"", VECTOR, hashlib.sha256).hexdigest()
    with pytest.raises(WebhookRejectedError):
        verify(_request(VECTOR, forged), WhatsAppSettings())


def test_the_proof_of_the_app_secret_fits_the_reference_vector() -> None:
    """The proof is the lower-case digest of the token under the app secret."""
    expected = "61040c49b6d8461509d14c23036f027ae968d651a04b73ec3209e050b05ce596"
    assert appsecret_proof(SECRET, "EAAfakeToken123") == expected


def test_the_challenge_is_answered_with_its_word_only() -> None:
    """Meta's check of our address gets its own word back."""
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": "1158201444",
        "hub.verify_token": "our-word",
    }
    assert challenge(query, SETTINGS) == "1158201444"


@pytest.mark.parametrize(
    "change",
    [
        {"hub.verify_token": "other"},
        {"hub.verify_token": ""},
        {"hub.verify_token": "oür-word"},
        {"hub.mode": "unsubscribe"},
        {"hub.challenge": "<script>alert(1)</script>"},
        {"hub.challenge": "1" * 101},
        {"hub.challenge": "1\n"},
        {"hub.challenge": ""},
    ],
)
def test_a_false_challenge_is_refused(change: dict[str, str]) -> None:
    """A wrong word, another mode, or a challenge that could be markup gets no answer."""
    query = {
        "hub.mode": "subscribe",
        "hub.challenge": "1158201444",
        "hub.verify_token": "our-word",
        **change,
    }
    assert challenge(query, SETTINGS) is None


def test_without_a_verify_token_no_challenge_is_answered() -> None:
    """An empty configured word does not fit an empty given one."""
    query = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": ""}
    assert challenge(query, WhatsAppSettings(app_secret=SECRET)) is None


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("status__sent_new_dialect", "sent"),
        ("status__sent_old_dialect", "sent"),
        ("status__delivered", "delivered"),
        ("status__played", "read"),
        ("status__bsuid_recipient", "delivered"),
        ("status__milliseconds", "sent"),
        ("status__failed_new_dialect", "failed"),
        ("status__failed_old_dialect", "failed"),
    ],
)
def test_statuses_of_both_dialects_parse(name: str, status: str) -> None:
    """Old and new payloads, with and without a phone number, give the same news."""
    (news,) = _parsed(name)
    assert isinstance(news, StatusUpdate)
    assert news.status.value == status
    assert news.account == "500600700800900"
    assert news.callback_id == "ntf_abc"
    assert news.occurred_at == HAPPENED
    assert news.dedupe.startswith("status:")


def test_a_failed_status_names_the_code_and_no_phone() -> None:
    """The provider's code is kept; the customer's number in its words is not."""
    new, old = _parsed("status__failed_new_dialect")[0], _parsed("status__failed_old_dialect")[0]
    assert (new.error_code, old.error_code) == ("131026", "131047")
    assert new.error_detail == "Message Undeliverable to ***"


def test_a_failure_of_the_whole_number_is_told_twice() -> None:
    """An unpaid bill fails the message and is news about the number as well."""
    news = _parsed("status__failed_for_billing")
    assert [type(one).__name__ for one in news] == ["StatusUpdate", "ChannelEvent"] * 2
    assert (news[1].kind, news[1].account, news[1].known) == (
        "send_refused",
        news[0].account,
        True,
    )
    assert len({one.dedupe for one in news}) == 4


def test_a_status_without_our_id_still_parses() -> None:
    """A message that carried no id of ours is found by the provider's id."""
    (news,) = _parsed("status__read_without_callback")
    assert (news.callback_id, news.provider_message_id) == ("", "wamid.OUTREAD")


def test_a_status_we_do_not_know_is_kept() -> None:
    """A new status word is stored and counted, and moves nothing."""
    (news,) = _parsed("status__unknown_word")
    assert isinstance(news, ChannelEvent)
    assert (news.kind, news.known, news.callback_id) == ("status_warning", False, "ntf_abc")


def test_every_entry_change_and_item_is_read() -> None:
    """Several accounts, numbers and items in one body are all told, each to its own number."""
    news = _parsed("status__many_in_one")
    assert [one.account[-3:] for one in news] == ["900", "900", "901", "902"]
    assert isinstance(news[3], InboundMessage)


def test_one_malformed_item_costs_only_itself() -> None:
    """Broken items become malformed events and the good ones beside them are told."""
    news = _parsed("status__malformed_beside_good")
    kinds = ["malformed" if isinstance(one, ChannelEvent) else one.status.value for one in news]
    assert kinds == ["malformed", "malformed", "sent", "malformed", "delivered"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inbound__text", ("text", "Confermo, grazie", "", "wamid.OUTSENT")),
        ("inbound__button", ("button", "Disdici", "cancel:9f2k", "wamid.OUTSENT")),
        ("inbound__button_without_context", ("button", "Disdici", "Disdici", "")),
        ("inbound__button_reply", ("interactive", "Sì", "yes", "")),
        ("inbound__list_reply", ("interactive", "16:00", "slot-3", "")),
        ("inbound__interactive_empty", ("interactive", "", "", "")),
        ("inbound__image", ("image", "Il mio taglio", "", "")),
        ("inbound__reaction", ("reaction", "👍", "", "wamid.OUTSENT")),
        ("inbound__reaction_removed", ("reaction", "", "", "wamid.OUTSENT")),
        ("inbound__location", ("location", "Salone, Via Roma 1", "", "")),
        ("inbound__edit", ("edit", "Confermo", "", "")),
        ("inbound__unsupported", ("unsupported", "", "", "")),
    ],
)
def test_what_a_customer_wrote(name: str, expected: tuple[str, str, str, str]) -> None:
    """Every kind of message gives its words, its button and what it answers."""
    (news,) = _parsed(name)
    assert isinstance(news, InboundMessage)
    assert (news.message_type, news.text, news.button, news.answers) == expected
    assert news.sender == "+34600111222"
    assert news.occurred_at == HAPPENED


def test_somebody_without_a_phone_number_is_named_by_whatsapps_id() -> None:
    """A person with a user name may hide the number; the message is not lost."""
    (news,) = _parsed("inbound__username_only")
    assert news.sender == "ES.90817263544"


def test_the_same_message_twice_carries_the_same_word() -> None:
    """Deduplication works within one body as well, and holds no phone number."""
    first, second = _parsed("inbound__text_twice")
    assert first.dedupe == second.dedupe
    assert "wamid" not in first.dedupe


def test_the_words_of_different_news_differ() -> None:
    """Statuses of one message, and events that differ in one value, are not taken for repeats."""
    names = ["status__many_in_one", *(path.stem for path in FIXTURES.glob("template__*.json"))]
    told = [news.dedupe for name in names for news in _parsed(name)]
    assert len(told) == len(set(told)) == 4 + len(names) - 1


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("template__approved", "template_status", {"status": "APPROVED", "reason": ""}),
        ("template__rejected", "template_status", {"status": "REJECTED", "reason": "PROMOTIONAL"}),
        ("template__reason_null", "template_status", {"status": "PAUSED", "reason": ""}),
        ("template__quality", "template_quality", {"quality": "RED"}),
        ("template__category_done", "template_category", {"category": "marketing"}),
        ("template__category_announced", "template_category", {"announced": "marketing"}),
        ("template__components", "template_components", {"language": "en_US"}),
        (
            "phone__quality",
            "phone_quality",
            {"event": "FLAGGED", "number": "39055000111"},
        ),
        ("account__disabled", "account_update", {"event": "DISABLED_UPDATE", "ban": "DISABLE"}),
        (
            "account__restricted",
            "account_update",
            {"restrictions": ["RESTRICTED_BIZ_INITIATED_MESSAGING"]},
        ),
        ("account__partner_removed", "account_update", {"event": "PARTNER_REMOVED"}),
    ],
)
def test_news_that_we_act_on(name: str, kind: str, content: dict[str, Any]) -> None:
    """Account, template and quality news are known, and name the WhatsApp account."""
    (news,) = _parsed(name)
    assert isinstance(news, ChannelEvent)
    assert (news.kind, news.account, news.known) == (kind, "700100200300400", True)
    assert news.occurred_at == HAPPENED
    assert {key: news.data[key] for key in content} == content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("errors__value_level", "errors"),
        ("inbound__system", "message_system"),
        ("account__info_only", "account_update"),
        ("other__user_preferences", "user_preferences"),
        ("other__unknown_field", "something_new"),
        ("other__echo", "smb_message_echoes"),
    ],
)
def test_everything_else_is_kept_by_name(name: str, kind: str) -> None:
    """Nothing is dropped: what nobody acts on is an event that says so."""
    (news,) = _parsed(name)
    assert isinstance(news, ChannelEvent)
    assert (news.kind, news.known) == (kind, False)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"entry": {}}',
        b'{"entry": [7]}',
        b'{"entry": [{"id": "1", "changes": 5}]}',
        b'{"entry": [{"id": "1", "changes": [null]}]}',
        b'{"entry": [{"id": "1", "changes": [{"field": "messages", "value": []}]}]}',
        b'{"entry": [{"id": "1", "changes": [{"field": "messages", "value": {"statuses": 1}}]}]}',
        b'{"entry": [{"id": "1", "changes": [{"field": "account_update", "value": {}}]}]}',
        b'{"entry": [{"changes": [{"field": "template_category_update", "value": {}}]}]}',
    ],
)
def test_no_body_makes_the_reader_raise(body: bytes) -> None:
    """Whatever comes signed is told as malformed, once, and never lost by an error."""
    (news,) = parse(body)
    assert isinstance(news, ChannelEvent)
    assert (news.kind, news.known) == ("malformed", False)


def test_an_empty_envelope_tells_nothing() -> None:
    """An envelope without entries is no fault and no news."""
    assert parse(b'{"object": "whatsapp_business_account", "entry": []}') == []


def test_half_a_character_does_not_cost_the_batch() -> None:
    """A text with half a surrogate pair or a NUL is told with the odd parts removed."""
    body = (FIXTURES / "inbound__text.json").read_bytes()
    odd = body.replace(b"Confermo, grazie", rb"A\ud83dB\u0000C")
    (news,) = parse(odd)
    assert isinstance(news, InboundMessage)
    assert news.text == "A?BC"


@pytest.mark.parametrize(
    "stamp", ['"soon"', "-1", "1e300", '"99999999999999999999"', "true", "null", "[]"]
)
def test_a_time_that_is_none_makes_the_item_malformed(stamp: str) -> None:
    """A silly timestamp neither raises nor becomes a date in the far future."""
    body = (FIXTURES / "status__delivered.json").read_bytes()
    (news,) = parse(body.replace(b'"1795001112"', stamp.encode()))
    assert isinstance(news, ChannelEvent)
    assert news.kind == "malformed"
