"""Several processes beside each other on one database, as `connectcare serve --workers` runs them."""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.flow.test_start import run_cli, write
from tests.processes import Gateway, free_port, organisation
from tests.quick import only
from tests.stores import PostgresPlace

WORKERS = 2
SILENCE = 60
"""Seconds that the supervisor waits for a worker that lives and doesn't answer."""


def wait_until(true: object, seconds: float = 60) -> None:
    assert callable(true)
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    """The processes that a process started, but multiprocessing's own tracker."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"spawn_main" in command:
            found.append(int(child))
    return found


@pytest.fixture
def running(tmp_path: Path, postgres_place: PostgresPlace) -> Iterator[Gateway]:
    made = Gateway(
        tmp_path,
        "http://127.0.0.1:9/demo",
        [organisation("RJ2", "acute-trust", "http://127.0.0.1:9/fhir") | {"stage": "planned"}],
        {"database": postgres_place.url, "metrics_port": free_port()},
        workers=WORKERS,
    )
    made.configure()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def ask(running: Gateway) -> int:
    """A door that there is not."""
    request = urllib.request.Request(f"{running.base}/nothing", headers={"Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def told_of(running: Gateway) -> set[str]:
    """The workers whose metrics are told, on the port of their own and not on the gateway's."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.more['metrics_port']}/metrics", timeout=60) as answer:
        return set(re.findall(r'connect_care_journal_rows\{worker="(\d+)"\}', answer.read().decode()))


def test_each_worker_answers_and_one_that_dies_is_started_anew(running: Gateway, postgres_place: PostgresPlace) -> None:
    wait_until(lambda: len(children(running.pid)) == WORKERS)
    first = children(running.pid)
    assert {ask(running) for _ in range(20)} == {404}
    assert postgres_place.run("SELECT count(*) FROM pulse") == [(1,)], "that it is ready was written there"
    assert not (running.data / "store").exists()
    wait_until(lambda: told_of(running) == {"0", "1"})
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: len(children(running.pid)) == WORKERS and first[0] not in children(running.pid))
    wait_until(lambda: ask(running) == 404)
    wait_until(lambda: told_of(running) == {"0", "1"})  # the new one has the number of the one that died
    log = running.folder / "gateway.log"
    wait_until(lambda: log.read_text().count("gateway.started") >= WORKERS)
    running.stop()
    assert running.child is not None
    assert running.child.returncode == 0
    assert log.read_text().count("gateway.draining") == WORKERS, "each of them was told, and let go in its time"


@pytest.mark.slow
def test_a_worker_that_dies_while_it_is_asked_whether_it_lives_is_started_anew_at_once(running: Gateway) -> None:
    wait_until(lambda: len(children(running.pid)) == WORKERS)
    stuck = children(running.pid)[0]
    os.kill(stuck, signal.SIGSTOP)
    time.sleep(2)
    os.kill(stuck, signal.SIGKILL)
    wait_until(lambda: len(children(running.pid)) == WORKERS and stuck not in children(running.pid), SILENCE / 2)


@pytest.mark.slow
def test_a_worker_that_cannot_be_started_anew_takes_no_other_along(running: Gateway) -> None:
    """A file that a reload would refuse is as good as absent, also on the day a worker dies."""
    wait_until(lambda: len(children(running.pid)) == WORKERS)
    log, organisations = running.folder / "gateway.log", running.folder / "organisations.yaml"
    wait_until(lambda: log.read_text().count("gateway.started") >= WORKERS)
    first, good = children(running.pid), organisations.read_text()
    organisations.write_text("nothing")
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: "worker.start-failed" in log.read_text())
    assert {ask(running) for _ in range(5)} == {404}
    assert first[1] in children(running.pid)
    organisations.write_text(good)
    wait_until(lambda: log.read_text().count("gateway.started") > WORKERS)
    running.stop()
    assert running.child is not None
    assert running.child.returncode == 0


def test_more_than_one_worker_needs_postgresql(tmp_path: Path) -> None:
    done = run_cli("serve", "--config", str(write(tmp_path)), "--port", "0", "--workers", "2")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "2 workers need PostgreSQL: a SQLite store has one writing process. Add database to the settings, or leave "
        "--workers out."
    )


@pytest.mark.parametrize("workers", only({"2"}, ["1", "2"]))
def test_without_its_database_no_gateway_starts(tmp_path: Path, postgres_place: PostgresPlace, workers: str) -> None:
    host = psycopg.conninfo.conninfo_to_dict(postgres_place.url)["host"]
    file = write(tmp_path, database=f"postgresql:///nowhere?host={host}")
    done = run_cli("serve", "--config", str(file), "--port", "0", "--workers", workers)
    assert done.returncode == 1
    assert "The database nowhere on" in done.stderr.strip().splitlines()[-1]
    assert "gateway.started" not in done.stderr
