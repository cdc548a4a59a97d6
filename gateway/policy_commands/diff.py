"""`connectcare policy diff`: which decisions would another policy make otherwise, and which past ones?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.policy.decide import Policy
    from gateway.store.interface import Store

_HASH: Final = re.compile(r"[0-9a-f]{64}")


def diff(
    old: Annotated[str, typer.Argument(help="A folder of policies, or the hash of policies that the store keeps.")],
    new: Annotated[str, typer.Argument(help="The same.")],
    data: Annotated[Path | None, typer.Option(help="The gateway's data folder: judge past decisions too.")] = None,
    database: Annotated[str | None, typer.Option(help="Or its PostgreSQL URL.")] = None,
    label_file: Annotated[list[Path] | None, typer.Option(help="A further label table of both folders.")] = None,
) -> None:
    """List the decisions that change from OLD to NEW, over every circumstance that there can be.

    Exit code 0 where nothing changes, 1 where something does, 2 where that can't be told (as diff).
    """
    import asyncio

    from gateway.audit_commands.reading import trouble

    with trouble():
        changed, text = asyncio.run(_compared((old, new), data, database, label_file or []))
    typer.echo(text)
    raise typer.Exit(1 if changed else 0)


async def _compared(
    named: tuple[str, str], data: Path | None, database: str | None, extra: Sequence[Path]
) -> tuple[bool, str]:
    from gateway.audit_commands.reading import reading

    if data is None and database is None:
        return await _told(named, None, extra)
    async with reading(data, database) as store:
        return await _told(named, store, extra)


async def _told(named: tuple[str, str], store: Store | None, extra: Sequence[Path]) -> tuple[bool, str]:
    from gateway.policy_changes.compare import compare
    from gateway.policy_changes.past import past_changes

    before, after = [_in_folder(name, extra) or await _kept(name, store) for name in named]
    compared = compare(before, after)
    past = await past_changes(store, compared.old, compared.new) if store is not None else None
    return compared.changes, compared.text(past)


def _in_folder(name: str, extra: Sequence[Path]) -> Policy | None:
    """Raises ConfigurationError where it can't be read at all."""
    from connectors.sdk.errors import ConfigurationError
    from gateway.policy.decide import Policy

    if not Path(name).is_dir():
        return None
    try:
        return Policy.load(Path(name), extra)
    except ConfigurationError as error:
        typer.echo(f"A gateway of today would not start with {name}: {error} It is compared as it is.", err=True)
        return Policy.load_past(Path(name), extra)


async def _kept(name: str, store: Store | None) -> Policy:
    """Raises ValueError or ConfigurationError with a remedy."""
    from gateway.policy.archive import open_archive

    if not _HASH.fullmatch(name):
        raise ValueError(f"{name} is neither a folder of policies nor a hash of 64 hexadecimal digits.")
    content = await store.policy(name) if store is not None else None
    if content is None:
        where = "isn't in this store" if store is not None else "needs a store: name it with --data or --database"
        raise ValueError(f"The policy {name[:12]} {where}.")
    return open_archive(content, name)
