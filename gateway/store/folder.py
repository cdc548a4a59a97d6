"""Where a SQLite store lives: a folder that only its owner enters, and that one process at a time writes to."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from gateway.store.backfill import LOG_PAGES
from gateway.store.interface import StoreUnusable
from gateway.store.schema.migrations import demand_current
from gateway.store.schema.sqlite import migrate, version_of

DATABASE: Final = "connect-care.sqlite3"
LOCK: Final = "writer.lock"
Mode = Literal["rw", "ro", "immutable"]
_OPENED: Final[dict[Mode, str]] = {"rw": "mode=rw", "ro": "mode=ro", "immutable": "mode=ro&immutable=1"}
LEAST_ROOM: Final = 16 * 1024 * 1024
"""Bytes: what the write-ahead log grows to at most, unless somebody holds it."""


class Folder:
    """The folder `store` in the data folder: database, write-ahead log and lock file.

    It is a folder of its own because it is closed to everybody else (mode 0700): the data folder may be one that an
    operator shares with other things. Raises StoreUnusable where it can't be made, closed or locked.
    """

    def __init__(self, data: Path) -> None:
        self.path = data.absolute() / "store"
        self.database = self.path / DATABASE
        with _explained(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = self._locked()
            try:
                self._file = self._make_database()
            except BaseException:
                os.close(self._lock)
                raise

    def _locked(self) -> int:
        """An exclusive lock for as long as the descriptor is open. The kernel drops it when the process dies."""
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StoreUnusable(
                f"Another process writes to the store in {self.path}. A SQLite store has one writing process: "
                "stop the other one, or give this one its own data folder."
            ) from error
        return descriptor

    def _make_database(self) -> int:
        """An empty file with the right mode; SQLite gives its log files the same one. Returns its descriptor, which is
        to `flush` with: it's open for as long as SQLite has the file open, since to close one drops all locks on it."""
        file = os.open(self.database, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self.database.chmod(0o600)
            for folder in (self.path, self.path.parent):
                _flush_folder(folder)
        except BaseException:
            os.close(file)
            raise
        return file

    def flush(self) -> None:
        """Put on the disk what was written to the database file. Raises OSError."""
        os.fdatasync(self._file)

    def unlock(self) -> None:
        """Let another process write. It comes after every connection of this process is closed."""
        os.close(self._file)
        os.close(self._lock)

    def writer(self, busy_seconds: float, connection_type: type[sqlite3.Connection]) -> sqlite3.Connection:
        """The one connection that writes, its schema brought up to date.

        Every commit is on the disk when COMMIT returns (WAL, synchronous=FULL).
        """
        with _explained(self.path):
            connection = connect(self.database, "rw", busy_seconds, connection_type)
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                if mode != "wal":
                    raise StoreUnusable(f"The disk under {self.path} can't hold a write-ahead log. Use a local disk.")
                connection.execute("PRAGMA synchronous = FULL")
                # What is erased is overwritten, not only unlinked.
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
                connection.execute(f"PRAGMA journal_size_limit = {LEAST_ROOM}")
                migrate(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def mover(self, busy_seconds: float) -> sqlite3.Connection:
        """A second connection that may write: it moves what was committed into the database file, and nothing else."""
        with _explained(self.path):
            connection = connect(self.database, "rw", busy_seconds)
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    def reader(self, busy_seconds: float) -> sqlite3.Connection:
        """A connection that can't write."""
        with _explained(self.path):
            return connect(self.database, "ro", busy_seconds)

    def has_room(self) -> bool:
        """False before the disk is so full that a burst of rows might not fit."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize >= LEAST_ROOM

    def identity(self) -> tuple[tuple[int, int], ...]:
        """Which files these are, the log included. Raises OSError where one of them is gone."""
        files = (self.database, self.database.with_name(f"{DATABASE}-wal"))
        return tuple((found.st_dev, found.st_ino) for found in map(os.stat, files))


def folder_to_read(data: Path, busy_seconds: float) -> tuple[Path, Mode]:
    """The database of a store that is only to be read, and how to open it. Raises StoreUnusable where there is none, or
    it has another schema."""
    folder = data.absolute() / "store"
    database = folder / DATABASE
    if not database.exists():
        raise StoreUnusable(f"There is no store in {folder}. Give the data folder of a gateway.")
    mode: Mode = "ro" if os.access(folder, os.W_OK) else "immutable"
    with _explained(folder):
        connection = connect(database, mode, busy_seconds)
        try:
            demand_current(version_of(connection))
        finally:
            connection.close()
    return database, mode


def connect(
    database: Path,
    mode: Mode,
    busy_seconds: float,
    connection_type: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """A connection in autocommit mode. In mode `ro` it can't write, and each statement sees all that was committed
    before it began; `immutable` is for a copy that nobody can write to, for there SQLite can't share a lock, either."""
    connection = sqlite3.connect(
        f"{database.as_uri()}?{_OPENED[mode]}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=connection_type,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    if mode != "rw":
        connection.execute("PRAGMA query_only = ON")
    return connection


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Errors of the disk and of SQLite while opening, as a sentence for the operator."""
    try:
        yield
    except OSError as error:
        raise StoreUnusable(f"The store's folder {path} can't be used ({error.strerror}). Check its owner.") from error
    except sqlite3.Error as error:
        raise StoreUnusable(f"The database in {path} can't be opened ({error}).") from error
