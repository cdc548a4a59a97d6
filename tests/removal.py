"""Controls taken away, one by one, to see their tests fail: `python -m tests.removal`, or `make controls`.

A test that passes without the control that it is said to prove proves nothing. For each entry of `tests/removals.yaml`
the control is taken out of a copy of the project (the exact text in its place, and an error where that isn't there
any more), and the tests that docs/assurance names for it are run there: they must fail, by an assertion. Before that,
all of them must pass in the untouched copy.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Final

from ruamel.yaml import YAML

from tests.documents import ROOT, Named, fault, named, nodes

CONTROLS: Final = ROOT / "tests" / "removals.yaml"
ASSURANCE: Final = ("docs/assurance/hazard-log.md", "docs/assurance/threat-model.md")
_PLACES: Final = ("gateway", "connectors", "policies", "tests", "deploy", "docs", "openapi", "examples", "kernel")
_FILES: Final = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile")
_LEFT_OUT: Final = ignore_patterns("__pycache__", "target")
_ASSERTED: Final = ("AssertionError", "assert ", "Failed: DID NOT RAISE", "Failed: DID NOT WARN")
_LONGEST_SECONDS: Final = 300
# Other plugins than these cost each run more than most of its tests do.
_PLUGINS: Final = ("-p", "anyio", "-p", "no:cacheprovider")
_ENVIRONMENT: Final = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}


class CannotRemove(Exception):
    """A control can't be taken away as its entry says: the code has moved on, and the entry must follow."""


@dataclass(frozen=True, slots=True)
class Control:
    """One control: what it is, the text that is it, what stands there without it, and the tests that must notice."""

    id: str
    control: str
    file: str
    text: str
    without: str
    tests: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one control: "" where its tests noticed."""

    control: Control
    wrong: str


def controls(file: Path = CONTROLS) -> list[Control]:
    """All entries. Raises CannotRemove for one that isn't whole."""
    listed = YAML(typ="safe").load(file.read_text(encoding="utf-8"))["controls"]
    return [_control(entry) for entry in listed]


def _control(entry: dict[str, str | list[str]]) -> Control:
    said = {name: str(entry.get(name, "")) for name in ("id", "control", "file", "text", "without")}
    tests = tuple(test for each in entry.get("tests", ()) for test in named(f"`{each}`"))
    if not (all(said[name] for name in ("id", "control", "file", "text")) and tests):
        raise CannotRemove(f"{said['id'] or 'an entry'}: id, control, file, text and tests are needed")
    return Control(**said, tests=tests)


def removed(control: Control, source: str) -> str:
    """The source without the control. Raises CannotRemove where its text isn't there just once, or changes nothing."""
    if source.count(control.text) != 1 or control.text == control.without:
        raise CannotRemove(f"{control.id}: its text stands {source.count(control.text)} times in {control.file}")
    return source.replace(control.text, control.without)


def unnamed(listed: Iterable[Control], root: Path = ROOT) -> list[str]:
    """The tests of controls that neither the hazard log nor the threat model names, or that don't run."""
    told = {test for name in ASSURANCE for test in named((root / name).read_text(encoding="utf-8"))}
    tests = [test for control in listed for test in control.tests]
    return [f"{test}: no document names it" for test in tests if test not in told] + [*filter(None, map(fault, tests))]


def check(listed: Sequence[Control], copy: Path) -> list[Verdict]:
    """Take each control away in the copy, and put it back. Raises CannotRemove, also where a test fails with all of
    them in place."""
    whole = run(copy, dict.fromkeys(test for control in listed for test in control.tests))
    if whole.failed or whole.broken or not whole.passed:
        raise CannotRemove(f"with every control in place: {[*whole.failed, *whole.broken] or 'nothing ran'}")
    return [Verdict(control, _without(control, copy)) for control in listed]


def _without(control: Control, copy: Path) -> str:
    file = copy / control.file
    source = file.read_text(encoding="utf-8")
    _write(file, removed(control, source))
    try:
        ran = run(copy, control.tests, *(["-x"] if len(control.tests) == 1 else []))
    finally:
        _write(file, source)
    unmoved = [str(test) for test in control.tests if test.test not in {each.partition("[")[0] for each in ran.failed}]
    if ran.broken:
        return f"not by an assertion: {'; '.join(ran.broken)}"
    return f"nothing noticed: {', '.join(unmoved)}" if unmoved else ""


def _write(file: Path, source: str) -> None:
    """Compiled files go by whole seconds and size: the new source has another second than the old one."""
    later = int(file.stat().st_mtime) + 2
    file.write_text(source, encoding="utf-8")
    os.utime(file, (later, later))


@dataclass(frozen=True, slots=True)
class Ran:
    """The names of tests that passed, of those that failed by an assertion, and of those that broke otherwise."""

    passed: list[str]
    failed: list[str]
    broken: list[str]


def run(copy: Path, tests: Iterable[Named], *options: str) -> Ran:
    """Just these tests, with the copy's own code."""
    report = copy / "removal.xml"
    command = [sys.executable, "-m", "pytest", "-q", *_PLUGINS, f"--junitxml={report}"]
    done = subprocess.run(
        [*command, *options, *(node for test in tests for node in nodes(test))],
        cwd=copy,
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
        check=False,
    )
    if done.returncode not in (0, 1) or not report.is_file():
        raise CannotRemove(f"pytest ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    ran = _read(report)
    report.unlink()
    return ran


def _read(report: Path) -> Ran:
    ran = Ran([], [], [])
    for case in ET.parse(report).iter("testcase"):
        name = str(case.get("name"))
        problem = next((node for node in case if node.tag in ("failure", "error")), None)
        if problem is None:
            ran.passed.append(name)
        elif problem.tag == "failure" and str(problem.get("message")).startswith(_ASSERTED):
            ran.failed.append(name)
        else:
            ran.broken.append(f"{name}: {str(problem.get('message'))[:120]}")
    # What a test that failed leaves behind (coroutines that nobody awaited) breaks its teardown as well.
    torn_down = {f"{name}: failed on teardown" for name in ran.failed}
    return Ran(ran.passed, ran.failed, [each for each in ran.broken if not each.startswith(tuple(torn_down))])


def copied(folder: Path) -> Path:
    """A copy of the project that runs by itself, on this environment's packages."""
    for name in _PLACES:
        copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    for name in _FILES:
        (folder / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-c", "import gateway, connectors; print(gateway.__file__, connectors.__file__)"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    if said.split() != [str(folder / name / "__init__.py") for name in ("gateway", "connectors")]:
        raise CannotRemove(f"the copy's code isn't what runs there: {said}")
    return folder


def main() -> int:
    """0 where the tests of every control notice that it is gone."""
    listed = controls()
    with tempfile.TemporaryDirectory() as folder:
        verdicts = check(listed, copied(Path(folder).resolve()))
    for verdict in verdicts:
        print(f"{verdict.control.id:<4} {verdict.wrong or 'noticed':<10} {verdict.control.control}")
    return 1 if any(verdict.wrong for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
