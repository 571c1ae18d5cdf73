"""A customer's STOP, from the provider's webhook to the provider's journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fixture_town import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from fixture_town import Town

STOPPER = "+12025550106"
"""The simulator's number that answers STOP once a message was delivered."""


def test_a_stop_is_heard_confirmed_and_kept(found_town: Callable[..., Town]) -> None:
    """Exam C04: the consent ends, one text confirms it, and no message follows."""
    town = found_town(webs=1, workers=1)
    town.consent("cus-stop", STOPPER)
    town.tell("e-1", customer="cus-stop", phone=STOPPER)

    def texts() -> list[dict[str, Any]]:
        return [one for one in town.journal() if one["type"] == "text"]

    wait_until(lambda: len(texts()) == 1, 30)
    answer = town.api("GET", "/v1/consents?customer_id=cus-stop&business_id=salone-aurora").json()
    assert [one["state"] for one in answer["data"]] == ["revoked"]
    assert answer["history"][0]["source"] == "whatsapp"
    told = town.tell("e-2", kind="booking.canceled", customer="cus-stop", phone=STOPPER)
    assert {one["reason"] for one in told["decisions"]} == {"address-suppressed"}
    listed = town.api("GET", "/v1/notifications?customer_id=cus-stop&business_id=salone-aurora")
    confirmation = next(one for one in listed.json()["data"] if not one["template"])
    told = town.wait_for_status(confirmation["id"], "delivered")
    evidence = town.api("GET", f"/v1/notifications/{confirmation['id']}/consent").json()
    assert (evidence["kind"], evidence["valid"]) == ("confirmation", True)
    assert [line["action"] for line in evidence["lines"]] == ["revoke"]
    assert len(texts()) == 1
