"""What an hour must not leave behind: memory, connections, threads, errors that nobody can explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tests.town import Look

MOST_GROWTH_MB: Final = 16.0
MOST_MORE_FILES: Final = 16
"""Connections that are kept for the next look come and go."""
EXPLAINED: Final = frozenset({200, 503})
"""A record, whole or in part; or that not one source answered, which the patient's clinician is told."""
_ERRORS: Final = frozenset({"error", "critical"})


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway at one moment."""

    second: float
    memory_mb: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Stay:
    """The whole run."""

    looks: Sequence[Look]
    samples: Sequence[Sample]
    settled: Sample
    log: Sequence[dict[str, Any]]

    @property
    def statuses(self) -> Counter[int]:
        """How often each was answered."""
        return Counter(look.status for look in self.looks)

    @property
    def growth_mb(self) -> float:
        """From the second fifth of the run, when everything has been seen once, to the last."""
        fifth = max(1, len(self.samples) // 5)
        early = [sample.memory_mb for sample in self.samples[fifth : 2 * fifth] or self.samples[:1]]
        late = [sample.memory_mb for sample in self.samples[-fifth:]]
        return median(late) - median(early)

    @property
    def more_files(self) -> int:
        """Open files and sockets when everything was well again, against the beginning."""
        return self.settled.files - self.samples[0].files

    @property
    def more_threads(self) -> int:
        """Threads, likewise."""
        return self.settled.threads - self.samples[0].threads

    @property
    def unsaid(self) -> int:
        """Answers that held less than all sources hold, and said of each source that it had answered."""
        return sum(_is_unsaid(look) for look in self.looks)

    def faults(self) -> list[str]:
        """What was not as it should be."""
        errors = [line for line in self.log if line.get("level") in _ERRORS]
        judged = {
            f"statuses that nobody explains: {sorted(self.statuses.keys() - EXPLAINED)}": self.statuses.keys()
            - EXPLAINED,
            f"memory grew by {self.growth_mb:.1f} MB": self.growth_mb > MOST_GROWTH_MB,
            f"{self.more_files} files or sockets stayed open": self.more_files > MOST_MORE_FILES,
            f"{self.more_threads} threads stayed": self.more_threads > 0,
            f"{self.unsaid} gaps were not said": self.unsaid,
            f"{len(errors)} errors in the log: {errors[:3]}": errors,
            "nothing was asked": not self.looks,
        }
        return [fault for fault, is_so in judged.items() if is_so]


def _is_unsaid(look: Look) -> bool:
    asked = [said for said in look.said.values() if said != "not-asked"]
    return look.status == 200 and all(said == "answered" for said in asked) and look.allergies < len(asked)


def told(stay: Stay, came: Mapping[str, int], figures: Iterable[str]) -> str:
    """All that was seen, in lines."""
    times = sorted(look.took_ms for look in stay.looks)
    at = {percent: times[min(len(times) - 1, len(times) * percent // 100)] for percent in (50, 99)} if times else {}
    said = Counter(said for look in stay.looks for said in look.said.values())
    return "\n".join(
        [
            f"{len(stay.looks)} looks, statuses {dict(stay.statuses)}; ms { ({p: round(v) for p, v in at.items()}) }",
            f"sources: {dict(said)}",
            f"illnesses: {dict(came)}",
            f"memory {stay.samples[0].memory_mb:.0f} -> {stay.samples[-1].memory_mb:.0f} MB "
            f"(growth {stay.growth_mb:+.1f}), files {stay.more_files:+d}, threads {stay.more_threads:+d}",
            *figures,
        ]
    )
