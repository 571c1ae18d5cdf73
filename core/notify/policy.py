"""May this be sent? The gates in the specification's order, as pure functions of known facts.

Every gate's answer is kept, a yes as well as a no; the first no decides, and the gates behind it
were not asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

PASS: Final = "pass"  # noqa: S105 - a verdict, not a password
FAIL: Final = "fail"
SKIPPED: Final = "skipped"

CHECKS: Final = (
    "channel-enabled",
    "connected",
    "template-approved",
    "consent",
    "address",
    "variables",
    "useful",
)
"""The gates in the order they are asked: first the specification's four (section 8)."""

PASSED_ON: Final = frozenset(
    {
        "channel-unavailable",
        "channel-disabled",
        "business-not-connected",
        "template-unknown",
        "template-not-approved",
        "address-suppressed",
        "consent-missing",
        "consent-revoked",
        "marketing-consent-missing",
        "address-missing",
        "variable-missing",
    }
)
"""A no for one of these is that channel's own: the next channel of the rule is asked."""

RULE: Final = "rule"
"""Stands before the gates where the business switched the rule off."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gate's answer; kept with the decision.

    Attributes:
        check: the gate.
        result: pass, fail or skipped.
        reason: why it said no, a code of the catalogue.
        evidence: what the answer rests on, for example the id of a consent.
    """

    check: str
    result: str
    reason: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that the gates look at, for one notice.

    Attributes:
        template_found: a template of this name exists in some fitting language.
        consent_id: the row of consent, as evidence; empty if there is none.
        opted_in: the customer agreed to messages of this purpose and did not take it back.
        revoked: the customer agreed once and took it back.
        marketing: the provider calls the template advertising.
        missing: values that the template needs and the event did not bring.
        due_at: when it is to be sent.
        already_sent: the same notice of the same plan went out, or is on its way.
    """

    now: datetime
    due_at: datetime
    rule_enabled: bool
    too_late: bool
    quiet: bool
    already_sent: bool
    channel_loaded: bool
    channel_enabled: bool
    connected: bool
    connection: str
    template_found: bool
    template_usable: bool
    template: str
    marketing: bool
    consent_id: str
    opted_in: bool
    revoked: bool
    marketing_opted_in: bool
    address_known: bool
    address_suppressed: bool
    missing: tuple[str, ...]
    useful_until: datetime | None
    superseded: bool


def judge(facts: Facts) -> tuple[CheckResult, ...]:
    """Ask every gate in order until one says no; of a rule that is switched off, none is asked."""
    results: list[CheckResult] = []
    refused = not facts.rule_enabled
    if refused:
        results.append(CheckResult(check=RULE, result=FAIL, reason="rule-disabled"))
    for check, gate in _GATES.items():
        if refused:
            results.append(CheckResult(check=check, result=SKIPPED))
            continue
        reason, evidence = gate(facts)
        refused = bool(reason)
        results.append(
            CheckResult(
                check=check, result=FAIL if refused else PASS, reason=reason, evidence=evidence
            )
        )
    return tuple(results)


def refusal(results: tuple[CheckResult, ...]) -> str:
    """Return the reason of the gate that said no, or nothing."""
    return next((one.reason for one in results if one.result == FAIL), "")


def _enabled(facts: Facts) -> tuple[str, str]:
    if not facts.channel_loaded:
        return "channel-unavailable", ""
    return ("" if facts.channel_enabled else "channel-disabled"), ""


def _connected(facts: Facts) -> tuple[str, str]:
    return ("" if facts.connected else "business-not-connected"), facts.connection


def _approved(facts: Facts) -> tuple[str, str]:
    if not facts.template_found:
        return "template-unknown", ""
    return ("" if facts.template_usable else "template-not-approved"), facts.template


def _consented(facts: Facts) -> tuple[str, str]:
    if facts.address_suppressed:
        return "address-suppressed", facts.consent_id
    if facts.marketing and not facts.marketing_opted_in:
        return "marketing-consent-missing", facts.consent_id
    if facts.opted_in:
        return "", facts.consent_id
    return ("consent-revoked" if facts.revoked else "consent-missing"), facts.consent_id


def _addressed(facts: Facts) -> tuple[str, str]:
    return ("" if facts.address_known else "address-missing"), ""


def _worded(facts: Facts) -> tuple[str, str]:
    return ("variable-missing" if facts.missing else ""), ", ".join(facts.missing)


def _useful(facts: Facts) -> tuple[str, str]:
    stops = {
        "superseded": facts.superseded,
        "already-sent": facts.already_sent,
        "too-late": facts.too_late,
        "quiet-hours": facts.quiet,
    }
    for reason, stopped in stops.items():
        if stopped:
            return reason, ""
    late = facts.useful_until is not None and facts.useful_until <= facts.now
    return ("expired" if late else ""), ""


_GATES: Final[dict[str, Callable[[Facts], tuple[str, str]]]] = dict(
    zip(
        CHECKS,
        (_enabled, _connected, _approved, _consented, _addressed, _worded, _useful),
        strict=True,
    )
)
