"""`connectcare audit check-report`: does a report tell all that the journal holds about its patient? Offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.audit.log.checkpoint import Checkpoint, PublicKey
    from gateway.audit.report.check import Verdict


def check_report(
    file: Annotated[Path, typer.Argument(help="The report, as JSON or as the page.")],
    key: Annotated[Path, typer.Option(help="The checkpoints' public key, from a place that you trust.")],
    newest: Annotated[Path | None, typer.Option(help="A signed checkpoint that it must not be older than.")] = None,
    earlier: Annotated[
        Path | None, typer.Option(help="An earlier report of the patient that it must go on from.")
    ] = None,
    same: Annotated[Path | None, typer.Option(help="The report's CSV, to be held against it.")] = None,
) -> None:
    """Check a report against the pinned key alone, and say what it proves. Exit code 1 where it doesn't hold."""
    from gateway.audit.checkpoints import load_public
    from gateway.audit.report.check import judged
    from gateway.audit_commands.reading import trouble

    with trouble():
        public = load_public(key)
        verdict = judged(
            file.read_bytes(),
            public,
            newest=_checkpoint(newest, public) if newest is not None else None,
            earlier=earlier.read_bytes() if earlier is not None else None,
        )
        problems = [*verdict.problems, *_differing(verdict, same)]
    typer.echo("\n".join(["This report does NOT hold:", *problems]) if problems else verdict.told())
    raise typer.Exit(1 if problems else 0)


def _checkpoint(file: Path, public: PublicKey) -> Checkpoint:
    from gateway.audit.log.checkpoint import open_note

    return open_note(file.read_text(encoding="utf-8"), public)


def _differing(verdict: Verdict, same: Path | None) -> list[str]:
    from gateway.audit.report.as_csv import as_csv

    if same is None or verdict.report is None or same.read_bytes() == as_csv(verdict.report):
        return []
    return [f"{same} doesn't say what this report says."]
