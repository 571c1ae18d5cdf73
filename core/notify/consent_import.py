"""Imports files of consents as a job: so many lines a bite, each bite whole or not at all.

No line is a silent yes: each names its source, time, text version and proof, or is listed as
bad. A line that the ledger holds already adds nothing, so a file may be sent again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from core.access import audit
from core.businesses.store import get_business
from core.consent.batch import Granted, grant_many
from core.consent.ledger import Grant, check_grant
from core.consent.texts import load_texts
from core.customers.store import CustomerIn, put_customers
from core.db import savepoint
from core.errors import InvalidInputError
from core.ids import JOB, new_uuid, outward
from core.jobs import store
from core.jobs.store import Fault
from core.notify.consent_files import LineError, Sheet, read_sheet
from core.notify.events import as_customer

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from core.businesses.store import BusinessRow
    from core.channels.host import Transaction
    from core.channels.registry import Registry
    from core.clock import Clock
    from core.consent.texts import Texts
    from core.db import Database
    from core.jobs.store import JobRow
    from core.notify.consent_files import ImportLine
    from core.vault import Vault

KIND: Final = "consent-import"
BITE: Final = 1000
"""How many lines are written in one transaction."""

BAD: Final = "bad"
_NOBODY: Final = new_uuid()


class _RehearsedError(Exception):
    """Ends the writes of a dry run, of which nothing may stay; brings what came of them."""

    def __init__(self, outcomes: list[Granted], faults: list[Fault]) -> None:
        super().__init__()
        self.outcomes = outcomes
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Read:
    """A bite as it was read: what can be written, and what is wrong with the rest."""

    good: list[tuple[int, CustomerIn, Grant]]
    faults: list[Fault]


class Parts(Protocol):
    """What an import needs of its process: a worker's services, or a command's house."""

    @property
    def database(self) -> Database:
        """Return the doors to the database."""
        ...

    @property
    def vault(self) -> Vault:
        """Return what seals."""
        ...

    @property
    def clock(self) -> Clock:
        """Return the clock."""
        ...

    @property
    def registry(self) -> Registry:
        """Return the channels that are known."""
        ...


@dataclass(slots=True)
class ConsentImport:
    """One import under way; `token` is the lease under which this process holds the job."""

    parts: Parts
    job: JobRow
    token: UUID
    business: BusinessRow
    texts: Texts
    sheet: Sheet
    done: int = 0
    told: Counter[str] = field(default_factory=Counter)
    _seen: set[tuple[Any, ...]] = field(default_factory=set)

    async def step(self) -> bool:
        """Do the next bite; tells whether there is more.

        Raises:
            LostJobError: another worker has the job.
        """
        total = len(self.sheet.records)
        places = range(self.done, min(self.done + BITE, total))
        now = self.parts.clock.now()
        read = await asyncio.to_thread(self._read, places, now)
        told = self.told + Counter({BAD: len({one.line for one in read.faults})})
        async with self.parts.database.business(self.business.id) as transaction:
            outcomes, more = await self._write(transaction, read, now)
            told += Counter(outcomes)
            faults = sorted((*read.faults, *more), key=lambda one: one.line)
            told[BAD] += len(more)
            result = {name: told[name] for name in (*Granted, BAD)}
            await store.advance(
                transaction,
                self.job,
                self.token,
                done=places.stop,
                total=total,
                result=result,
                faults=faults,
            )
            if places.stop == total:
                await self._finish(transaction, result)
        self.done, self.told = places.stop, told
        return self.done < total

    def _read(self, places: range, now: datetime) -> _Read:
        good: list[tuple[int, CustomerIn, Grant]] = []
        faults: list[Fault] = []
        for place in places:
            number = self.sheet.records[place][0]
            try:
                line = self.sheet.read(place)
                good.append((number, *self._checked(line, now)))
            except LineError as error:
                faults.append(error.at(number))
            except InvalidInputError as error:
                faults += [
                    Fault(
                        line=number,
                        field=one.pointer.lstrip("/"),
                        code=one.code,
                        message=one.message,
                    )
                    for one in error.errors
                ]
        return _Read(good, faults)

    def _checked(self, line: ImportLine, now: datetime) -> tuple[CustomerIn, Grant]:
        channel = self.parts.registry.states.get(line.channel)
        if channel is None:
            raise LineError("channel", "unknown", "There is no such channel.")
        if line.granted_at > now:
            message = "A consent cannot be given in the future."
            raise LineError("granted_at", "out-of-range", message)
        sentence = self.texts.check(line.channel, line.purpose, line.text_version, line.locale)
        told = as_customer(line.customer(), self.business.country, "")
        fields: dict[str, Any] = msgspec.structs.asdict(told)
        grant = Grant(
            customer_id=_NOBODY,
            channel=line.channel,
            purpose=line.purpose,
            source=line.source,
            granted_at=line.granted_at,
            text_version=line.text_version,
            text_hash=sentence.shown(self.business.name, channel.title).hash,
            locale=line.locale or sentence.language,
            proof_reference=line.proof_reference,
        )
        check_grant(grant, now)
        return CustomerIn(ref=fields.pop("id"), **fields), grant

    async def _write(
        self, transaction: Transaction, read: _Read, now: datetime
    ) -> tuple[list[Granted], list[Fault]]:
        if not read.good:
            return [], []
        if not self.job.parameters.get("dry_run"):
            return await self._grant(transaction, read, now)
        try:
            async with savepoint(transaction):
                await self._rehearse(transaction, read, now)
        except _RehearsedError as rehearsed:
            erased = {one.line for one in rehearsed.faults}
            written = [one for one in read.good if one[0] not in erased]
            return self._once(written, rehearsed.outcomes), rehearsed.faults
        return [], []

    async def _rehearse(self, transaction: Transaction, read: _Read, now: datetime) -> None:
        raise _RehearsedError(*await self._grant(transaction, read, now))

    async def _grant(
        self, transaction: Transaction, read: _Read, now: datetime
    ) -> tuple[list[Granted], list[Fault]]:
        people = await put_customers(
            transaction, self.parts.vault, self.business.id, [told for _, told, _ in read.good]
        )
        grants: list[Grant] = []
        faults: list[Fault] = []
        for (number, _, grant), person in zip(read.good, people, strict=True):
            if person.erased_at is None:
                grants.append(msgspec.structs.replace(grant, customer_id=person.id))
            else:
                message = "This customer was erased."
                faults.append(
                    Fault(line=number, field="customer_id", code="erased", message=message)
                )
        outcomes = await grant_many(
            transaction, self.business.id, grants, actor=self.job.actor, now=now
        )
        return outcomes, faults

    def _once(
        self, written: list[tuple[int, CustomerIn, Grant]], outcomes: list[Granted]
    ) -> list[Granted]:
        """Count what stands in the file twice once: a dry run leaves nothing to see it by."""
        counted: list[Granted] = []
        for (_, told, grant), outcome in zip(written, outcomes, strict=True):
            content = (told.ref, msgspec.structs.astuple(grant)[1:9])
            counted.append(Granted.UNCHANGED if content in self._seen else outcome)
            self._seen.add(content)
        return counted

    def remember(self) -> None:
        """Look again at what was read before this process took a dry run up."""
        read = self._read(range(self.done), self.parts.clock.now())
        self._once(read.good, [Granted.ADDED] * len(read.good))

    async def _finish(self, transaction: Transaction, result: dict[str, int]) -> None:
        await store.finish(transaction, self.parts.vault, self.job, self.token)
        await audit.record(
            transaction,
            business_id=self.business.id,
            actor=self.job.actor,
            action="consent.import",
            target=f"job:{outward(JOB, self.job.id)}",
            after={**result, **self.job.parameters},
        )


async def open_import(parts: Parts, job: JobRow, token: UUID) -> ConsentImport:
    """Take an import up, from the start or from where it was left.

    Raises:
        InvalidInputError: the file cannot be read.
    """
    if job.business_id is None:
        raise AssertionError("an import belongs to a business")
    async with parts.database.business(job.business_id) as transaction:
        business = await get_business(transaction, job.business_id)
        texts = await load_texts(transaction, job.business_id)
        raw = await store.given(transaction, parts.vault, job.business_id, job.id)
    sheet = await asyncio.to_thread(read_sheet, job.parameters["format"], raw)
    work = ConsentImport(
        parts=parts,
        job=job,
        token=token,
        business=business,
        texts=texts,
        sheet=sheet,
        done=job.done,
        told=Counter(job.result),
    )
    if job.parameters.get("dry_run"):
        await asyncio.to_thread(work.remember)
    return work
