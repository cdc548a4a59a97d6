"""A long stay is judged as it should be, and the weather changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

import pytest

from connectors.kit.fault_server import fault_server, well
from tests.soak import weather as weathers
from tests.soak.judging import Sample, Stay, told
from tests.soak.weather import ILLNESSES, weather
from tests.town import Look, knows

ANSWERED: Final = {"RJ2": "answered", "RPG": "answered", "G85005": "not-asked"}
LOOK: Final = Look(0.0, 12.0, 200, ANSWERED, 2)
SAMPLES: Final = [Sample(second, 100.0, 40, 9) for second in range(10)]
GOOD: Final = Stay([LOOK] * 5, SAMPLES, SAMPLES[0], [{"level": "info"}, {"level": "warning"}])


def test_a_stay_that_leaves_nothing_behind_has_no_faults() -> None:
    assert GOOD.faults() == []
    assert "5 looks" in told(GOOD, {"hung": 2}, ["well"])


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"looks": [LOOK, replace(LOOK, status=500)]}, "500"),
        ({"looks": [replace(LOOK, allergies=1)]}, "not said"),
        ({"looks": []}, "nothing was asked"),
        ({"samples": [replace(one, memory_mb=100.0 + 3 * one.second) for one in SAMPLES]}, "memory"),
        ({"settled": replace(SAMPLES[0], files=57)}, "open"),
        ({"settled": replace(SAMPLES[0], threads=10)}, "threads"),
        ({"log": [{"level": "error", "event": "x.y"}]}, "errors in the log"),
    ],
)
def test_what_is_left_behind_is_told(changed: dict[str, Any], fault: str) -> None:
    (found,) = replace(GOOD, **changed).faults()
    assert fault in found


def test_a_gap_that_is_said_and_nobody_who_answered_are_explained() -> None:
    said = ANSWERED | {"RPG": "timed-out"}
    looks = [replace(LOOK, said=said, allergies=1), replace(LOOK, status=503, said={}, allergies=0)]
    assert replace(GOOD, looks=looks).faults() == []


async def test_every_source_falls_ill_and_is_well_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weathers, "_WELL_SECONDS", (0.0, 0.001))
    monkeypatch.setattr(weathers, "_ILL_SECONDS", (0.0, 0.001))
    async with fault_server(knows) as one, fault_server(knows) as other:
        async with weather({"a": one, "b": other}, 1) as came:
            for _ in range(100_000):
                await asyncio.sleep(0.001)
                if came.keys() == ILLNESSES.keys():
                    break
        assert came.keys() == ILLNESSES.keys()
        assert one.fault is other.fault is well
