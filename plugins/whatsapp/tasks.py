"""What the worker does for this channel: reading templates and quality back from Meta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog

from core.channels.plugin import Schedule, Task
from core.errors import SendError
from core.ids import BusinessId
from plugins.whatsapp.channel import WhatsAppChannel
from plugins.whatsapp.connections import businesses
from plugins.whatsapp.expiry import report_expiring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.channels.host import Host

SYNC: Final = "sync_templates"
NIGHTLY: Final = "17 3 * * *"
_log: Final = structlog.get_logger(__name__)


def tasks(host: Host) -> Sequence[Task]:
    """Return the functions the worker may run."""
    channel = WhatsAppChannel(host)

    async def sync_templates(context: Mapping[str, Any], /, **arguments: str) -> None:
        """Read one business's templates and quality (`business_id`), or all; name old tokens."""
        del context
        if one := arguments.get("business_id"):
            await channel.sync(BusinessId(UUID(one)))
            return
        async with host.begin() as transaction:
            await report_expiring(host, transaction)
            connected = await businesses(transaction)
        for business_id in connected:
            try:
                await channel.sync(business_id)
            except SendError as error:
                # One business's trouble must not cost the others their night.
                _log.warning("reading-failed", business_id=str(business_id), code=error.code)

    return (Task(name=SYNC, function=sync_templates, timeout_seconds=600),)


def schedules() -> Sequence[Schedule]:
    """Return the timetable."""
    return (Schedule(task=SYNC, cron=NIGHTLY),)
