"""What a scenario brings home: figures by name, each the median of its rounds, with their range.

A name is `server.measure_unit` (`sqlite.cpu_ms`), or `one:other.measure` for a ratio, made round by round, so that
whatever slowed the machine down in a round slowed both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, Final

RATIO: Final = "×"
_UNITS: Final = {"ms": "ms", "mb": "MB", "kb": "kB", "s": "s", "rate": "/s"}


@dataclass(frozen=True)
class Figure:
    """The median of the rounds, the least and the most of them."""

    value: float
    low: float
    high: float
    unit: str = ""

    @classmethod
    def of(cls, samples: Iterable[float], unit: str = "") -> Figure:
        """One figure of what the rounds brought."""
        found = sorted(round(sample, 4) for sample in samples)
        return cls(round(median(found), 4), found[0], found[-1], unit)

    @property
    def is_ratio(self) -> bool:
        """True where the machine's speed is out of it."""
        return self.unit == RATIO

    def as_json(self) -> dict[str, Any]:
        """For `latest.json`."""
        return asdict(self)

    def __str__(self) -> str:
        digits = ",.4g" if self.value < 1000 else ",.0f"
        return f"{self.value:{digits}} {self.unit}".strip()


Figures = dict[str, Figure]


class Rounds:
    """One number of every measure for every round."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = defaultdict(list)

    def add(self, server: str, measured: dict[str, float]) -> None:
        """What one round of one server brought."""
        for measure, value in measured.items():
            self._samples[f"{server}.{measure}"].append(value)

    def of(self, name: str) -> list[float]:
        """The numbers of one measure, round by round. Raises KeyError where nobody measured it."""
        if name not in self._samples:
            raise KeyError(name)
        return self._samples[name]

    def figures(self) -> Figures:
        """All of them."""
        return {name: Figure.of(samples, unit_of(name)) for name, samples in self._samples.items()}

    def ratio(self, one: str, other: str, measure: str) -> Figures:
        """`one:other.measure`, by the pairs of the rounds; nothing where either wasn't measured."""
        name = f"{one}:{other}.{measure.rpartition('_')[0] or measure}"
        try:
            pairs = zip(self.of(f"{one}.{measure}"), self.of(f"{other}.{measure}"), strict=True)
        except KeyError:
            return {}
        return {name: Figure.of((over / under for over, under in pairs), RATIO)}


def unit_of(name: str) -> str:
    """By the end of a measure's name."""
    return _UNITS.get(name.rpartition(".")[2].rpartition("_")[2], "")


def at_percent(samples: list[float], percent: int) -> float:
    """A percentile; of fewer than a hundred samples, the most that was seen stands for the ninety-ninth."""
    return quantiles(samples, n=100, method="inclusive")[percent - 1] if len(samples) > 1 else samples[0]
