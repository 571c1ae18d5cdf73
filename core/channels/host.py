"""What the host lends to a channel: it lends, it never gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    import httpx
    import msgspec

    from core.channels.messages import ConnectionState
    from core.clock import Clock
    from core.ids import BusinessId

Shape = TypeVar("Shape", bound="msgspec.Struct")


class Transaction(Protocol):
    """A database transaction in hand; placeholders are $1, $2, ..."""

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement and return its command tag."""
        ...

    async def executemany(self, query: str, arguments: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of arguments, in one batch."""
        ...

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Return all rows."""
        ...

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row, or None."""
        ...

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """Return the first value of the first row, or None."""
        ...


class Begin(Protocol):
    """Opens a transaction on the channel's own tables."""

    def __call__(self) -> AbstractAsyncContextManager[Transaction]:
        """Open it; leaving the block commits, an exception rolls back."""
        ...


class Vault(Protocol):
    """Seals and opens secrets; knows which key sealed what."""

    def seal(self, plain: bytes, *, context: tuple[str, ...]) -> bytes:
        """Encrypt for storage, bound to (table, column, business, row)."""
        ...

    def open(self, sealed: bytes, *, context: tuple[str, ...]) -> bytes:
        """Decrypt what was sealed in this context, with whichever key did it."""
        ...

    def blind_index(self, business: UUID, kind: str, value: str) -> bytes:
        """Return a keyed hash by which equal values of one business can be found."""
        ...

    def keyed_hash(self, label: str, value: bytes) -> bytes:
        """Return a keyed hash that joins rows without holding the value."""
        ...


class Options(Protocol):
    """Gives a channel its own deployment settings, as the struct it asks for."""

    def __call__(self, shape: type[Shape], /) -> Shape:
        """Return `PATCHBAY_<SLUG>_*`, read once at start and checked against the struct."""
        ...


class Enqueue(Protocol):
    """Queues one of the channel's own tasks."""

    async def __call__(self, task: str, /, **arguments: str) -> None:
        """Queue the task, named without its channel prefix."""
        ...


class Report(Protocol):
    """Tells the core a fact about a business; the core decides what follows."""

    async def __call__(
        self,
        business_id: BusinessId,
        fact: str,
        /,
        *,
        transaction: Transaction | None = None,
        **details: str,
    ) -> None:
        """Report a fact such as a restricted account.

        Args:
            business_id: whom it concerns.
            fact: a kebab-case word; its sentences stand in the plugin's `alerts.toml`.
            transaction: the one that changes what the fact tells of; without it, one of its own.
            details: `subject` tells several things of one kind apart, `resolved="yes"` ends what
                the same fact began; the rest is shown. No personal data.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A business's own account with a provider, as the core needs to know it.

    Attributes:
        account_ref: how the provider names it in webhooks; unique per channel.
        display: what people know it by, masked if it is a phone number.
    """

    business_id: BusinessId
    account_ref: str
    state: ConnectionState
    reason: str = ""
    quality: str = ""
    is_default: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template as the provider holds it now.

    Attributes:
        parameters: the placeholders in the template's order: names, or "1", "2", ...
        category: utility, authentication or marketing, as the provider says.
        body: the text with its placeholders, for previews.
    """

    business_id: BusinessId
    name: str
    language: str
    usable: bool
    reason: str = ""
    category: str = "utility"
    parameter_format: str = "named"
    parameters: tuple[str, ...] = ()
    body: str = ""


class Catalogue(Protocol):
    """The core's own picture of connections and templates; channels write it.

    Write it in the transaction that changes the channel's own tables (rulings A1).
    """

    async def put_connections(
        self, transaction: Transaction, connections: Sequence[Connection]
    ) -> None:
        """Insert or update connections, and let their lanes start or stop."""
        ...

    async def put_templates(self, transaction: Transaction, templates: Sequence[Template]) -> None:
        """Insert or update templates."""
        ...

    async def business_of(self, transaction: Transaction, account_ref: str) -> BusinessId | None:
        """Return the business that owns this account on this channel."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Everything a channel may use and must not create for itself.

    Attributes:
        slug: the channel's own name.
        begin: transactions on the channel's own tables.
        http: one pooled client per process; the channel adds its own base address and headers.
        public_url: where the provider reaches this host, without a trailing slash.
    """

    slug: str
    clock: Clock
    http: httpx.AsyncClient
    vault: Vault
    options: Options
    begin: Begin
    enqueue: Enqueue
    report: Report
    catalogue: Catalogue
    public_url: str
