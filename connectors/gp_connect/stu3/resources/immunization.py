"""Immunization: a vaccine that was given, or that was not.

GP Connect often sends the vaccine as the null flavour UNK and what was done as an extension (VaccinationProcedure).
Both stay as they came: nobody guesses the vaccine from the procedure.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.naming import absent, of_stu3
from connectors.gp_connect.stu3.rules import (
    Draft,
    Rules,
    To,
    absent_for,
    an_object,
    code,
    element_of_extension,
    kept,
    objects,
    only,
    renamed,
    said_elsewhere,
    truth,
)
from connectors.sdk.model import Resource

_STATUS: Final = frozenset({"completed", "entered-in-error"})
_NOT_GIVEN: Final = ("reasonNotGiven", "notGivenReason")
"""STU3's name, and the one that GP Connect's own examples use."""


def _explanation(draft: Draft, value: Any) -> None:
    explanation = only(draft, an_object(value, "explanation"), {"reason", *_NOT_GIVEN}, "explanation")
    if "reason" in explanation:
        draft.add("reasonCode", *objects(explanation["reason"], "explanation.reason"))
    for name in _NOT_GIVEN:
        for reason in objects(explanation.get(name, []), f"explanation.{name}"):
            if "statusReason" not in draft.r4:
                draft.r4["statusReason"] = reason
            else:
                draft.extend(of_stu3("Immunization.explanation.reasonNotGiven", "valueCodeableConcept", reason))


def _practitioners(draft: Draft, value: Any) -> None:
    draft.r4["performer"] = [
        renamed(one, {"role": "function"}, "practitioner") for one in objects(value, "practitioner")
    ]


_PROTOCOL: Final = {
    "doseSequence": "doseNumberPositiveInt",
    "_doseSequence": "_doseNumberPositiveInt",
    "seriesDoses": "seriesDosesPositiveInt",
    "_seriesDoses": "_seriesDosesPositiveInt",
}
_PROTOCOL_EXTENSIONS: Final = {
    "description": "valueString",
    "doseStatus": "valueCodeableConcept",
    "doseStatusReason": "valueCodeableConcept",
}


def _protocols(draft: Draft, value: Any) -> None:
    draft.r4["protocolApplied"] = [_protocol(protocol) for protocol in objects(value, "vaccinationProtocol")]


def _protocol(protocol: Resource) -> Resource:
    found = renamed(protocol, _PROTOCOL, "vaccinationProtocol")
    extensions = [
        of_stu3(f"Immunization.vaccinationProtocol.{name}", value_name, found.pop(name))
        for name, value_name in _PROTOCOL_EXTENSIONS.items()
        if name in found
    ]
    if extensions:
        found["extension"] = [*found.get("extension", []), *extensions]
    if found.keys().isdisjoint({"doseNumberPositiveInt", "_doseNumberPositiveInt"}):
        found["_doseNumberPositiveInt"] = {"extension": [absent()]}
    return found


def _given(draft: Draft) -> None:
    """STU3 forbids a reason for not giving what was given (imm-1). Where there is one, nobody knows which holds."""
    if "notGiven" in draft.source:
        draft.leave_out("notGiven")
    if "statusReason" in draft.r4 and draft.r4.get("status") == "completed":
        draft.r4["_status"] = absent_for(draft.kind, "status", draft.r4.pop("status"))


def _not_given(draft: Draft) -> None:
    """That it was not given is R4's status, unless the whole entry is one made in error."""
    if not truth(draft.source, "notGiven"):
        _given(draft)
        return
    if draft.r4.get("status") == "entered-in-error":
        draft.extend(of_stu3("Immunization.notGiven", "valueBoolean", draft.source["notGiven"]))
    else:
        draft.leave_out("notGiven")
        status = draft.r4.get("status")
        draft.r4["status"] = "not-done"
        if status is not None:
            draft.extend(of_stu3("Immunization.status", "valueCode", status))


def _finish(draft: Draft) -> None:
    """R4 demands when it was: a date, or that nobody sent one."""
    _not_given(draft)
    if draft.r4.keys().isdisjoint({"occurrenceDateTime", "_occurrenceDateTime"}):
        draft.r4["_occurrenceDateTime"] = {"extension": [absent()]}


IMMUNIZATION: Final = Rules(
    "Immunization",
    {
        **kept("identifier", "vaccineCode", "patient", "encounter", "primarySource", "reportOrigin", "location"),
        **kept("manufacturer", "lotNumber", "expirationDate", "site", "route", "doseQuantity", "note", "reaction"),
        "status": code("status", _STATUS),
        "notGiven": said_elsewhere,
        "date": To("occurrenceDateTime"),
        "practitioner": _practitioners,
        "explanation": _explanation,
        "vaccinationProtocol": _protocols,
    },
    extensions={"DateRecorded": element_of_extension("valueDateTime", "recorded")},
    demanded=("status",),
    finish=_finish,
)
