"""Which master key a store was written with. With another one no patient's tag would match: opt-outs would be lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from gateway.store import tables
from gateway.store.interface import StoreUnusable

KEY_CHECK: Final = "key-check"


def hold_to_key(connection: sqlite3.Connection, fingerprint: str, opens: Callable[[str], bool]) -> None:
    """Compare with what was kept, or keep it where nothing was. Raises StoreUnusable; then nothing is written.

    A store without the value holds nothing yet, or is older than the value: then this key must open what names
    patients in it, every sharing choice included.
    """
    kept = tables.kept_value(connection, KEY_CHECK)
    if kept is None:
        if not all(map(opens, tables.sealed_patients(connection))):
            raise _another_key()
        tables.keep_value(connection, KEY_CHECK, fingerprint)
    elif kept != fingerprint:
        raise _another_key()


def _another_key() -> StoreUnusable:
    return StoreUnusable(
        "The store holds data that was written with another key, and with this one every patient's sharing choice "
        "would be forgotten. Give the key file it was written with."
    )
