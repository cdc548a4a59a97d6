"""`connectcare audit erase` and `audit retain`: what stood in rows goes for good; that it was there stays provable."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.audit_commands.choosing import Data, Database, PasswordFile

if TYPE_CHECKING:
    from gateway.audit.row import Row
    from gateway.sealed import Sealer
    from gateway.store.interface import Store

DOOR: Final = "connectcare audit erase"
RETAINED_YEARS: Final = 8
"""What the NHS Records Management Code of Practice (Appendix II) gives for adult health records."""

By = Annotated[str, typer.Option(help="Who answers for it: your name.")]
Reason = Annotated[str, typer.Option(help="Why: the decision, or the rule. No patient's details.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask again.")]


@dataclass(frozen=True, slots=True)
class _Order:
    """What to erase, where, and who says so."""

    data: Path | None
    database: str | None
    password_file: Path | None
    by: str
    reason: str
    before: datetime | None = None
    key_file: Path | None = None
    nhs_number: str | None = None


def erase(
    by: By,
    reason: Reason,
    data: Data = None,
    database: Database = None,
    password_file: PasswordFile = None,
    before: Annotated[datetime | None, typer.Option(help="Rows from before this day.")] = None,
    patient: Annotated[
        bool, typer.Option("--patient", help="Rows about one patient; the NHS number by stdin.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option(help="With --patient: the master key.")] = None,
    yes: Yes = False,
) -> None:
    """Erase rows from before a day, of one patient, or both. It can't be undone.

    Number, patient's tag, time, kind and commitment stay, so every proof still holds, and a new row says which rows
    were erased, by whom and why. The newest sharing choice of a patient is never erased, nor a row about erasing. A
    SQLite store has one writer: stop its gateway first.
    """
    from gateway.audit_commands.reading import trouble

    with trouble():
        if before is None and not patient:
            raise ValueError("Say what to erase: --before DAY, --patient, or both.")
        if patient and key_file is None:
            raise ValueError("--patient needs --key-file: the journal knows the patient by a tag that is made with it.")
        nhs_number = _typed() if patient else None
        _carry_out(_Order(data, database, password_file, by, reason, _in_london(before), key_file, nhs_number), yes)


def retain(
    by: By,
    data: Data = None,
    database: Database = None,
    password_file: PasswordFile = None,
    years: Annotated[int, typer.Option(min=1, max=100, help="How long rows are kept.")] = RETAINED_YEARS,
    reason: Reason = "retention",
    yes: Yes = False,
) -> None:
    """Erase rows that are older than the retention period: 8 years by default.

    8 years is what the NHS Records Management Code of Practice (Appendix II) gives for adult health records. Some
    records are kept for longer (children's, maternity, mental health), and an inquiry can forbid erasing at all: ask
    your records manager before you choose.
    """
    from gateway.audit_commands.reading import trouble
    from gateway.store.moments import utc_now

    with trouble():
        _carry_out(_Order(data, database, password_file, by, reason, _years_before(utc_now(), years)), yes)


def _carry_out(order: _Order, yes: bool) -> None:
    import asyncio

    if not order.by.strip() or not order.reason.strip():
        raise ValueError("Say who answers for it and why: --by NAME --reason WORDS.")
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError("Erasing can't be undone. Where nobody can be asked, say --yes.")
        typer.confirm("What is erased can't be had back. Erase?", abort=True, err=True)
    count = asyncio.run(_erased(order))
    typer.echo(f"{count:,} rows erased. A row of the journal says so; it is signed with the gateway's next checkpoint.")


async def _erased(order: _Order) -> int:
    from gateway.choice.number import nhs_number_of
    from gateway.sealed import Sealer, load_master_key
    from gateway.store.open import open_for_changes

    sealer = Sealer(load_master_key(order.key_file)) if order.key_file is not None else None
    nhs_number = nhs_number_of(order.nhs_number) if order.nhs_number is not None else None
    store = open_for_changes(order.data, order.database, password_file=order.password_file)
    try:
        if sealer is not None:
            await store.hold_to_key(sealer.fingerprint(), sealer.opens)
        return await _erase_from(store, order, sealer, nhs_number)
    finally:
        await store.aclose()


async def _erase_from(store: Store, order: _Order, sealer: Sealer | None, nhs_number: str | None) -> int:
    tag = sealer.patient_tag(nhs_number) if sealer is not None and nhs_number is not None else None
    sealed = sealer.seal_patient(nhs_number) if sealer is not None and nhs_number is not None else None
    return await store.erase(before=order.before, patient=tag, row=_row(order, tag, sealed))


def _row(order: _Order, tag: str | None, sealed: str | None) -> Row:
    import getpass
    import uuid

    from gateway.audit.row import Kind, Row, Who
    from gateway.audit.scrub import scrub
    from gateway.caller.model import KnownCaller
    from gateway.store.moments import utc_now

    who = KnownCaller(issuer=DOOR, token_id="", user_id=getpass.getuser(), name=scrub(order.by)[:200])
    return Row(
        kind=Kind.ERASED,
        request_id=str(uuid.uuid4()),
        at=utc_now(),
        door=DOOR,
        who=Who.of(who),
        patient=tag,
        sealed_patient=sealed,
        detail=scrub(order.reason)[:500],
        subject=f"before={order.before.isoformat()}" if order.before is not None else "",
    )


def _typed() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("NHS number", err=True))
    return sys.stdin.readline().strip()


def _in_london(day: datetime | None) -> datetime | None:
    from zoneinfo import ZoneInfo

    return day and day.replace(tzinfo=day.tzinfo or ZoneInfo("Europe/London"))


def _years_before(moment: datetime, years: int) -> datetime:
    """The same day so many years ago; 29 February becomes the 28th."""
    try:
        return moment.replace(year=moment.year - years)
    except ValueError:
        return moment.replace(year=moment.year - years, day=28)
