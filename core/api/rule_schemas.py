"""Rules and bookings as they go over the wire."""

from datetime import datetime, time, timedelta
from typing import Annotated, Literal

from msgspec import Meta, field

from core.api.schemas import In, Locale, Out, Slug
from core.businesses.places import is_locale
from core.errors import FieldFault
from core.notify.events import EVENT_TYPES, Line, Ref
from core.notify.rules import BUILT_IN, REMINDER, QuietHours, Rule

LONGEST = timedelta(days=90)
_LONGEST_PATIENCE = timedelta(days=7)
_MINUTE = timedelta(minutes=1)
_TWO = 2

RuleKey = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$(?!\n)")]
Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", examples=["21:00"])]
TemplateName = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[\x21-\x7e]+$(?!\n)")]
VariableName = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,49}$(?!\n)")]


class QuietBody(In, frozen=True, kw_only=True):
    """When nobody is written to, by the customer's own clock; `to` may be on the next day."""

    start: Clock = field(name="from")
    end: Clock = field(name="to")
    mode: Literal["defer", "skip"] = "defer"


class RuleBody(In, frozen=True, kw_only=True):
    """A rule as a whole; of a built-in rule, what is left out is as built in."""

    event_type: Annotated[str, Meta(max_length=64)] | None = None
    template: TemplateName | None = None
    enabled: bool = True
    channels: Annotated[
        tuple[Slug, ...],
        Meta(max_length=8, description="Best first: where one cannot deliver, the next does."),
    ] = ()
    fallback_after: Annotated[
        timedelta | None,
        Meta(
            description="A message that has not arrived so long after it was sent is followed by "
            "the next channel; without it only a failure is. A minute to 7 days."
        ),
    ] = None
    lead: Annotated[timedelta, Meta(description="How long before the start.")] | None = None
    minimum_notice: timedelta = timedelta()
    quiet_hours: QuietBody | None = None
    languages: Annotated[tuple[Locale, ...], Meta(max_length=8)] = ()
    variables: Annotated[dict[VariableName, Line], Meta(max_length=20)] | None = None


class RuleOut(Out, frozen=True, kw_only=True):
    """A rule that holds; `version` is 0 while it is the built-in one."""

    rule: str
    event_type: str
    template: str
    enabled: bool
    channels: list[str]
    fallback_after: timedelta | None
    lead: timedelta | None
    minimum_notice: timedelta
    quiet_hours: QuietBody | None
    languages: list[str]
    variables: dict[str, str]
    built_in: bool
    version: int
    updated_at: datetime | None


class RuleList(Out, frozen=True, kw_only=True):
    """The rules of a business."""

    data: list[RuleOut]


class CancelBody(In, frozen=True, kw_only=True):
    """Whose booking, and why."""

    business_id: Ref | None = None
    reason: Line = ""


class CanceledOut(Out, frozen=True, kw_only=True):
    """How many messages were stopped, and how many had left before."""

    canceled: int
    already_sent: int


def as_rule(
    key: str,
    told: RuleBody,
    version: int,
    channels: frozenset[str],
    types: frozenset[str] = frozenset(),
) -> tuple[Rule, list[FieldFault]]:
    """Return the rule that a body describes, and what is wrong with it.

    Args:
        key: the rule's.
        told: the body.
        version: the rule's version that is written over.
        channels: the channels there are.
        types: the event types that channels add.
    """
    built_in = BUILT_IN.get(key)
    quiet = told.quiet_hours
    rule = Rule(
        key=key,
        event_type=told.event_type or (built_in.event_type if built_in else ""),
        template=told.template or (built_in.template if built_in else ""),
        channels=told.channels,
        lead=told.lead or (built_in.lead if built_in else None),
        minimum_notice=told.minimum_notice,
        quiet=QuietHours(
            start=time.fromisoformat(quiet.start),
            end=time.fromisoformat(quiet.end),
            mode=quiet.mode,
        )
        if quiet
        else None,
        languages=told.languages,
        variables=told.variables or {},
        enabled=told.enabled,
        version=version,
        fallback_after=told.fallback_after,
    )
    return rule, _faults(rule, channels, types)


def _faults(rule: Rule, channels: frozenset[str], types: frozenset[str]) -> list[FieldFault]:
    known, built_in = ", ".join((*EVENT_TYPES, *sorted(types))), BUILT_IN.get(rule.key)
    quiet = rule.quiet
    fits = rule.minimum_notice >= timedelta() and rule.minimum_notice <= LONGEST
    wrong = {
        ("/event_type", "missing", "A rule of your own needs an event type."): not rule.event_type,
        ("/event_type", "unknown-type", f"The known event types are: {known}."): bool(
            rule.event_type
        )
        and rule.event_type not in EVENT_TYPES
        and rule.event_type not in types,
        ("/event_type", "invalid", "A built-in rule keeps its event type."): built_in is not None
        and rule.event_type != built_in.event_type,
        ("/template", "missing", "A rule of your own needs a template."): not rule.template,
        ("/channels", "unknown-channel", "There is no such channel."): not channels
        >= set(rule.channels),
        ("/channels", "repeated", "A channel may come once."): len(set(rule.channels))
        != len(rule.channels),
        ("/fallback_after", "out-of-range", "It is a minute to 7 days."): (
            rule.fallback_after is not None
            and not _MINUTE <= rule.fallback_after <= _LONGEST_PATIENCE
        ),
        ("/fallback_after", "invalid", "It needs a rule that names two channels."): (
            rule.fallback_after is not None and len(rule.channels) < _TWO
        ),
        ("/lead", "missing", "A reminder needs a lead."): rule.event_type == REMINDER
        and rule.lead is None,
        ("/lead", "invalid", f"Only a rule of {REMINDER} has a lead."): rule.event_type != REMINDER
        and rule.lead is not None,
        ("/lead", "out-of-range", "A lead is a minute to 90 days."): rule.lead is not None
        and not _MINUTE <= rule.lead <= LONGEST,
        ("/minimum_notice", "out-of-range", "It may be up to 90 days."): not fits,
        ("/quiet_hours/to", "invalid", "Quiet hours end at another time."): quiet is not None
        and quiet.start == quiet.end,
        ("/languages", "locale-invalid", "This is no language tag such as pt-BR."): not all(
            is_locale(language) for language in rule.languages
        ),
    }
    return [FieldFault(*fault) for fault, found in wrong.items() if found]
