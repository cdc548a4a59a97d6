"""What may be searched, by resource type: one table for the parser, the matcher and the CapabilityStatement.

A name means here what FHIR R4 says it means (`definition` is R4's own SearchParameter). Where R4 defines no `code`,
`category`, `status` or `date` for a type, or defines one that nobody at the point of care asks for (MedicationRequest
`date` is the timing of doses), the name is this server's own: `definition` is empty, and the CapabilityStatement
carries a SearchParameter of our own that says what it looks at. docs/decisions/0006-search.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.search.param import R4, Kind, Offer, Param, date, medicine, offer, token

ID_DEFINITION: Final = R4 + "Resource-id"
PATIENT_IDENTIFIER: Final = R4 + "Patient-identifier"
BIRTHDATE: Final = Param("birthdate", Kind.DATE, ("birthDate",), R4 + "individual-birthdate", "The exact date of birth")

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
        "_cursor": "The next page, as a link of the page before gave it; alone, but for _count",
    }
)
"""Parameters that shape the answer, with what they take. They apply to every type but where `NOT_FOR_PATIENT` says."""
NOT_FOR_PATIENT: Final = frozenset({"_sort"})
EVERYTHING_PARAMS: Final = ("_type", "_since", "start", "end", "_count", "_format", "_cursor")
REPEATABLE: Final = frozenset({"_include"})
"""R4 has several includes as several parameters; every other is given once."""
READ_PARAMS: Final = ("_summary", "_elements", "_format")


def person_definition(name: str) -> str:
    """R4's own SearchParameter of one of PERSON_PARAMS."""
    return R4 + PERSON_PARAMS[name][2]


OFFERED: Final[Mapping[str, Offer]] = MappingProxyType(
    {
        "AllergyIntolerance": offer(
            token("code", "code reaction.substance", "clinical-code", "What the patient is allergic to"),
            token(
                "category",
                "category",
                "AllergyIntolerance-category",
                "food, medication, environment or biologic",
                "http://hl7.org/fhir/allergy-intolerance-category",
            ),
            token(
                "verification-status",
                "verificationStatus",
                "AllergyIntolerance-verification-status",
                "confirmed, unconfirmed, refuted and so on",
            ),
            token(
                "criticality",
                "criticality",
                "AllergyIntolerance-criticality",
                "low, high or unable-to-assess",
                "http://hl7.org/fhir/allergy-intolerance-criticality",
            ),
            token(
                "clinical-status",
                "clinicalStatus",
                "AllergyIntolerance-clinical-status",
                "active, inactive or resolved",
            ),
            token("status", "clinicalStatus", "", "The clinical status, as clinical-status"),
            date("date", "recordedDate", "clinical-date", "When it was recorded"),
            path="patient",
        ),
        "MedicationStatement": offer(
            medicine("The medicine; a reference to a Medication is followed"),
            token("category", "category", "MedicationStatement-category", "Where the medicine is taken or given"),
            token(
                "status",
                "status",
                "medications-status",
                "active, completed, stopped and so on",
                "http://hl7.org/fhir/CodeSystem/medication-statement-status",
            ),
            date(
                "effective",
                "effectiveDateTime effectivePeriod",
                "MedicationStatement-effective",
                "When the medicine is or was taken",
            ),
            date("date", "effectiveDateTime effectivePeriod", "", "When the medicine is or was taken, as effective"),
        ),
        "MedicationRequest": offer(
            medicine("The medicine; a reference to a Medication is followed"),
            token("category", "category", "MedicationRequest-category", "Where the medicine is to be taken or given"),
            token(
                "status",
                "status",
                "medications-status",
                "active, completed, stopped and so on",
                "http://hl7.org/fhir/CodeSystem/medicationrequest-status",
            ),
            token(
                "intent",
                "intent",
                "MedicationRequest-intent",
                "plan, order and so on",
                "http://hl7.org/fhir/CodeSystem/medicationrequest-intent",
            ),
            date("authoredon", "authoredOn", "MedicationRequest-authoredon", "When it was prescribed"),
            date("date", "authoredOn", "", "When it was prescribed, as authoredon"),
        ),
        "Observation": offer(
            token("code", "code", "clinical-code", "What was observed"),
            token("category", "category", "Observation-category", "laboratory, vital-signs and so on"),
            token(
                "status",
                "status",
                "Observation-status",
                "final, amended and so on",
                "http://hl7.org/fhir/observation-status",
            ),
            date(
                "date",
                "effectiveDateTime effectivePeriod effectiveInstant effectiveTiming",
                "clinical-date",
                "When it was true of the patient",
            ),
        ),
        "DiagnosticReport": offer(
            token("code", "code", "clinical-code", "What the report is"),
            token("category", "category", "DiagnosticReport-category", "Which service made it"),
            token(
                "status",
                "status",
                "DiagnosticReport-status",
                "final, amended and so on",
                "http://hl7.org/fhir/diagnostic-report-status",
            ),
            date("date", "effectiveDateTime effectivePeriod", "clinical-date", "When it was true of the patient"),
        ),
        "Encounter": offer(
            token("class", "class", "Encounter-class", "Emergency, inpatient, ambulatory and so on"),
            token("type", "type", "clinical-type", "What kind of attendance"),
            token("code", "type", "", "What kind of attendance, as type"),
            token("category", "class", "", "Emergency, inpatient, ambulatory and so on, as class"),
            token(
                "status",
                "status",
                "Encounter-status",
                "planned, in-progress, finished and so on",
                "http://hl7.org/fhir/encounter-status",
            ),
            date("date", "period", "clinical-date", "From arrival to departure"),
        ),
        "Appointment": offer(
            token("service-type", "serviceType", "Appointment-service-type", "What the appointment is for"),
            token("service-category", "serviceCategory", "Appointment-service-category", "Which kind of service"),
            token("code", "serviceType", "", "What the appointment is for, as service-type"),
            token("category", "serviceCategory", "", "Which kind of service, as service-category"),
            token(
                "status",
                "status",
                "Appointment-status",
                "booked, arrived, cancelled and so on",
                "http://hl7.org/fhir/appointmentstatus",
            ),
            date("date", "start", "Appointment-date", "When it begins"),
            patient="Appointment-patient",
            path="participant.actor",
        ),
        "Condition": offer(
            token("code", "code", "clinical-code", "Which problem"),
            token("category", "category", "Condition-category", "problem-list-item or encounter-diagnosis"),
            token("clinical-status", "clinicalStatus", "Condition-clinical-status", "active, inactive and so on"),
            token("status", "clinicalStatus", "", "The clinical status, as clinical-status"),
            token(
                "verification-status",
                "verificationStatus",
                "Condition-verification-status",
                "confirmed, provisional, refuted and so on",
            ),
            token("severity", "severity", "Condition-severity", "How severe it is"),
            date("recorded-date", "recordedDate", "Condition-recorded-date", "When it was recorded"),
            date("onset-date", "onsetDateTime onsetPeriod", "Condition-onset-date", "When it began"),
            date("abatement-date", "abatementDateTime abatementPeriod", "Condition-abatement-date", "When it ended"),
            date("date", "recordedDate", "", "When it was recorded, as recorded-date"),
        ),
        "Immunization": offer(
            token("vaccine-code", "vaccineCode", "Immunization-vaccine-code", "Which vaccine"),
            token("code", "vaccineCode", "", "Which vaccine, as vaccine-code"),
            token(
                "status",
                "status",
                "Immunization-status",
                "completed, not-done or entered-in-error",
                "http://hl7.org/fhir/event-status",
            ),
            token("status-reason", "statusReason", "Immunization-status-reason", "Why it was not given"),
            token(
                "target-disease",
                "protocolApplied.targetDisease",
                "Immunization-target-disease",
                "What it protects against",
            ),
            date("date", "occurrenceDateTime", "clinical-date", "When it was given"),
            path="patient",
        ),
        "CareTeam": offer(
            token("category", "category", "CareTeam-category", "What kind of team"),
            token(
                "status",
                "status",
                "CareTeam-status",
                "proposed, active, inactive and so on",
                "http://hl7.org/fhir/care-team-status",
            ),
            date("date", "period", "clinical-date", "While the team looks after the patient"),
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
    return ("patient", *OFFERED[resource_type].params, "_id", "_lastUpdated", "_include", *RESULT_PARAMS)
