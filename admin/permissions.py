"""Puts `allowed` in front of every verb of every table, and the audit trail behind every change.

A change is looked at, written down and made in one transaction. What no screen declares is
refused: replacing whole rows (PUT runs no hooks in Piccolo), deleting, and columns that a screen
does not name as changeable. Hooks are handed over sorted by type, because Piccolo groups only
neighbours and loses the others.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from piccolo.columns.defaults.base import Default
from piccolo_api.crud.hooks import Hook, HookType
from piccolo_api.crud.validators import Validators
from starlette.exceptions import HTTPException

from admin.visit import KEY, Visit
from core.access.audit import record
from core.access.roles import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from piccolo.columns import Column
    from piccolo.table import Table
    from piccolo_api.crud.endpoints import PiccoloCRUD
    from starlette.requests import Request

    from admin.shown import Shown

    Check = Callable[[PiccoloCRUD, Request], None]

TENANT: Final = "business_id"
TAKEN_ON: Final = "acked_by"
NEVER: Final = "Rows are not {what} here."

# A date field of a browser's form forgets seconds; the same time without them is no change.
_FORM_PRECISION: Final = timedelta(minutes=1)


def validators_for(shown: Shown) -> Validators:
    """Return the checks that Piccolo runs before each verb."""
    read = _needs(shown.read)
    add = _needs(shown.add) if shown.add else _refuse("added")
    change = _needs(shown.change) if shown.change else _refuse("changed")
    return Validators(
        every=[],
        get_all=[read],
        get_single=[read],
        get_ids=[read],
        get_count=[read],
        get_references=[read],
        get_schema=[read],
        get_new=[add],
        post_single=[add],
        patch_single=[change],
        put_single=[_refuse("replaced")],
        delete_single=[_refuse("deleted")],
        delete_all=[_refuse("deleted")],
    )


def hooks_for(shown: Shown) -> list[Hook]:
    """Return what runs before a row is added or changed."""
    return in_order(
        [
            Hook(HookType.pre_save, _before_add(shown)),
            Hook(HookType.pre_patch, _before_change(shown)),
        ]
    )


def in_order(hooks: Iterable[Hook]) -> list[Hook]:
    """Sort hooks so that those of one type are neighbours."""
    return sorted(hooks, key=lambda hook: hook.hook_type.value)


def visit_of(request: Request) -> Visit:
    """Return who asks; the middleware has put it there."""
    visit = request.scope[KEY]
    assert isinstance(visit, Visit)  # noqa: S101 - says what the scope holds
    return visit


def _needs(action: str) -> Check:
    def check(piccolo_crud: PiccoloCRUD, request: Request) -> None:
        del piccolo_crud
        actor = visit_of(request).actor
        if not (verdict := allowed(actor, action, actor.business_id)):
            raise HTTPException(403, verdict.why)

    return check


def _refuse(what: str) -> Check:
    def check(piccolo_crud: PiccoloCRUD, request: Request) -> None:
        del piccolo_crud, request
        raise HTTPException(403, NEVER.format(what=what))

    return check


def _before_add(shown: Shown) -> Callable[[Table, Request], Coroutine[Any, Any, Table]]:
    async def look(row: Table, request: Request) -> Table:
        visit = visit_of(request)
        own = visit.actor.business_id
        if own is not None and hasattr(row, TENANT):
            given = getattr(row, TENANT)
            if given not in (None, own):
                raise HTTPException(403, "A row can be added to your own business only.")
            setattr(row, TENANT, own)
        _fill_gaps(row)
        values = {column: getattr(row, column) for column in _names(shown.table)}
        _refuse_unfit(shown, values)
        await _write_down(visit, "added", shown, str(values["id"]), after=values)
        return row

    return look


def _before_change(
    shown: Shown,
) -> Callable[[Any, dict[Column, Any], Request], Coroutine[Any, Any, dict[Column, Any]]]:
    async def look(row_id: Any, values: dict[Column, Any], request: Request) -> dict[Column, Any]:
        visit = visit_of(request)
        table = shown.table
        key = table._meta.primary_key  # noqa: SLF001 - Piccolo offers no public name
        before = await table.select().where(key == row_id).first()
        if before is None:
            raise HTTPException(404, "The resource doesn't exist")
        changed = {
            column: value
            for column, value in values.items()
            if not _same(before.get(_name(column)), value) and not _is_secret(column)
        }
        for column in changed:
            _refuse_column(shown, _name(column))
        if changed and TAKEN_ON in _names(table):
            column = table._meta.get_column_by_name(TAKEN_ON)  # noqa: SLF001 - see above
            changed[column] = visit.actor.username
        after = {_name(column): value for column, value in changed.items()}
        _refuse_unfit(shown, after)
        if changed:
            old = {name: before.get(name) for name in after}
            await _write_down(visit, "changed", shown, str(row_id), before=old, after=after)
        return changed or _as_it_stands(shown, before)

    return look


def _fill_gaps(row: Table) -> None:
    """Give what the form left out its default, as Piccolo does outside of forms."""
    for column in row._meta.columns:  # noqa: SLF001 - Piccolo offers no public name
        if getattr(row, _name(column)) is None and not column._meta.null:  # noqa: SLF001
            default = column.get_default_value()
            setattr(
                row, _name(column), default.python() if isinstance(default, Default) else default
            )


def _as_it_stands(shown: Shown, before: Mapping[str, Any]) -> dict[Column, Any]:
    """Return one changeable column with its own value: Piccolo cannot update nothing."""
    columns = shown.table._meta.columns  # noqa: SLF001 - Piccolo offers no public name
    if shown.changeable is None:
        column = next(one for one in shown.columns if _name(one) != TENANT)
    else:
        column = next(one for one in columns if _name(one) in (shown.changeable or ()))
    return {column: before[_name(column)]}


def _refuse_column(shown: Shown, name: str) -> None:
    if name in (TENANT, "id"):
        raise HTTPException(403, "A row stays where it is: its business cannot be changed.")
    if shown.changeable is not None and name not in shown.changeable:
        can = ", ".join(sorted(shown.changeable))
        raise HTTPException(403, f"The column {name} is not changed here; these are: {can}.")


def _refuse_unfit(shown: Shown, values: Mapping[str, Any]) -> None:
    if shown.check is not None and (fault := shown.check(dict(values))):
        raise HTTPException(422, fault)


async def _write_down(
    visit: Visit,
    verb: str,
    shown: Shown,
    row_id: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    assert visit.transaction is not None  # noqa: S101 - rows are only changed inside one
    await record(
        visit.transaction,
        business_id=visit.actor.business_id,
        actor=f"user:{visit.actor.user_id}",
        action=f"admin.{verb}",
        target=f"{shown.name}/{row_id}",
        before=_plain(before),
        after=_plain(after),
        ip=visit.address,
    )


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(dict(values), enc_hook=str)
    return plain


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, datetime) and isinstance(after, datetime):
        return abs(before - after) < _FORM_PRECISION
    if before is None or after is None:
        return before is after
    return bool(before == after) or str(before) == str(after)


def _is_secret(column: Column) -> bool:
    return column._meta.secret  # noqa: SLF001 - Piccolo offers no public name


def _name(column: Column) -> str:
    return column._meta.name  # noqa: SLF001 - Piccolo offers no public name


def _names(table: type[Table]) -> list[str]:
    return [_name(column) for column in table._meta.columns]  # noqa: SLF001 - see above
