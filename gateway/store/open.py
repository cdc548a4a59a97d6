"""Which store a gateway has: PostgreSQL where `database` names one, else SQLite in the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.store.folder import folder_to_read
from gateway.store.interface import Store
from gateway.store.moments import Clock, utc_now
from gateway.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from gateway.store.postgres import PostgresStore

_BUSY_SECONDS: Final = 2.0
_NAME_ONE: Final = "Name one store: --data with its data folder, or --database with a postgresql:// URL."


_REPORT_SECONDS: Final = 600.0
"""How long one question may take that isn't a gateway's."""


class Place(Protocol):
    """What of the settings says where the store is."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def database(self) -> str | None: ...

    @property
    def database_password_file(self) -> Path | None: ...


def open_for_writing(place: Place, *, clock: Clock = utc_now) -> Store:
    """The gateway's own store. Raises StoreUnusable with a sentence for the operator."""
    if place.database is None:
        return SqliteStore(place.data_dir, clock=clock)
    return _postgres(place.database, password_file=place.database_password_file, clock=clock)


def open_for_changes(
    data: Path | None = None, database: str | None = None, *, password_file: Path | None = None
) -> Store:
    """A store that exists already, for a command that writes to it. Just one of the two is named. Raises StoreUnusable
    with a sentence for the operator: there is none, or a gateway holds it, which is a SQLite store's one writer."""
    if database is not None and data is None:
        return _postgres(database, password_file=password_file, read_seconds=_REPORT_SECONDS)
    if data is not None and database is None:
        folder_to_read(data, _BUSY_SECONDS)
        return SqliteStore(data, read_seconds=_REPORT_SECONDS)
    raise ValueError(_NAME_ONE)


def open_for_reading(
    data: Path | None = None, database: str | None = None, *, password_file: Path | None = None
) -> Store:
    """A store that can only be read, also beside a running gateway; its writing methods raise AuditUnavailable.

    Just one of the two is named. Raises StoreUnusable with a sentence for the operator.
    """
    if database is not None and data is None:
        return _postgres(database, password_file=password_file, read_only=True, read_seconds=_REPORT_SECONDS)
    if data is not None and database is None:
        return SqliteStore(data, read_only=True, read_seconds=_REPORT_SECONDS)
    raise ValueError(_NAME_ONE)


def _postgres(database: str, **how: Any) -> PostgresStore:
    """Its driver takes 10 MB, which a gateway with SQLite can do without."""
    from gateway.store.postgres import PostgresStore

    return PostgresStore(database, **how)
