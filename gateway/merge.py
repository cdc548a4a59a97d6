"""Step 8: one record, nothing overwritten: ids sealed, references rewritten, a manifest that accounts for every source.

The same medicine at the GP and in hospital stays two items; `gateway.same_as` groups them and names what conflicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.sdk.model import INCLUDED_BY, ODS_SYSTEM, SUPPORTING_TYPES, Answer, Ask, Item, Outcome, Section
from connectors.sdk.organisations import Organisations, OrganisationType
from gateway.allergies import is_no_known_allergy
from gateway.audit.row import Alarm
from gateway.guard import Guarded
from gateway.manifest import ManifestLine
from gateway.patient_names import HISTORY, own_url
from gateway.register.standing import Standing
from gateway.sealed import Sealer, is_sealed
from gateway.search.dates import BEGINNING, beginning
from gateway.search.tokens import values

_UNDATED: Final = BEGINNING - 1
SOURCE_URI: Final = "https://directory.spineservices.nhs.uk/STU3/Organization/"
_REGISTERS: Final = frozenset({OrganisationType.NATIONAL_SERVICE})
_NOWHERE: Final = "urn:connect-care:nowhere"
_NONE: Final[frozenset[Section]] = frozenset()
_NO_REGISTER: Final = Standing()
_SECTION_ORDER: Final = {section: place for place, section in enumerate(Section)}
_DATES: Final = (
    "effectiveDateTime",
    "effectiveInstant",
    "effectivePeriod",
    "period",
    "start",
    "authoredOn",
    "occurrenceDateTime",
    "recordedDate",
    "onsetDateTime",
    "issued",
    "dateAsserted",
)


@dataclass(slots=True)
class Record:
    """All that the sources said about one patient, before policy. `index` finds an item by its sealed reference.

    `asked` are the sections that the look is about. `asked_of` are those that each source was asked for, also for the
    sake of labels alone; `whole` those of them that it answered whole. `standing` is the register's word.
    """

    nhs_number: str
    items: list[Item]
    lines: tuple[ManifestLine, ...]
    asked: frozenset[Section]
    alarms: list[Alarm]
    index: dict[str, Item]
    registered_practice: str | None
    asked_of: Mapping[str, frozenset[Section]]
    whole: Mapping[str, frozenset[Section]]
    standing: Standing = _NO_REGISTER

    @property
    def patients(self) -> list[Item]:
        """The Patient resources, the one that carries the record first."""
        return [item for item in self.items if item.section is Section.DEMOGRAPHICS]

    def resolve(self, reference: Mapping[str, Any]) -> Item | None:
        """The item that a Reference means, by its sealed reference."""
        return self.index.get(reference.get("reference", ""))


class Merger:
    """Seals and joins. It holds no state of any patient."""

    def __init__(self, sealer: Sealer, organisations: Organisations) -> None:
        self._sealer = sealer
        self._organisations = organisations

    def merge(
        self,
        guarded: Guarded,
        asks: Mapping[str, Ask],
        nhs_number: str,
        asked: frozenset[Section],
        standing: Standing = _NO_REGISTER,
    ) -> Record:
        """The same record, whatever the order in which sources and items came. Raises nothing: what can't be used was
        taken out by the guard."""
        sealed = {answer.source: self.sealed(answer, nhs_number) for answer in guarded.answers}
        return self.join(guarded, sealed, asks, nhs_number, asked, standing)

    def join(
        self,
        guarded: Guarded,
        sealed: Mapping[str, Iterable[Item]],
        asks: Mapping[str, Ask],
        nhs_number: str,
        asked: frozenset[Section],
        standing: Standing = _NO_REGISTER,
    ) -> Record:
        """The record of what `sealed` holds for each of the answers, by source. Of the items it changes the Patients
        alone: one of them carries the record."""
        answers = sorted(guarded.answers, key=lambda answer: answer.source)
        items = [item for answer in answers for item in sealed[answer.source]]
        lines = tuple(self._line(answer, asked) for answer in answers)
        if any(line.lacks(Section.ALLERGIES) for line in lines):
            # "No known allergies" never survives a missing allergy source (ARCHITECTURE: completeness is data).
            items = [item for item in items if not (item.section is Section.ALLERGIES and is_no_known_allergy(item))]
        practice = standing.practice
        if standing.register is None:
            practice = registered_practice(items, {answer.source for answer in answers})
        _name_the_patient(items, nhs_number, (standing.register, practice))
        index = {f"{item.type}/{item.sealed_id}": item for item in items}
        alarms = sorted(guarded.alarms, key=lambda alarm: (alarm.source, alarm.kind))
        asked_of = {source: ask.sections for source, ask in asks.items()}
        whole = {answer.source: asked_of.get(answer.source, _NONE).difference(answer.gaps) for answer in answers}
        ordered = sorted(items, key=_order)
        return Record(nhs_number, ordered, lines, asked, alarms, index, practice, asked_of, whole, standing)

    def sealed(self, answer: Answer, nhs_number: str) -> list[Item]:
        """What one source sent, each resource once, with sealed ids and references. To be done once for each Answer."""
        organisation = self._organisations.get(answer.source)
        address = (organisation.address or "").rstrip("/") if organisation else ""
        name = organisation.name if organisation else answer.source
        kept = _newest_of_each(answer.items)
        sealed = {}
        for key, item in kept.items():
            item.sealed_id = self._sealer.seal_id(nhs_number, item.source, item.type, item.original_id)
            sealed[key] = f"{item.type}/{nhs_number if item.section is Section.DEMOGRAPHICS else item.sealed_id}"
        own = _own_references(answer.items, sealed, address)
        for item in kept.values():
            _rewrite(item, own, answer.includes)
            _stamp(item, name)
        return list(kept.values())

    def _line(self, answer: Answer, asked: frozenset[Section]) -> ManifestLine:
        organisation = self._organisations.get(answer.source)
        gaps = {section: answer.gaps[section] for section in Section if section in answer.gaps and section in asked}
        # Partial only where the gap is in a section that this look is about.
        whole = answer.outcome is Outcome.PARTIAL and not gaps
        return ManifestLine(
            source=answer.source,
            name=organisation.name if organisation else answer.source,
            outcome=Outcome.ANSWERED if whole else answer.outcome,
            gaps=gaps,
            warnings=tuple(w for w in answer.warnings if w.section is None or w.section in asked),
            told="" if whole else answer.told,
            speaks_for="the GP practice" if organisation and organisation.type in _REGISTERS else "",
        )


def _newest_of_each(items: Iterable[Item]) -> dict[str, Item]:
    """The same resource may come by two searches. Where its versions differ, the newest is the source's word."""
    newest: dict[str, Item] = {}
    for item in items:
        other = newest.get(item.key)
        if other is None or _version(item) > _version(other):
            newest[item.key] = item
    return newest


def _version(item: Item) -> tuple[int, bytes]:
    """When it was changed, as an instant whatever its time zone; between versions of one instant, any fixed order."""
    changed = beginning(str(item.resource.get("meta", {}).get("lastUpdated", "")))
    return _UNDATED if changed is None else changed, msgspec.json.encode(item.resource, order="sorted")


def _own_references(items: Iterable[Item], sealed: Mapping[str, str], address: str) -> dict[str, str]:
    """Every form in which this source may refer to its own items, with the sealed reference that takes its place.

    A `fullUrl` that two resources claim leads to neither: a guess would tie an item to the wrong one.
    """
    own: dict[str, str] = {}
    claimed_twice: set[str] = set()
    for item in items:
        url = own_url(item)
        if url is not None and own.setdefault(url, sealed[item.key]) != sealed[item.key]:
            claimed_twice.add(url)
    for url in claimed_twice:
        del own[url]
    for key, reference in sealed.items():
        own[key] = own[f"{address}/{key}"] = reference
    return own


def _rewrite(item: Item, own: Mapping[str, str], includes: frozenset[str]) -> None:
    """Point references at sealed ids. What points elsewhere is left for the policy filter, which removes it; where it
    looks like a sealed id, so that it can't lead to another source's item: no source may label or join another's.

    A supporting resource is followed from an element only where the source sends its targets along with every item of
    the type. Otherwise it could be here because a hidden item brought it, and would tell of that.
    """
    explained: set[int] | None = None
    for reference in item.findings.references if item.findings else ():
        target = reference["reference"]
        if target.startswith("#"):
            continue
        sealed = own.get(target) or own.get(HISTORY.sub("", target))
        if sealed is None:
            if is_sealed(target.rpartition("/")[2]) and target not in own.values():
                reference["reference"] = _NOWHERE
            continue
        if sealed.partition("/")[0] in SUPPORTING_TYPES:
            if explained is None:
                explained = {id(node) for node in _explained(item, includes)}
            if id(reference) not in explained:
                continue
        reference["reference"] = sealed


def _explained(item: Item, includes: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The References of an item whose targets its source always sends along."""
    for include in includes:
        kind, _, _ = include.partition(":")
        if kind == item.type and include in INCLUDED_BY:
            yield from (node for node in values(item.resource, INCLUDED_BY[include]) if isinstance(node, dict))


def _stamp(item: Item, name: str) -> None:
    """The sealed id, and where it comes from. The source's version id and own source address stay behind."""
    resource = item.resource
    resource["id"] = item.sealed_id
    meta: dict[str, Any] = resource.setdefault("meta", {})
    meta.pop("versionId", None)
    meta["source"] = SOURCE_URI + item.source
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != ODS_SYSTEM]
    meta["tag"] = [{"system": ODS_SYSTEM, "code": item.source, "display": name}, *tags]


def registered_practice(items: Iterable[Item], asked: Collection[str]) -> str | None:
    """Where no register says it: the ODS code of the practice where the patient is registered; None where that can't be
    told.

    Its staff see what others may not, so the practice's own word is needed, and no second practice that says the same
    of itself. Others' word (theirs is often out of date) counts only for a practice whose system was not `asked`
    because it has none, and only where they agree.
    """
    named = {item.source: _practices_named(item) for item in items if item.section is Section.DEMOGRAPHICS}
    own_word = {source for source, practices in named.items() if source in practices}
    candidates = own_word or set().union(*named.values())
    practice = next(iter(candidates)) if len(candidates) == 1 else None
    return practice if own_word or practice not in asked else None


def _practices_named(patient: Item) -> set[str]:
    identifiers = (practice.get("identifier", {}) for practice in patient.resource.get("generalPractitioner", ()))
    return {str(one.get("value")) for one in identifiers if one.get("system") == ODS_SYSTEM}


def _name_the_patient(items: list[Item], nhs_number: str, preferred: tuple[str | None, ...]) -> None:
    """One Patient carries the NHS number as its id: the register's, else the registered practice's, else the first by
    ODS code.

    The other sources' Patients keep sealed ids and refer to it, so that two addresses are seen as two.
    """
    patients = sorted(
        (item for item in items if item.section is Section.DEMOGRAPHICS),
        key=lambda item: (*(item.source != source for source in preferred), item.source, item.sealed_id),
    )
    for place, patient in enumerate(patients):
        patient.resource.pop("link", None)
        if place == 0:
            patient.sealed_id = patient.resource["id"] = nhs_number
        else:
            patient.resource["link"] = [{"other": {"reference": f"Patient/{nhs_number}"}, "type": "refer"}]
    if len(patients) > 1:
        patients[0].resource["link"] = [
            {"other": {"reference": f"Patient/{other.sealed_id}"}, "type": "seealso"} for other in patients[1:]
        ]


def _order(item: Item) -> tuple[int, str, bool, int, str, str]:
    """Section, type, newest first and undated last, source, id: the same whoever answered first.

    Dates are compared as moments, not as text: 00:15+01:00 on the second is before 23:30Z on the first.
    """
    place = len(_SECTION_ORDER) if item.section is None else _SECTION_ORDER[item.section]
    is_other_patient = item.section is Section.DEMOGRAPHICS and "." in item.sealed_id
    when = beginning(clinical_date(item))
    return place, item.type, is_other_patient, -(_UNDATED if when is None else when), item.source, item.sealed_id


def clinical_date(item: Item) -> str:
    """The date by which a reader orders this item, as the source wrote it; empty where it has none."""
    resource = item.resource
    for name in _DATES:
        if name in resource:
            value = resource[name]
            if isinstance(value, dict):
                value = value.get("start") or value.get("end")
            if isinstance(value, str):
                return value
    return ""


class _TypesBySource(dict[str, OrganisationType]):
    """The type of each organisation that was asked about: nobody walks over thousands of practices to know one."""

    def __init__(self, organisations: Organisations) -> None:
        super().__init__()
        self._organisations = organisations

    def __missing__(self, ods: str) -> OrganisationType:
        self[ods] = found = self._organisations.type_of(ods)
        return found


def source_types(organisations: Organisations) -> Mapping[str, OrganisationType]:
    """The type of each organisation, by ODS code. Raises KeyError for one that isn't known."""
    return _TypesBySource(organisations)
