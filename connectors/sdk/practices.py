"""Practice lists: any number of GP practices behind one entry of `organisations.yaml`.

    ods,name,stage,joined
    G85005,South Lewisham Group Practice,,
    G85004,Jenner Practice,shadow,2026-12-01

`stage` and `joined` may be left out; where they stand they are that practice's own, and empty means the entry's. Of the
rest the practices share everything: connector, address, settings, sections, budget. A list is read in one pass without
a model for each row; a practice becomes an `Organisation` when somebody asks for it, so that a record costs the same
among 7,000 of them as among 7.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from connectors.sdk.file_faults import not_utf8, unreadable, wrong
from connectors.sdk.organisation import (
    ODS_IN_ADDRESS,
    ODS_PATTERN,
    SANDBOX_ADDRESS,
    Entry,
    Organisation,
    OrganisationType,
    Stage,
)

_REQUIRED: Final = ["ods", "name"]
_OPTIONAL: Final = ("stage", "joined")
_ODS: Final = re.compile(ODS_PATTERN, re.ASCII)
_STAGES: Final[Mapping[str, Stage | None]] = {"": None, **{stage.value: stage for stage in Stage}}
_LONGEST_NAME: Final = 200
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NO_SYSTEM: Final[Mapping[str, Any]] = {"connector": None, "address": None, "sections": frozenset(), "settings": {}}


class PracticesEntry(Entry):
    """An entry that stands for the GP practices of a list. `practices` is the list's path from the YAML's folder."""

    practices: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    type: Literal[OrganisationType.GP_PRACTICE] = OrganisationType.GP_PRACTICE


class Practice(NamedTuple):
    """One row of a list. Stage and date are None where the entry's hold."""

    name: str
    stage: Stage | None = None
    joined: date | None = None


@dataclass(frozen=True)
class PracticeGroup:
    """The practices of one entry.

    `addresses` replaces single practices' addresses (the demo's sandboxes). Where it does, a practice that nobody
    stands in for has no system in that world.
    """

    entry: PracticesEntry
    practices: Mapping[str, Practice]
    addresses: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the group is called where it's counted."""
        return self.entry.name or self.entry.practices

    @property
    def type(self) -> OrganisationType:
        """The type of each of them."""
        return self.entry.type

    @cached_property
    def stages(self) -> frozenset[Stage]:
        """The stages that at least one of the practices is in."""
        own = {practice.stage for practice in self.practices.values()}
        return frozenset(stage or self.entry.stage for stage in own)

    @cached_property
    def _shared(self) -> dict[str, Any]:
        return {name: getattr(self.entry, name) for name in Entry.model_fields}

    def __len__(self) -> int:
        return len(self.practices)

    def __contains__(self, ods: object) -> bool:
        return ods in self.practices

    def __iter__(self) -> Iterator[str]:
        """The ODS codes, in the order of the list."""
        return iter(self.practices)

    def get(self, ods: str) -> Organisation | None:
        """The practice with this ODS code, made now; or None. Entry and row have been checked: nothing is left to."""
        practice = self.practices.get(ods)
        if practice is None:
            return None
        address = self.addresses.get(ods, self.entry.address)
        return Organisation.model_construct(
            **{
                **self._shared,
                "ods": ods,
                "name": practice.name,
                "type": self.entry.type,
                "stage": practice.stage or self.entry.stage,
                "joined": practice.joined or self.entry.joined,
                "address": address and address.replace(ODS_IN_ADDRESS, ods),
                **(_NO_SYSTEM if address == SANDBOX_ADDRESS and self.addresses else {}),
            }
        )


def read_practices(path: Path) -> dict[str, tuple[int, Practice]]:
    """{ODS code: (line, practice)} in the order of the list. Raises ConfigurationError with file, line and remedy."""
    found: dict[str, tuple[int, Practice]] = {}
    rows = _rows(path)
    line, header = next(rows, (1, []))
    own = _own_columns(path, line, header)
    for line, row in rows:
        if len(row) != len(header):
            raise wrong(path, line, f"{len(row)} columns under a header of {len(header)}", "Mend the row.")
        ods, practice = _practice(path, line, row, own)
        if ods in found:
            raise stands_twice(path, line, ods)
        found[ods] = (line, practice)
    if not found:
        raise wrong(path, line, "no practice is listed", "List at least one under the header.")
    return found


def stands_twice(path: Path, line: int, ods: str) -> Exception:
    """The error for a code that an earlier entry or row has."""
    return wrong(path, line, f"ODS code {ods} stands twice", "Keep one entry for each organisation.")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, row) for each row that holds something."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                yield from ((reader.line_num, row) for row in reader if row)
            except csv.Error as error:
                raise wrong(path, reader.line_num, f"not CSV: {error}", "Mend the line.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error


def _own_columns(path: Path, line: int, header: list[str]) -> tuple[int | None, int | None]:
    """Where stage and joined stand, where they do."""
    more = header[len(_REQUIRED) :]
    if header[: len(_REQUIRED)] != _REQUIRED or not set(more) <= set(_OPTIONAL) or len(set(more)) < len(more):
        raise wrong(path, line, "the header is not ods,name", "Begin with ods,name; stage and joined may follow.")
    stage, joined = (header.index(name) if name in more else None for name in _OPTIONAL)
    return stage, joined


def _practice(path: Path, line: int, row: list[str], own: tuple[int | None, int | None]) -> tuple[str, Practice]:
    ods, name = row[0], row[1]
    if not _ODS.fullmatch(ods):
        raise wrong(path, line, f"{ods[:20]!r} is no ODS code", "Give 2 to 6 capital letters and digits.")
    if not name.isprintable() or name.strip() != name or not 0 < len(name) <= _LONGEST_NAME:
        raise wrong(path, line, f"the name of {ods} is empty or not plain text", "Give its name on one line.")
    if own == (None, None):
        return ods, Practice(name)
    stage, joined = ("" if column is None else row[column] for column in own)
    if stage not in _STAGES:
        remedy = f"Leave it empty, or use one of: {', '.join(Stage)}."
        raise wrong(path, line, f"{ods} has no stage {stage[:20]!r}", remedy)
    return ods, Practice(name, _STAGES[stage], _date(path, line, ods, joined))


def _date(path: Path, line: int, ods: str, text: str) -> date | None:
    if not text:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise wrong(path, line, f"{ods} joined on {text[:20]!r}, which is no date", "Write it as 2026-11-02.")
