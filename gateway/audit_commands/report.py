"""`connectcare audit report`: the patient's access report as a file, from a store that is only read."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.audit_commands.choosing import Data, Database, PasswordFile

if TYPE_CHECKING:
    from gateway.audit.log.checkpoint import PublicKey
    from gateway.audit.report.model import Period, Report
    from gateway.sealed import Sealer
    from gateway.store.interface import Store

_FORMATS: Final = ("json", "csv", "html")


def report(
    key_file: Annotated[Path, typer.Option(help="The master key: it says by which tag the journal knows the patient.")],
    out: Annotated[Path, typer.Option(help="The file to write, readable by its owner alone; never over another.")],
    data: Data = None,
    database: Database = None,
    password_file: PasswordFile = None,
    key: Annotated[Path | None, typer.Option(help="The checkpoints' public key; the demo's own by default.")] = None,
    form: Annotated[str, typer.Option("--format", help="json (with the proof), html (to print) or csv.")] = "json",
    since: Annotated[datetime | None, typer.Option(help="List only what happened from this day on.")] = None,
    until: Annotated[datetime | None, typer.Option(help="List only what happened before this day.")] = None,
) -> None:
    """Write who looked at a patient, why and at what, up to the newest signed checkpoint, with the proof.

    The NHS number is read from the standard input, or asked for: on a command line everybody could see it. This reads
    the store and leaves no row of its own: give it to those alone who run the gateway. Others use POST /access-reports.
    """
    import asyncio

    from gateway.audit.report.formats import FORMS, Format
    from gateway.audit_commands.reading import trouble
    from gateway.sealed import Sealer, load_master_key
    from gateway.store.open import open_for_reading

    with trouble():
        if form not in _FORMATS:
            raise ValueError(f"--format is one of {', '.join(_FORMATS)}.")
        period = _period(since, until)
        public = _public(key, data)
        sealer = Sealer(load_master_key(key_file))
        nhs_number = _asked()
        store = open_for_reading(data, database, password_file=password_file)
        made = asyncio.run(_made(store, nhs_number, period, sealer, public))
        _write(out, FORMS[Format(form)].write(made))
    typer.echo(made.complete, err=True)


async def _made(store: Store, nhs_number: str, period: Period, sealer: Sealer, public: PublicKey) -> Report:
    from gateway.audit.report.make import ReportMaker
    from gateway.audit_commands.reading import hold_to
    from gateway.choice.number import nhs_number_of
    from gateway.store.moments import utc_now

    try:
        patient = nhs_number_of(nhs_number)
        await hold_to(store, sealer)
        return await ReportMaker(store, sealer, public, utc_now).make(patient, period)
    finally:
        await store.aclose()


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("NHS number", err=True)).strip()
    return sys.stdin.readline().strip()


def _period(since: datetime | None, until: datetime | None) -> Period:
    """Days begin at midnight in the United Kingdom. Raises ValueError where nothing can be within."""
    from zoneinfo import ZoneInfo

    from gateway.audit.report.model import Period

    london = ZoneInfo("Europe/London")
    period = Period(
        since=since and since.replace(tzinfo=since.tzinfo or london),
        until=until and until.replace(tzinfo=until.tzinfo or london),
    )
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise ValueError("--since must be before --until.")
    return period


def _public(key: Path | None, data: Path | None) -> PublicKey:
    from gateway.audit.checkpoints import load_public

    own = data / "checkpoint.key.pub" if data is not None else None
    if key is None and (own is None or not own.exists()):
        raise ValueError("Give the checkpoints' public key with --key FILE.pub.")
    return load_public(key or own or Path())


def _write(out: Path, content: bytes) -> None:
    """Raises ValueError where there is such a file already: it may be somebody's."""
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ValueError(f"{out} exists already. Name another file.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
