"""`/metrics`: on a port of its own, from every worker, whatever becomes of one."""

from __future__ import annotations

import asyncio
import os
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.breaker import Breaker
from gateway.errors import AuditUnavailable
from gateway.observe import exposed as module
from gateway.observe.exposed import CannotExpose, exposed, gathered
from gateway.observe.worker import NoNumber, telling, told
from gateway.sources import PRACTICES, SourceState


class Copy:
    name = "sink"


class Parts:
    """As much of a gateway as is measured."""

    def __init__(self, data: Path, *, fails: bool = False) -> None:
        self.settings = SimpleNamespace(audit_sink=data / "sink", database=None, data_dir=data)
        self.room = SimpleNamespace(places=48, under_way=2, waiting=1)
        self.checkpointer = SimpleNamespace(standing=self.standing)
        self.store = SimpleNamespace(log_size=self.log_size, position=self.position)
        self.followers = SimpleNamespace(all=[SimpleNamespace(copy=Copy, state=SimpleNamespace(failures=3))])
        self.fan_out = SimpleNamespace(states={"RJ2": state("RJ2"), "Y00001": state(), "Y00002": state(is_open=True)})
        self.fails = fails

    async def standing(self) -> tuple[int, int, float | None]:
        if self.fails:
            raise AuditUnavailable("patient 9990000018")
        return 20, 5, 7.5

    async def log_size(self) -> int:
        return 20

    async def position(self, _: str) -> int:
        return 12


def state(label: str = PRACTICES, *, is_open: bool = False) -> SourceState:
    breaker = Breaker(lambda: 0.0, failures=1)
    if is_open:
        breaker.failure(1)
    connector: Any = None
    return SourceState(breaker, asyncio.Semaphore(1), connector, label)


def figures(text: str) -> dict[tuple[str, ...], float]:
    return {
        (
            sample.name.removeprefix("connect_care_"),
            *sorted(f"{key}={value}" for key, value in sample.labels.items()),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_states_are_measured_when_somebody_asks(tmp_path: Path) -> None:
    found = figures((await told(Parts(tmp_path), 3)).decode())
    for name, labels, figure in (
        ("journal_rows", (), 20),
        ("journal_unsigned_rows", (), 5),
        ("checkpoint_age_seconds", (), 7.5),
        ("audit_copy_lag_rows", ("copy=sink",), 8),
        ("audit_copy_failures", ("copy=sink",), 3),
        ("looks_at_once", (), 48),
        ("looks_under_way", (), 2),
        ("looks_waiting", (), 1),
        ("source_breakers", ("source=RJ2", "state=closed"), 1),
        ("source_breakers", ("source=gp-practice", "state=closed"), 1),
        ("source_breakers", ("source=gp-practice", "state=open"), 1),
        ("source_in_flight", ("source=gp-practice",), 0),
        ("unmeasured", ("what=checkpoint",), 0),
    ):
        assert found[(name, *labels, "worker=3")] == figure, name
    assert not [each for each in found if any("Y0000" in part for part in each)]


async def test_what_can_not_be_measured_is_said_and_takes_nothing_along(tmp_path: Path) -> None:
    text = (await told(Parts(tmp_path, fails=True), 0)).decode()
    found = figures(text)
    assert found[("unmeasured", "what=checkpoint", "worker=0")] == 1
    assert found[("journal_rows", "worker=0")] != found[("journal_rows", "worker=0")], "an old figure isn't today's"
    assert found[("audit_copy_lag_rows", "copy=sink", "worker=0")] == 8
    assert "9990000018" not in text


@asynccontextmanager
async def workers(data: Path, folder: Path | None, count: int) -> AsyncIterator[None]:
    async with telling(lambda: Parts(data), folder):
        if count > 1:
            async with workers(data, folder, count - 1):
                yield
        else:
            yield


def fetch(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


async def test_one_address_tells_of_every_worker(tmp_path: Path) -> None:
    with exposed("127.0.0.1", 0) as serving:
        assert serving is not None
        async with workers(tmp_path, serving.folder, 2):
            status, text = await asyncio.to_thread(fetch, serving.address)
            nothing, _ = await asyncio.to_thread(fetch, serving.address.replace("/metrics", "/sources"))
        after = await asyncio.to_thread(fetch, serving.address)
        mode = serving.folder.stat().st_mode & 0o777
    assert (status, nothing, mode) == (200, 404, 0o700)
    found = figures(text)
    assert found[("journal_rows", "worker=0")] == found[("journal_rows", "worker=1")] == 20
    assert found[("workers", "state=answering")] == 2
    assert text.count("# TYPE connect_care_journal_rows gauge") == 1
    assert figures(after[1])[("workers", "state=answering")] == 0
    assert not serving.folder.exists()
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(fetch, serving.address)


async def test_a_worker_takes_the_number_of_the_one_that_is_gone(tmp_path: Path) -> None:
    async with telling(lambda: Parts(tmp_path), tmp_path):
        async with telling(lambda: Parts(tmp_path), tmp_path):
            assert set(os.listdir(tmp_path)) == {"0.lock", "0.sock", "1.lock", "1.sock"}
        (tmp_path / "1.sock").touch()  # left behind by one that was killed
        async with telling(lambda: Parts(tmp_path), tmp_path):
            text = await asyncio.to_thread(gathered, tmp_path)
    assert figures(text.decode())[("journal_rows", "worker=1")] == 20


async def test_there_is_no_number_for_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.observe.worker.MOST_WORKERS", 1)
    async with telling(lambda: Parts(tmp_path), tmp_path):
        with pytest.raises(NoNumber):
            async with telling(lambda: Parts(tmp_path), tmp_path):
                pass


@contextmanager
def listening(place: Path) -> Iterator[None]:
    """A worker that stands still: it takes the call and never answers."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))
        bound.listen()
        yield


def test_one_that_stands_still_costs_the_others_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    (tmp_path / "2.sock").touch()  # of one that was killed
    with listening(tmp_path / "1.sock"):
        found = figures(gathered(tmp_path).decode())
        assert module.ask(tmp_path / "2.sock") is None
    assert found == {("workers", "state=answering"): 0, ("workers", "state=silent"): 1}


def test_without_a_port_nothing_is_served(tmp_path: Path) -> None:
    with exposed("127.0.0.1", None) as serving:
        assert serving is None


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotExpose, match="can't be served"), exposed("127.0.0.1", port):
            pass


async def test_a_worker_that_nobody_asks_tells_nobody(tmp_path: Path) -> None:
    async with telling(lambda: Parts(tmp_path), None):
        assert os.listdir(tmp_path) == []
