"""Small records for the filter's tests: items as the guard and the merge hand them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from connectors.sdk.bundle import examine
from connectors.sdk.model import SECTION_OF_TYPE, Item
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.policy.decide import Policy
from gateway.policy.filter import Admits, Filtered, apply, everything
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Circumstances

PATIENT = "9990000018"
SCT = "http://snomed.info/sct"
HIV = "86406008"
PSYCHOSIS = "69322001"
ASTHMA = "195967001"
SOURCES = {
    "RJ2": OrganisationType.ACUTE_TRUST,
    "G85005": OrganisationType.GP_PRACTICE,
    "RPG": OrganisationType.MENTAL_HEALTH_AND_COMMUNITY_TRUST,
    "RV5": OrganisationType.MENTAL_HEALTH_TRUST,
}

_SUBJECT = {"reference": f"Patient/{PATIENT}"}
_MANDATORY: dict[str, dict[str, Any]] = {
    "Patient": {"name": [{"family": "Okafor"}], "birthDate": "1961-03-12"},
    "AllergyIntolerance": {"patient": _SUBJECT, "code": {"text": "Penicillin"}},
    "MedicationRequest": {"status": "active", "intent": "order", "subject": _SUBJECT},
    "MedicationStatement": {"status": "active", "subject": _SUBJECT},
    "Encounter": {
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": _SUBJECT,
    },
    "Appointment": {"status": "booked", "participant": [{"actor": _SUBJECT, "status": "accepted"}]},
    "Observation": {"status": "final", "code": {"text": "Haemoglobin"}, "subject": _SUBJECT},
    "DiagnosticReport": {"status": "final", "code": {"text": "Blood tests"}, "subject": _SUBJECT},
    "Condition": {"subject": _SUBJECT},
    "Immunization": {
        "status": "completed",
        "patient": _SUBJECT,
        "vaccineCode": {"text": "Influenza"},
        "occurrenceDateTime": "2026-10-01",
    },
    "CareTeam": {"subject": _SUBJECT, "name": "Diabetes team"},
}


def item(kind: str, id_: str, source: str = "RJ2", **elements: Any) -> Item:
    """An examined item whose sealed id is `id_`, with the elements that R4 demands."""
    resource = {"resourceType": kind, "id": id_, "meta": {"source": source}, **_MANDATORY.get(kind, {}), **elements}
    resource = deepcopy(resource)
    found, _ = examine(resource)
    return Item(source, resource, SECTION_OF_TYPE.get(kind), id_, sealed_id=id_, findings=found)


def code(*codes: str, system: str = SCT, text: str | None = None) -> dict[str, Any]:
    concept: dict[str, Any] = {"coding": [{"system": system, "code": each} for each in codes]}
    return {**concept, "text": text} if text else concept


def ref(kind: str, id_: str, display: str | None = None) -> dict[str, Any]:
    reference = {"reference": f"{kind}/{id_}"}
    return {**reference, "display": display} if display else reference


def resolver(items: Iterable[Item]) -> Callable[[dict[str, Any]], Item | None]:
    index = {f"{each.type}/{each.sealed_id}": each for each in items}
    return lambda reference: index.get(reference.get("reference", ""))


def seen_by(
    role: Role,
    policy: Policy,
    items: list[Item],
    *,
    scope: Scope = Scope.STANDARD,
    basis: Basis = Basis.PATIENT_AGREED,
    own_practice: bool = False,
    admits: Admits = everything,
) -> Filtered:
    """Label, decide and filter, as the record does."""
    resolve = resolver(items)
    policy.labels.label(items, SOURCES, resolve)

    def circumstances_of(each: Item) -> Circumstances:
        assert each.section is not None
        return Circumstances(
            role,
            USUAL_PLACE[role],
            "TREAT",
            basis,
            scope,
            own_practice,
            each.section,
            SOURCES[each.source],
            each.labels,
        )

    return apply(items, circumstances_of, policy, resolve, patient=PATIENT, admits=admits)


def shown(filtered: Filtered, id_: str) -> dict[str, Any]:
    """The one shown resource with this id."""
    (resource,) = [each.resource for each in filtered.items if each.sealed_id == id_]
    return resource


def ids(filtered: Filtered) -> set[str]:
    return {each.sealed_id for each in filtered.items}
