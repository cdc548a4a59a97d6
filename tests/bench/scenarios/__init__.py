"""What is measured. Each scenario is a world of its own; `python -m tests.bench --only NAME` runs one."""

from __future__ import annotations

from typing import Final

from tests.bench.scenarios import grown, kept, sick, waited, whole
from tests.bench.scenarios.scenario import Scenario

ALL: Final[tuple[Scenario, ...]] = (
    *whole.SCENARIOS,
    *waited.SCENARIOS,
    *sick.SCENARIOS,
    *grown.SCENARIOS,
    *kept.SCENARIOS,
)
