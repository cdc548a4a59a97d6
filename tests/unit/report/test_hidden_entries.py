"""Hidden entries: a gateway that leaves out, alters, invents or relabels a look, caught by the patient's own report.

By what each is caught is said in `attacks`: the pinned key gives away every lie about the journal that was signed. Who
shows an older journal, or has the signing key and signs two, needs somebody who has seen the other one.
"""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from gateway.audit.report.as_json import as_json
from gateway.audit.report.check import check_report, judged
from gateway.audit.row import Kind
from tests.unit.report.attacks import EARLIER_REPORT, NEWER_CHECKPOINT, PINNED_KEY, Scene
from tests.unit.report.world import DOCTOR, GP, KEY, OFFICER, OTHER, PATIENT, World

FEW, MANY = 60, 1000
STRANGERS = [f"99900{number:05d}" for number in range(10_000, 10_040)]


async def scene(seed: int) -> Scene:
    """A journal with a past that was erased, an earlier report, and looks of every kind."""
    rng, world = random.Random(seed), World()
    for _ in range(2 + rng.randrange(3)):
        world.look(rng.choice([PATIENT, OTHER]))
    world.look(PATIENT)
    dated = await world.sign()
    world.now += timedelta(days=2000)
    world.erase(range(1, dated.size + 1))
    busy(world, rng)
    await world.sign()
    earlier = await world.maker.make(PATIENT)
    busy(world, rng)
    await world.sign()
    return Scene(world, await world.maker.make(PATIENT), earlier, await world.maker.make(OTHER), rng)


def busy(world: World, rng: random.Random) -> None:
    """Some days of a journal."""
    for _ in range(6 + rng.randrange(6)):
        who = rng.choice([GP, DOCTOR])
        world.look(rng.choice([PATIENT, PATIENT, OTHER, *STRANGERS]), who)
        world.add(Kind.AUDIT_READ, rng.choice([PATIENT, *STRANGERS]), OFFICER, subject="permissions")
    world.look(PATIENT, DOCTOR, basis="best-interests", reason_code="emergency")
    world.look(OTHER)
    world.add(Kind.REFUSAL, PATIENT, GP, rule="choice.opted-out")


async def run(count: int) -> None:
    """`count` attacks, all kinds in turn, a new journal for each round."""
    left = count
    for seed in range(count):
        at = await scene(seed)
        assert check_report(as_json(at.report), KEY.public, newest=at.newest, earlier=as_json(at.earlier)) == []
        for name, attack in PINNED_KEY.items():
            if left:
                lie = await attack(at)
                assert lie != as_json(at.report), name
                assert check_report(lie, KEY.public), f"{name} wasn't caught (seed {seed})"
                left -= 1
        for name, attack in NEWER_CHECKPOINT.items():
            assert check_report(await attack(at), KEY.public, newest=at.newest), f"{name} wasn't caught (seed {seed})"
        for name, attack in EARLIER_REPORT.items():
            caught = check_report(await attack(at), KEY.public, earlier=as_json(at.earlier))
            assert caught, f"{name} wasn't caught (seed {seed})"
        if not left:
            return


async def test_hidden_entries_are_caught() -> None:
    await run(FEW)


@pytest.mark.slow
async def test_a_thousand_hidden_entries_are_caught() -> None:
    await run(MANY)


async def test_an_older_report_says_that_it_is_older() -> None:
    at = await scene(1)
    old = judged(as_json(at.earlier), KEY.public)
    assert old.problems == ()
    assert old.report is not None
    assert old.report.up_to < at.newest.at
    assert old.told() == at.earlier.complete
    assert old.told() != at.report.complete
