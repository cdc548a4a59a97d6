"""What may be searched, by resource type: one table for the parser, the matcher and the CapabilityStatement.

A name means here what FHIR R4 says it means (`definition` is R4's own SearchParameter). Where R4 defines no `code`,
`category`, `status` or `date` for a type, or defines one that nobody at the point of care asks for (MedicationRequest
`date` is the timing of doses), the name is this server's own: `definition` is empty, and the CapabilityStatement
carries a SearchParameter of our own that says what it looks at. docs/decisions/0006-search.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_R4: Final = "http://hl7.org/fhir/SearchParameter/"


class Kind(StrEnum):
    """How a parameter's value is read; the words are those of FHIR's search-param-type."""

    TOKEN = "token"  # noqa: S105 - FHIR's name for a coded value
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Param:
    """One search parameter of one type.

    `paths` are the elements looked at, choice types spelt out (`effectiveDateTime`). `system` is the code system that
    FHIR binds to an element of type `code`, which itself carries none. `medicine`: a reference to a Medication is
    followed to that Medication's `code`.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    definition: str
    says: str
    system: str = ""
    medicine: bool = False

    @property
    def own(self) -> bool:
        """True where the meaning is this server's, not R4's."""
        return not self.definition


@dataclass(frozen=True, slots=True)
class Offer:
    """What one resource type can be searched by, besides its patient."""

    patient_definition: str
    patient_path: str
    params: Mapping[str, Param]

    @property
    def sorts(self) -> tuple[str, ...]:
        """The names that `_sort` takes."""
        return (*(name for name in ("date", "code", "status") if name in self.params), "_lastUpdated", "_id")


LAST_UPDATED: Final = Param(
    "_lastUpdated", Kind.DATE, ("meta.lastUpdated",), _R4 + "Resource-lastUpdated", "When its source last changed it"
)
ID_DEFINITION: Final = _R4 + "Resource-id"
PATIENT_IDENTIFIER: Final = _R4 + "Patient-identifier"
BIRTHDATE: Final = Param(
    "birthdate", Kind.DATE, ("birthDate",), _R4 + "individual-birthdate", "The exact date of birth"
)

NHS_NUMBER_PARAMS: Final = ("identifier", "_id")
PERSON_PARAMS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "family": ("string", "To find a person, with given and birthdate: the whole family name", "individual-family"),
        "given": ("string", "The given name or names, whole", "individual-given"),
        "birthdate": ("date", BIRTHDATE.says, "individual-birthdate"),
        "gender": ("token", "male, female, other or unknown; may be added", "individual-gender"),
        "address-postalcode": ("string", "The whole postcode; may be added", "individual-address-postalcode"),
    }
)
"""What a person is found by whose NHS number nobody knows: name -> (type, what it takes, R4's SearchParameter). Here
they aren't filters: all that are given must fit exactly, and one person alone."""
PERSON_REQUIRED: Final = ("family", "given", "birthdate")

RESULT_PARAMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "_count": "How many entries a page holds, 0 to 1000; 0 asks for the count alone",
        "_sort": "Order of the entries; a dash before a name reverses it",
        "_summary": "true, text, data, count or false",
        "_elements": "Names of top-level elements, separated by commas",
        "_total": "none, estimate or accurate; the total is always given and always accurate",
        "_totalMethod": "count; the name that some clients use for _total",
        "_format": "json, application/json or application/fhir+json",
        "_cursor": "The next page, as a link of the page before gave it; alone",
    }
)
"""Parameters that shape the answer, with what they take. They apply to every type but where `NOT_FOR_PATIENT` says."""
NOT_FOR_PATIENT: Final = frozenset({"_sort"})
EVERYTHING_PARAMS: Final = ("_type", "_count", "_format", "_cursor")
READ_PARAMS: Final = ("_summary", "_elements", "_format")


def person_definition(name: str) -> str:
    """R4's own SearchParameter of one of PERSON_PARAMS."""
    return _R4 + PERSON_PARAMS[name][2]


def _token(name: str, path: str, defined: str, says: str, system: str = "") -> Param:
    return Param(name, Kind.TOKEN, tuple(path.split()), defined and _R4 + defined, says, system)


def _date(name: str, path: str, defined: str, says: str) -> Param:
    return Param(name, Kind.DATE, tuple(path.split()), defined and _R4 + defined, says)


def _medicine(says: str) -> Param:
    paths = ("medicationCodeableConcept", "medicationReference")
    return Param("code", Kind.TOKEN, paths, _R4 + "clinical-code", says, medicine=True)


def _offer(*params: Param, patient: str = "clinical-patient", path: str = "subject") -> Offer:
    return Offer(_R4 + patient, path, MappingProxyType({param.name: param for param in params}))


OFFERED: Final[Mapping[str, Offer]] = MappingProxyType(
    {
        "AllergyIntolerance": _offer(
            _token("code", "code reaction.substance", "clinical-code", "What the patient is allergic to"),
            _token(
                "category",
                "category",
                "AllergyIntolerance-category",
                "food, medication, environment or biologic",
                "http://hl7.org/fhir/allergy-intolerance-category",
            ),
            _token(
                "clinical-status",
                "clinicalStatus",
                "AllergyIntolerance-clinical-status",
                "active, inactive or resolved",
            ),
            _token("status", "clinicalStatus", "", "The clinical status, as clinical-status"),
            _date("date", "recordedDate", "clinical-date", "When it was recorded"),
            path="patient",
        ),
        "MedicationStatement": _offer(
            _medicine("The medicine; a reference to a Medication is followed"),
            _token("category", "category", "MedicationStatement-category", "Where the medicine is taken or given"),
            _token(
                "status",
                "status",
                "medications-status",
                "active, completed, stopped and so on",
                "http://hl7.org/fhir/CodeSystem/medication-statement-status",
            ),
            _date(
                "effective",
                "effectiveDateTime effectivePeriod",
                "MedicationStatement-effective",
                "When the medicine is or was taken",
            ),
            _date("date", "effectiveDateTime effectivePeriod", "", "When the medicine is or was taken, as effective"),
        ),
        "MedicationRequest": _offer(
            _medicine("The medicine; a reference to a Medication is followed"),
            _token("category", "category", "MedicationRequest-category", "Where the medicine is to be taken or given"),
            _token(
                "status",
                "status",
                "medications-status",
                "active, completed, stopped and so on",
                "http://hl7.org/fhir/CodeSystem/medicationrequest-status",
            ),
            _token(
                "intent",
                "intent",
                "MedicationRequest-intent",
                "plan, order and so on",
                "http://hl7.org/fhir/CodeSystem/medicationrequest-intent",
            ),
            _date("authoredon", "authoredOn", "MedicationRequest-authoredon", "When it was prescribed"),
            _date("date", "authoredOn", "", "When it was prescribed, as authoredon"),
        ),
        "Observation": _offer(
            _token("code", "code", "clinical-code", "What was observed"),
            _token("category", "category", "Observation-category", "laboratory, vital-signs and so on"),
            _token(
                "status",
                "status",
                "Observation-status",
                "final, amended and so on",
                "http://hl7.org/fhir/observation-status",
            ),
            _date(
                "date",
                "effectiveDateTime effectivePeriod effectiveInstant effectiveTiming",
                "clinical-date",
                "When it was true of the patient",
            ),
        ),
        "DiagnosticReport": _offer(
            _token("code", "code", "clinical-code", "What the report is"),
            _token("category", "category", "DiagnosticReport-category", "Which service made it"),
            _token(
                "status",
                "status",
                "DiagnosticReport-status",
                "final, amended and so on",
                "http://hl7.org/fhir/diagnostic-report-status",
            ),
            _date("date", "effectiveDateTime effectivePeriod", "clinical-date", "When it was true of the patient"),
        ),
        "Encounter": _offer(
            _token("class", "class", "Encounter-class", "Emergency, inpatient, ambulatory and so on"),
            _token("type", "type", "clinical-type", "What kind of attendance"),
            _token("code", "type", "", "What kind of attendance, as type"),
            _token("category", "class", "", "Emergency, inpatient, ambulatory and so on, as class"),
            _token(
                "status",
                "status",
                "Encounter-status",
                "planned, in-progress, finished and so on",
                "http://hl7.org/fhir/encounter-status",
            ),
            _date("date", "period", "clinical-date", "From arrival to departure"),
        ),
        "Appointment": _offer(
            _token("service-type", "serviceType", "Appointment-service-type", "What the appointment is for"),
            _token("service-category", "serviceCategory", "Appointment-service-category", "Which kind of service"),
            _token("code", "serviceType", "", "What the appointment is for, as service-type"),
            _token("category", "serviceCategory", "", "Which kind of service, as service-category"),
            _token(
                "status",
                "status",
                "Appointment-status",
                "booked, arrived, cancelled and so on",
                "http://hl7.org/fhir/appointmentstatus",
            ),
            _date("date", "start", "Appointment-date", "When it begins"),
            patient="Appointment-patient",
            path="participant.actor",
        ),
        "Condition": _offer(
            _token("code", "code", "clinical-code", "Which problem"),
            _token("category", "category", "Condition-category", "problem-list-item or encounter-diagnosis"),
            _token("clinical-status", "clinicalStatus", "Condition-clinical-status", "active, inactive and so on"),
            _token("status", "clinicalStatus", "", "The clinical status, as clinical-status"),
            _date("recorded-date", "recordedDate", "Condition-recorded-date", "When it was recorded"),
            _date("onset-date", "onsetDateTime onsetPeriod", "Condition-onset-date", "When it began"),
            _date("date", "recordedDate", "", "When it was recorded, as recorded-date"),
        ),
        "Immunization": _offer(
            _token("vaccine-code", "vaccineCode", "Immunization-vaccine-code", "Which vaccine"),
            _token("code", "vaccineCode", "", "Which vaccine, as vaccine-code"),
            _token(
                "status",
                "status",
                "Immunization-status",
                "completed, not-done or entered-in-error",
                "http://hl7.org/fhir/event-status",
            ),
            _date("date", "occurrenceDateTime", "clinical-date", "When it was given"),
            path="patient",
        ),
        "CareTeam": _offer(
            _token("category", "category", "CareTeam-category", "What kind of team"),
            _token(
                "status",
                "status",
                "CareTeam-status",
                "proposed, active, inactive and so on",
                "http://hl7.org/fhir/care-team-status",
            ),
            _date("date", "period", "clinical-date", "While the team looks after the patient"),
        ),
    }
)
"""The searchable types but Patient, which is found by NHS number, or sought by name (PERSON_PARAMS)."""

SHOWN_TYPES: Final = ("Patient", *OFFERED)
"""Every type that the FHIR door can be asked for."""


def search_names(resource_type: str) -> tuple[str, ...]:
    """Every parameter name that a search of this type takes, the patient's first."""
    if resource_type == "Patient":
        results = (name for name in RESULT_PARAMS if name not in NOT_FOR_PATIENT)
        return (*NHS_NUMBER_PARAMS, "birthdate", *results)
    return ("patient", *OFFERED[resource_type].params, "_id", "_lastUpdated", *RESULT_PARAMS)
