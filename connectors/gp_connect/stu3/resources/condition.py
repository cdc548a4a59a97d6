"""Condition: a problem of the problem list. What it is linked to (GP Connect's extensions) stays linked."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.naming import TERMINOLOGY, absent
from connectors.gp_connect.stu3.rules import Draft, Rules, To, concept, encounter, kept, objects, truth

_CLINICAL: Final = frozenset({"active", "recurrence", "inactive", "remission", "resolved"})
_VERIFICATION: Final = frozenset({"provisional", "differential", "confirmed", "refuted", "entered-in-error"})
_CARECONNECT_CATEGORY: Final = "/CodeSystem/CareConnect-ConditionCategory-1"
_R4_CATEGORIES: Final = frozenset({"problem-list-item", "encounter-diagnosis"})


def _category(draft: Draft, value: Any) -> None:
    """CareConnect's two codes that HL7 has too go by HL7's system, so that a reader knows a problem for one."""
    for category in objects(value, "category"):
        codings = objects(category.get("coding", []), "category.coding")
        moved = [
            coding | {"system": f"{TERMINOLOGY}condition-category"}
            if str(coding.get("system")).endswith(_CARECONNECT_CATEGORY) and coding.get("code") in _R4_CATEGORIES
            else coding
            for coding in codings
        ]
        draft.add("category", category | ({"coding": moved} if moved else {}))


def _abated(draft: Draft, value: Any) -> None:
    """R4 has no bare yes or no: that it has abated, on a date that isn't known, is a date that is absent."""
    draft.leave_out("abatementBoolean")
    if truth(draft.source, "abatementBoolean"):
        draft.r4["_abatementDateTime"] = {"extension": [absent()]}


def _finish(draft: Draft) -> None:
    if str(draft.source.get("verificationStatus")).strip() == "entered-in-error" and draft.r4.pop(
        "clinicalStatus", None
    ):
        draft.leave_out("clinicalStatus")


CONDITION: Final = Rules(
    "Condition",
    {
        **kept("identifier", "severity", "code", "bodySite", "subject", "asserter", "evidence", "note"),
        **kept("onsetDateTime", "onsetAge", "onsetPeriod", "onsetRange", "onsetString"),
        **kept("abatementDateTime", "abatementAge", "abatementPeriod", "abatementRange", "abatementString"),
        "abatementBoolean": _abated,
        "assertedDate": To("recordedDate"),
        "category": _category,
        "clinicalStatus": concept("clinicalStatus", f"{TERMINOLOGY}condition-clinical", _CLINICAL),
        "verificationStatus": concept("verificationStatus", f"{TERMINOLOGY}condition-ver-status", _VERIFICATION),
        "context": encounter,
        "stage": To("stage", many=True),
    },
    finish=_finish,
)
