"""`python -m connectors.kit.cli NAME`: what `connectcare connector check` starts, as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from connectors.kit.check import CaseResult, check
from connectors.kit.entry import subject_in
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import KIT_EVIDENCE, KIT_VERSION, KitEvidence, content_hash, write_evidence
from connectors.sdk.manifest import EVIDENCE, folder_of, load_manifest

_FIRST: Final = "K01"
_BEGIN: Final = "Begin with K01: the others build on what it asks for."


def told(name: str, results: Sequence[CaseResult]) -> str:
    """One line a case with its paragraph, two where there is more to say, and the sum."""
    lines = []
    for result in results:
        state = "skipped" if result.skipped else ("passed" if result.passed else "FELL")
        lines.append(f"{result.number}  {state:<7}  {result.title}  ({result.paragraph})")
        if not result.passed:
            lines.append(f"     {result.said}")
        elif result.skipped:
            lines.append(f"     {result.said.removeprefix('skipped: ')}")
    fell = sum(not result.passed for result in results)
    skipped = sum(result.skipped for result in results)
    lines += ["", f"{name}: {len(results) - fell - skipped} passed, {skipped} skipped, {fell} fell"]
    lines += [_BEGIN] if fell > 1 and any(one.number == _FIRST and not one.passed for one in results) else []
    return "\n".join(lines)


def hold_to_evidence(asked: argparse.Namespace) -> None:
    """Raises ConfigurationError, before any case is played, for what could never be recorded."""
    if asked.case or asked.ods:
        raise ConfigurationError(
            "Evidence is of every case, on the manifest's own sandbox. Leave out --case and --ods."
        )
    serving = load_manifest(asked.name).served_by
    if serving != asked.name:
        raise ConfigurationError(
            f"{asked.name} has no connector of its own. Leave out --record, or record that of {serving}."
        )


def record(name: str, results: Sequence[CaseResult]) -> Path:
    """Write what was passed as evidence for bronze. Raises ConfigurationError where it proves nothing."""
    if fallen := [result.number for result in results if not result.passed]:
        raise ConfigurationError(f"Not recorded: {', '.join(fallen)} fell.")
    folder = folder_of(name)
    file = folder / EVIDENCE / KIT_EVIDENCE
    evidence = KitEvidence(
        connector=name,
        content=content_hash(folder),
        kit=KIT_VERSION,
        recorded=datetime.now(UTC).date(),
        cases=[result.number for result in results if not result.skipped],
        skipped={result.number: result.said.removeprefix("skipped: ") for result in results if result.skipped},
    )
    try:
        write_evidence(file, evidence)
    except OSError as error:
        raise ConfigurationError(f"Not recorded: {file} can't be written ({error.strerror}).") from error
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 where every case passed or was skipped, 1 where one fell, 2 for what can't be checked."""
    parser = argparse.ArgumentParser(prog="connectcare connector check", description="The conformance kit, offline.")
    parser.add_argument("name", help="the connector")
    parser.add_argument("--case", action="append", default=[], metavar="K07", help="only this case")
    parser.add_argument("--ods", help="whose data of the sandbox, in place of the manifest's")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--record", action="store_true", help="write the evidence for bronze")
    asked = parser.parse_args(arguments)
    logging.getLogger("asyncio").addFilter(_Once())
    try:
        return _checked(asked)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
    return 2


class _Once(logging.Filter):
    """A sandbox that breaks does so in every case: each error is told once, with where it happened."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what was told before."""
        text = repr(record.exc_info[1]) if record.exc_info else record.getMessage()
        fresh = text not in self._told
        self._told.add(text)
        return fresh


def _checked(asked: argparse.Namespace) -> int:
    if asked.record:
        hold_to_evidence(asked)
    results = asyncio.run(check(subject_in(asked.name, asked.ods), [number.upper() for number in asked.case]))
    if asked.json:
        print(msgspec.json.format(msgspec.json.encode(results), indent=2).decode())
    else:
        print(told(asked.name, results))
    if asked.record:
        file = record(asked.name, results)
        print(f"Recorded in {file}", file=sys.stderr)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
