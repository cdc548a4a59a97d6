"""`connectcare audit export` and `audit checkpoints`: the journal as files, and what was signed of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.audit_commands.choosing import Data, Database, PasswordFile, place_of, public_key


def export(
    out: Annotated[Path, typer.Option(help="The folder to write; a new one, which only you can enter.")],
    data: Data = None,
    database: Database = None,
    password_file: PasswordFile = None,
    key: Annotated[Path | None, typer.Option(help="The checkpoints' public key, to put beside.")] = None,
    without_content: Annotated[
        bool, typer.Option("--without-content", help="A witness's copy: leaves and checkpoints, which name nobody.")
    ] = False,
) -> None:
    """Write the whole journal as files that `audit verify --export` checks offline.

    With content it says who looked at whom: keep it as you keep the store. It reads the store and leaves no row.
    """
    from gateway.audit.verify.evidence import Unreadable
    from gateway.audit.verify.exported import export as write
    from gateway.audit_commands.reading import trouble

    with trouble():
        public = public_key(key) if key is not None else None
        try:
            with place_of(data, database, None, password_file).open() as evidence:
                size = write(evidence, out, public, content=not without_content)
        except FileExistsError as error:
            raise ValueError(f"{out} is there already. Name a new folder.") from error
        except Unreadable as error:
            raise ValueError(str(error)) from error
    typer.echo(f"{size:,} rows in {out}")


def checkpoints(
    data: Data = None,
    database: Database = None,
    newest: Annotated[
        bool, typer.Option("--newest", help="Print the newest signed note as it is, to keep it.")
    ] = False,
) -> None:
    """List the signed checkpoints: size, time and root. Whether the right key signed them, `audit verify` says."""
    import asyncio

    from gateway.audit_commands.reading import trouble

    with trouble():
        asyncio.run(_checkpoints(data, database, newest=newest))


async def _checkpoints(data: Path | None, database: str | None, *, newest: bool) -> None:
    from gateway.audit_commands.reading import reading

    async with reading(data, database) as store:
        if newest:
            kept = await store.newest_checkpoint()
            if kept is None:
                raise ValueError("The store has no signed checkpoint yet. Ask again in a moment.")
            typer.echo(kept.note, nl=False)
            return
        after = 0
        while page := await store.checkpoints(after=after):
            for kept in page:
                typer.echo(_line(kept.size, kept.note))
            after = page[-1].size


def _line(size: int, note: str) -> str:
    from gateway.audit.log.base64_text import encode_base64
    from gateway.audit.log.checkpoint import Checkpoint, NotACheckpoint

    try:
        checkpoint = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    except NotACheckpoint:
        return f"{size:>12,}  not a checkpoint"
    return f"{size:>12,}  {checkpoint.at.isoformat(timespec='seconds')}  {encode_base64(checkpoint.root)}"
