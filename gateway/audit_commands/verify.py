"""`connectcare audit verify`: is the journal what was signed? Of a store, of exported files, or a single proof."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.audit_commands.choosing import Data, Database, Key, PasswordFile, place_of, public_key, read_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.audit.log.checkpoint import PublicKey
    from gateway.audit.verify.signed import Pinned

_HOUR: Final = 3600.0


def verify(
    key: Key,
    data: Data = None,
    database: Database = None,
    export: Annotated[Path | None, typer.Option(help="Or a folder that `audit export` wrote.")] = None,
    password_file: PasswordFile = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A signed checkpoint that was kept elsewhere. May be repeated.")
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="Instead: a proof by `audit prove` or `consistency`.")] = None,
    report: Annotated[Path | None, typer.Option(help="Instead: a patient's access report, JSON or page.")] = None,
    signed_within: Annotated[
        float, typer.Option(help="Seconds that a row may wait for a signature before that is a finding.")
    ] = _HOUR,
) -> None:
    """Recompute the journal from its bytes and hold it against what was signed. It writes nothing.

    Exit code 0 where it holds; 1 where it doesn't, and then it says which row, record or checkpoint is wrong; 2 where
    that can't be told. Pin a checkpoint elsewhere now and then (GET /audit/checkpoint): whoever cuts off the newest
    rows together with the checkpoints over them leaves a store that is whole by itself.
    """
    from gateway.audit_commands.reading import trouble

    with trouble():
        public = public_key(key)
        if proof is not None:
            if any(each is not None for each in (data, database, export, checkpoint)):
                raise ValueError("A proof is checked by itself: give --proof and --key alone.")
            told, holds = _proof(proof, public)
        elif report is not None:
            if any(each is not None for each in (data, database, export)):
                raise ValueError(
                    "A report is checked by itself: give --report and --key, and --checkpoint if you like."
                )
            told, holds = _report(report, public, _pinned(checkpoint or [], public))
        else:
            place = place_of(data, database, export, password_file)
            pinned = _pinned(checkpoint or [], public)
            from gateway.audit.verify.run import Order
            from gateway.audit.verify.run import verify as run
            from gateway.store.moments import utc_now

            found = run(Order(place, public, utc_now(), pinned, timedelta(seconds=signed_within)))
            told, holds = found.told(), found.holds
    typer.echo(told)
    raise typer.Exit(0 if holds else 1)


def _pinned(files: Sequence[Path], public: PublicKey) -> list[Pinned]:
    """Raises ValueError where a file isn't a checkpoint of the pinned key: then it says nothing about any store."""
    from gateway.audit.log.checkpoint import NotSigned, open_note
    from gateway.audit.verify.signed import Pinned

    pinned = []
    for file in files:
        try:
            pinned.append(Pinned(str(file), open_note(read_note(file), public)))
        except NotSigned as error:
            raise ValueError(f"{file} isn't a checkpoint that the pinned key signed: {error}.") from error
    return pinned


def _proof(file: Path, public: PublicKey) -> tuple[str, bool]:
    from gateway.audit.log.checkpoint import NotSigned
    from gateway.audit.log.tree import ProofFailed
    from gateway.audit.verify.proofs import check

    try:
        return check(file.read_bytes(), public), True
    except (ProofFailed, NotSigned) as error:
        return f"The proof does NOT hold: {error}.", False


def _report(file: Path, public: PublicKey, pinned: Sequence[Pinned]) -> tuple[str, bool]:
    """Against the newest of the checkpoints that were kept elsewhere, too."""
    from gateway.audit.report.check import judged

    newest = max((each.checkpoint for each in pinned), key=lambda each: each.size, default=None)
    verdict = judged(file.read_bytes(), public, newest=newest)
    return verdict.told(), not verdict.problems
