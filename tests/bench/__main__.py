"""`make bench`: what a record costs and how long it takes, beside the floor and what others would write, in one run.

    python -m tests.bench                     every scenario that doesn't take long; some ten minutes on two quiet cores
    python -m tests.bench --all               and those that do
    python -m tests.bench --only NAME ...     these alone, --rounds N of each

What the last whole run found is taken up later, when somebody has looked at it; nothing is measured then:

    python -m tests.bench --accept            its ratios are what later runs are compared with
    python -m tests.bench --write-docs        docs/performance.md shows it

Rounds are interleaved, so that a drift of the machine's speed meets everybody alike; ratios are what counts. Exits 1
where a promise isn't kept, or a ratio is worse than the last accepted one beyond the band of noise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import report
from tests.bench.gate import gated, worse
from tests.bench.judge import judge
from tests.bench.scenarios import ALL
from tests.bench.scenarios.scenario import Found, Scenario
from tests.bench.world import World
from tests.processes import identity_provider

ROUNDS: Final = 5
ACCEPTED: Final = Path(__file__).resolve().parent / "accepted.json"


def measured(scenarios: Sequence[Scenario], run: dict[str, Any], kept: Path) -> dict[str, Found]:
    """Run them one after the other; each is told, and kept with those before it, as soon as it is there."""
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory(prefix="connectcare-bench-") as name:
        folders = {one: Path(name) / one for one in ("identity", *(scenario.name for scenario in scenarios))}
        for folder in folders.values():
            folder.mkdir()
        with identity_provider(folders["identity"]) as issuer:
            for scenario in scenarios:
                found[scenario.name] = one_of(scenario, folders[scenario.name], issuer, run["rounds"])
                print(report.told(scenario.name, found[scenario.name]), flush=True)
                kept.write_text(report.as_json(run, found))
    return found


def one_of(scenario: Scenario, folder: Path, issuer: str, rounds: int) -> Found:
    """What it brings home. A scenario that breaks brings nothing, so none of its promises is kept; the others go on."""
    try:
        with World(folder, issuer) as world:
            return asyncio.run(scenario.run(world, rounds))
    except Exception as error:
        traceback.print_exc()
        return Found({}, [f"It broke, and was not measured: {type(error).__name__}: {error}"])


def verdict(found: dict[str, Found]) -> int:
    """Say of every promise and every ratio how it stands; the exit status."""
    figures = {name: each.figures for name, each in found.items()}
    verdicts = judge(figures)
    spoiled = worse(figures, json.loads(ACCEPTED.read_text())["ratios"]) if ACCEPTED.exists() else []
    print("\n" + "\n".join(map(str, verdicts)))
    print("\n".join(f"WORSE     {told}" for told in spoiled))
    return 0 if all(one.is_kept for one in verdicts) and not spoiled else 1


def accept(run: dict[str, Any], found: dict[str, Found]) -> None:
    """Keep these ratios; those of scenarios that were not run stay as they were."""
    before = json.loads(ACCEPTED.read_text())["ratios"] if ACCEPTED.exists() else {}
    now = {name: gated(each.figures) for name, each in found.items()}
    ACCEPTED.write_text(json.dumps({"run": run, "ratios": before | now}, indent=1) + "\n")


def chosen(names: Sequence[str] | None, *, everything: bool) -> list[Scenario]:
    """Raises SystemExit for a name that no scenario has."""
    if unknown := set(names or ()) - {scenario.name for scenario in ALL}:
        offered = ", ".join(scenario.name for scenario in ALL)
        sys.exit(f"There is no scenario {', '.join(sorted(unknown))}. Choose from {offered}.")
    return [one for one in ALL if (one.name in names if names else everything or not one.takes_long)]


def main() -> None:
    """Measure, print, keep and judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--accept", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    asked = parser.parse_args()
    if asked.accept or asked.write_docs:
        _take_up(accepting=asked.accept, showing=asked.write_docs)
        return
    scenarios = chosen(asked.only, everything=asked.all)
    report.BUILD.mkdir(parents=True, exist_ok=True)
    kept = report.BUILD / "only.json" if asked.only else report.LATEST
    sys.exit(verdict(measured(scenarios, report.about(asked.rounds), kept)))


def _take_up(*, accepting: bool, showing: bool) -> None:
    if not report.LATEST.exists():
        sys.exit("There is no whole run to take up. Run: make bench")
    run, found = report.read(report.LATEST.read_text())
    if accepting:
        accept(run, found)
    if showing:
        report.write_document(run, found)


if __name__ == "__main__":
    main()
