"""Policies and organisations are read anew under load: no request fails, and each ends on what it began with."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.connector import Connector
from connectors.sdk.model import Answer, Ask
from gateway import assembly, reload
from gateway.audit.row import Kind, Row
from gateway.caller.roles import load_job_roles
from gateway.errors import AuditUnavailable
from gateway.fan_out import FanOut
from gateway.generations import Generations
from gateway.observe import meters
from gateway.policy.decide import Policy
from gateway.reload import Reloader, Reloads, reloading
from gateway.running import MAIN, WORKER, Presence, present
from gateway.settings import Settings
from gateway.store.open import open_for_reading
from tests.flow.stack import GRACE, ORGANISATIONS, Stack, running
from tests.processes import Gateway, organisation
from tests.quick import only
from tests.stores import PostgresPlace

SHIPPED = Settings.model_fields["policies_dir"].default
RULE = "rules/sections/section.results.cedar"
NURSE = 'Role::"district-nurse"'


async def until(true: Callable[[], bool]) -> None:
    """Wait for what a task of the gateway's own does in its time."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Watched:
    """A connector that is seen to be closed, and to be asked no more by then."""

    def __init__(self, inner: Connector, world: World) -> None:
        self._inner = inner
        self.closed = False
        world.connectors.append(self)

    async def ask(self, ask: Ask) -> Answer:
        assert not self.closed, "a source was asked through a connection that was closed"
        return await self._inner.ask(ask)

    async def aclose(self) -> None:
        self.closed = True
        await self._inner.aclose()


@dataclasses.dataclass
class World:
    """A gateway over policies and organisations of its own, that a test may change."""

    folder: Path
    connectors: list[Watched] = dataclasses.field(default_factory=list)
    stack: Stack = dataclasses.field(init=False)
    reloader: Reloader = dataclasses.field(init=False)

    @property
    def rule(self) -> Path:
        return self.folder / "policies" / RULE

    @property
    def organisations(self) -> Path:
        return self.folder / "organisations.yaml"

    @property
    def generations(self) -> Generations:
        found: Generations = self.stack.app.state.generations
        return found

    def widen(self) -> None:
        """Social workers see results."""
        self.rule.write_text(self.rule.read_text().replace(f"{NURSE}]", f'{NURSE}, Role::"social-worker"]'))

    async def configured(self) -> list[Any]:
        rows = await self.stack.parts.store.rows(kinds=frozenset({Kind.CONFIGURED}))
        return [kept.row.configured for kept in rows]

    async def settled(self) -> None:
        """Until what earlier generations held is closed."""
        await until(
            lambda: sum(not one.closed for one in self.connectors) <= len(self.generations.newest.fan_out.states)
        )


@asynccontextmanager
async def a_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(assembly, "Policy", Policy)  # the other tests' gateways read these once for all
    monkeypatch.setattr(assembly, "load_job_roles", load_job_roles)
    shutil.copytree(SHIPPED, folder / "policies", ignore=shutil.ignore_patterns("cases"))
    (folder / "data").mkdir()
    world = World(folder)
    shutil.copy(ORGANISATIONS, world.organisations)
    given = {"policies_dir": folder / "policies", "organisations_file": world.organisations}
    around = lambda _, connector: Watched(connector, world)  # noqa: E731
    async with running(folder / "data", around=around, **given) as stack:
        world.stack = stack
        world.reloader = Reloader(world.generations, Presence(folder / "data", WORKER))
        world.reloader.begin(is_told=False)
        try:
            yield world
        finally:
            await world.reloader.aclose()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    async with a_world(tmp_path, monkeypatch) as made:
        yield made


async def test_a_reload_is_a_row_with_both_hashes_and_what_was_kept_explains_each(world: World) -> None:
    before = world.generations.newest
    world.widen()
    world.organisations.write_text(world.organisations.read_text() + "# changed\n")
    assert await world.reloader.reload() == ""
    now = world.generations.newest
    [row] = await world.configured()
    assert (row.policy_before, row.policy) == (before.policy.hash, now.policy.hash)
    assert (row.organisations_before, row.organisations) == (before.organisations.digest, now.organisations.digest)
    assert (row.process, row.accepted) == (os.getpid(), [])
    assert before.policy.hash != now.policy.hash
    assert before.organisations.digest != now.organisations.digest
    kept = await now.store.policy_hashes()
    assert {before.policy.hash, now.policy.hash} <= set(kept)
    explained = await now.explainer.explain("r", await now.store.rows(kinds=frozenset({Kind.CONFIGURED})))
    assert [event.policy_found for event in explained.events] == [True]
    assert now.settings is before.settings
    assert now.fair_use is before.fair_use
    [told] = [sample for metric in meters.INFO.collect() for sample in metric.samples]
    assert told.labels["policy_hash"] == now.policy.hash


async def test_a_look_ends_on_what_it_began_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.stack.agree(GRACE, "social-worker")
    before = world.generations.newest
    append, arrived, gate = before.store.append, asyncio.Event(), asyncio.Event()

    async def waiting(row: Row) -> int:
        if row.kind is Kind.INTENT:
            arrived.set()
            await gate.wait()
        return await append(row)

    monkeypatch.setattr(before.store, "append", waiting)
    looking = asyncio.create_task(world.stack.everything(GRACE, "social-worker"))
    await arrived.wait()
    world.widen()
    assert await world.reloader.reload() == ""
    gate.set()
    slow = await looking
    fast = await world.stack.everything(GRACE, "social-worker")
    after = world.generations.newest
    rows = await world.stack.parts.store.rows(kinds=frozenset({Kind.RELEASE}))
    assert [kept.row.policy_hash for kept in rows] == [before.policy.hash, after.policy.hash]
    kinds = [{entry["resource"]["resourceType"] for entry in answer.json()["entry"]} for answer in (slow, fast)]
    assert "Observation" not in kinds[0]
    assert "Observation" in kinds[1]
    await world.settled()
    assert not any(state.connector.closed for state in world.generations.newest.fan_out.states.values())


@pytest.mark.slow
async def test_the_published_contract_is_that_of_what_is_in_force(world: World) -> None:
    async def offers_vaccinations() -> bool:
        contract = (await world.stack.client.get("/docs/contracts/fhir-r4.json")).json()
        return any("Immunization" in path for path in contract["paths"])

    entries = world.organisations.read_text()
    assert await offers_vaccinations()
    world.organisations.write_text(entries.replace(" immunisations,", ""))
    assert await world.reloader.reload() == ""
    assert not await offers_vaccinations()


def _spoil_rule(world: World) -> None:
    world.rule.write_text("permit(")


def _spoil_register(world: World) -> None:
    world.organisations.write_text("organisations: [{}]")


def _spoil_roles(world: World) -> None:
    (world.folder / "policies/job-roles.yaml").write_text("roles: []")


@pytest.mark.parametrize("spoil", only({_spoil_rule}, [_spoil_rule, _spoil_register, _spoil_roles]))
async def test_a_file_that_is_wrong_changes_nothing_and_says_why(world: World, spoil: Any) -> None:
    before = world.generations.newest
    spoil(world)
    said = await world.reloader.reload()
    assert str(world.folder) in said
    assert world.generations.newest is before
    assert await world.configured() == []
    assert (await world.stack.get("/fhir/R4/metadata")).status_code == 200


@pytest.mark.slow
async def test_a_file_that_changes_while_it_is_read_is_half_of_two(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.generations.newest

    class Changing:
        @staticmethod
        def load(*where: Any) -> Policy:
            loaded = Policy.load(*where)
            world.widen()
            return loaded

    monkeypatch.setattr(assembly, "Policy", Changing)
    assert await world.reloader.reload() == "The files changed while they were read. Reload again once they are whole."
    assert world.generations.newest is before


async def test_what_cannot_be_journalled_does_not_come_into_force(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, connectors = world.generations.newest, len(world.connectors)

    async def full(*_: Any) -> None:
        raise AuditUnavailable("the disk is full")

    monkeypatch.setattr(before.store, "append", full)
    world.widen()
    assert "the disk is full" in await world.reloader.reload()
    assert world.generations.newest is before
    assert all(one.closed for one in world.connectors[connectors:]), "what was connected for nothing is let go"
    assert not any(one.closed for one in world.connectors[:connectors])


async def test_a_fault_of_any_kind_is_a_reload_that_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.generations.newest

    async def faulty(*_: Any) -> FanOut:
        raise KeyError

    monkeypatch.setattr(reload, "connected", faulty)
    world.reloader.tell()
    await until(lambda: present(world.folder / "data", WORKER)[0]["times"] == 1)
    assert present(world.folder / "data", WORKER)[0]["error"] == "KeyError"
    assert world.generations.newest is before


@pytest.mark.slow
async def test_what_is_known_of_a_source_goes_on_where_it_is_the_same_one(world: World) -> None:
    before = world.generations.newest.fan_out.states
    for _ in range(5):
        before["RJ2"].breaker.failure(before["RJ2"].breaker.admit() or 0)
    addresses = {**world.stack.parts.settings.addresses}
    assert addresses
    assert await world.reloader.reload() == ""
    after = world.generations.newest.fan_out.states
    assert after["RJ2"].breaker is before["RJ2"].breaker
    assert after["RJ2"].connector is not before["RJ2"].connector
    assert world.generations.newest.shadow.counts is world.stack.parts.shadow.counts


async def test_a_sources_secret_that_can_not_be_read_changes_nothing_and_is_named(world: World) -> None:
    before = world.generations.newest
    auth = "{scheme: client-credentials, token_url: 'http://127.0.0.1:1/t', client_id: c, secret_file: /nowhere/new}"
    entries = world.organisations.read_text()
    world.organisations.write_text(entries.replace("page_size: 100", f"page_size: 100\n      auth: {auth}", 1))
    assert "/nowhere/new" in await world.reloader.reload()
    assert world.generations.newest is before
    assert not any(one.closed for one in world.connectors[: len(before.fan_out.states)])


@pytest.mark.slow
async def test_who_is_suspended_is_not_asked_from_the_next_request_on(world: World) -> None:
    await world.stack.agree(GRACE)
    assert "RJ2=" in (await world.stack.everything(GRACE)).headers["connect-care-sources"]
    entries = world.organisations.read_text()
    world.organisations.write_text(entries.replace("stage: live", "stage: suspended", 1))
    assert await world.reloader.reload() == ""
    said = (await world.stack.everything(GRACE)).headers["connect-care-sources"]
    assert said != "", said
    suspended = next(one for one in world.generations.newest.organisations.listed() if one.stage == "suspended")
    assert f"{suspended.ods}=answered" not in said
    assert suspended.ods not in world.generations.newest.fan_out.states


@pytest.mark.parametrize("reloads", only({3}, [3, 10]))
async def test_no_request_fails_in_reloads_of_which_some_are_bad(world: World, reloads: int) -> None:
    await world.stack.agree(GRACE)
    good, outcomes, statuses = world.rule.read_text(), [], Counter[int]()
    done = False

    async def asking() -> None:
        while not done:
            statuses[(await world.stack.everything(GRACE)).status_code] += 1

    askers = [asyncio.create_task(asking()) for _ in range(2)]
    for turn in range(reloads):
        world.rule.write_text("permit(" if turn % 3 == 2 else f"// turn {turn}\n{good}")
        outcomes.append(await world.reloader.reload() == "")
    done = True
    await asyncio.gather(*askers)
    assert outcomes == [turn % 3 != 2 for turn in range(reloads)]
    assert set(statuses) == {200}
    configured = await world.configured()
    assert len(configured) == outcomes.count(True)
    assert [row.policy_before for row in configured[1:]] == [row.policy for row in configured[:-1]]
    rows = await world.stack.parts.store.rows(kinds=frozenset({Kind.RELEASE}), limit=1000)
    named = {kept.row.policy_hash for kept in rows}
    assert named <= {configured[0].policy_before, *(row.policy for row in configured)}
    assert named <= set(await world.stack.parts.store.policy_hashes())
    await world.settled()


@pytest.mark.slow
async def test_told_again_while_it_reloads_it_does_so_once_more(world: World) -> None:
    def times() -> int:
        [state] = present(world.folder / "data", WORKER)
        return int(state["times"])

    for _ in range(5):
        world.reloader.tell()
    await until(lambda: times() >= 1)
    world.rule.write_text("permit(")
    world.reloader.tell()
    await until(lambda: times() >= 2)
    [state] = present(world.folder / "data", WORKER)
    assert RULE in state["error"]
    assert state["policy"] == world.generations.newest.policy.hash
    assert (await world.stack.get("/fhir/R4/metadata")).status_code == 200


def test_who_is_gone_is_not_taken_for_present(tmp_path: Path) -> None:
    here = Presence(tmp_path, MAIN)
    (tmp_path / "run" / f"{MAIN}-1.json").write_text('{"pid": 1}')  # left behind by one that was killed
    assert [state["pid"] for state in present(tmp_path, MAIN)] == [os.getpid()]
    here.close()
    assert present(tmp_path, MAIN) == []


def test_who_is_just_writing_is_present(tmp_path: Path) -> None:
    here = Presence(tmp_path, WORKER)
    file = tmp_path / "run" / f"{WORKER}-{os.getpid()}.json"
    file.write_text('{"times": 1, "pid": 1}1}')  # a shorter state over a longer one, not yet cut to its length
    finishing = threading.Timer(0.02, here.say, [{"times": 2}])
    finishing.start()
    assert [state["times"] for state in present(tmp_path, WORKER)] == [2]
    finishing.join()
    here.close()


def command(config: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "reload", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Load(threading.Thread):
    """Asks for a page of the gateway's own, over and over, each time on a connection of its own."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.ends = threading.Event()
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        while not self.ends.is_set():
            try:
                with urllib.request.urlopen(self.address, timeout=30) as answer:
                    self.outcomes[str(answer.status)] += len(answer.read()) > 0
            except (urllib.error.URLError, OSError) as error:
                self.outcomes[repr(error)] += 1
            self.ends.wait(0.05)


@pytest.mark.slow
def test_every_worker_reloads_by_the_command_and_no_request_fails(
    tmp_path: Path, postgres_place: PostgresPlace
) -> None:
    policies = shutil.copytree(SHIPPED, tmp_path / "policies", ignore=shutil.ignore_patterns("cases"))
    entry = organisation("RJ2", "acute-trust", "http://127.0.0.1:9/fhir") | {"stage": "planned"}
    more = {"database": postgres_place.url, "policies_dir": str(policies)}
    gateway = Gateway(tmp_path, "http://127.0.0.1:9/demo", [entry], more, workers=2)
    gateway.configure()
    config, rule = tmp_path / "settings.yaml", policies / RULE
    assert command(config)[1].startswith("No gateway runs here on ")
    gateway.start()
    try:
        asyncio.run(until(lambda: [state.get("times") for state in present(gateway.data, WORKER)] == [0, 0]))
        page = Load(f"{gateway.base}/fhir/R4/metadata")
        page.start()
        good, errors = rule.read_text(), []
        for turn in range(8):
            rule.write_text("permit(" if turn % 3 == 2 else f"// turn {turn}\n{good}")
            errors.append({state["error"] for state in _after_signal(gateway, turn + 1)})
        assert command(config)[1].startswith("In force in 2 workers: policies ")
        rule.write_text("permit(")
        refused = command(config)
        page.ends.set()
        page.join()
        workers = present(gateway.data, WORKER)
    finally:
        gateway.stop()
    assert all((error == {""}) is (turn % 3 != 2) for turn, error in enumerate(errors)), errors
    assert refused[0] == 1
    assert f"{rule}: not Cedar" in refused[1]
    assert page.outcomes.keys() == {"200"}
    assert [state["times"] for state in workers] == [9, 9], (
        "a file that is wrong doesn't reach the gateway by a command"
    )
    assert len({state["policy"] for state in workers}) == 1
    rows = asyncio.run(_configured(postgres_place.url))
    assert Counter(row.process for row in rows) == {state["pid"]: 7 for state in workers}
    assert rows[-1].policy == workers[0]["policy"]
    assert present(gateway.data, WORKER) == present(gateway.data, MAIN) == []


async def _configured(database: str) -> list[Any]:
    store = open_for_reading(None, database)
    try:
        return [kept.row.configured for kept in await store.rows(kinds=frozenset({Kind.CONFIGURED}))]
    finally:
        await store.aclose()


@pytest.mark.slow
def test_a_signal_alone_reloads_a_single_process_and_a_wrong_file_leaves_it_as_it_is(tmp_path: Path) -> None:
    entry = organisation("RJ2", "acute-trust", "http://127.0.0.1:9/fhir") | {"stage": "planned"}
    gateway = Gateway(tmp_path, "http://127.0.0.1:9/demo", [entry])
    gateway.configure()
    gateway.start()
    try:
        [before] = present(gateway.data, WORKER)
        (tmp_path / "organisations.yaml").write_text("nothing")
        [after] = _after_signal(gateway, 1)
        assert "the file must hold one key, organisations" in after["error"]
        assert after["organisations"] == before["organisations"]
        (tmp_path / "organisations.yaml").write_text(json.dumps({"organisations": [{**entry, "name": "Another"}]}))
        [after] = _after_signal(gateway, 2)
        assert (after["error"], after["policy"]) == ("", before["policy"])
        assert after["organisations"] != before["organisations"]
        with urllib.request.urlopen(f"{gateway.base}/livez", timeout=30) as answer:
            assert answer.status == 200
    finally:
        gateway.stop()


def _after_signal(gateway: Gateway, times: int) -> list[dict[str, Any]]:
    os.kill(gateway.pid, signal.SIGHUP)
    asyncio.run(until(lambda: {state.get("times") for state in present(gateway.data, WORKER)} == {times}))
    return present(gateway.data, WORKER)


async def test_what_is_asked_for_while_a_process_starts_is_done_once_it_has(world: World) -> None:
    def said() -> list[tuple[int, str]]:
        return [
            (state["times"], state["error"]) for state in present(world.folder / "data", WORKER) if "times" in state
        ]

    assert said() == [(0, "")]
    await world.reloader.aclose()
    before = signal.getsignal(signal.SIGHUP)
    try:
        reloads = Reloads(world.folder / "data")
        assert said() == [], "it is there, and hasn't said what is in force"
        signal.raise_signal(signal.SIGHUP)
        async with reloading(world.generations, reloads):
            await until(lambda: said() == [(1, "")])
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: said() == [(2, "")])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "what is ending is not killed by being told to reload"
        assert present(world.folder / "data", WORKER) == []
        world.reloader = Reloader(world.generations, Presence(world.folder / "data", WORKER))
    finally:
        signal.signal(signal.SIGHUP, before)
    async with reloading(world.generations, None):
        assert present(world.folder / "data", MAIN) == []
