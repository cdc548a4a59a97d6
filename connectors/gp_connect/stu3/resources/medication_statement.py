"""MedicationStatement: one medicine of the patient's list. Its plan and its issues are MedicationRequests.

GP Connect sends each medicine as one statement that is `basedOn` its authorisation (intent `plan`); each issue (intent
`order`) is `basedOn` the plan too. These links stay, so that a reader shows the statement and groups the rest into it.
"""

from __future__ import annotations

from typing import Final

from connectors.gp_connect.stu3.dosage import dosages
from connectors.gp_connect.stu3.naming import of_stu3
from connectors.gp_connect.stu3.rules import Draft, Rules, To, absent_for, code, kept, said_elsewhere
from connectors.gp_connect.stu3.tidy import NotStu3

_STATUS: Final = frozenset({"active", "completed", "entered-in-error", "intended", "stopped", "on-hold"})
_NOT_TAKEN: Final = "n"
_MAY_BE_TAKEN: Final = frozenset({"y", "unk", "na"})


def _finish(draft: Draft) -> None:
    """That it was not taken is R4's status. The status that stood beside it stays as an extension."""
    if "taken" not in draft.source:
        return
    taken = draft.source["taken"]
    if not isinstance(taken, str):
        raise NotStu3("taken is no text")
    taken = taken.strip()
    status = draft.r4.get("status")
    if taken not in (_NOT_TAKEN, *_MAY_BE_TAKEN):
        _taken_unknown(draft, taken, status)
        return
    draft.leave_out("taken")
    if taken == _NOT_TAKEN and status != "entered-in-error":
        draft.r4["status"] = "not-taken"
        if status is not None:
            draft.extend(of_stu3("MedicationStatement.status", "valueCode", status))


def _taken_unknown(draft: Draft, taken: str, status: str | None) -> None:
    """A word that STU3 doesn't know may mean that it was not taken: then nobody may read `active`."""
    draft.extend(of_stu3("MedicationStatement.taken", "valueCode", taken))
    if status is not None and status != "entered-in-error":
        del draft.r4["status"]
        draft.r4["_status"] = absent_for(draft.kind, "status", status)


MEDICATION_STATEMENT: Final = Rules(
    "MedicationStatement",
    {
        **kept("identifier", "basedOn", "partOf", "context", "category", "subject", "derivedFrom"),
        **kept("medicationCodeableConcept", "medicationReference", "effectiveDateTime", "effectivePeriod"),
        **kept("dateAsserted", "informationSource", "reasonCode", "reasonReference", "note"),
        "status": code("status", _STATUS),
        "taken": said_elsewhere,
        "reasonNotTaken": To("statusReason", many=True),
        "dosage": dosages("dosage"),
    },
    demanded=("status",),
    finish=_finish,
)
