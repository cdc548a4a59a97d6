"""Appointment: one that is booked, with a GP practice."""

from __future__ import annotations

from typing import Any, Final

from connectors.gp_connect.stu3.rules import Draft, Rules, To, code, kept

_STATUS: Final = frozenset(
    {"proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "entered-in-error"}
)


def _cancelled_because(draft: Draft, extension: Any) -> None:
    """R4 has an element for it: its words are a CodeableConcept's text."""
    if extension.keys() == {"url", "valueString"} and "cancelationReason" not in draft.r4:
        draft.r4["cancelationReason"] = {"text": extension["valueString"]}
    else:
        draft.extend(extension)


APPOINTMENT: Final = Rules(
    "Appointment",
    {
        **kept("identifier", "serviceType", "specialty", "appointmentType", "priority", "description"),
        **kept("supportingInformation", "start", "end", "minutesDuration", "slot", "created", "comment"),
        **kept("participant", "requestedPeriod"),
        "status": code("status", _STATUS),
        "serviceCategory": To("serviceCategory", many=True),
        "reason": To("reasonCode"),
        "indication": To("reasonReference"),
        "incomingReferral": To("basedOn"),
    },
    extensions={"AppointmentCancellationReason": _cancelled_because},
    demanded=("status",),
)
