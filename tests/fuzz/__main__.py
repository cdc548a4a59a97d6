"""The nightly fuzzing: `python -m tests.fuzz [--seconds 600] [--keep] [TARGET...]`.

Each target runs for its time under atheris, which is guided by the branches of the gateway's own code. It begins with
what `tests/fuzz/corpus` holds; what it adds lies in `build/fuzz/TARGET/corpus`, and an input that something fails on
beside it. `--keep` takes the short ones that reach something new into the project, where a fast test replays them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench.environment import Absent, python

HERE: Final = Path(__file__).resolve().parent
CORPUS: Final = HERE / "corpus"
BUILD: Final = HERE.parents[1] / "build" / "fuzz"
TARGETS: Final = ("stu3", "search", "token", "labels", "journal")
LONGEST_KEPT: Final = 2_048
MOST_KEPT: Final = 60
_MEGABYTES: Final = 2_048
_SECONDS_AN_INPUT: Final = 25
_LONGEST: Final = {"stu3": 8_192, "search": 1_024, "token": 4_096, "labels": 4_096, "journal": 65_536}
_RUNS: Final = re.compile(r"Done (\d+) runs|stat::number_of_executed_units:\s*(\d+)")


def main() -> int:
    """How many targets failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all of them")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    parser.add_argument("--keep", action="store_true", help="take what reaches something new into the project")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    try:
        packages = _packages()
    except Absent as error:
        print(f"atheris can't be had here: {error}")
        return 2
    failed = [name for name in options.targets or TARGETS if not _fuzz(name, options.seconds, packages)]
    if options.keep:
        for name in options.targets or TARGETS:
            _keep(name, packages)
    print(f"failed: {', '.join(failed)}" if failed else "nothing was found")
    return len(failed)


def _packages() -> Path:
    """Where atheris lies: an environment of its own, whose packages our interpreter takes besides its own."""
    interpreter = python(BUILD / "environment", HERE / "requirements.lock")
    return next((interpreter.parents[1] / "lib").glob("python3.*")) / "site-packages"


def _fuzz(name: str, seconds: int, packages: Path) -> bool:
    found = BUILD / name
    (found / "corpus").mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST[name]}",
        f"-timeout={_SECONDS_AN_INPUT}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        str(found / "corpus"),
        str(CORPUS / name),
    ]
    done = _engine(name, arguments, packages)
    (found / "log").write_text(done.stderr)
    runs = next((first or second for first, second in _RUNS.findall(done.stderr)), "?")
    print(f"{name}: {runs} inputs in {seconds} s, exit code {done.returncode}", flush=True)
    if done.returncode:
        print(done.stdout[-3_000:] + done.stderr[-3_000:])
    return done.returncode == 0


def _engine(name: str, arguments: list[str], packages: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.engine", name, *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}:{packages}"}
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)


def _keep(name: str, packages: Path) -> None:
    """Of the inputs that reach something new, the shortest, as far as there is room for them."""
    merged = BUILD / name / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    own, new = CORPUS / name, BUILD / name / "corpus"
    done = _engine(name, ["-merge=1", f"-max_len={LONGEST_KEPT}", str(merged), str(own), str(new)], packages)
    if done.returncode:
        raise SystemExit(done.stderr[-2_000:])
    there = {path.read_bytes() for path in own.iterdir()}
    for path in sorted(merged.iterdir(), key=lambda path: path.stat().st_size):
        if len(there) < MOST_KEPT and path.stat().st_size <= LONGEST_KEPT and path.read_bytes() not in there:
            there.add(path.read_bytes())
            shutil.copyfile(path, own / path.name[:16])


if __name__ == "__main__":
    sys.exit(main())
