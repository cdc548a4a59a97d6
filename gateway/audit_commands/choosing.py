"""What the commands that verify and prove share: the evidence that was named, and the pinned key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.audit.log.checkpoint import PublicKey
    from gateway.audit.verify.evidence import Place

Data = Annotated[Path | None, typer.Option(help="The gateway's data folder.")]
Database = Annotated[str | None, typer.Option(help="Or its PostgreSQL URL.")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", help="The file with the database's password.")]
Key = Annotated[Path, typer.Option(help="The checkpoints' public key, from a place that you trust.")]


def place_of(data: Path | None, database: str | None, export: Path | None, password_file: Path | None) -> Place:
    """The one that was named. Raises ValueError."""
    if sum(each is not None for each in (data, database, export)) != 1:
        raise ValueError("Name what to verify: --data FOLDER, --database URL or --export FOLDER, and one alone.")
    if data is not None:
        from gateway.audit.verify.sqlite_evidence import SqlitePlace

        return SqlitePlace(data)
    if database is not None:
        from gateway.audit.verify.postgres_evidence import PostgresPlace

        return PostgresPlace(database, password_file)
    from gateway.audit.verify.exported import ExportPlace

    return ExportPlace(export or Path())


def read_note(file: Path) -> str:
    """A signed note, as its file has it. Raises ValueError."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"The checkpoint {file} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"The checkpoint {file} isn't one: it is a short text.") from error


def public_key(file: Path) -> PublicKey:
    """Raises ValueError."""
    from gateway.audit.checkpoints import load_public

    return load_public(file)
