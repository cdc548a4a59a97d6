"""MedicationRequest: the authorisation of a medicine (intent `plan`), or one issue of it (intent `order`)."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.dosage import dosages
from connectors.gp_connect.stu3.naming import of_stu3
from connectors.gp_connect.stu3.rules import (
    Draft,
    Rules,
    To,
    an_object,
    as_extension,
    code,
    element_of_extension,
    encounter,
    kept,
    only,
    renamed,
)
from connectors.sdk.model import Resource

_STATUS: Final = frozenset(
    {"active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown"}
)
_INTENT: Final = frozenset({"proposal", "plan", "order", "instance-order"})
_PRIORITY: Final = frozenset({"routine", "urgent", "asap", "stat"})


def _requester(draft: Draft, value: Any) -> None:
    """R4 has one requester. On whose behalf stays with it: it tells a hospital's prescription from the practice's."""
    requester = only(draft, an_object(value, "requester"), {"agent", "onBehalfOf"}, "requester")
    agent = dict(an_object(requester.get("agent", {}), "requester.agent"))
    if "onBehalfOf" in requester:
        behalf = of_stu3("MedicationRequest.requester.onBehalfOf", "valueReference", requester["onBehalfOf"])
        agent["extension"] = [*agent.get("extension", []), behalf]
    if agent:
        draft.r4["requester"] = agent


def _substitution(draft: Draft, value: Any) -> None:
    draft.r4["substitution"] = renamed(
        value, {"allowed": "allowedBoolean", "_allowed": "_allowedBoolean"}, "substitution"
    )


def _status_reason(draft: Draft, extension: Resource) -> None:
    """R4 has an element for why the status changed; the date of the change stays in the extension that it came in."""
    reasons = [part for part in extension.get("extension", []) if part["url"] == "statusReason"]
    reason = reasons[0].get("valueCodeableConcept") if len(reasons) == 1 else None
    if reason is None or "statusReason" in draft.r4:
        draft.extend(extension)
        return
    draft.r4["statusReason"] = reason
    rest = [part for part in extension["extension"] if part is not reasons[0]]
    if rest:
        draft.extend(extension | {"extension": rest})


MEDICATION_REQUEST: Final = Rules(
    "MedicationRequest",
    {
        **kept(
            "identifier", "basedOn", "groupIdentifier", "medicationCodeableConcept", "medicationReference", "subject"
        ),
        **kept("supportingInformation", "authoredOn", "recorder", "reasonCode", "reasonReference", "note"),
        **kept("dispenseRequest", "priorPrescription", "detectedIssue", "eventHistory"),
        "definition": as_extension("definition", "valueReference"),
        "status": code("status", _STATUS),
        "intent": code("intent", _INTENT),
        "category": To("category", many=True),
        "priority": code("priority", _PRIORITY),
        "context": encounter,
        "requester": _requester,
        "dosageInstruction": dosages("dosageInstruction"),
        "substitution": _substitution,
    },
    extensions={
        "MedicationStatusReason": _status_reason,
        "PrescriptionType": element_of_extension("valueCodeableConcept", "courseOfTherapyType"),
    },
    demanded=("status", "intent"),
)
