"""What the national register's Patient says: the registered practice, and a restriction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from connectors.sdk.model import ODS_SYSTEM, Answer, Resource, Section
from gateway.compared import UNREADABLE
from gateway.patient_names import carries

_LOCAL: Final = ZoneInfo("Europe/London")
_CONFIDENTIALITY: Final = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "http://hl7.org/fhir/v3/Confidentiality"}
)
_OPEN: Final = frozenset({"U", "L", "M", "N"})


@dataclass(frozen=True, slots=True)
class Said:
    """What the register's Patient says: the ODS codes of the practices it is registered with today (one, as a rule),
    and whether it's labelled as anything but open."""

    practices: frozenset[str]
    restricted: bool


def said_by(answer: Answer, nhs_number: str) -> Said | None:
    """The register's word, where its Answer holds the one Patient with this number; None where it says nothing.

    A shape that can't be read is no word: the guard will say so in its turn.
    """
    patients = [item.resource for item in answer.items if item.section is Section.DEMOGRAPHICS]
    try:
        if len(patients) != 1 or not carries(patients[0], nhs_number):
            return None
        return Said(frozenset(_practices(patients[0])), is_restricted(patients[0]))
    except UNREADABLE:
        return None


def is_restricted(patient: Resource) -> bool:
    """True unless every security label is known to be open: the register labels a sensitive patient R (PDS, Patient
    meta.security), and a label that isn't known may mean the same."""
    return any(
        label.get("system") not in _CONFIDENTIALITY or label.get("code") not in _OPEN
        for label in patient.get("meta", {}).get("security", ())
    )


def _practices(patient: Resource) -> Iterable[str]:
    today = datetime.now(UTC).astimezone(_LOCAL).date().isoformat()
    for reference in patient.get("generalPractitioner", ()):
        identifier = reference.get("identifier", {})
        period = identifier.get("period", {})
        started, ended = (str(period.get(bound) or today)[: len(today)] for bound in ("start", "end"))
        if identifier.get("system") == ODS_SYSTEM and started <= today[: len(started)] and ended >= today[: len(ended)]:
            yield str(identifier["value"])
