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
from gateway.summary.values import (
    choice,
    concept,
    concepts,
    notes,
    reference,
    when,
)

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


def row_of(item: Item, names: Mapping[str, str], resolve: Resolve) -> Row:
    """`names` are the sources' by ODS code."""
    held_by = names.get(item.source, item.source)
    try:
        what, moment, facts = _READ[item.type](item.resource, resolve)
        details = joined("; ", (f"{name}: {said}" if name else said for name, said in facts if said))
    except UNREADABLE:
        return Row(item.type, "", _UNREADABLE, held_by)
    return Row(what or _UNNAMED, moment, details, held_by)


Facts = Iterable[tuple[str, str]]
Read = Callable[[Json, Resolve], tuple[str, str, Facts]]


def _allergy(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        *_statuses(it),
        ("Kind", joined(", ", (str(it.get("type") or ""), *map(str, it.get("category", ()))))),
        ("Criticality", str(it.get("criticality") or "")),
        *(("Reaction", _reaction(each)) for each in it.get("reaction", ())),
        ("Onset", choice(it, "onset")),
        ("Last occurrence", when(it.get("lastOccurrence"))),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), when(it.get("recordedDate")), facts


def _reaction(it: Json) -> str:
    parts = (
        concepts(it.get("manifestation")),
        str(it.get("severity") or ""),
        str(it.get("description") or ""),
        f"to {concept(it['substance'])}" if it.get("substance") else "",
        when(it.get("onset")),
        notes(it.get("note")),
    )
    return joined(", ", parts)


def _statement(it: Json, resolve: Resolve) -> tuple[str, str, Facts]:
    return _medicine(it, resolve), choice(it, "effective") or when(it.get("dateAsserted")), _medicine_facts(it)


def _prescription(it: Json, resolve: Resolve) -> tuple[str, str, Facts]:
    facts = (("", "NOT TO BE GIVEN" if it.get("doNotPerform") is True else ""), ("Intent", str(it.get("intent") or "")))
    return _medicine(it, resolve), when(it.get("authoredOn")), (*facts, *_medicine_facts(it))


def _medicine(it: Json, resolve: Resolve) -> str:
    if it.get("medicationCodeableConcept"):
        return concept(it["medicationCodeableConcept"])
    link = it.get("medicationReference") or {}
    target = str(link.get("reference") or "")
    contained = {f"#{part.get('id')}": part for part in it.get("contained", ())}
    medication = contained.get(target) or resolve(target) or {}
    return concept(medication.get("code")) or reference(link)


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


def _problem(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        *_statuses(it),
        ("Severity", concept(it.get("severity"))),
        ("Site", concepts(it.get("bodySite"))),
        ("Recorded", when(it.get("recordedDate"))),
        ("Ended", choice(it, "abatement")),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), choice(it, "onset"), facts


def _statuses(it: Json) -> Facts:
    return (
        ("Status", concept(it.get("clinicalStatus"))),
        ("Verification", concept(it.get("verificationStatus"))),
    )


def _immunisation(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        ("Status", str(it.get("status") or "")),
        ("Status reason", concept(it.get("statusReason"))),
        ("Dose", joined(", ", (choice(each, "doseNumber") for each in it.get("protocolApplied", ())))),
        ("Site", concept(it.get("site"))),
        ("Lot", str(it.get("lotNumber") or "")),
        ("Reaction", joined(", ", (when(each.get("date")) for each in it.get("reaction", ())))),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("vaccineCode")), choice(it, "occurrence"), facts


def _observation(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        ("", _measured(it)),
        *(("", joined(" ", (f"{concept(each.get('code'))}:", _measured(each)))) for each in it.get("component", ())),
        ("Status", str(it.get("status") or "")),
        ("Note", notes(it.get("note"))),
    )
    return concept(it.get("code")), choice(it, "effective") or when(it.get("issued")), facts


def _measured(it: Json) -> str:
    absent = concept(it.get("dataAbsentReason"))
    parts = (
        choice(it, "value"),
        f"no value: {absent}" if absent else "",
        concepts(it.get("interpretation")),
        joined(", ", (f"reference range {_reference_range(each)}" for each in it.get("referenceRange", ()))),
    )
    return joined(", ", parts)


def _reference_range(it: Json) -> str:
    return joined(" ", (when({end: it[end] for end in ("low", "high") if end in it}), str(it.get("text") or "")))


def _report(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        ("Conclusion", str(it.get("conclusion") or "")),
        ("Concluded", concepts(it.get("conclusionCode"))),
        ("Status", str(it.get("status") or "")),
        ("Service", concepts(it.get("category"))),
    )
    return concept(it.get("code")), choice(it, "effective") or when(it.get("issued")), facts


def _attendance(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    kind = it.get("class") or {}
    facts = (
        ("Status", str(it.get("status") or "")),
        ("Reason", concepts(it.get("reasonCode"))),
        ("With", joined(", ", (reference(each.get("individual")) for each in it.get("participant", ())))),
        ("Where", joined(", ", (reference(each.get("location")) for each in it.get("location", ())))),
        ("At", reference(it.get("serviceProvider"))),
    )
    return concepts(it.get("type")) or str(kind.get("display") or kind.get("code") or ""), when(it.get("period")), facts


def _appointment(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    facts = (
        ("Status", str(it.get("status") or "")),
        ("For", str(it.get("description") or "")),
        ("Reason", concepts(it.get("reasonCode"))),
        ("With", joined(", ", (reference(each.get("actor")) for each in it.get("participant", ())))),
        ("Comment", str(it.get("comment") or "")),
    )
    what = concepts(it.get("serviceType")) or concept(it.get("appointmentType")) or "Appointment"
    return what, when({end: it[end] for end in ("start", "end") if end in it}), facts


def _team(it: Json, _: Resolve) -> tuple[str, str, Facts]:
    members = (
        joined(", ", (reference(each.get("member")), concepts(each.get("role")))) for each in it.get("participant", ())
    )
    facts = (
        ("Status", str(it.get("status") or "")),
        *(("Member", each) for each in members),
        ("Reason", concepts(it.get("reasonCode"))),
        ("Note", notes(it.get("note"))),
    )
    return str(it.get("name") or "") or concepts(it.get("category")), when(it.get("period")), facts


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
