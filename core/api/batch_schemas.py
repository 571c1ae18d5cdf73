"""Events in batches as they go over the wire."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.api.schemas import In, Out, ProblemBody
from core.notify.events import DecisionAnswer, EventIn

MOST = 500

Count = Meta(min_length=1, max_length=MOST)


class BatchBody(In, frozen=True, kw_only=True):
    """Up to 500 events, of one business or of several, in the order in which they happened."""

    events: Annotated[list[EventIn], Count]


class BatchAsItCame(In, frozen=True, kw_only=True):
    """The same before the events are looked at: one that is wrong does not spoil the others."""

    events: Annotated[list[Any], Count]


class BatchItem(Out, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event: `status` is what it would have been answered with alone.

    Attributes:
        index: its place in the call, from 0.
        decisions: of a dry run only.
        problem: why it was refused; its pointers start at the event.
    """

    index: int = msgspec.field()
    status: int = msgspec.field()
    id: str | None = None
    duplicate: bool = False
    decisions: tuple[DecisionAnswer, ...] = ()
    problem: ProblemBody | None = None


class BatchOut(Out, frozen=True, kw_only=True):
    """What became of the batch, event by event; `accepted` counts the duplicates too."""

    accepted: int
    failed: int
    items: list[BatchItem]
