"""The store and the disks that it is on."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.doctor.finding import Examined, Finding
from gateway.errors import AuditUnavailable
from gateway.production import leaves_this_machine
from gateway.settings import Settings
from gateway.store.interface import StoreUnusable
from gateway.store.open import open_for_reading

LEAST_FREE: Final = 1024**3
"""Bytes: some millions of rows."""
_VERIFIED: Final = frozenset({"verify-full"})


def disks(examined: Examined) -> Iterator[Finding]:
    """Folders that can be written, with room; and the second copy apart from the first."""
    given = examined.settings
    yield from _folder("data_dir", given.data_dir)
    if given.audit_sink is not None:
        yield from _folder("audit_sink", given.audit_sink.parent)
        if given.audit_sink.exists() and not os.access(given.audit_sink, os.W_OK):
            yield Finding("audit_sink", f"{given.audit_sink} can't be written", "Give it to the gateway's user.")
        if given.audit_sink.absolute().is_relative_to(given.data_dir.absolute()):
            yield Finding(
                "audit_sink",
                f"{given.audit_sink} lies in data_dir: what destroys the one destroys the other",
                "Name a file on another disk.",
            )


def _folder(about: str, folder: Path) -> Iterator[Finding]:
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding(about, f"{there} can't be written", "Give it to the gateway's user, or name another.")
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        megabytes = f"{free // 1024**2:,} MB"
        yield Finding(about, f"the disk of {there} has {megabytes} left", "Make room: a full disk stops every look.")


async def store(examined: Examined) -> AsyncIterator[Finding]:
    """Whether it can be read and has this gateway's schema; one that the gateway hasn't made yet lacks nothing."""
    given = examined.settings
    if given.database is None and not (given.data_dir / "store").exists():
        return
    about = "data_dir" if given.database is None else "database"
    if not_verified := _not_verified(given.database):
        yield Finding(about, not_verified, "Add ?sslmode=verify-full&sslrootcert=FILE.")
    try:
        await _read(given)
    except (StoreUnusable, AuditUnavailable, OSError) as error:
        yield Finding(about, "the store can't be read", str(error))


async def _read(given: Settings) -> None:
    data = given.data_dir if given.database is None else None
    opened = open_for_reading(data, given.database, password_file=given.database_password_file)
    try:
        await opened.log_size()
    finally:
        await opened.aclose()


def _not_verified(database: str | None) -> str:
    """What is wrong with the way to a database on another machine; "" for nothing."""
    if database is None or not leaves_this_machine(database):
        return ""
    asked = parse_qs(urlsplit(database).query)
    mode = asked.get("sslmode", ["prefer"])[-1]
    return "" if mode in _VERIFIED else f"sslmode={mode} doesn't make sure that it is our database that answers"
