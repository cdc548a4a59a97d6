"""What the narrative says of one entry: what it is, when, everything that changes its meaning, and who holds it.

IPS wants each section readable without its entries. So a row has all that a clinician must not miss: the status (an
allergy that was refuted, a medicine that was stopped, one not to be given), the value with its unit, dose, reaction and
notes. What a row leaves out is in the entry beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.model import Item
from gateway.compared import OF_ENTRIES, UNREADABLE, dosages, joined
from gateway.summary.values import Moment, choice, concept, concepts, notes, reference, when

Json = dict[str, Any]
Resolve = Callable[[str], Json | None]
"""From a reference to the resource that it leads to, among those that this caller is shown."""
_UNNAMED: Final = "Not named in what may be shown"
_UNREADABLE: Final = "Could not be put into words here; see the entry"


@dataclass(frozen=True, slots=True)
class Row:
    """One entry in words. `what` is never empty."""

    what: str
    when: str
    details: str
    held_by: str


Facts = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Told:
    """What one entry says: what it is, when, and everything that changes its meaning, each with what it is ("" where
    the words say it themselves). `what` is never empty. `is_readable` is False for a shape that R4 does not know."""

    what: str
    when: str
    facts: tuple[tuple[str, str], ...]
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Reader:
    """How entries are read: what their references lead to, and how dates and times are written."""

    resolve: Resolve
    moment: Moment = str

    def told_of(self, item: Item) -> Told:
        """The entry in words."""
        try:
            what, when_, facts = _READ[item.type](item.resource, self)
            return Told(what or _UNNAMED, when_, tuple((name, said) for name, said in facts if said))
        except UNREADABLE:
            return Told(item.type, "", (), is_readable=False)

    def when(self, found: object) -> str:
        """A date, time, period, age or range."""
        return when(found, self.moment)

    def choice(self, resource: Json, name: str) -> str:
        """`value[x]` and its like."""
        return choice(resource, name, self.moment)

    def named(self, found: Json | None) -> str:
        """How a reference names what it leads to; else what that is called itself. Patients aren't named so: it's
        theirs that everything is."""
        target = str((found or {}).get("reference") or "")
        return reference(found) or ("" if target.startswith("Patient/") else _name_of(self.resolve(target) or {}))


def row_of(item: Item, names: Mapping[str, str], resolve: Resolve) -> Row:
    """`names` are the sources' by ODS code."""
    held_by = names.get(item.source, item.source)
    told = Reader(resolve).told_of(item)
    if not told.is_readable:
        return Row(told.what, "", _UNREADABLE, held_by)
    details = joined("; ", (f"{name}: {said}" if name else said for name, said in told.facts))
    return Row(told.what, told.when, details, held_by)


Read = Callable[[Json, Reader], tuple[str, str, Facts]]


def _name_of(it: Json) -> str:
    """Of a place or an organisation its name, of a practitioner theirs."""
    if it.get("resourceType") != "Practitioner":
        return str(it.get("name") or "")
    name: Json = next(iter(it.get("name", ())), {})
    parts = (*name.get("prefix", ()), *name.get("given", ()), str(name.get("family") or ""))
    return str(name.get("text") or "") or joined(" ", map(str, parts))


def _allergy(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        *_statuses(it),
        ("Kind", joined(", ", (str(it.get("type") or ""), *map(str, it.get("category", ()))))),
        ("Criticality", str(it.get("criticality") or "")),
        *(("Reaction", _reaction(each, to)) for each in it.get("reaction", ())),
        ("Onset", to.choice(it, "onset")),
        ("Last occurrence", to.when(it.get("lastOccurrence"))),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), to.when(it.get("recordedDate")), facts


def _reaction(it: Json, to: Reader) -> str:
    parts = (
        concepts(it.get("manifestation")),
        str(it.get("severity") or ""),
        str(it.get("description") or ""),
        f"to {concept(it['substance'])}" if it.get("substance") else "",
        to.when(it.get("onset")),
        notes(it.get("note")),
    )
    return joined(", ", parts)


def _statement(it: Json, to: Reader) -> tuple[str, str, Facts]:
    return _medicine(it, to), to.choice(it, "effective") or to.when(it.get("dateAsserted")), _medicine_facts(it)


def _prescription(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (("", "NOT TO BE GIVEN" if it.get("doNotPerform") is True else ""), ("Intent", str(it.get("intent") or "")))
    return _medicine(it, to), to.when(it.get("authoredOn")), (*facts, *_medicine_facts(it))


def _medicine(it: Json, to: Reader) -> str:
    if it.get("medicationCodeableConcept"):
        return concept(it["medicationCodeableConcept"])
    return concept(medication_of(it, to).get("code")) or reference(it.get("medicationReference"))


def medication_of(it: Json, to: Reader) -> Json:
    """The Medication that is referred to, contained or not; nothing where there is none."""
    target = str((it.get("medicationReference") or {}).get("reference") or "")
    contained = {f"#{part.get('id')}": part for part in it.get("contained", ())}
    return contained.get(target) or to.resolve(target) or {}


def _medicine_facts(it: Json) -> Facts:
    # Both: the words may agree ("as directed") where the structured dose doesn't.
    said, structured = OF_ENTRIES["dosage"](it), OF_ENTRIES["dose"](it)
    return (
        ("Status", str(it.get("status") or "")),
        ("Status reason", _one_or_many(it.get("statusReason"))),
        ("Dosage", said),
        ("Dose", structured if structured != said else ""),
        ("Route", joined(", ", dict.fromkeys(concept(dosage.get("route")) for dosage in dosages(it)))),
        ("Reason", concepts(it.get("reasonCode"))),
        ("Note", notes(it.get("note"))),
    )


def _one_or_many(found: Any) -> str:
    return concepts(found) if isinstance(found, list) else concept(found)


def _problem(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        *_statuses(it),
        ("Severity", concept(it.get("severity"))),
        ("Site", concepts(it.get("bodySite"))),
        ("Recorded", to.when(it.get("recordedDate"))),
        ("Ended", to.choice(it, "abatement")),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), to.choice(it, "onset"), facts


def _statuses(it: Json) -> Facts:
    return (
        ("Status", concept(it.get("clinicalStatus"))),
        ("Verification", concept(it.get("verificationStatus"))),
    )


def _immunisation(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        ("Status", str(it.get("status") or "")),
        ("Status reason", concept(it.get("statusReason"))),
        ("Dose", joined(", ", (to.choice(each, "doseNumber") for each in it.get("protocolApplied", ())))),
        ("Site", concept(it.get("site"))),
        ("Lot", str(it.get("lotNumber") or "")),
        ("Reaction", joined(", ", (to.when(each.get("date")) for each in it.get("reaction", ())))),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("vaccineCode")), to.choice(it, "occurrence"), facts


def _observation(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        ("", _measured(it, to)),
        *(
            ("", joined(" ", (f"{concept(each.get('code'))}:", _measured(each, to))))
            for each in it.get("component", ())
        ),
        ("Status", str(it.get("status") or "")),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), to.choice(it, "effective") or to.when(it.get("issued")), facts


def _measured(it: Json, to: Reader) -> str:
    absent = concept(it.get("dataAbsentReason"))
    parts = (
        to.choice(it, "value"),
        f"no value: {absent}" if absent else "",
        concepts(it.get("interpretation")),
        joined(", ", (f"reference range {reference_range(each)}" for each in it.get("referenceRange", ()))),
    )
    return joined(", ", parts)


def reference_range(it: Json) -> str:
    """From, to, and what the source says of it."""
    return joined(" ", (when({end: it[end] for end in ("low", "high") if end in it}), str(it.get("text") or "")))


def _report(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        ("Conclusion", str(it.get("conclusion") or "")),
        ("Concluded", concepts(it.get("conclusionCode"))),
        ("Status", str(it.get("status") or "")),
        ("Service", concepts(it.get("category"))),
    )
    return concept(it.get("code")), to.choice(it, "effective") or to.when(it.get("issued")), facts


def _attendance(it: Json, to: Reader) -> tuple[str, str, Facts]:
    kind = it.get("class") or {}
    facts = (
        ("Status", str(it.get("status") or "")),
        ("Reason", concepts(it.get("reasonCode"))),
        ("With", joined(", ", (to.named(each.get("individual")) for each in it.get("participant", ())))),
        ("Where", joined(", ", (to.named(each.get("location")) for each in it.get("location", ())))),
        ("At", to.named(it.get("serviceProvider"))),
    )
    return (
        concepts(it.get("type")) or str(kind.get("display") or kind.get("code") or ""),
        to.when(it.get("period")),
        facts,
    )


def _appointment(it: Json, to: Reader) -> tuple[str, str, Facts]:
    facts = (
        ("Status", str(it.get("status") or "")),
        ("For", str(it.get("description") or "")),
        ("Reason", concepts(it.get("reasonCode"))),
        ("With", joined(", ", (to.named(each.get("actor")) for each in it.get("participant", ())))),
        ("Comment", str(it.get("comment") or "")),
    )
    what = concepts(it.get("serviceType")) or concept(it.get("appointmentType")) or "Appointment"
    return what, to.when({end: it[end] for end in ("start", "end") if end in it}), facts


def _team(it: Json, to: Reader) -> tuple[str, str, Facts]:
    members = (
        joined(", ", (to.named(each.get("member")), concepts(each.get("role")))) for each in it.get("participant", ())
    )
    facts = (
        ("Status", str(it.get("status") or "")),
        *(("Member", each) for each in members),
        ("Reason", concepts(it.get("reasonCode"))),
        ("Note", notes(it.get("note"))),
    )
    return str(it.get("name") or "") or concepts(it.get("category")), to.when(it.get("period")), facts


_READ: Final[Mapping[str, Read]] = {
    "AllergyIntolerance": _allergy,
    "MedicationStatement": _statement,
    "MedicationRequest": _prescription,
    "Condition": _problem,
    "Immunization": _immunisation,
    "Observation": _observation,
    "DiagnosticReport": _report,
    "Encounter": _attendance,
    "Appointment": _appointment,
    "CareTeam": _team,
}
