"""Who takes part: `organisations.yaml`, read strictly.

Everything wrong with the file (unknown key, duplicate ODS code, unknown connector, wrong setting) stops start-up with
the file, the line and what to do about it: an organisation that is half configured would be a silent gap in a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from connectors.sdk.address import address_fault
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.installed import package
from connectors.sdk.model import Section

_DATE: Final = re.compile(r"\b(\d{4})-(\d\d?)-(\d\d?)\b", re.ASCII)
SANDBOX_ADDRESS: Final = "sandbox"
"""The address of an organisation that `connectcare demo` gives its connector's own sandbox."""


class OrganisationType(StrEnum):
    """What kind of organisation it is; with the job-role code it decides a caller's role."""

    GP_PRACTICE = "gp-practice"
    ACUTE_TRUST = "acute-trust"
    MENTAL_HEALTH_TRUST = "mental-health-trust"
    COMMUNITY_TRUST = "community-trust"
    MENTAL_HEALTH_AND_COMMUNITY_TRUST = "mental-health-and-community-trust"
    COUNCIL = "council"
    COMMISSIONER = "commissioner"


class Stage(StrEnum):
    """How far an organisation has joined. Only `live` and `sandbox` are asked; `sandbox` never in production."""

    PLANNED = "planned"
    SANDBOX = "sandbox"
    LIVE = "live"
    SUSPENDED = "suspended"


class Organisation(BaseModel):
    """One organisation that takes part. Without a connector its staff may call, but it holds nothing to show.

    `budget` is the seconds its system may take for one record; the record's own deadline cuts it too. `settings` are
    the connector's own, checked by the connector's own model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ods: str = Field(pattern=r"^[A-Z0-9]{2,6}$")
    name: str = Field(min_length=1)
    type: OrganisationType
    stage: Stage
    joined: date | None = None
    connector: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    address: str | None = Field(default=None, min_length=1)
    sections: frozenset[Section] = frozenset()
    budget: float = Field(default=2.5, gt=0, le=30)
    settings: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def takes_part(self) -> bool:
        """True where its staff may use Connect Care and its system is asked."""
        return self.stage in (Stage.LIVE, Stage.SANDBOX)

    @property
    def holds_records(self) -> bool:
        """True where there is a system to ask."""
        return self.connector is not None


class Organisations:
    """The organisations of one file, by ODS code, in the order of the file."""

    def __init__(self, entries: Mapping[str, Organisation]) -> None:
        self._entries = dict(entries)

    def get(self, ods: str) -> Organisation | None:
        """The organisation with this ODS code, or None."""
        return self._entries.get(ods)

    def __iter__(self) -> Iterator[Organisation]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def sources(self) -> list[Organisation]:
        """Those whose system is asked."""
        return [entry for entry in self if entry.takes_part and entry.holds_records]


def load_organisations(path: Path, *, addresses: Mapping[str, str] | None = None) -> Organisations:
    """Read and check the file. `addresses` replaces addresses by ODS code (the demo's sandboxes have free ports).

    Raises ConfigurationError with file, line and remedy.
    """
    entries: dict[str, Organisation] = {}
    for node, line in _entry_nodes(path):
        entry = _read_entry(path, node, line, addresses or {})
        if entry.ods in entries:
            raise _wrong(path, line, f"ODS code {entry.ods} stands twice", "Keep one entry for each organisation.")
        entries[entry.ods] = entry
    return Organisations(entries)


def _entry_nodes(path: Path) -> list[tuple[CommentedMap, int]]:
    document = _document(path)
    if not isinstance(document, CommentedMap) or list(document) != ["organisations"]:
        raise _wrong(path, 1, "the file must hold one key, organisations", "Put every entry under organisations:.")
    entries = document["organisations"]
    if not isinstance(entries, CommentedSeq) or not entries:
        raise _wrong(path, 1, "no organisation is listed", "List at least one organisation.")
    for index, node in enumerate(entries):
        if not isinstance(node, CommentedMap):
            raise _wrong(path, _line(entries, index), "an entry is not a mapping", "Start it with - ods: CODE.")
    return [(node, _line(entries, index)) for index, node in enumerate(entries)]


def _document(path: Path) -> Any:
    try:
        return YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read ({error.strerror}). Name another file.") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _wrong(path, line, "not UTF-8", "Save the file as UTF-8.") from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _wrong(path, line, f"not YAML: {error.problem}", "Mend the line.") from error
    except YAMLError as error:
        raise _wrong(path, 1, "not YAML: it holds a character that YAML doesn't allow", "Remove it.") from error
    except ValueError as error:
        # The reader makes dates of what looks like one, and doesn't say where it couldn't.
        raise _wrong(path, _line_of_no_date(path), f"a date that doesn't exist ({error})", "Correct it.") from error


def _line_of_no_date(path: Path) -> int:
    """The first line with a date that no calendar has; 1 where there is none."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for year, month, day in _DATE.findall(line):
            try:
                date(int(year), int(month), int(day))
            except ValueError:
                return number
    return 1


def _read_entry(path: Path, node: CommentedMap, line: int, addresses: Mapping[str, str]) -> Organisation:
    values = _plain(node)
    if values.get("ods") in addresses:
        values["address"] = addresses[values["ods"]]
    try:
        entry = Organisation.model_validate(values)
    except ValidationError as error:
        raise explain(path, node, line, error) from error
    _check_whole(path, node, line, entry)
    _check_settings(path, node, entry)
    return entry


def _check_whole(path: Path, node: CommentedMap, line: int, entry: Organisation) -> None:
    if entry.connector is None:
        if entry.address or entry.sections or entry.settings:
            raise _wrong(
                path, line, f"{entry.ods} has address, sections or settings but no connector", "Name its connector."
            )
        return
    if entry.address is None:
        raise _wrong(path, line, f"{entry.ods} has a connector but no address", "Give the address of its system.")
    if not entry.sections:
        raise _wrong(path, line, f"{entry.ods} offers no sections", f"List some of: {', '.join(Section)}.")
    if entry.address != SANDBOX_ADDRESS:
        if fault := address_fault(entry.address):
            raise _wrong(path, _line(node, "address"), f"the address of {entry.ods} {fault}", "Correct it.")
    elif entry.stage is not Stage.SANDBOX:
        raise _wrong(
            path,
            _line(node, "address"),
            f"{entry.ods} is {entry.stage.value} at a sandbox address",
            "Give the address of its system, or set stage: sandbox.",
        )


def _check_settings(path: Path, node: CommentedMap, entry: Organisation) -> None:
    """The connector exists, and its own model accepts the settings."""
    if entry.connector is None:
        return
    try:
        package(entry.connector).Settings.model_validate(dict(entry.settings))
    except LookupError as error:
        raise _wrong(path, _line(node, "connector"), str(error), "Correct the name, or install it.") from error
    except ValidationError as error:
        line = _line(node, "settings" if "settings" in node else "connector")
        raise explain(path, node, line, error, inside="settings") from error


def explain(path: Path, node: CommentedMap, line: int, error: ValidationError, inside: str = "") -> ConfigurationError:
    """What pydantic found wrong with a YAML mapping, the first of it, as file, line and remedy."""
    found = error.errors(include_url=False, include_input=False)
    # A misspelt key is unknown and leaves another one missing: the first of the two says what to mend.
    first = next((fault for fault in found if fault["type"] == "extra_forbidden"), found[0])
    where: Any = node.get(inside, node) if inside else node
    for step in first["loc"]:
        if isinstance(where, CommentedMap | CommentedSeq) and (
            step in where if isinstance(where, CommentedMap) else isinstance(step, int) and step < len(where)
        ):
            line = _line(where, step)
            where = where[step]
    name = ".".join(str(step) for step in ((inside, *first["loc"]) if inside else first["loc"]))
    if first["type"] == "extra_forbidden":
        return _wrong(path, line, f"unknown key {name}", "Remove it, or correct its spelling.")
    if first["type"] == "missing":
        return _wrong(path, line, f"{name} is missing", "Add it.")
    if first["type"] == "string_type":
        return _wrong(path, line, f"{name} is not text", "Put it in quotes.")
    return _wrong(path, line, f"{name}: {first['msg'].removeprefix('Value error, ')}", "Correct the value.")


def _wrong(path: Path, line: int, what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: {what}. {remedy}")


def _line(node: Any, key: Any) -> int:
    try:
        return int((node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key))[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return int(node.lc.line) + 1


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    return node
