"""What a run leaves: a table on the screen, `latest.json`, and docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench.environment import python
from tests.bench.figures import Figure, Figures
from tests.bench.judge import Verdict, judge
from tests.bench.scenarios import ALL
from tests.bench.scenarios.scenario import Found
from tests.clients.table import placed

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "bench"
LATEST: Final = BUILD / "latest.json"
DOCUMENT: Final = ROOT / "docs" / "performance.md"
_ABOUT: Final = {scenario.name: scenario.about for scenario in ALL}


def about(rounds: int) -> dict[str, Any]:
    """Where, when and of what a run was made."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2], 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rounds": rounds,
    }


def _git(*command: str) -> str:
    return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def as_json(run: Mapping[str, Any], found: Mapping[str, Found]) -> str:
    """The whole run, as it is kept."""
    scenarios = {
        name: {"figures": {key: one.as_json() for key, one in each.figures.items()}, "notes": each.notes}
        for name, each in found.items()
    }
    return json.dumps({"run": run, "scenarios": scenarios}, indent=1) + "\n"


def read(text: str) -> tuple[dict[str, Any], dict[str, Found]]:
    """What `as_json` wrote."""
    kept = json.loads(text)
    found = {
        name: Found({key: Figure(**one) for key, one in each["figures"].items()}, each["notes"])
        for name, each in kept["scenarios"].items()
    }
    return kept["run"], found


def table(figures: Figures) -> list[list[str]]:
    """One row a server, one column a measure."""
    parts = {name: name.rpartition(".")[::2] for name in figures}
    measures = list(dict.fromkeys(measure for _, measure in parts.values()))
    rows = [["", *measures]]
    for server in dict.fromkeys(server for server, _ in parts.values()):
        cells = (figures.get(f"{server}.{measure}") for measure in measures)
        rows.append([server, *(str(cell) if cell else "" for cell in cells)])
    return rows


def ratios_apart(figures: Figures) -> tuple[Figures, Figures]:
    """(what was measured, what was made of it)."""
    ratios = {name: figure for name, figure in figures.items() if figure.is_ratio}
    return {name: figure for name, figure in figures.items() if name not in ratios}, ratios


def told(name: str, found: Found) -> str:
    """A scenario for the screen."""
    plain, ratios = ratios_apart(found.figures)
    rows = table(plain)
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{key:<40} {one}  ({one.low:g} to {one.high:g})" for key, one in ratios.items()]
    return "\n".join([f"\n== {name}: {_ABOUT[name]}", *lines, *found.notes])


def write_document(run: Mapping[str, Any], found: Mapping[str, Found]) -> None:
    """Replace what docs/performance.md shows of a run; draw its plots. Raises environment.Absent without matplotlib."""
    plots = DOCUMENT.parent / "performance"
    command = [str(python()), "-m", "tests.bench.plots", str(LATEST), str(plots)]
    subprocess.run(command, cwd=ROOT, check=True)
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, made in (("run", _told_run(run)), ("promises", _told_promises(found)), ("figures", _told_figures(found))):
        text = placed(text, name, made, by="bench")
    DOCUMENT.write_text(text, encoding="utf-8")


def _told_run(run: Mapping[str, Any]) -> str:
    return markdown([["", ""], *([key, str(value)] for key, value in run.items())])


def _told_promises(found: Mapping[str, Found]) -> str:
    verdicts = judge({name: each.figures for name, each in found.items()})
    return markdown([["", "promise", "measured", "bound"], *(_row_of(verdict) for verdict in verdicts)])


def _row_of(verdict: Verdict) -> list[str]:
    state = "kept" if verdict.is_kept else "**not kept**"
    return [state, verdict.promise.words, str(verdict.figure or "not measured"), verdict.promise.bound]


def _told_figures(found: Mapping[str, Found]) -> str:
    parts = []
    for name, each in found.items():
        plain, ratios = ratios_apart(each.figures)
        parts += [f"### {name}", f"{_ABOUT[name][0].upper()}{_ABOUT[name][1:]}.", markdown(table(plain))]
        if ratios:
            ranges = ([key, f"{one.value:g}", f"{one.low:g} to {one.high:g}"] for key, one in ratios.items())
            parts.append(markdown([["ratio", "median", "range"], *ranges]))
        parts += each.notes
    return "\n\n".join(parts)


def markdown(rows: Iterable[list[str]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rest])
