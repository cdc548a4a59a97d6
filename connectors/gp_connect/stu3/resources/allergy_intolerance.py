"""AllergyIntolerance: an allergy, or the statement that none is known."""

from __future__ import annotations

from typing import Final

from connectors.gp_connect.stu3.naming import TERMINOLOGY
from connectors.gp_connect.stu3.rules import Draft, Rules, To, concept, element_of_extension, kept

_CLINICAL: Final = frozenset({"active", "inactive", "resolved"})
_VERIFICATION: Final = frozenset({"unconfirmed", "confirmed", "refuted", "entered-in-error"})


def _finish(draft: Draft) -> None:
    if str(draft.source.get("verificationStatus")).strip() == "entered-in-error" and draft.r4.pop(
        "clinicalStatus", None
    ):
        draft.leave_out("clinicalStatus")


ALLERGY_INTOLERANCE: Final = Rules(
    "AllergyIntolerance",
    {
        **kept("identifier", "type", "category", "criticality", "code", "patient"),
        **kept("onsetDateTime", "onsetAge", "onsetPeriod", "onsetRange", "onsetString"),
        **kept("recorder", "asserter", "lastOccurrence", "note", "reaction"),
        "clinicalStatus": concept("clinicalStatus", f"{TERMINOLOGY}allergyintolerance-clinical", _CLINICAL),
        "verificationStatus": concept(
            "verificationStatus", f"{TERMINOLOGY}allergyintolerance-verification", _VERIFICATION
        ),
        "assertedDate": To("recordedDate"),
    },
    extensions={
        "http://hl7.org/fhir/StructureDefinition/encounter-associatedEncounter": element_of_extension(
            "valueReference", "encounter"
        )
    },
    finish=_finish,
)
