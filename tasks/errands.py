"""The loop that works on jobs, one at a time and a bite at a time.

A job whose worker was killed is taken up by another when its lease ends; what the last bite had
not written, the next one writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from core.errors import InvalidInputError
from core.ids import JOB, new_uuid, outward
from core.jobs import store
from core.jobs.store import LostJobError
from core.notify import consent_import
from tasks.looping import DATABASE_FAULTS

if TYPE_CHECKING:
    from uuid import UUID

    from core.jobs.store import JobRow
    from core.notify.consent_import import ConsentImport
    from core.notify.services import Services

KINDS: Final = (consent_import.KIND,)

_log = structlog.get_logger("patchbay.errands")


@dataclass(slots=True)
class Errands:
    """Takes jobs up and does their bites.

    Args:
        services: the process's parts.
    """

    services: Services
    _work: ConsentImport | None = None

    async def step(self) -> bool:
        """Do one bite; tells whether there may be more to do."""
        try:
            if self._work is None:
                self._work = await self._take_up()
                return self._work is not None
            if not await self._work.step():
                await _log.ainfo("job-done", job=outward(JOB, self._work.job.id))
                self._work = None
        except LostJobError:
            self._work = None
        except DATABASE_FAULTS:
            self._work = None
            raise
        except Exception:  # noqa: BLE001 - the lease ends by itself, and the job is tried again
            await _log.aexception("job-stumbled")
            self._work = None
            return False
        return True

    async def close(self) -> None:
        """Let another worker go on at once."""
        work, self._work = self._work, None
        if work is not None:
            async with self.services.database.engine() as transaction:
                await store.give_back(transaction, work.job.id, work.token)

    async def _take_up(self) -> ConsentImport | None:
        token = new_uuid()
        async with self.services.database.engine() as transaction:
            job = await store.claim(transaction, KINDS, token)
        if job is None:
            return None
        try:
            return await consent_import.open_import(self.services, job, token)
        except InvalidInputError as error:
            await self._refuse(job, token, error)
            return None

    async def _refuse(self, job: JobRow, token: UUID, error: InvalidInputError) -> None:
        async with self.services.database.engine() as transaction:
            await store.finish(
                transaction, self.services.vault, job, token, error=error.errors[0].code
            )
