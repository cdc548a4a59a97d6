"""Copies of the journal: nothing lost, nothing twice, nothing out of order, whatever fails and whenever it is cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.sdk.schemes import StaticHeader
from gateway.audit.events.render import Events
from gateway.audit.followers import runner
from gateway.audit.followers.lines import read_sink
from gateway.audit.followers.make import made_followers
from gateway.audit.followers.model import CopyFailed, CopyStopped
from gateway.audit.followers.push import Push, Repository
from gateway.audit.followers.runner import Follower, Followers, pause_after
from gateway.audit.followers.settings import AuditRepository
from gateway.audit.followers.sink import Sink
from gateway.audit.log.leaf import Leaf
from gateway.audit.row import Kind
from gateway.errors import AuditUnavailable
from gateway.sealed import Sealer
from gateway.settings import SettingsError, load_settings
from gateway.store.interface import Entry, StoreUnusable
from gateway.store.sql.store import SqlStore
from tests import audit_repository
from tests.audit_repository import BASE, Cutting
from tests.events import NOON, SEALER, a_row, released
from tests.stores import Place, SqlitePlace

EVENTS = Events(SEALER, "https://gateway.example", "log.example")


class Idle(BaseException):
    """The follower has nothing left to do: what ends a test's run of it."""


class Pauses:
    """Waits for nothing. Ends the run at the first idle pause, or after so many failures."""

    def __init__(self, failures: int = 100) -> None:
        self.taken: list[float] = []
        self._failures = failures

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if seconds in (runner.POLL_SECONDS, runner.OTHERS_SECONDS) or len(self.taken) >= self._failures:
            raise Idle


async def run_out(follower: Follower) -> None:
    with suppress(Idle):
        await follower.run()


@pytest.fixture
def store(sqlite_place: SqlitePlace) -> SqlStore:
    return sqlite_place.open()


async def write(store: SqlStore, rows: int) -> None:
    for number in range(rows):
        await store.append(a_row(Kind.INTENT, request_id=f"req-{number}"))


def pushing(
    store: Any, remote: audit_repository.Repository, *, most: int = 4, pauses: Pauses | None = None, **settings: Any
) -> Follower:
    repository = Repository(AuditRepository(address=BASE, **settings), remote.transport())
    return Follower(store, Push(repository, EVENTS, most), pause=pauses or Pauses())


def all_ids(rows: int) -> list[str]:
    return [EVENTS.id_of(seq) for seq in range(1, rows + 1)]


async def test_every_row_goes_to_the_repository_in_order_and_once(store: SqlStore) -> None:
    await write(store, 10)
    remote = audit_repository.Repository()
    follower = pushing(store, remote)
    await run_out(follower)
    assert list(remote.held) == all_ids(10)
    assert [len(ids) for ids in remote.sent] == [4, 4, 2]
    assert await store.position("repository") == 10
    await write(store, 1)
    await run_out(follower)
    assert list(remote.held) == all_ids(11)
    assert remote.calls == 4


@pytest.mark.parametrize(
    "mood", [500, 502, 503, 429, 401, 403, 409, 408, 302, "hang", "dies", "lost", "short", "html", "garbage",
             "entry-500", "entry-302"],
)  # fmt: skip
async def test_what_may_pass_is_tried_again_and_nothing_is_lost(store: SqlStore, mood: int | str) -> None:
    await write(store, 6)
    remote = audit_repository.Repository(200, mood, mood)
    pauses = Pauses()
    patience = 0.5 if mood == "hang" else 30.0  # what answers has all the time there is
    follower = pushing(store, remote, pauses=pauses, timeout=patience)
    await run_out(follower)
    assert list(remote.held) == all_ids(6)
    assert await store.position("repository") == 6
    assert follower.state.failures == 0
    assert follower.state.last_error == ""
    assert len(pauses.taken) == 3  # two failures, and the idle pause


async def test_a_row_that_the_repository_refuses_stops_the_copy_and_is_never_skipped(
    store: SqlStore, caplog: pytest.LogCaptureFixture
) -> None:
    await write(store, 9)
    remote = audit_repository.Repository()
    remote.refuses = {EVENTS.id_of(6)}
    follower = pushing(store, remote, most=8, pauses=Pauses(failures=3))
    await run_out(follower)
    assert list(remote.held) == all_ids(5)
    assert await store.position("repository") == 5
    assert follower.state.last_error == "the repository: status 422; the row isn't skipped"
    stopped = [record for record in caplog.records if record.message == "audit.copy-stopped"]
    assert len(stopped) == 3
    assert all(record.levelname == "ERROR" and record.connect_care_fields["row"] == 6 for record in stopped)  # type: ignore[attr-defined]
    remote.refuses.clear()
    follower._pause = Pauses()
    await run_out(follower)
    assert list(remote.held) == all_ids(9)


async def test_a_single_refused_entry_is_found_like_a_refused_whole(store: SqlStore) -> None:
    await write(store, 1)
    remote = audit_repository.Repository("entry-422")
    follower = pushing(store, remote, pauses=Pauses(failures=1))
    await run_out(follower)
    assert follower.state.last_error == "the repository refused an event; the row isn't skipped"


async def test_an_erased_row_is_passed_and_nothing_is_sent_for_it(store: SqlStore) -> None:
    await write(store, 3)
    await store.erase(patient=SEALER.patient_tag("9990000018"), row=a_row(Kind.ERASED, patient=None))
    remote = audit_repository.Repository()
    await run_out(pushing(store, remote, most=3))
    assert list(remote.held) == [EVENTS.id_of(4)]
    assert remote.calls == 1
    assert await store.position("repository") == 4


async def test_a_row_that_cannot_be_read_stops_the_copy(store: SqlStore) -> None:
    await store.append(a_row(sealed_patient=Sealer(bytes([7] * 32)).seal_patient("9990000018")))
    remote = audit_repository.Repository()
    follower = pushing(store, remote, pauses=Pauses(failures=1))
    await run_out(follower)
    assert follower.state.last_error == "a row can't be read"
    assert remote.calls == 0


async def test_the_repository_is_shown_who_we_are(store: SqlStore, tmp_path: Path) -> None:
    await write(store, 1)
    (tmp_path / "secret").write_text("Bearer s3cret\n")
    remote = audit_repository.Repository()
    header = StaticHeader(scheme="header", name="Authorization", value_file=tmp_path / "secret")
    await run_out(pushing(store, remote, auth=header))
    assert remote.credentials == ["Bearer s3cret"]


class Holes:
    """A store whose journal lacks a row, or can't be read at all."""

    def __init__(self, *seqs: int, error: Exception | None = None) -> None:
        self.seqs = seqs
        self.error = error
        self.moved: list[int] = []

    async def log_size(self) -> int:
        return 10

    async def position(self, follower: str) -> int:
        return 0

    async def move_position(self, follower: str, seq: int) -> None:
        self.moved.append(seq)

    @asynccontextmanager
    async def follow(self, follower: str) -> AsyncIterator[bool]:
        yield True

    async def entries(self, *, after: int = 0, until: int | None = None, patient: str | None = None) -> Any:
        if self.error:
            raise self.error
        row = msgspec.json.encode(released())
        yield [Entry(Leaf(seq, bytes(32), seq, bytes(32)), row, bytes(32), None) for seq in self.seqs]


async def test_a_row_that_is_missing_from_the_store_is_never_stepped_over() -> None:
    store, remote = Holes(1, 3), audit_repository.Repository()
    follower = pushing(store, remote, pauses=Pauses(failures=2))
    await run_out(follower)
    assert (remote.calls, store.moved) == (0, [])
    assert follower.state.last_error == "a row is missing from the journal"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AuditUnavailable("x"), "the journal can't be read"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(), "OSError"),
        (CopyFailed("our words"), "our words"),
        (KeyError("somebody's name"), "KeyError"),
    ],
)
async def test_what_went_wrong_is_told_without_what_another_library_quotes(error: Exception, said: str) -> None:
    follower = pushing(Holes(error=error), audit_repository.Repository(), pauses=Pauses(failures=1))
    await run_out(follower)
    assert follower.state.last_error == said


async def test_one_follows_at_a_time_and_another_takes_over(place: Place) -> None:
    store = place.open()
    await write(store, 3)
    first, second = (pushing(store, audit_repository.Repository()) for _ in range(2))
    async with store.follow("repository") as mine:
        assert mine
        await run_out(second)
        assert not second.state.mine
        assert await store.position("repository") == 0
        async with store.follow("sink") as other:
            assert other
    await run_out(first)
    assert await store.position("repository") == 3


def test_pauses_grow_up_to_a_minute_and_are_spread() -> None:
    for failures in range(1, 40):
        longest = min(60.0, 0.5 * 2 ** (failures - 1))
        pauses = {pause_after(failures) for _ in range(20)}
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(pauses) > 1


# --- cut short at every step ---


class Cut:
    """Cancels at the n-th step; counts them all."""

    def __init__(self, at: int | None) -> None:
        self.at = at
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise asyncio.CancelledError


class CutStore:
    """The store, cut before and after each thing that is asked of it."""

    def __init__(self, store: SqlStore, cut: Cut) -> None:
        self._store = store
        self._cut = cut

    async def log_size(self) -> int:
        return await self._store.log_size()

    async def position(self, follower: str) -> int:
        self._cut()
        found = await self._store.position(follower)
        self._cut()
        return found

    async def move_position(self, follower: str, seq: int) -> None:
        self._cut()
        await self._store.move_position(follower, seq)
        self._cut()

    @asynccontextmanager
    async def follow(self, follower: str) -> AsyncIterator[bool]:
        self._cut()
        async with self._store.follow(follower) as mine:
            self._cut()
            yield mine

    async def entries(self, *, after: int = 0, until: int | None = None, patient: str | None = None) -> Any:
        self._cut()
        async for batch in self._store.entries(after=after, until=until, patient=patient):
            self._cut()
            yield batch


class CutCopy:
    """A copy, cut before and after each row is taken."""

    def __init__(self, copy: Any, cut: Cut) -> None:
        self._copy = copy
        self._cut = cut
        self.name, self.most = copy.name, 3

    async def begin(self, position: int) -> int:
        self._cut()
        found: int = await self._copy.begin(position)
        self._cut()
        return found

    async def take(self, entries: Sequence[Entry]) -> int:
        self._cut()
        held: int = await self._copy.take(entries)
        self._cut()
        return held

    async def end(self) -> None:
        await self._copy.end()

    async def aclose(self) -> None:
        await self._copy.aclose()


async def cut_everywhere(make: Callable[[Cut], Follower]) -> int:
    """Run, cut at the first step, run again, cut at the second, …, until a run ends by itself; the number of runs."""
    for at in itertools.count(1):
        follower = make(Cut(at))
        try:
            await follower.run()
        except asyncio.CancelledError:
            await follower.copy.end()
        except Idle:
            return at
    raise AssertionError


async def test_a_push_that_is_cut_at_any_step_loses_nothing_and_doubles_nothing(store: SqlStore) -> None:
    await write(store, 25)
    remote = audit_repository.Repository()

    def make(cut: Cut) -> Follower:
        transport = Cutting(remote.transport(), cut)
        push = Push(Repository(AuditRepository(address=BASE), transport), EVENTS, 3)
        return Follower(CutStore(store, cut), CutCopy(push, cut), pause=Pauses())

    assert await cut_everywhere(make) > 15
    assert list(remote.held) == all_ids(25)
    assert sum(map(len, remote.sent)) > 25  # some rows went out twice, and are held once


async def test_a_sink_that_is_cut_at_any_step_loses_nothing_and_doubles_nothing(
    store: SqlStore, tmp_path: Path
) -> None:
    await write(store, 40)
    path = tmp_path / "sink.jsonl"

    def make(cut: Cut) -> Follower:
        cut_store = CutStore(store, cut)
        return Follower(cut_store, CutCopy(Sink(path, cut_store), cut), pause=Pauses())

    assert await cut_everywhere(make) > 12
    assert [entry.leaf.seq for entry in read_sink(path)] == list(range(1, 41))
    assert await store.position("sink") == 40


async def test_copies_that_are_stopped_and_started_under_load_hold_every_row(store: SqlStore, tmp_path: Path) -> None:
    remote = audit_repository.Repository(*["lost", 500, "dies", 200, "short"] * 6)
    path = tmp_path / "sink.jsonl"
    written = 0
    for ticks in range(40):
        followers = made_followers(store, EVENTS, path, AuditRepository(address=BASE, batch=2), remote.transport())
        for each in followers.all:
            each._pause = no_pause
        followers.start()
        await write(store, 2)
        written += 2
        for _ in range(ticks * 3):
            await asyncio.sleep(0)
        await followers.aclose()
    for follower in (pushing(store, remote), Follower(store, Sink(path, store), pause=Pauses())):
        await run_out(follower)
        await follower.copy.aclose()
    assert list(remote.held) == all_ids(written)
    assert [entry.leaf.seq for entry in read_sink(path)] == list(range(1, written + 1))


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_without_copies_nothing_runs(store: SqlStore) -> None:
    followers = made_followers(store, EVENTS, None, None)
    followers.start()
    await followers.aclose()
    assert followers.all == ()


async def test_a_gateway_that_is_told_to_keep_a_copy_does_not_start_without_one(
    store: SqlStore, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnusable, match=r"audit_sink: .* can't be written"):
        made_followers(store, EVENTS, tmp_path / "no-such-folder" / "sink", None)
    unreadable = AuditRepository(
        address=BASE, auth=StaticHeader(scheme="header", name="X-Key", value_file=tmp_path / "none")
    )
    with pytest.raises(Exception, match="audit_repository: The secret file"):
        made_followers(store, EVENTS, None, unreadable)


@pytest.mark.parametrize(
    ("given", "open_"),
    [
        ({"address": "https://audit.example/fhir"}, True),
        ({"address": "https://127.0.0.1/fhir"}, False),
        ({"address": "https://localhost/fhir"}, False),
        ({"address": "http://127.0.0.1/fhir"}, True),
        ({"address": "https://audit.example/fhir", "auth": {"scheme": "client-certificate"}}, False),
    ],
)
def test_what_could_be_read_on_the_way_is_known(given: dict[str, Any], open_: bool) -> None:
    assert AuditRepository(**given).is_open is open_


@pytest.mark.parametrize("address", ["audit.example", "https://a:b@audit.example", "https://audit.example/?q=1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address of an audit repository"):
        AuditRepository(address=address)


def test_what_stops_a_copy_names_the_row() -> None:
    assert CopyStopped("told", 7).row == 7
    assert Followers(()).all == ()
    assert NOON.tzinfo is not None


def test_production_sends_no_event_where_it_could_be_read_on_the_way(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "public_url": "https://gateway.example",
        "data_dir": tmp_path,
        "key_file": tmp_path / "key",
        "checkpoint_key": tmp_path / "checkpoint.key",
        "issuers": ({"issuer": "https://issuer.example", "audience": "connect-care", "algorithms": ["ES256"]},),
    }
    repository = {"address": "https://audit.example/fhir", "auth": {"scheme": "client-certificate"}}
    settings = load_settings(None, **given, audit_repository=repository)
    assert settings.audit_repository is not None
    assert settings.log_origin == "gateway.example/journal"
    for open_ in ({"address": "https://audit.example/fhir"}, {**repository, "address": "http://audit.example/fhir"}):
        with pytest.raises(SettingsError, match="audit_repository needs an https address and auth"):
            load_settings(None, **given, audit_repository=open_)
    with pytest.raises(SettingsError, match=r"audit_repository\.address"):
        load_settings(None, **given, audit_repository={"address": "audit.example"})
