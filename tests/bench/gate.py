"""Whether a run is worse than the last accepted one, beyond a band of noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.bench.figures import RATIO, Figures

_BANDS: Final = {
    **dict.fromkeys(("cpu", "source_cpu", "cpu_per_row", "read"), 0.15),
    **dict.fromkeys(("p50", "start", "first", "release_p50"), 0.25),
    "p99": 0.60,
}
"""By measure, how far a ratio may lie from the accepted one before it counts: what repeated runs of the same commit lie
apart on a quiet machine, and some more."""
_OTHERWISE: Final = 0.25
_OF_OTHERS: Final = ("floor", "plain", "naive", "healthchain")
_MORE_IS_BETTER: Final = (*_OF_OTHERS, "others-")
"""What stands first in such a ratio: a peer's cost with ours behind it, or other people's throughput."""


def gated(figures: Figures) -> dict[str, float]:
    """The ratios that a change of the gateway could spoil: not those that compare one peer with another."""
    return {
        name: figure.value
        for name, figure in figures.items()
        if figure.unit == RATIO and not all(side.startswith(_OF_OTHERS) for side in name.split(".")[0].split(":"))
    }


def worse(found: Mapping[str, Figures], accepted: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A sentence for each ratio that lies beyond its band of the last accepted run, or is no longer measured."""
    return [
        told
        for scenario, before in accepted.items()
        if scenario in found
        for name, value in before.items()
        if (told := _worsened(f"{scenario}: {name}", name, gated(found[scenario]).get(name), value))
    ]


def _worsened(where: str, name: str, now: float | None, before: float) -> str:
    if now is None:
        return f"{where} is no longer measured; it was {before:g}"
    band = _BANDS.get(name.rpartition(".")[2], _OTHERWISE)
    rises = not name.startswith(_MORE_IS_BETTER)
    spoiled = now > before * (1 + band) if rises else now < before / (1 + band)
    return f"{where} is {now:g}; accepted was {before:g}, give or take {band:.0%}" if spoiled else ""
