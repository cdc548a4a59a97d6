"""Which store a gateway has, and how others read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import AuditUnavailable
from gateway.settings import SettingsError, load_settings
from gateway.store.interface import StoreUnusable
from gateway.store.open import open_for_changes, open_for_reading, open_for_writing
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite import SqliteStore
from tests.store_rows import a_row
from tests.stores import PostgresPlace, SqlitePlace

HERE = "postgresql://gateway@localhost/records"


@dataclass(frozen=True)
class Given:
    """What of the settings says where the store is."""

    data_dir: Path
    database: str | None = None
    database_password_file: Path | None = None


async def test_a_gateway_writes_to_sqlite_unless_it_is_told_otherwise(
    tmp_path: Path, postgres_place: PostgresPlace
) -> None:
    for given, kind in ((Given(tmp_path), SqliteStore), (Given(tmp_path, postgres_place.url), PostgresStore)):
        store = open_for_writing(given)
        assert isinstance(store, kind)
        assert await store.append(a_row()) == 1
        await store.aclose()


async def test_others_read_the_one_that_they_name(sqlite_place: SqlitePlace, postgres_place: PostgresPlace) -> None:
    for place, named in (
        (sqlite_place, {"data": sqlite_place.folder}),
        (postgres_place, {"database": postgres_place.url}),
    ):
        await place.open().append(a_row())
        reading = open_for_reading(**named)
        assert await reading.log_size() == 1
        with pytest.raises(AuditUnavailable, match="reading alone"):
            await reading.append(a_row())
        await reading.aclose()
        await reading.aclose()


@pytest.mark.parametrize("opened", [open_for_reading, open_for_changes])
@pytest.mark.parametrize("named", [{}, {"data": Path(), "database": HERE}])
def test_they_name_just_one(named: dict[str, object], opened: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="Name one store: --data"):
        opened(**named)


async def test_a_command_changes_a_store_that_is_there_and_makes_none(
    tmp_path: Path, sqlite_place: SqlitePlace, postgres_place: PostgresPlace
) -> None:
    with pytest.raises(StoreUnusable, match="no store in"):
        open_for_changes(tmp_path / "nowhere")
    await sqlite_place.open().append(a_row())
    with pytest.raises(StoreUnusable, match="Another process writes"):
        open_for_changes(sqlite_place.folder)
    sqlite_place.close()
    for store in (open_for_changes(sqlite_place.folder), open_for_changes(database=postgres_place.url)):
        assert await store.append(a_row())
        await store.aclose()


class TestReadingSqlite:
    def test_where_no_store_is_none_is_made(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnusable, match=r"no store in .*Give the data folder of a gateway"):
            open_for_reading(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_no_database_is_refused(self, sqlite_place: SqlitePlace) -> None:
        sqlite_place.database.parent.mkdir()
        sqlite_place.database.write_text("not a database" * 100)
        with pytest.raises(StoreUnusable, match="can't be opened"):
            open_for_reading(sqlite_place.folder)

    async def test_a_store_that_nobody_writes_to_is_read_and_left_as_it_was(self, sqlite_place: SqlitePlace) -> None:
        await sqlite_place.open().append(a_row())
        sqlite_place.close()
        before = sqlite_place.database.read_bytes()
        reading = open_for_reading(sqlite_place.folder)
        assert await reading.log_size() == 1
        await reading.aclose()
        assert sqlite_place.database.read_bytes() == before
        assert await sqlite_place.open().append(a_row()) == 2, "and a gateway may write to it again"

    async def test_a_copy_on_a_disk_that_cannot_be_written_is_read(
        self, sqlite_place: SqlitePlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await sqlite_place.open().append(a_row())
        sqlite_place.close()
        sqlite_place.database.parent.chmod(0o500)
        monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write to whatever it likes
        try:
            before = sorted(sqlite_place.database.parent.iterdir())
            reading = open_for_reading(sqlite_place.folder)
            assert await reading.log_size() == 1
            assert sorted(sqlite_place.database.parent.iterdir()) == before, "no files of its own"
            await reading.aclose()
        finally:
            sqlite_place.database.parent.chmod(0o700)


class TestSettings:
    """In production the way to the database is secured, and its password stands in no setting."""

    @staticmethod
    def load(folder: Path, **given: object) -> str | None:
        issuer = {"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}
        values = {"public_url": "https://connectcare.example", "data_dir": folder, "key_file": folder / "k"}
        values |= {"checkpoint_key": folder / "c", "audit_sink": folder / "s"}
        return load_settings(None, **{**values, "issuers": [issuer], **given}).database

    @pytest.mark.parametrize(
        "url",
        [
            None,
            HERE,
            "postgres:///records",
            "postgresql://gateway@/records?host=/var/run/postgresql",
            "postgresql://gateway@127.0.0.1:5433/records",
            "postgresql://db.example.nhs.uk/records?sslmode=verify-full",
            "postgresql://one.example,two.example/records?sslmode=require",
        ],
    )
    def test_a_good_one_is_taken(self, tmp_path: Path, url: str | None) -> None:
        assert self.load(tmp_path, database=url) == url

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("mysql://gateway@localhost/records", "give a postgresql:// URL"),
            ("records", "give a postgresql:// URL"),
            ("postgresql://gateway:hunter2@localhost/records", "the password doesn't belong here"),
            ("postgresql://gateway@localhost/records?password=hunter2", "the password doesn't belong here"),
            ("postgresql://db.example.nhs.uk/records", "doesn't say how the way there is secured"),
            ("postgresql:///records?host=db.example.nhs.uk", "doesn't say how the way there is secured"),
            ("postgresql:///records?host=/tmp,db.example.nhs.uk", "doesn't say how the way there is secured"),
            ("postgresql://localhost:5432,db.example.nhs.uk:5433/records", "doesn't say how the way there is secured"),
            ("postgresql://localhost/records?hostaddr=192.0.2.1", "doesn't say how the way there is secured"),
            ("postgresql://db.example.nhs.uk/records?sslmode=prefer", "doesn't say how the way there is secured"),
            ("postgresql:///records?service=elsewhere", "doesn't say how the way there is secured"),
        ],
    )
    def test_another_one_stops_start_up(self, tmp_path: Path, url: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said) as refused:
            self.load(tmp_path, database=url)
        assert "hunter2" not in str(refused.value)

    def test_the_demo_may_do_without(self, tmp_path: Path) -> None:
        url = "postgresql://db.example.nhs.uk/records"
        assert self.load(tmp_path, database=url, profile="demo") == url

    def test_it_may_come_from_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONNECTCARE_DATABASE", HERE)
        assert os.environ["CONNECTCARE_DATABASE"] == self.load(tmp_path)
