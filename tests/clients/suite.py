"""Runs each client's program through the world's phases, and says what held."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clients.cases import CASES, CLIENTS, PHASES, Client, World, signals
from tests.clients.installed import HERE, PLACE, Clients
from tests.clients.world import ELSIE, GRACE, PRACTICE, TOMASZ, Demo, demo, strict

_PATIENCE: Final = 180
PRACTICE_NAME: Final = "South Lewisham Group Practice"


@dataclass(frozen=True, slots=True)
class Run:
    """What each client saw, by client's name and case, and what is true."""

    seen: dict[str, dict[str, Any]]
    world: World

    def results(self) -> dict[str, Any]:
        """What the README's table is made of."""
        return {client.name: self._of(client) for client in CLIENTS}

    def _of(self, client: Client) -> dict[str, Any]:
        seen = self.seen[client.name]
        cases = {
            case.id: "cannot" if case.id in client.cannot else "passed" if self.holds(client, case.id) else "failed"
            for case in CASES
        }
        return {"cases": cases, "signals": signals(seen["partial"], self.world)}

    def holds(self, client: Client, case_id: str) -> bool:
        """Whether this client saw what it should."""
        case = next(each for each in CASES if each.id == case_id)
        seen = self.seen[client.name][case_id]
        return "threw" not in seen and case.holds(seen, self.world)


def run(clients: Clients, folder: Path) -> Run:
    """The whole suite, in a world of its own."""
    with _world(folder) as (running, told, world):
        programs = _programs()
        seen: dict[str, dict[str, Any]] = {client.name: {} for client in CLIENTS}
        for phase in PHASES:
            _enter(running, phase)
            if phase == "partial":
                world.allergies.extend(_ids(running, told["token"], f"AllergyIntolerance?patient={GRACE}"))
            for client in CLIENTS:
                asked = [case.id for case in CASES if case.phase == phase and case.id in client.cases]
                seen[client.name] |= _run(clients, programs / client.program, {**told, "cases": asked})
        return Run(seen, world)


def _enter(running: Demo, phase: str) -> None:
    if phase == "partial":
        running.make("broken", PRACTICE)
    elif phase == "unavailable":
        running.make("broken", *running.said["control"])


@contextmanager
def _world(folder: Path) -> Iterator[tuple[Demo, dict[str, Any], World]]:
    with ExitStack() as stack:
        # A source that broke is asked again each time: what a phase shows depends on nothing before it.
        running = stack.enter_context(demo(folder / "demo", settings={"CONNECTCARE_BREAKER_FAILURES": "1000"}))
        (folder / "strict").mkdir()
        limited = stack.enter_context(strict(folder / "strict", running.issuer))
        token = running.token("gp")
        for patient in (GRACE, ELSIE):
            running.agree(token, patient)
        spent = running.token("nurse")
        _spend(limited, spent)
        observations = _ids(running, token, f"Observation?patient={GRACE}&_count=1000")
        told = {
            "base": running.base,
            "issuer": running.issuer,
            "token": token,
            "patient": GRACE,
            "long": ELSIE,
            "stranger": TOMASZ,
            "observation": observations[0],
            "limited": {"base": limited, "token": spent},
        }
        world = World(
            authorize=f"{running.issuer}/authorize",
            token=f"{running.issuer}/token",
            patient=GRACE,
            observation=observations[0],
            encounters=_ids(running, token, f"Encounter?patient={GRACE}"),
            everything=_ids(running, token, f"Patient/{GRACE}/$everything"),
            observations=_ids(running, token, f"Observation?patient={ELSIE}&_count=1000"),
            allergies=[],
            silent=PRACTICE,
            silent_name=PRACTICE_NAME,
        )
        yield running, told, world


def _spend(limited: str, token: str) -> None:
    """The one request that fair use allows this person; that it is refused for want of permission doesn't matter."""
    asked = urllib.request.Request(f"{limited}/Encounter?patient={GRACE}", headers={"Authorization": f"Bearer {token}"})
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=30):
        pass


def _ids(running: Demo, token: str, query: str) -> list[str]:
    """What is found, page one: every search here fits on it."""
    bundle = running.search(token, query)
    found = [entry["resource"] for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
    if len(found) != bundle["total"]:
        raise AssertionError(f"{query} doesn't fit on one page")
    return [f"{resource['resourceType']}/{resource['id']}" for resource in found]


def _programs() -> Path:
    """The programs, beside the npm clients: Node.js looks for a program's modules from where it lies."""
    place = PLACE / "programs"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(HERE / "programs", place, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def _run(clients: Clients, program: Path, told: dict[str, Any]) -> dict[str, Any]:
    runner = clients.node if program.suffix == ".mjs" else clients.python
    done = subprocess.run(
        [str(runner), str(program)],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{program.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
