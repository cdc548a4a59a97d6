"""The plots of docs/performance.md, drawn by the bench's own environment: it has matplotlib, and no gateway.

python -m tests.bench.plots LATEST FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

Scenarios = Mapping[str, Mapping[str, Mapping[str, Any]]]

_STYLE: Final = {"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 10, "axes.spines.right": False}
_OURS, _OTHERS = "#005eb8", "#8a8d8f"
_NAMES: Final = {
    "floor": "floor",
    "plain": "plain peer",
    "naive": "naive peer",
    "healthchain": "HealthChain",
    "sqlite": "gateway, SQLite",
    "postgresql": "gateway, PostgreSQL",
}


def draw(scenarios: Scenarios, folder: Path) -> None:
    """Every plot that the scenarios have figures for."""
    folder.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update(_STYLE)
    plots = {"whole-record": _costs, "sizes": _sizes, "delays": _delays, "sources": _growth, "memory": _memory}
    for name, plot in plots.items():
        if name in scenarios:
            figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
            plot(axes, scenarios[name]["figures"])
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)


def _values(figures: Mapping[str, Any], names: Sequence[str]) -> tuple[list[float], list[list[float]]]:
    """Medians, and how far the rounds reach below and above them."""
    found = [figures[name] for name in names]
    below = [one["value"] - one["low"] for one in found]
    return [one["value"] for one in found], [below, [one["high"] - one["value"] for one in found]]


def _costs(axes: Any, figures: Mapping[str, Any]) -> None:
    there = [name for name in _NAMES if f"{name}.cpu_ms" in figures]
    medians, spread = _values(figures, [f"{name}.cpu_ms" for name in there])
    colours = [_OURS if name in ("sqlite", "postgresql") else _OTHERS for name in there]
    bars = axes.barh([_NAMES[name] for name in there], medians, xerr=spread, color=colours, log=True)
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlim(1, max(medians) * 3)
    axes.set_xlabel("processor time of a record of 1.1 MB, ms (logarithmic)")
    axes.invert_yaxis()


def _sizes(axes: Any, figures: Mapping[str, Any]) -> None:
    counts = sorted({int(name.split()[0]) for name in figures})
    for server, colour in (("floor", "#c8cacb"), ("plain", _OTHERS), ("sqlite", _OURS)):
        medians, _ = _values(figures, [f"{count} {server}.cpu_ms" for count in counts])
        axes.loglog(counts, medians, marker="o", color=colour, label=_NAMES[server])
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("resources in the record")
    axes.set_ylabel("processor time, ms")
    axes.legend(frameon=False)


def _delays(axes: Any, figures: Mapping[str, Any]) -> None:
    delays = sorted({int(name.split()[0]) for name in figures if name.endswith(" searches.p50_ms")})
    servers = {"batch-direct": "the slowest source alone", "searches": "gateway, searches", "batch": "gateway, batch"}
    for place, (server, label) in enumerate(servers.items()):
        medians, spread = _values(figures, [f"{delay} {server}.p50_ms" for delay in delays])
        positions = [number + (place - 1) * 0.27 for number in range(len(delays))]
        colour = ("#c8cacb", _OURS, "#41b6e6")[place]
        axes.bar_label(axes.bar(positions, medians, 0.25, yerr=spread, color=colour, label=label), fmt="%.0f")
    axes.set_xticks(range(len(delays)), [f"{delay} ms" for delay in delays])
    axes.set_xlabel("the sources answer after")
    axes.set_ylabel("median of a record, ms")
    axes.margins(y=0.15)
    axes.legend(frameon=False)


def _growth(axes: Any, figures: Mapping[str, Any]) -> None:
    names = [name for name in figures if name.endswith(".source_cpu_ms")]
    medians, spread = _values(figures, names)
    axes.bar([name.split(".")[0].removeprefix("sources-") for name in names], medians, yerr=spread, color=_OURS)
    axes.set_xlabel("sources")
    axes.set_ylabel("processor time a source, ms")


def _memory(axes: Any, figures: Mapping[str, Any]) -> None:
    names = [name for name in figures if name.endswith("_mb")]
    medians, spread = _values(figures, names)
    labels = [name.removeprefix("sqlite.").removesuffix("_mb").replace("peak", "") for name in names]
    axes.bar(labels, medians, yerr=spread, color=_OURS)
    axes.set_xlabel("records of 1.1 MB at once")
    axes.set_ylabel("most memory, MB")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text())["scenarios"], Path(sys.argv[2]))
