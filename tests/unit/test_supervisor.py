"""A worker that can't be started ends nobody who serves; where nobody serves, the gateway ends and says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS

from gateway import serving
from gateway.running import WORKER
from gateway.serving import Supervisor


class End:
    """Of a pipe."""

    def close(self) -> None:
        """Nothing is behind it."""


@dataclass
class Worker:
    """A process that lives, or ended with a code."""

    pid: int
    exitcode: int | None = None
    child_conn: End = field(default_factory=End)

    def is_alive(self, _: float) -> bool:
        return self.exitcode is None

    def kill(self) -> None:
        """It is dead already."""

    join = start = kill


@dataclass
class World:
    """A supervisor of two workers, of which those in `serving` say that they do; and the time."""

    supervisor: Supervisor
    serving: set[int]
    time: float = 0.0
    made: int = 2

    def make(self, *_: Any) -> Worker:
        self.made += 1
        return Worker(self.made)

    @property
    def pids(self) -> list[int | None]:
        return [process.pid for process in self.supervisor.processes]

    def fails(self, place: int, code: int) -> None:
        worker: Any = self.supervisor.processes[place]
        worker.exitcode = code
        self.serving.discard(worker.pid)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    made = World(Supervisor(uvicorn.Config("nothing"), [], tmp_path), {1, 2})
    workers: list[Any] = [Worker(1), Worker(2)]
    made.supervisor.processes = workers

    def said(_: Path, what: str) -> list[dict[str, Any]]:
        assert what == WORKER
        return [{"pid": pid, "times": 0} for pid in sorted(made.serving)]

    monkeypatch.setattr(serving, "present", said)
    monkeypatch.setattr(serving, "Process", made.make)
    monkeypatch.setattr(serving, "time", SimpleNamespace(monotonic=lambda: made.time))
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


def test_one_that_dies_is_started_anew_at_once(world: World) -> None:
    world.fails(0, -signal.SIGKILL)
    world.supervisor.keep_subprocess_alive()
    assert world.pids == [3, 2]


def test_one_that_cannot_be_started_is_tried_again_and_the_other_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.fails(0, STARTUP_FAILURE)
    for world.time in (0.0, 0.5, 4.9):
        world.supervisor.keep_subprocess_alive()
    assert world.pids == [1, 2]
    assert [record.message for record in caplog.records] == ["worker.start-failed"], "told once for each time"
    world.time = 5.0
    world.supervisor.keep_subprocess_alive()
    assert world.pids == [3, 2]
    world.fails(0, STARTUP_FAILURE)
    world.supervisor.keep_subprocess_alive()
    assert world.pids == [3, 2], "and once more in its time"
    assert not world.supervisor.should_exit.is_set()
    assert not world.supervisor.has_failed


def test_where_nobody_serves_it_ends(world: World) -> None:
    world.serving = {99}  # another gateway's
    world.fails(0, STARTUP_FAILURE)
    world.fails(1, STARTUP_FAILURE)
    world.supervisor.keep_subprocess_alive()
    assert world.supervisor.should_exit.is_set()
    assert world.supervisor.has_failed
    assert world.pids == [1, 2]
