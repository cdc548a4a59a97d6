"""The one narrow interface behind which the journal, the choices and the permissions live.

`Store` is the sum of narrower ones, so that a part can ask for no more than it needs. Every method that writes is
durable when it returns (group commit, one fsync a batch) and raises `AuditUnavailable` where it can't be: then nothing
was written, or nobody can tell. Patients are named by keyed tag (64 hexadecimal digits), never by NHS number.
"""

from __future__ import annotations

from typing import Protocol

from gateway.store.kept import Entry, Filed, Holding, Kept, KeptCheckpoint, LogDamaged, StoreUnusable
from gateway.store.parts.journal import JournalStore, KeyStore
from gateway.store.parts.log import CheckpointStore, FollowerStore, LogStore
from gateway.store.parts.marks import MarkStore
from gateway.store.parts.officers import CaseStore, PolicyStore, StaffStore
from gateway.store.parts.patients import ChoiceStore, PermissionStore
from gateway.store.parts.sessions import SessionStore

__all__ = [
    "CaseStore",
    "CheckpointStore",
    "ChoiceStore",
    "Entry",
    "Filed",
    "FollowerStore",
    "Holding",
    "JournalStore",
    "Kept",
    "KeptCheckpoint",
    "KeyStore",
    "LogDamaged",
    "LogStore",
    "MarkStore",
    "PermissionStore",
    "PolicyStore",
    "SessionStore",
    "StaffStore",
    "Store",
    "StoreUnusable",
]


class Store(
    KeyStore,
    JournalStore,
    ChoiceStore,
    PermissionStore,
    CaseStore,
    StaffStore,
    PolicyStore,
    LogStore,
    CheckpointStore,
    FollowerStore,
    MarkStore,
    SessionStore,
    Protocol,
):
    """What the gateway may ask of a store."""

    async def ready(self) -> bool:
        """True where a row could be written now."""
        ...

    async def aclose(self) -> None:
        """Commit what is queued and close."""
        ...
