"""Patient: the practice's own copy of who this is."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.rules import Draft, Rules, kept, left_out
from connectors.sdk.model import Resource

_HL7: Final = "http://hl7.org/fhir/StructureDefinition/patient-"
_PROFICIENCY: Final = {"modeOfCommunication": "type", "communicationProficiency": "level"}


def _communication(draft: Draft, extension: Resource) -> None:
    """The language and how the patient uses it are R4's `communication`; an interpreter is needed for the patient.

    What names no language, or has a part that R4 can't hold, stays the extension that it came as.
    """
    parts: list[Resource] = extension.get("extension", [])
    languages = [part.get("valueCodeableConcept") for part in parts if part["url"] == "language"]
    if len(languages) != 1 or not all(map(_has_a_place, parts)):
        draft.extend(extension)
        return
    communication: Resource = {"language": languages[0]}
    for part in parts:
        if part["url"] == "preferred":
            communication["preferred"] = part["valueBoolean"]
        elif part["url"] == "interpreterRequired":
            draft.extend({"url": f"{_HL7}interpreterRequired", "valueBoolean": part["valueBoolean"]})
        elif part["url"] in _PROFICIENCY:
            communication.setdefault("extension", []).append(_proficiency(part))
    draft.add("communication", communication)


def _has_a_place(part: Resource) -> bool:
    """True for a part that R4 holds whole: HL7's proficiency takes one coding, and no words."""
    if part["url"] in ("preferred", "interpreterRequired"):
        return part.keys() == {"url", "valueBoolean"} and isinstance(part["valueBoolean"], bool)
    if part["url"] in _PROFICIENCY:
        concept: Any = part.get("valueCodeableConcept")
        codings = concept.get("coding") if isinstance(concept, dict) and len(concept) == 1 else None
        return isinstance(codings, list) and len(codings) == 1 and isinstance(codings[0], dict)
    return part["url"] == "language" and part.keys() == {"url", "valueCodeableConcept"}


def _proficiency(part: Resource) -> Resource:
    coding = part["valueCodeableConcept"]["coding"][0]
    return {"url": f"{_HL7}proficiency", "extension": [{"url": _PROFICIENCY[part["url"]], "valueCoding": coding}]}


PATIENT: Final = Rules(
    "Patient",
    {
        **kept("identifier", "active", "name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime"),
        **kept("address", "maritalStatus", "multipleBirthBoolean", "multipleBirthInteger", "photo", "contact"),
        **kept("communication", "generalPractitioner", "managingOrganization", "link"),
        "animal": left_out("animal"),
    },
    extensions={"NHSCommunication": _communication},
)
