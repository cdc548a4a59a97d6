"""One bad source among three, fifteen seconds each: whole data, said gaps, few calls, single probes. No time is judged.

Five minutes each at 50 records a second, with the time judged: `python -m tests.hostile.one_bad_source`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests import unhurried
from tests.boundless import HURRIED
from tests.figures import Figure
from tests.hostile.one_bad_source.illness import ILLNESSES, SOURCES, Course, course
from tests.town import town

SECONDS: Final = 15.0
RATE: Final = 8.0
"""Two busy cores carry this, with the sources and the people who ask beside the gateway."""


@pytest.mark.slow
@pytest.mark.parametrize("illness", ILLNESSES)
async def test_it_costs_its_own_part_alone(tmp_path: Path, illness: str, figure: Figure) -> None:
    async with town(tmp_path, SOURCES, module=unhurried.MODULE, deadline=HURRIED, breaker_rest=3.0) as here:
        seen = await course(here, illness, RATE, SECONDS)
    figure(str(seen))
    assert seen.faults() == []


KEPT: Final = Course("hung", 100, frozenset({200}), 10, 1200, 2, 0, 0.1, 2, 1.0, 0)


def test_what_keeps_the_promise_has_no_faults() -> None:
    assert KEPT.faults(1000) == []
    assert "p99 1200 ms" in str(KEPT)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"statuses": frozenset({200, 503})}, "not every answer"),
        ({"fewest": 1}, "healthy"),
        ({"unsaid": 1}, "gap"),
        ({"ratio": 1.21}, "calls"),
        ({"probes": 3}, "probed"),
        ({"growth_mb": 25.0}, "memory"),
        ({"more_files": 1}, "connections"),
        ({"p99_ms": 1251}, "p99"),
    ],
)
def test_each_part_of_the_promise_is_judged(changed: dict[str, object], fault: str) -> None:
    (found,) = replace(KEPT, **changed).faults(1000)  # type: ignore[arg-type]
    assert fault in found
