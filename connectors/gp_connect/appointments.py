"""Future appointments: two calls of their own, beside the structured record's.

GP Connect, "Retrieve a patient's appointments": the patient's logical id is found first, then the appointments between
two dates, neither of them in the past. They name the patient by that logical id, which need not be the structured
record's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from urllib.parse import quote

from connectors.gp_connect.directory import APPOINTMENTS, FIND_PATIENT
from connectors.gp_connect.errors import NothingToShare
from connectors.gp_connect.practice import Calls, path_of
from connectors.sdk.errors import Ambiguous, SourceError, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Resource
from connectors.sdk.nhs_number import same_number
from connectors.sdk.objects import objects


@dataclass(slots=True)
class Booked:
    """What the two calls brought: the Patient of the search and the appointments; or why there are none."""

    patient: Resource | None = None
    resources: list[Resource] = field(default_factory=list)
    error: SourceError | None = None


async def booked(calls: Calls, nhs_number: str, today: date, days: int) -> Booked:
    """The appointments from `today` on. A failure is a part of the answer: it costs nothing but the appointments."""
    found = Booked()
    try:
        found.patient = await find_patient(calls, nhs_number)
        if carries(found.patient, nhs_number):  # Somebody else's id must not be asked with.
            dates = f"start=ge{today}&start=le{today + timedelta(days=days)}"
            url = f"{path_of(str(found.patient['id']))}/Appointment?{dates}"
            found.resources = await calls.get(url, APPOINTMENTS)
    except SourceError as error:
        found.error = error
    return found


async def find_patient(calls: Calls, nhs_number: str) -> Resource:
    """The one Patient of "Find a patient", whoever that is. Raises NothingToShare, Ambiguous or another `SourceError`.

    No Patient isn't an error there, and it says no more than that the practice has no *active* one.
    """
    identifier = quote(f"{NHS_NUMBER_SYSTEM}|{nhs_number}", safe="")
    found = await calls.get(f"Patient?identifier={identifier}", FIND_PATIENT)
    patients = [one for one in found if one.get("resourceType") == "Patient"]
    if len(patients) > 1:
        raise Ambiguous("several Patients carry the NHS number")
    if not patients:
        if found:
            raise WrongContent("something other than a Patient came")
        raise NothingToShare("no active Patient carries the NHS number")
    patient_id = patients[0].get("id")
    if not isinstance(patient_id, str) or not patient_id:
        raise WrongContent("the Patient has no id")
    return patients[0]


def carries(patient: Resource, nhs_number: str) -> bool:
    """True for a Patient with this NHS number, and with no other in the same system."""
    numbers = [
        one.get("value")
        for one in objects(patient.get("identifier"))
        if one.get("system") == NHS_NUMBER_SYSTEM and one.get("value") is not None
    ]
    return bool(numbers) and all(same_number(str(number), nhs_number) for number in numbers)


def about(appointments: Iterable[Resource], searched_id: str, patient_id: str) -> None:
    """Let the appointments of the Patient whom the search found name the structured record's Patient, in place.

    Both carry the NHS number; a reference to anybody else stays, and is for the gateway's guard to see.
    """
    if searched_id == patient_id:
        return
    for appointment in appointments:
        for participant in objects(appointment.get("participant")):
            actor = participant.get("actor")
            if isinstance(actor, dict) and actor.get("reference") == f"Patient/{searched_id}":
                actor["reference"] = f"Patient/{patient_id}"
