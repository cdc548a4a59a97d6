"""All sandboxes in one process: started by a command, found by a file, and gone when they should be."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.fhir_r4 import sandbox
from connectors.kit import serve
from connectors.kit.canaries import PATTERN
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.organisations import load_organisations
from tests.processes import free_ports

ENTRY = (
    "- {{ods: '{ods}', name: '{ods}', type: {type}, stage: live, connector: {connector}, "
    "address: {address}, sections: [contacts]}}\n"
)
GRACE = "9990000409"
Start = Callable[..., "subprocess.Popen[str]"]


def organisations_file(folder: Path, *entries: tuple[str, str, str]) -> Path:
    """An organisations file of (ODS code, connector, address)."""
    file = folder / "organisations.yaml"
    lines = [
        ENTRY.format(ods=ods, type="acute-trust", connector=connector, address=address)
        for ods, connector, address in entries
    ]
    file.write_text("organisations:\n" + "".join(lines))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    sandboxes = [(ods, "fhir_r4", "sandbox") for ods in ("RJ2", "G85005", "709")]
    return organisations_file(tmp_path, *sandboxes, ("RPG", "fhir_r4", "https://rpg.sandbox.example/fhir"))


@pytest.fixture
def start(tmp_path: Path, file: Path) -> Iterator[Start]:
    started = []

    def command(*more: str, **options: Any) -> subprocess.Popen[str]:
        arguments = ["--organisations", str(file), "--state", str(tmp_path / "state.json"), *more]
        process = subprocess.Popen(
            [sys.executable, "-m", "connectors.kit.serve", *arguments],
            **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, **options},
        )
        started.append(process)
        return process

    yield command
    for process in started:
        with process:
            process.kill()


def state_of(folder: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the command ended"
        if (folder / "state.json").exists():
            state: dict[str, Any] = json.loads((folder / "state.json").read_text())
            return state
        time.sleep(0.02)
    raise AssertionError("the state file never came")


def gone(folder: Path, process: subprocess.Popen[str]) -> str:
    """Wait for a clean end; returns what was said on standard error."""
    assert process.wait(45) == 0, "what hangs does so for a minute: who waits for it is still there"
    assert list(folder.glob("*state*")) == []
    assert process.stderr is not None
    return process.stderr.read()


def test_all_are_started_and_stopped_and_one_that_hangs_holds_up_nobody(tmp_path: Path, start: Start) -> None:
    process = start("--canaries")
    state = state_of(tmp_path, process)
    assert set(state["addresses"]) == set(state["control"]) == {"RJ2", "G85005", "709"}
    assert state["people"] == sandbox.people()
    with httpx2.Client(timeout=60) as http, concurrent.futures.ThreadPoolExecutor() as pool:
        assert http.post(state["control"]["RJ2"], json={"mode": "hung"}).status_code == 200
        waiting = [pool.submit(httpx2.get, state["addresses"]["RJ2"] + "/Patient", timeout=120) for _ in range(5)]
        for _ in range(20):
            question = f"/Encounter?patient.identifier={NHS_NUMBER_SYSTEM}|{GRACE}"
            answer = http.get(state["addresses"]["G85005"] + question)
            assert answer.json()["total"] == 4
            assert PATTERN.search(answer.text)
        assert not any(one.done() for one in waiting), "all of these were answered while it hung"
        assert http.get(state["control"]["RJ2"]).json()["mode"] == "hung"
        process.send_signal(signal.SIGTERM)
        said = gone(tmp_path, process)
        assert all(one.exception() is not None or one.result().status_code >= 500 for one in waiting)
    assert said == ""


def test_an_interrupt_stops_it_cleanly(tmp_path: Path, start: Start) -> None:
    process = start()
    state = state_of(tmp_path, process)
    body = httpx2.get(f"{state['addresses']['709']}/Encounter").text
    assert '"resourceType":"Encounter"' in body
    assert "CANARY" not in body
    process.send_signal(signal.SIGINT)
    assert gone(tmp_path, process) == ""


def test_it_stops_when_its_input_is_closed(tmp_path: Path, start: Start) -> None:
    process = start("--die-with-parent", stdin=subprocess.PIPE)
    state_of(tmp_path, process)
    assert process.stdin is not None
    process.stdin.close()
    assert gone(tmp_path, process) == ""


def test_it_stops_when_its_parent_is_gone(tmp_path: Path, file: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'connectors.kit.serve', *sys.argv[1:]],"
        " stdin=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    arguments = ["--organisations", str(file), "--state", str(tmp_path / "state.json"), "--die-with-parent"]
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            origin = next(iter(state_of(tmp_path, parent)["addresses"].values()))
        finally:
            parent.kill()
    deadline = time.monotonic() + 60
    while (tmp_path / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        assert not (tmp_path / "state.json").exists()
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{origin}/metadata")
    finally:
        if (tmp_path / "state.json").exists():
            os.kill(child, signal.SIGKILL)


def test_in_a_container_of_their_own_they_are_called_by_its_name_on_ports_that_count(file: Path) -> None:
    organisations = serve.standing_in(load_organisations(file))
    first = free_ports(len(organisations))
    running, _ = serve.prepare(organisations, canaries=False, host="sandboxes", first_port=first)
    try:
        assert [one.origin for one in running] == [f"http://sandboxes:{first + at}" for at in range(len(running))]
        assert {one.listener.getsockname()[0] for one in running} == {"0.0.0.0"}
    finally:
        for one in running:
            one.listener.close()


def test_a_port_that_is_taken_is_named_and_none_stays_bound(file: Path) -> None:
    organisations = serve.standing_in(load_organisations(file))
    first = free_ports(3)
    with (
        socket.create_server(("", first + 1)),
        pytest.raises(ConfigurationError, match=rf"Port {first + 1} can't be had \(Address already in use"),
    ):
        serve.prepare(organisations, canaries=False, host="sandboxes", first_port=first)
    with socket.create_server(("", first)):
        pass
    with pytest.raises(ConfigurationError, match=r"Port 65536 can't be had \(there is no such port"):
        serve.prepare(organisations, canaries=False, first_port=65535)


async def test_it_serves_and_stops_inside_a_process_too(tmp_path: Path, file: Path) -> None:
    running, people = serve.prepare(serve.standing_in(load_organisations(file)), canaries=False)
    assert len(people) == len(sandbox.people())
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(serve.serve(running, stop, ready.set))
    await asyncio.wait_for(ready.wait(), 10)
    async with httpx2.AsyncClient() as http:
        for one in running:
            assert (await http.get(f"{one.origin}/fhir/metadata")).status_code == 200
    stop.set()
    await asyncio.wait_for(task, 60)


def test_of_a_list_of_practices_those_are_served_that_there_is_data_for(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "ods,name,stage\nG85004,Jenner,\nG99999,Nobody's,\nG85005,South Lewisham,shadow\nG83021,Vanbrugh,planned\n"
    )
    file = organisations_file(tmp_path, ("RJ2", "fhir_r4", "sandbox"), ("RPG", "fhir_r4", "https://rpg.example/fhir"))
    shared = "stage: live, connector: fhir_r4, address: sandbox, sections: [contacts]"
    file.write_text(file.read_text() + f"- {{practices: list.csv, {shared}}}\n")
    found = serve.standing_in(load_organisations(file))
    assert [(one.ods, one.name) for one in found] == [
        ("RJ2", "RJ2"),
        ("G85004", "Jenner"),
        ("G85005", "South Lewisham"),
    ]


async def test_a_change_of_parent_or_a_stop_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    kept = os.dup(0)
    os.dup2(reading, 0)
    try:
        stop = asyncio.Event()
        await asyncio.wait_for(serve.stop_without_parent(stop, os.getppid() + 1), 60)
        assert stop.is_set()
        stop = asyncio.Event()
        watch = asyncio.ensure_future(serve.stop_without_parent(stop, os.getppid()))
        await asyncio.sleep(0.05)
        assert not watch.done()
        os.close(writing)
        await asyncio.wait_for(watch, 60)
        assert stop.is_set()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (("RV5", "fhir_r4", "sandbox"), r"^RV5: There is no sandbox data for RV5\. Add"),
        (("RV5", "sdk", "sandbox"), r"the connector sdk does not exist"),
        (("rv5", "fhir_r4", "sandbox"), r"organisations\.yaml"),
    ],
)
def test_what_cannot_be_served_stops_the_start_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: tuple[str, str, str], sentence: str
) -> None:
    listed = organisations_file(tmp_path, entry)
    assert serve.main(["--organisations", str(listed), "--state", str(tmp_path / "state.json")]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert not (tmp_path / "state.json").exists()
