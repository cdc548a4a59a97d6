"""The README's table of clients, from what the suite saw: `python -m tests.clients.table` runs it and writes both.

`results.json` is what the last such run saw. The suite's own test compares it with what it sees itself, so a client
that no longer works can't stay in the table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.clients.cases import CASES, CLIENTS
from tests.clients.installed import HERE, install

RESULTS: Final = HERE / "results.json"
README: Final = HERE.parents[1] / "README.md"
GUIDES: Final = HERE.parents[1] / "docs" / "clients"
_BEGIN: Final = "<!-- {}: begin ({}) -->"
_END: Final = "<!-- {}: end ({}) -->"
_WORDS: Final = {"passed": "yes", "failed": "**no**"}
_SIGNALS: Final = {
    "header": "header `Connect-Care-Sources`",
    "tag": "`Bundle.meta.tag`",
    "outcome": "OperationOutcome entry of the Bundle",
    "outcome in lists": "OperationOutcome in the client's own lists of resources",
}


def load() -> dict[str, Any]:
    """What the last run saw."""
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    return results


def compatibility(results: Mapping[str, Any]) -> str:
    """One row a case, one column a client; below, why a client can't do a case."""
    notes: list[str] = []
    rows = [_row("", [client.name for client in CLIENTS]), _row("---", ["---"] * len(CLIENTS))]
    for case in CASES:
        cells = []
        for client in CLIENTS:
            state = results[client.name]["cases"][case.id]
            cells.append(_WORDS[state] if state in _WORDS else _note(notes, client.cannot[case.id]))
        rows.append(_row(case.title, cells))
    below = [f"{number}. Not by this client: {reason}." for number, reason in enumerate(notes, 1)]
    return "\n".join([*rows, "", *below])


def _note(notes: list[str], reason: str) -> str:
    if reason not in notes:
        notes.append(reason)
    return f"– [{notes.index(reason) + 1}]"


def surviving(results: Mapping[str, Any]) -> str:
    """Which signal of a missing source each client passes on."""
    rows = [_row("", list(_SIGNALS.values())), _row("---", ["---"] * len(_SIGNALS))]
    for client in CLIENTS:
        told = results[client.name]["signals"]
        rows.append(_row(client.name, ["yes" if told[name] else "–" for name in _SIGNALS]))
    return "\n".join(rows)


def _row(first: str, rest: list[str]) -> str:
    return f"| {' | '.join([first, *rest])} |"


def placed(text: str, name: str, table: str, *, by: str = "clients") -> str:
    """The document's text with this table between its two marks, which say `by` what it is made.

    Raises ValueError where they aren't there.
    """
    begin, end = _BEGIN.format(by, name), _END.format(by, name)
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"the document has no place for the table: {begin} and {end}")
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def documents(results: Mapping[str, Any]) -> dict[Path, str]:
    """Each document that holds a table, as it should read."""
    written = {README: placed(README.read_text(), "compatibility", compatibility(results))}
    for guide in sorted(GUIDES.glob("*.md")):
        text = guide.read_text()
        if _BEGIN.format("clients", "signals") in text:
            written[guide] = placed(text, "signals", surviving(results))
    return written


def main() -> None:
    """Run the suite, keep what it saw, write the tables."""
    from tests.clients.suite import run

    with tempfile.TemporaryDirectory(prefix="connectcare-clients-") as folder:
        done = run(install(), Path(folder))
    results = done.results()
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    for document, text in documents(results).items():
        document.write_text(text)
    for client in CLIENTS:
        for case in client.cases:
            if results[client.name]["cases"][case] == "failed":
                print(
                    f"{client.name}: {case} failed: {json.dumps(done.seen[client.name][case])[:1500]}", file=sys.stderr
                )


if __name__ == "__main__":
    main()
