"""Where a PostgreSQL database is, and connections on which nothing waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from gateway.store.kept import StoreUnusable

CONNECT_SECONDS: Final = 3

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is. The password is read anew for every connection, so that it can be changed in its file;
    without a file it is libpq's own business (PGPASSFILE, ~/.pgpass, PGPASSWORD)."""

    url: str
    password_file: Path | None = None

    def check(self) -> None:
        """Raises StoreUnusable for what is no URL of PostgreSQL's, in a sentence that doesn't repeat it: there may be a
        password in it."""
        try:
            conninfo_to_dict(self.url)
        except psycopg.Error:
            is_one = False
        else:
            is_one = self.url.startswith(("postgresql://", "postgres://"))
        if not is_one:
            raise StoreUnusable("The database isn't given as a URL that can be read: postgresql://role@host/database.")

    @property
    def told(self) -> str:
        """For a sentence: host and database, never a password."""
        given = conninfo_to_dict(self.url)
        return f"{given.get('dbname') or 'of the default name'} on {given.get('host') or 'this machine'}"

    def connect(self) -> Bounded:
        """Raises psycopg.Error, or OSError where the password's file can't be read."""
        more: dict[str, Any] = {}
        if self.password_file is not None:
            more["password"] = self.password_file.read_text(encoding="utf-8").strip()
        return Bounded.connect(
            self.url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="connect-care",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=8000,
            target_session_attrs=str(conninfo_to_dict(self.url).get("target_session_attrs") or "read-write"),
            **more,
        )


class Bounded(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which nothing waits past `deadline` (by `time.monotonic`): the server's own time-outs are worth
    nothing where the server is stopped, or the network gone. What it gave up on is closed, for nobody knows what the
    server makes of it."""

    deadline: float = float("inf")

    def wait(self, gen: Generator[Any, Any, _T], interval: float = 0.1, timeout: float | None = None) -> _T:
        left = max(0.0, self.deadline - time.monotonic())
        if left != float("inf"):
            timeout = left if timeout is None else min(timeout, left)
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def explained(address: Address, make: Callable[[], _T]) -> _T:
    """Runs `make`, and tells the operator in a sentence why the database can't be used. Raises StoreUnusable."""
    try:
        return make()
    except psycopg.Error as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise StoreUnusable(
            f"The database {address.told} can't be used ({said}). Check that it runs, its address, and the rights of "
            "the role."
        ) from error
    except OSError as error:
        raise StoreUnusable(
            f"The password of the database can't be read from {address.password_file} ({error.strerror}). "
            "Check database_password_file."
        ) from error
