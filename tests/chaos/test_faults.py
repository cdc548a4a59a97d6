"""No audit, no data: whatever goes wrong under the store, not one clinical byte leaves without a committed release."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from connectors.sdk.model import SECTION_OF_TYPE, Answer, Ask, Item, Outcome
from gateway.audit.row import Kind
from gateway.store.interface import StoreUnusable
from tests.chaos import faults
from tests.chaos.clients import numbers
from tests.chaos.rows import rows_of
from tests.chaos.source import MARK, allergy, patient
from tests.flow.stack import Stack, running

PATIENTS = numbers(8)
WHO = "hospital-doctor@RJ2"
A_BURST = 40
AT_ONCE = 16
ADDRESS = "http://rj2.sandbox/fhir"


class Knows:
    """A connector to a system that knows everybody, without a network."""

    async def ask(self, ask: Ask) -> Answer:
        made = [patient(ask.nhs_number), allergy(ask.nhs_number)]
        items = [Item("RJ2", one, SECTION_OF_TYPE[one["resourceType"]], one["id"]) for one in made]
        return Answer("RJ2", Outcome.ANSWERED, items)

    async def aclose(self) -> None:
        return None


@dataclass
class Seen:
    """`clinical`: request ids whose answer held something clinical. `statuses`: by fault, how often which."""

    clinical: list[str] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)


def organisations(folder: Path) -> Path:
    entry = {
        "ods": "RJ2",
        "name": "A trust",
        "type": "acute-trust",
        "stage": "live",
        "connector": "fhir_r4",
        "address": ADDRESS,
        "sections": ["demographics", "allergies"],
    }
    practice = {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"}
    file = folder / "organisations.yaml"
    with file.open("w") as out:
        YAML(typ="safe").dump({"organisations": [entry, practice]}, out)
    return file


async def burst(stack: Stack, fault: str, applied: AbstractContextManager[None], seen: Seen, name: str) -> None:
    """Looks, some before the fault begins, most within it, some as it ends."""
    room = asyncio.Semaphore(AT_ONCE)

    async def look(number: int) -> None:
        async with room:
            answer = await ask(stack, PATIENTS[number % len(PATIENTS)], f"{name}-{number}")
            seen.statuses[fault, answer.status_code] += 1
            if MARK in answer.text:
                seen.clinical.append(f"{name}-{number}")

    first = [asyncio.create_task(look(number)) for number in range(AT_ONCE)]
    await asyncio.sleep(0.01)
    with applied:
        await asyncio.gather(*first, *(look(number) for number in range(AT_ONCE, A_BURST - 4)))
        late = [asyncio.create_task(look(number)) for number in range(A_BURST - 4, A_BURST)]
        await asyncio.sleep(0.005)
    await asyncio.gather(*late)


async def ask(stack: Stack, nhs_number: str, request_id: str) -> httpx2.Response:
    headers = stack.headers(WHO) | {"X-Request-ID": request_id}
    return await stack.client.post("/records", json={"nhsNumber": nhs_number}, headers=headers)


async def bursts(stack: Stack, planned: Mapping[str, faults.Fault], times: Mapping[str, int]) -> Seen:
    """So many bursts of each fault, in no order."""
    seen, rng = Seen(), random.Random(20261122)
    order = [name for name, count in times.items() for _ in range(count)]
    rng.shuffle(order)
    for number, fault in enumerate(order):
        applied = planned[fault](stack) if fault != "none" else nullcontext()
        await burst(stack, fault, applied, seen, f"b{number}")
    return seen


def world(folder: Path, **settings: Any) -> AbstractAsyncContextManager[Stack]:
    given = {"organisations_file": organisations(folder), "addresses": {"RJ2": ADDRESS}, **settings}
    return running(folder, instead={"RJ2": Knows()}, **given)


async def play(folder: Path, settings: dict[str, Any], times: Mapping[str, int]) -> Seen:
    """Raises AssertionError where something clinical left without a row, or nothing was put to the test."""
    planned = faults.POSTGRES if "database" in settings else faults.SQLITE
    async with world(folder, **settings) as stack:
        for nhs_number in PATIENTS:
            await stack.agree(nhs_number, WHO)
        seen = await bursts(stack, planned, times)
        assert MARK in (await ask(stack, PATIENTS[0], "at-the-end")).text, "it has come back"
    rows = await rows_of({"data_dir": folder, **settings})
    released = Counter(row.request_id for row in rows if row.kind is Kind.RELEASE)
    assert set(seen.clinical) <= released.keys()
    assert max(released.values()) == 1
    for fault in times:
        assert seen.statuses[fault, 200] > 0 or fault != "none"
        assert fault == "none" or seen.statuses[fault, 503] > times[fault], (fault, seen.statuses)
    assert {status for _, status in seen.statuses} <= {200, 503}, seen.statuses
    print(f"{seen.statuses.total()} looks, {len(seen.clinical)} shown, {len(rows)} rows: {dict(seen.statuses)}")
    return seen


async def test_a_few_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults.let_commits_fail(monkeypatch)
    await play(tmp_path, {}, {"none": 2, "full": 2, "gone": 2, "locked": 1, "commit": 2})


@pytest.mark.slow
async def test_eight_thousand_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str | None) -> None:
    faults.let_commits_fail(monkeypatch)
    settings = {"database": database} if database else {}
    times = {"none": 60, "full": 45, "gone": 45, "locked": 10, "commit": 45}
    seen = await play(tmp_path, settings, times)
    assert seen.statuses.total() == A_BURST * sum(times.values())


async def test_no_start_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StoreUnusable, match="Check"):
        async with world(tmp_path):
            raise AssertionError("it started")
