"""Mutated bundles through the whole gateway: of a source that mixes up its patients nothing is shown, and an alarm is.

What each mutation is, and that the guard stands it, is in tests/unit/test_guard_mutations.py; here a clinician asks.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from connectors.sdk.model import Answer, Ask, Outcome
from gateway.guard import NO_PATIENT, UNREADABLE, WRONG_PATIENT
from tests.figures import Figure
from tests.flow.stack import GRACE, SOURCES, Stack, running
from tests.hostile.no_oracle.remembered import Network
from tests.unit.pipeline import NHS, TRUST, address_of
from tests.unit.test_guard_mutations import MARK, STRANGERS, an_answer, as_items

MANY: Final = 2_000
FEW: Final = 36
OWN: Final = '"Own"'
"""The family name of the patient's own entry at the source: it must not be shown either."""


@dataclass
class Mixing:
    """A source whose each answer has a stranger in it; a healthy one where `is_well`."""

    is_well: bool = False
    given: list[str] = field(default_factory=list)

    async def ask(self, ask: Ask) -> Answer:
        assert ask.nhs_number == NHS
        mutate = STRANGERS[len(self.given) % len(STRANGERS)]
        rng = random.Random(f"{mutate.__name__}-{len(self.given)}")
        bodies = an_answer(rng)
        if not self.is_well:
            mutate(bodies, rng)
        self.given.append(mutate.__name__)
        return Answer(TRUST, Outcome.ANSWERED, list(as_items(bodies, rng)))

    async def aclose(self) -> None:
        return None


@pytest.fixture(scope="module")
def mixing() -> Mixing:
    return Mixing()


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, mixing: Mixing) -> AsyncIterator[Stack]:
    addresses = {ods: f"http://{ods.lower()}.sandbox/fhir" for ods in SOURCES} | {TRUST: address_of(TRUST)}
    data = tmp_path_factory.mktemp("mixed")
    async with running(data, instead={TRUST: mixing}, network=Network(), addresses=addresses, deadline=30) as stack:
        await stack.agree(NHS)
        await stack.agree(GRACE)
        yield stack


async def released_and_alarmed(stack: Stack, looks: int) -> tuple[int, int]:
    """Of so many looks: how many showed anything of that source, and after how many an alarm stood in the journal."""
    released = alarmed = 0
    async with stack.browser() as client:
        for number in range(looks):
            request = f"mixed-{number}-{looks}"
            headers = stack.headers("gp") | {"X-Request-Id": request}
            answer = await client.get(f"/fhir/R4/Patient/{NHS}/$everything", headers=headers)
            released += MARK in answer.text or OWN in answer.text or f"{TRUST.lower()}.example" in answer.text
            rows = await stack.parts.store.rows(request_id=request)
            alarms = [alarm for kept in rows for alarm in kept.row.alarms]
            alarmed += {alarm.source for alarm in alarms} == {TRUST} and all(
                alarm.kind in (WRONG_PATIENT, NO_PATIENT, UNREADABLE) for alarm in alarms
            )
    return released, alarmed


async def test_a_few_mutated_bundles(gateway: Stack, mixing: Mixing, figure: Figure) -> None:
    assert await released_and_alarmed(gateway, FEW) == (0, FEW)
    assert set(mixing.given[-FEW:]) == {mutate.__name__ for mutate in STRANGERS}
    figure(f"{FEW} mutated bundles: 0 released, {FEW} alarmed")


async def test_a_healthy_one_is_shown(gateway: Stack, mixing: Mixing) -> None:
    mixing.is_well = True
    try:
        assert await released_and_alarmed(gateway, 1) == (1, 0)
    finally:
        mixing.is_well = False


@pytest.mark.slow
async def test_two_thousand_mutated_bundles(gateway: Stack, figure: Figure) -> None:
    assert await released_and_alarmed(gateway, MANY) == (0, MANY)
    figure(f"{MANY:,} mutated bundles: 0 released, {MANY:,} alarmed")
