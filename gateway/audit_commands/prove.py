"""`connectcare audit prove` and `audit consistency`: proofs that anybody can check offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.audit_commands.choosing import Data, Database, Key, public_key, read_note

if TYPE_CHECKING:
    from gateway.audit.log.checkpoint import PublicKey
    from gateway.audit.verify.proofs import Consistency, Inclusion


def prove(
    data: Data = None,
    database: Database = None,
    seq: Annotated[int | None, typer.Option(help="The row's number.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Or a request's id: all of its rows.")] = None,
) -> None:
    """Print the proof, as JSON, that a row is in the log of the newest checkpoint; a line for each row.

    A proof shows the row's content. `connectcare audit verify --proof FILE --key FILE.pub` checks one, without a store.
    """
    import asyncio

    from gateway.audit.verify.proofs import written
    from gateway.audit_commands.reading import trouble

    with trouble():
        for proof in asyncio.run(_proofs(data, database, seq, request_id)):
            typer.echo(written(proof).decode(), nl=False)


async def _proofs(data: Path | None, database: str | None, seq: int | None, request_id: str | None) -> list[Inclusion]:
    from gateway.audit.verify.proofs import prove_row
    from gateway.audit_commands.reading import reading, rows_of

    if (seq is None) == (request_id is None):
        raise ValueError("Say which row: --seq N or --request-id ID.")
    async with reading(data, database) as store:
        seqs = [seq] if seq is not None else [kept.seq for kept in await rows_of(store, str(request_id))]
        return [await prove_row(store, each) for each in seqs]


def consistency(
    key: Key,
    older: Annotated[Path, typer.Option("--from", help="The older checkpoint: a file with the signed note.")],
    data: Data = None,
    database: Database = None,
    newer: Annotated[Path | None, typer.Option("--to", help="The newer one; the store's newest by default.")] = None,
) -> None:
    """Print the proof, as JSON, that the log of the newer checkpoint goes on from the older one's; it's checked first.

    Exit code 1 where it doesn't: then rows that were signed were changed or removed.
    """
    import asyncio

    from gateway.audit.log.tree import ProofFailed
    from gateway.audit.verify.proofs import check, written
    from gateway.audit_commands.reading import trouble

    with trouble():
        public = public_key(key)
        proof = written(asyncio.run(_consistency(data, database, older, newer, public)))
        try:
            said = check(proof, public)
        except ProofFailed as error:
            typer.echo(f"The log does NOT go on from the older checkpoint: {error}.", err=True)
            raise typer.Exit(1) from error
    typer.echo(proof.decode(), nl=False)
    typer.echo(said, err=True)


async def _consistency(
    data: Path | None, database: str | None, older: Path, newer: Path | None, public: PublicKey
) -> Consistency:
    from gateway.audit.verify.proofs import prove_consistency
    from gateway.audit_commands.reading import reading

    async with reading(data, database) as store:
        new = read_note(newer) if newer is not None else None
        return await prove_consistency(store, read_note(older), new, public)
