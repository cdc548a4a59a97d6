"""Which master key a store was written with. With another one no patient's tag would match: opt-outs would be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.store.connection import Connection
from gateway.store.interface import StoreUnusable
from gateway.store.tables import choices, journal
from gateway.store.tables.kept import keep_value, kept_value

KEY_CHECK: Final = "key-check"


def hold_to_key(connection: Connection, fingerprint: str, opens: Callable[[str], bool]) -> None:
    """Compare with what was kept, or keep it where nothing was. Raises StoreUnusable; then nothing is written."""
    if not is_held(connection, fingerprint, opens):
        keep_value(connection, KEY_CHECK, fingerprint)


def is_held(connection: Connection, fingerprint: str, opens: Callable[[str], bool]) -> bool:
    """Whether this key's fingerprint is kept; False where none is. Raises StoreUnusable where the key is another one.

    A store without the value holds nothing yet, or was written by something that doesn't keep it: then this key must
    open what names patients in it, every sharing choice included.
    """
    kept = kept_value(connection, KEY_CHECK)
    if kept is not None:
        if kept != fingerprint:
            raise _another_key()
        return True
    newest = journal.newest_sealed_patient(connection)
    named = choices.sealed_patients(connection) | ({newest} if newest is not None else set())
    if not all(map(opens, named)):
        raise _another_key()
    return False


def _another_key() -> StoreUnusable:
    return StoreUnusable(
        "The store holds data that was written with another key, and with this one every patient's sharing choice "
        "would be forgotten. Give the key file it was written with."
    )
