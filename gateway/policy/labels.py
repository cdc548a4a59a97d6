"""Sensitivity labels: from codes, from the source's own security labels, from the kind of source.

The tables are data (`policies/labels`): a code, what it is, its label. Conditions are not enough: a medicine, a test or
a service reveals what a condition code would hide. The national exclusion sets need a licensed release, so the tables
that ship are a seed; a fuller set is loaded from files named in the settings, and `loaded()` says which sets hold.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connectors.sdk.model import SECTION_OF_TYPE, Findings, Item, Section
from connectors.sdk.organisations import OrganisationType
from gateway.policy.files import PolicyProblem, check_keys, files_in, read_text, read_yaml, refuse
from gateway.policy.spread import spread, unresolved

RESTRICTED: Final = "RESTRICTED"
SAME_SYSTEM: Final = (
    frozenset({"http://snomed.info/sct", "https://dmd.nhs.uk", "urn:oid:2.16.840.1.113883.6.96"}),
    frozenset({"http://loinc.org", "urn:oid:2.16.840.1.113883.6.1"}),
)
"""Several names of one system. dm+d identifiers are SNOMED CT identifiers: a code of one is the same of the other."""
ICD10: Final = "http://hl7.org/fhir/sid/icd-10"
_ICD10_CATEGORY: Final = 3

Pair = tuple[str, str]
Resolve = Callable[[dict[str, Any]], Item | None]
_NONE: Final[frozenset[str]] = frozenset()
Whole = Mapping[str, Collection[Section]]
_EVERYTHING: Final = frozenset(Section)


@dataclass(frozen=True, slots=True)
class LoadedSet:
    """One table as it was loaded: its name and version, the label or labels it gives, how many codes, from where."""

    name: str
    version: str
    labels: tuple[str, ...]
    count: int
    file: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}: {self.count} codes labelled {', '.join(self.labels)} ({self.file})"


@dataclass(slots=True)
class LabelTables:
    """The tables in force."""

    titles: dict[str, str] = field(default_factory=dict)
    _codes: dict[Pair, frozenset[str]] = field(default_factory=dict)
    _security: dict[Pair, frozenset[str]] = field(default_factory=dict)
    _of_source: dict[tuple[OrganisationType, Section], frozenset[str]] = field(default_factory=dict)
    _sets: list[LoadedSet] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path, extra: Sequence[Path] = ()) -> LabelTables:
        """Read `labels/*.yaml`, `security-labels.yaml`, `source-labels.yaml`, and the extra files (YAML or CSV).

        Raises PolicyProblem with the file and the remedy.
        """
        tables = cls()
        for path in files_in(folder / "labels", "*.yaml", "label tables"):
            tables._add_table(path)
        tables._add_security(folder / "security-labels.yaml")
        for path in extra:
            if path.suffix.lower() == ".csv":
                tables._add_csv(path)
            else:
                tables._add_table(path)
        tables._add_sources(folder / "source-labels.yaml")
        return tables

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every label that an item may get."""
        return frozenset(self.titles)

    def loaded(self) -> list[LoadedSet]:
        """Which sets are in force: for the operator, the command line and the capability statement."""
        return list(self._sets)

    def given(self) -> Mapping[tuple[str, str, str], frozenset[str]]:
        """Which labels the tables give: to codes and to sources' security labels (by system and code), and to sections
        of a type of source. For comparing two policies."""
        codes = {("code", *pair): labels for pair, labels in self._codes.items()}
        security = {("security", *pair): labels for pair, labels in self._security.items()}
        sources = {("source", kind.value, section.value): labels for (kind, section), labels in self._of_source.items()}
        return {**codes, **security, **sources}

    def label(
        self,
        items: Sequence[Item],
        source_types: Mapping[str, OrganisationType],
        resolve: Resolve,
        whole: Whole | None = None,
    ) -> None:
        """Set `item.labels` on every item: its own, and those of what it tells of.

        `source_types` gives each source's kind by ODS code; a source that isn't in it raises KeyError. `resolve` finds
        the item that a Reference means. `whole` are the sections that each source was asked for and answered whole
        (None: all of them did, for all): an item that tells of something in any other section may tell of something
        sensitive, so it is labelled RESTRICTED. Raises ValueError for an item that the guard has not examined.
        """
        own = [self.own(item, source_types[item.source]) for item in items]
        if whole is not None:
            in_part = {source for source in {item.source for item in items} if not _is_whole(whole.get(source, ()))}
            for place, item in enumerate(items):
                if item.source in in_part and _may_tell(item, whole.get(item.source, ()), resolve):
                    own[place] |= {RESTRICTED}
        spread(items, own, resolve)

    def own(self, item: Item, source_type: OrganisationType) -> frozenset[str]:
        """The labels that the item has by itself."""
        findings = item.findings
        if findings is None:
            raise ValueError("an item was not examined by the guard, so its labels can't be known")
        labels = self._of_findings(findings)
        if item.section is not None:
            labels |= self._of_source.get((source_type, item.section), _NONE)
        return labels

    def of_security(self, pair: Pair) -> frozenset[str]:
        """What a source's security label means here; one that isn't known is RESTRICTED."""
        return self._security.get(pair, frozenset({RESTRICTED}))

    def _of_findings(self, findings: Findings) -> frozenset[str]:
        labels = _NONE
        codes = self._codes
        for pair in findings.codings:
            found = codes.get(pair)
            if found is not None:
                labels |= found
            elif pair[0] == ICD10:
                labels |= codes.get((ICD10, pair[1][:_ICD10_CATEGORY]), _NONE)
        for pair in findings.security:
            labels |= self.of_security(pair)
        return labels

    def _add_table(self, path: Path) -> None:
        node = check_keys(path, read_yaml(path), ("name", "version", "owner", "label", "title", "why", "codes"))
        label = _text(path, node, "label")
        self._title(path, label, _text(path, node, "title"))
        count = 0
        for system, codes in _mapping(path, node["codes"], "codes").items():
            for code, why in _mapping(path, codes, system).items():
                if not isinstance(code, str) or not str(why or "").strip():
                    refuse(path, f"{code!r} of {system} needs quotes, or says nothing", 'Write "code": what it is.')
                self._add(system, code, label)
                count += 1
        self._sets.append(
            LoadedSet(_text(path, node, "name"), _text(path, node, "version"), (label,), count, path.name)
        )

    def _add_csv(self, path: Path) -> None:
        rows = csv.DictReader(read_text(path).splitlines(), strict=True)
        labels: set[str] = set()
        count = 0
        try:
            if not {"system", "code", "label"} <= set(rows.fieldnames or ()):
                refuse(path, "its first line must name the columns system,code,label", "Add the line.")
            for row in rows:
                labels.add(self._add_row(path, rows.line_num, row))
                count += 1
        except csv.Error as error:
            raise PolicyProblem(f"{path}:{rows.line_num}: not CSV: {error}. Mend the line.") from error
        if not count:
            refuse(path, "it holds no codes", "Take it out of the settings, or fill it.")
        self._sets.append(LoadedSet(path.stem, "as supplied", tuple(sorted(labels)), count, path.name))

    def _add_row(self, path: Path, line: int, row: Mapping[str, str | None]) -> str:
        system, code, label = ((row[name] or "").strip() for name in ("system", "code", "label"))
        if not (system and code and label in self.titles):
            refuse(
                path,
                f"line {line} needs a system, a code and a label of {', '.join(sorted(self.titles))}",
                "Mend the line.",
            )
        self._add(system, code, label)
        return label

    def _add(self, system: str, code: str, label: str) -> None:
        for name in next((group for group in SAME_SYSTEM if system in group), (system,)):
            self._codes[name, code] = self._codes.get((name, code), _NONE) | {label}

    def _title(self, path: Path, label: str, title: str) -> None:
        if self.titles.setdefault(label, title) != title:
            refuse(path, f"the label {label} is titled {self.titles[label]!r} elsewhere", "Use one title.")

    def _add_security(self, path: Path) -> None:
        node = check_keys(path, read_yaml(path), ("owner", "version", "title", "systems"))
        self._title(path, RESTRICTED, _text(path, node, "title"))
        for entry in _list(path, node["systems"], "systems"):
            system = check_keys(path, entry, ("uris", "neutral", "labels"), "each system")
            meanings: dict[str, frozenset[str]] = dict.fromkeys(_list(path, system["neutral"], "neutral"), _NONE)
            for code, label in _mapping(path, system["labels"], "labels", may_be_empty=True).items():
                meanings[code] = frozenset({self._known(path, label)})
            for uri in _list(path, system["uris"], "uris"):
                self._security.update({(uri, code): labels for code, labels in meanings.items()})
        given = tuple(sorted(frozenset().union({RESTRICTED}, *self._security.values())))
        version = _text(path, node, "version")
        self._sets.append(LoadedSet("security labels", version, given, len(self._security), path.name))

    def _add_sources(self, path: Path) -> None:
        node = check_keys(path, read_yaml(path), ("owner", "version", "sources"))
        for entry in _list(path, node["sources"], "sources"):
            line = check_keys(path, entry, ("source-type", "sections", "labels", "why"), "each source")
            try:
                source_type = OrganisationType(line["source-type"])
                sections = [Section(section) for section in _list(path, line["sections"], "sections")]
            except ValueError as error:
                raise PolicyProblem(f"{path}: {error}. Use the words of the schema.") from error
            labels = frozenset(self._known(path, label) for label in _list(path, line["labels"], "labels"))
            for section in sections:
                self._of_source[source_type, section] = self._of_source.get((source_type, section), _NONE) | labels

    def _known(self, path: Path, label: object) -> str:
        if not isinstance(label, str) or label not in self.titles:
            refuse(path, f"the label {label!r} has no table", f"Use one of {', '.join(sorted(self.titles))}.")
        return label


def _may_tell(item: Item, whole: Collection[Section], resolve: Resolve) -> bool:
    """True where the item tells of something that isn't in the record, and not because the source has no such thing."""
    for kind in unresolved(item, resolve):
        section = SECTION_OF_TYPE.get(kind) if kind else None
        if (section is not None and section not in whole) or (kind is None and not _is_whole(whole)):
            return True
    return False


def _is_whole(sections: Collection[Section]) -> bool:
    """True where nothing that an item tells of can be in a section that didn't come."""
    return set(sections) >= _EVERYTHING


def _text(path: Path, node: Mapping[str, Any], key: str) -> str:
    value = node[key]
    if not isinstance(value, str) or not value.strip():
        refuse(path, f"{key} must be text", "Write it, in quotes where it looks like a number.")
    return value


def _mapping(path: Path, node: object, inside: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    if not isinstance(node, dict) or not (node or may_be_empty):
        refuse(path, f"{inside} must hold keys and values", "Fill it.")
    return node


def _list(path: Path, node: object, inside: str) -> Iterable[Any]:
    if not isinstance(node, list):
        refuse(path, f"{inside} must be a list", "Write it as a list.")
    return node
