"""Who takes part: `organisations.yaml` and the practice lists that it names, read strictly.

Everything wrong with the files (unknown key, duplicate ODS code, unknown connector, wrong setting) stops start-up with
the file, the line and what to do about it: an organisation that is half configured would be a silent gap in a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from connectors.sdk.address import address_fault
from connectors.sdk.file_faults import explain, line_of, plain, read_yaml, unreadable, wrong
from connectors.sdk.installed import package
from connectors.sdk.model import Section
from connectors.sdk.organisation import (
    ODS_IN_ADDRESS,
    SANDBOX_ADDRESS,
    Acceptance,
    Entry,
    Organisation,
    OrganisationType,
    Stage,
)
from connectors.sdk.practices import PracticeGroup, PracticesEntry, read_practices, stands_twice

__all__ = [
    "SANDBOX_ADDRESS",
    "Acceptance",
    "Entry",
    "Organisation",
    "OrganisationType",
    "Organisations",
    "PracticeGroup",
    "Stage",
    "explain",
    "load_organisations",
]

MOST_WITHOUT_REGISTER: Final = 20
"""Practices of one list that may all be asked for one record, where no register says which one holds it."""


class Organisations:
    """The organisations that take part, by ODS code: those listed one by one, and groups of GP practices.

    `digest` is over the file and its lists (SHA-256): it names who takes part in the audit.

    Nothing here walks over the practices but `practices_of`, which is for groups that are small enough to be asked all.
    """

    def __init__(
        self,
        entries: Mapping[str, Organisation],
        groups: Sequence[PracticeGroup] = (),
        *,
        lines: Mapping[str, int] | None = None,
        digest: str = "",
    ) -> None:
        self._listed = dict(entries)
        self._groups = tuple(groups)
        self._lines = dict(lines or {})
        self.digest = digest

    def get(self, ods: str) -> Organisation | None:
        """The organisation with this ODS code, a practice of a group too; or None."""
        return self._listed.get(ods) or next(
            (found for group in self._groups if (found := group.get(ods)) is not None), None
        )

    def line_of(self, who: str) -> int:
        """The line of an entry in its file: by its ODS code, or by the list of practices that it names."""
        return self._lines.get(who, 1)

    def type_of(self, ods: str) -> OrganisationType:
        """Its type. Raises KeyError for one that isn't here."""
        if ods in self._listed:
            return self._listed[ods].type
        if (group := self.group_of(ods)) is not None:
            return group.type
        raise KeyError(ods)

    def listed(self) -> tuple[Organisation, ...]:
        """Those that have an entry of their own, in the order of the file."""
        return tuple(self._listed.values())

    def groups(self) -> tuple[PracticeGroup, ...]:
        """The groups of GP practices, in the order of the file."""
        return self._groups

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every entry of the file by what it is known by: its ODS code, or the list of practices that it names."""
        yield from self._listed.items()
        yield from ((group.entry.practices, group.entry) for group in self._groups)

    def group_of(self, ods: str) -> PracticeGroup | None:
        """The group that a practice is in; None for one with an entry of its own, and for a stranger."""
        return next((group for group in self._groups if ods in group), None)

    def practices_of(self, group: PracticeGroup) -> Iterator[Organisation]:
        """Every practice of a group that has a system to ask. Only for groups of at most `MOST_WITHOUT_REGISTER`."""
        codes = group if group.entry.holds_records else ()
        return (found for ods in codes if (found := group.get(ods)) is not None)

    def sources(self) -> list[Organisation]:
        """Those with an entry of their own whose system is asked and shown; of practices, see `groups`."""
        return [entry for entry in self._listed.values() if entry.is_shown]

    def shadows(self) -> list[Organisation]:
        """Those with an entry of their own whose system is asked in the background, and compared, and not shown."""
        return [entry for entry in self._listed.values() if entry.is_shadowed]

    def register(self) -> Organisation | None:
        """The live national service that says which practice a patient is registered with; None where there is none."""
        services = (one for one in self.sources() if one.type is OrganisationType.NATIONAL_SERVICE)
        return next(services, None)


def load_organisations(path: Path, *, addresses: Mapping[str, str] | None = None) -> Organisations:
    """Read and check the file and its lists. `addresses` replaces addresses by ODS code (the demo's sandboxes have free
    ports).

    Raises ConfigurationError with file, line and remedy.
    """
    listed: dict[str, Organisation] = {}
    lines: dict[str, int] = {}
    groups: list[tuple[PracticeGroup, int]] = []
    taken: set[str] = set()
    for node, line in _entry_nodes(path):
        if "practices" in node:
            group = _read_group(path, node, line, taken, addresses or {})
            groups.append((group, line))
            lines[group.entry.practices] = line
            taken.update(group)
            continue
        entry = _read_entry(path, node, line, addresses or {})
        if entry.ods in taken:
            raise stands_twice(path, line, entry.ods)
        listed[entry.ods] = entry
        taken.add(entry.ods)
        lines[entry.ods] = line
    found = Organisations(
        listed,
        [group for group, _ in groups],
        lines=lines,
        digest=_digest(path, *(path.parent / group.entry.practices for group, _ in groups)),
    )
    _check_register(path, found, groups)
    return found


def _digest(*files: Path) -> str:
    """Over names and contents. Raises ConfigurationError for one that went away meanwhile."""
    hashed = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise unreadable(file, error) from error
        hashed.update(f"{file.name}\0{len(content)}\0".encode())
        hashed.update(content)
    return hashed.hexdigest()


def _entry_nodes(path: Path) -> list[tuple[CommentedMap, int]]:
    document = read_yaml(path)
    if not isinstance(document, CommentedMap) or list(document) != ["organisations"]:
        raise wrong(path, 1, "the file must hold one key, organisations", "Put every entry under organisations:.")
    entries = document["organisations"]
    if not isinstance(entries, CommentedSeq) or not entries:
        raise wrong(path, 1, "no organisation is listed", "List at least one organisation.")
    for index, node in enumerate(entries):
        if not isinstance(node, CommentedMap):
            raise wrong(path, line_of(entries, index), "an entry is not a mapping", "Start it with - ods: CODE.")
    return [(node, line_of(entries, index)) for index, node in enumerate(entries)]


def _read_entry(path: Path, node: CommentedMap, line: int, addresses: Mapping[str, str]) -> Organisation:
    values = plain(node)
    if values.get("ods") in addresses:
        values["address"] = addresses[values["ods"]]
    try:
        entry = Organisation.model_validate(values)
    except ValidationError as error:
        raise explain(path, node, line, error) from error
    if entry.address and ODS_IN_ADDRESS in entry.address:
        what = f"the address of {entry.ods} may not hold {ODS_IN_ADDRESS}"
        raise wrong(path, line_of(node, "address"), what, "Only an entry with a list of practices may.")
    _check_whole(path, node, line, entry, entry.ods, entry.address)
    _check_settings(path, node, entry)
    return entry


def _read_group(
    path: Path, node: CommentedMap, line: int, taken: set[str], addresses: Mapping[str, str]
) -> PracticeGroup:
    try:
        entry = PracticesEntry.model_validate(plain(node))
    except ValidationError as error:
        raise explain(path, node, line, error) from error
    address = entry.address and entry.address.replace(ODS_IN_ADDRESS, "X")
    _check_whole(path, node, line, entry, entry.practices, address)
    _check_settings(path, node, entry)
    file = path.parent / entry.practices
    rows = read_practices(file)
    for ods in sorted(taken & rows.keys()):
        raise stands_twice(file, rows[ods][0], ods)
    own = {ods: address for ods, address in addresses.items() if ods in rows}
    return PracticeGroup(entry, {ods: practice for ods, (_, practice) in rows.items()}, own)


def _check_whole(path: Path, node: CommentedMap, line: int, entry: Entry, who: str, address: str | None) -> None:
    """Connector, address and sections belong together. `who` is what the entry is known by."""
    if entry.connector is None:
        if entry.address or entry.sections or entry.settings:
            raise wrong(path, line, f"{who} has address, sections or settings but no connector", "Name its connector.")
        return
    if address is None:
        raise wrong(path, line, f"{who} has a connector but no address", "Give the address of its system.")
    if not entry.sections:
        raise wrong(path, line, f"{who} offers no sections", f"List some of: {', '.join(Section)}.")
    if address != SANDBOX_ADDRESS and (fault := address_fault(address)):
        raise wrong(path, line_of(node, "address"), f"the address of {who} {fault}", "Correct it.")


def _check_settings(path: Path, node: CommentedMap, entry: Entry) -> None:
    """The connector exists, and its own model accepts the settings."""
    if entry.connector is None:
        return
    try:
        package(entry.connector).Settings.model_validate(dict(entry.settings))
    except LookupError as error:
        raise wrong(path, line_of(node, "connector"), str(error), "Correct the name, or install it.") from error
    except ValidationError as error:
        line = line_of(node, "settings" if "settings" in node else "connector")
        raise explain(path, node, line, error, inside="settings") from error


def _check_register(path: Path, found: Organisations, groups: Sequence[tuple[PracticeGroup, int]]) -> None:
    """Without a register every practice is asked about every patient: that must stay a handful. With one that is
    suspended none is asked at all."""
    services = (one for one in found.listed() if one.type is OrganisationType.NATIONAL_SERVICE and one.holds_records)
    if any(service.stage in (Stage.LIVE, Stage.SUSPENDED) for service in services):
        return
    for group, line in groups:
        if group.entry.holds_records and len(group) > MOST_WITHOUT_REGISTER:
            what = f"{len(group)} practices of {group.name}, and nobody says which of them a patient is registered with"
            remedy = "Name a register: a live entry of type national-service with connector pds."
            raise wrong(path, line, what, remedy)
