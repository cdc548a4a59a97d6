"""`connectcare audit followers`: how far the copies of the journal have come, and whether a copy is one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.audit.followers.compare import Compared
    from gateway.store.interface import Store

_MOST_NAMED = 20


def followers(
    data: Annotated[Path | None, typer.Option(help="The gateway's data folder.")] = None,
    database: Annotated[str | None, typer.Option(help="Or its PostgreSQL URL.")] = None,
    sink: Annotated[Path | None, typer.Option(help="Compare this sink file with the store, row by row.")] = None,
    forget_erased: Annotated[bool, typer.Option(help="First erase in the sink what was erased in the store.")] = False,
) -> None:
    """Say how far each copy of the journal has come.

    Exit code 0, 1 where a sink differs from the store, 2 where that can't be told.
    """
    import asyncio

    from gateway.audit.followers.model import CopyFailed
    from gateway.audit_commands.reading import trouble

    with trouble():
        try:
            compared = asyncio.run(_followed(data, database, sink, forget_erased=forget_erased))
        except CopyFailed as error:
            raise ValueError(f"{sink}: {error}. It isn't a whole copy: keep it for whoever looks into it.") from error
    raise typer.Exit(1 if compared and compared.differing else 0)


async def _followed(
    data: Path | None, database: str | None, sink: Path | None, *, forget_erased: bool
) -> Compared | None:
    from gateway.audit.followers import compare
    from gateway.audit_commands.reading import reading

    async with reading(data, database) as store:
        await _tell_positions(store)
        if sink is None:
            return None
        if forget_erased:
            typer.echo(f"{sink}: {compare.forget_erased(sink)} rows erased")
        found = await compare.compare(sink, store)
    _tell(sink, found)
    return found


async def _tell_positions(store: Store) -> None:
    from gateway.audit.followers.model import NAMES

    size = await store.log_size()
    typer.echo(f"journal: {size} rows")
    for name in NAMES:
        position = await store.position(name)
        typer.echo(f"{name}: at row {position}, {size - position} behind" if position else f"{name}: nothing yet")


def _tell(sink: Path, found: Compared) -> None:
    typer.echo(f"{sink}: {found.rows} rows compared, {found.behind} behind")
    if found.still_here:
        typer.echo(f"{sink}: holds {found.still_here} rows that were erased in the store: --forget-erased")
    if found.differing:
        named = ", ".join(map(str, found.differing[:_MOST_NAMED]))
        more = len(found.differing) - _MOST_NAMED
        typer.echo(f"{sink}: differs from the store in row {named}{f' and {more} more' if more > 0 else ''}")
