"""DiagnosticReport: what gathers the results of one request."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.naming import of_stu3
from connectors.gp_connect.stu3.rules import Draft, Rules, To, an_object, code, encounter, kept, objects, only

_STATUS: Final = frozenset(
    {
        "registered",
        "partial",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "appended",
        "cancelled",
        "entered-in-error",
        "unknown",
    }
)


def _performers(draft: Draft, value: Any) -> None:
    """R4 refers to the performer straight; the part that somebody had in it stays beside the reference."""
    for performer in objects(value, "performer"):
        only(draft, performer, {"actor", "role"}, "performer")
        actor = dict(an_object(performer.get("actor", {}), "performer.actor"))
        if "role" in performer:
            role = of_stu3("DiagnosticReport.performer.role", "valueCodeableConcept", performer["role"])
            actor["extension"] = [*actor.get("extension", []), role]
        if actor:
            draft.add("performer", actor)


DIAGNOSTIC_REPORT: Final = Rules(
    "DiagnosticReport",
    {
        **kept("identifier", "basedOn", "code", "subject", "effectiveDateTime", "effectivePeriod", "issued"),
        **kept("specimen", "result", "imagingStudy", "conclusion", "presentedForm"),
        "status": code("status", _STATUS),
        "category": To("category", many=True),
        "context": encounter,
        "performer": _performers,
        "image": To("media"),
        "codedDiagnosis": To("conclusionCode"),
    },
    demanded=("status",),
)
