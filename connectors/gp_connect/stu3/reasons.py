"""Why a resource, or an element of one, is not in the output. Every reason is a sentence that a clinician can read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a resource became none of its own."""

    LIST = "a list: its items, its warnings and its reason for being empty are carried, the list itself is not"
    ARRANGEMENT = "the arrangement of a consultation under headings: its entries are carried, the headings are not"
    REQUEST = "a request or diary entry (what is planned or asked for): no section of the shared record holds these"
    REFERRAL = "a referral to another service: no section of the shared record holds these"
    DOCUMENT = "a document that the practice holds: no section of the shared record holds these"
    QUESTIONNAIRE = "a questionnaire's form: the answers that are findings are carried themselves"
    SERVICE = "a service or a slot in a diary: only referrals and bookings refer to it"
    MESSAGE = "a message about the question that was asked, not about the patient"
    OTHER = "a kind of resource that no section of the shared record holds"
    BROKEN = "its shape isn't that of STU3, so it can't be read safely"


REASON_OF_TYPE: Final[Mapping[str, Reason]] = {
    "List": Reason.LIST,
    "ProcedureRequest": Reason.REQUEST,
    "ReferralRequest": Reason.REFERRAL,
    "DocumentReference": Reason.DOCUMENT,
    "QuestionnaireResponse": Reason.QUESTIONNAIRE,
    "Questionnaire": Reason.QUESTIONNAIRE,
    "HealthcareService": Reason.SERVICE,
    "Schedule": Reason.SERVICE,
    "Slot": Reason.SERVICE,
    "OperationOutcome": Reason.MESSAGE,
}
"""Types that are never translated. Any other without a table in `resources/` is `Reason.OTHER`."""

UNKNOWN_ELEMENTS: Final = "carried, but for elements that STU3 or R4 has no place for"
"""Said beside what a resource became. The elements' names are the source's own words, and stay behind."""

EMPTY_TEXT: Final = "(empty text)"
EXTENSION_WITHOUT_CONTENT: Final = "(extension without url or value)"
PROFILE: Final = "meta.profile"
COMMENTS: Final = "fhir_comments"

LEFT_OUT: Final[Mapping[str, str]] = {
    EMPTY_TEXT: "Text that is empty or blank: R4 forbids it, and it says nothing.",
    EXTENSION_WITHOUT_CONTENT: "R4 forbids an extension that has no url, or neither a value nor extensions.",
    PROFILE: "A profile without a UK Core profile in its place: to claim it for an R4 resource would be wrong.",
    COMMENTS: "Comments to whoever reads the JSON, which FHIR gave up.",
    "AllergyIntolerance.clinicalStatus": "R4 forbids a clinical status on what was entered in error (ait-2).",
    "Condition.clinicalStatus": "R4 forbids a clinical status on what was entered in error (con-5).",
    "Condition.abatementBoolean": "R4 has none: true is an abatement on a date that is absent, false is none.",
    "Immunization.notGiven": "R4 says it by the status: not-done, or any other.",
    "MedicationStatement.taken": "R4 has none: `n` is said by the status not-taken; GP Connect always sends `unk`.",
    "Observation.related.type": "R4 says it by the element's name: hasMember, derivedFrom, or an extension's.",
    "Patient.animal": "The patients of Connect Care are people.",
}
"""Every element whose value isn't carried, and why. What isn't named here is an element that STU3 doesn't know."""
