"""Released artifacts by name, through the machine's own Maven: it knows where they come from, this project doesn't.

What was fetched is kept in `build/real/`, so that a second run fetches nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "real"
_SECONDS = 900


class NotHad(Exception):
    """An artifact can't be had here. The text is Maven's own last word."""


def lacking() -> str:
    """Why nothing can be run here; "" where it can."""
    missing = [name for name in ("mvn", "java", "javac") if shutil.which(name) is None]
    return f"{', '.join(missing)}: not on this machine. Install a JDK (17 or newer) and Maven" if missing else ""


def copied(artifact: str, name: str) -> Path:
    """One artifact (`group:artifact:version:packaging`) as the file `name`."""
    file = KEPT / name
    if not file.exists():
        fresh = _fresh(file.with_suffix(".part"))
        _maven("dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={fresh}")
        (only,) = fresh.iterdir()
        only.replace(file)
        shutil.rmtree(fresh)
    return file


def dependencies(pom: Path, name: str) -> Path:
    """The folder `name` with every jar that a project runs with, for as long as the project stays the same."""
    folder, said = KEPT / name, pom.read_text(encoding="utf-8")
    mark = folder / "pom.xml"
    if not mark.exists() or mark.read_text(encoding="utf-8") != said:
        fresh = _fresh(folder.with_suffix(".part"))
        _maven("-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}")
        (fresh / "pom.xml").write_text(said, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    return folder


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _maven(*arguments: str) -> None:
    try:
        done = subprocess.run(
            ["mvn", "--quiet", "--batch-mode", *arguments],
            cwd=KEPT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHad(f"Maven did not end within {_SECONDS} seconds") from error
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it said nothing"]
        raise NotHad(lines[0])
