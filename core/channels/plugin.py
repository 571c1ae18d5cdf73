"""What one channel adds to the host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    import msgspec
    from litestar.types import ControllerRouterHandler
    from piccolo.columns import Column
    from piccolo.table import Table

    from core.channels.channel import Channel
    from core.channels.host import Host, Template
    from core.channels.messages import Check
    from core.channels.tables import MessageLog
    from core.ids import BusinessId

CONTRACT: Final = 1
"""The number of this contract; a plugin states the one it was written for."""


class TaskFunction(Protocol):
    """A coroutine function that SAQ calls with its context and the task's arguments."""

    def __call__(self, context: Mapping[str, Any], /, **arguments: str) -> Awaitable[None]:
        """Do the work; raising makes SAQ try again as the task's retries say."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A function the worker may run; queued as `<slug>.<name>`."""

    name: str
    function: TaskFunction
    retries: int = 3
    timeout_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A task that the worker runs on a timetable (five or six cron fields, UTC)."""

    task: str
    cron: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something an admin may be allowed to do; its name begins with `<slug>.`."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectField:
    """One thing the host asks for when a business is connected to this channel.

    Attributes:
        name: lower-case words joined by hyphens; `patchbay connect` makes it an option.
        title: what people call it.
        secret: True when it is never shown nor given on a command line, only typed or piped in.
        help: one sentence on where to find it.
    """

    name: str
    title: str
    secret: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """A table to show in Piccolo Admin; the host adds the permissions and the tenant wall.

    Attributes:
        table: the Piccolo table; leave secret columns out of the class you show.
        title: what people call it.
        columns: at most seven, the primary key not among them.
        link: the column that opens a row.
        editable: False makes the screen read-only for everybody.
    """

    table: type[Table]
    title: str
    columns: tuple[Column, ...]
    link: Column
    filters: tuple[Column, ...] = ()
    newest_first: Column | None = None
    editable: bool = False
    help_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A kind of event that the booking system may tell, beside the host's own.

    Attributes:
        name: begins with `<slug>.`, for example `pigeon.feather_found`.
        meaning: one sentence for people.
        details: what `data.details` of such an event holds. The JSON Schema that callers read is
            made from it, and nothing else is taken in; make it with `forbid_unknown_fields`.
    """

    name: str
    meaning: str
    details: type[msgspec.Struct]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    """A table that holds facts about a customer, so that they can be exported and erased."""

    table: type[Table]
    customer: Column
    recorded_at: Column
    content: tuple[Column, ...]


class ChannelPlugin(ABC):
    """Declares what one channel adds; the host does the registering.

    A plugin with tables keeps three more things in its folder, found by their names:
    `piccolo_app.py` and `migrations/` (Piccolo's own), and `classification.toml`, which says for
    each table who may see it and for each column what it holds (see `core/classification.toml`).

    Every method but `channel` has an empty default. Import lazily inside the methods, so that a
    migration run never loads the web and a worker never loads the admin.

    Attributes:
        name: the slug: lower-case letters, digits and underscores; also the folder's name.
        settles_by_callback: True when the provider echoes our callback id in its news, so that
            a send with an unknown outcome can be settled (rulings B5).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str] = "0.1.0"
    contract: ClassVar[int] = CONTRACT
    requires: ClassVar[tuple[str, ...]] = ()
    address_kind: ClassVar[str] = "phone"
    settles_by_callback: ClassVar[bool] = False
    settings: ClassVar[type[msgspec.Struct] | None] = None

    @abstractmethod
    def channel(self, host: Host) -> Channel:
        """Build the channel, once per process."""

    def routes(self, host: Host) -> Sequence[ControllerRouterHandler]:
        """Return handlers to mount under `/v1/channels/<name>`; each states its `opt["scope"]`."""
        del host
        return ()

    def pages(self, host: Host) -> Sequence[ControllerRouterHandler]:
        """Return handlers to mount under `/connect/<name>`; each states its `opt["action"]`."""
        del host
        return ()

    def tasks(self, host: Host) -> Sequence[Task]:
        """Return functions the worker may run."""
        del host
        return ()

    def schedules(self, host: Host) -> Sequence[Schedule]:
        """Return when the worker runs which of the tasks."""
        del host
        return ()

    def screens(self) -> Sequence[Screen]:
        """Return tables to show in the admin."""
        return ()

    def actions(self) -> Sequence[Action]:
        """Return the permissions this channel adds."""
        return ()

    def event_types(self) -> Sequence[EventType]:
        """Return kinds of events this channel adds; a business's rules may answer them."""
        return ()

    def personal_data(self) -> Sequence[PersonalData]:
        """Return the tables that hold facts about customers."""
        return ()

    def connect_fields(self) -> Sequence[ConnectField]:
        """Return what must be known to connect a business."""
        return ()

    async def connect(
        self, host: Host, business_id: BusinessId, values: Mapping[str, str]
    ) -> Sequence[Check]:
        """Connect a business with the values of the fields, by name; safe to repeat.

        Without an own version: an account of the channel's name and the business is active at
        once, as suits a channel whose provider knows no accounts.

        Returns:
            What was looked at, with advice where it is red.

        Raises:
            InvalidInputError: a value is missing or does not fit.
            SendError: the provider refused, or could not be asked.
        """
        from core.channels.host import Connection  # noqa: PLC0415 - only who connects needs it
        from core.channels.messages import Check, ConnectionState  # noqa: PLC0415 - as above

        del values
        account = Connection(
            business_id=business_id,
            account_ref=f"{self.name}:{business_id}",
            state=ConnectionState.ACTIVE,
        )
        async with host.begin() as transaction:
            await host.catalogue.put_connections(transaction, [account])
        return [Check(name="connected", passed=True, detail=f"{self.title} is ready.")]

    def first_templates(self, business_id: BusinessId) -> Sequence[Template]:
        """Return the templates with which a test business begins; they are usable at once."""
        del business_id
        return ()

    def message_log(self) -> type[MessageLog] | None:
        """Return the table the host keeps this channel's log in, if it has its own."""
        return None

    def error_words(self) -> Mapping[str, tuple[str, str]]:
        """Return provider code -> (what it means, what to do), in plain English."""
        return {}
