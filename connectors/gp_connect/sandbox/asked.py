"""The Parameters of a structured record's request, read as strictly as the specification lets a provider be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from connectors.gp_connect.sandbox.demands import Refusal
from connectors.gp_connect.sandbox.holdings import NHS_NUMBER
from connectors.gp_connect.sandbox.record import AREAS
from connectors.sdk.nhs_number import is_nhs_number

_PARTS: Final[Mapping[str, frozenset[str]]] = {
    "includeAllergies": frozenset({"includeResolvedAllergies"}),
    "includeMedication": frozenset({"includePrescriptionIssues", "medicationSearchFromDate"}),
    "includeConsultations": frozenset({"consultationSearchPeriod", "includeNumberOfMostRecent"}),
    "includeProblems": frozenset({"filterStatus", "filterSignificance"}),
    "includeImmunisations": frozenset({"includeNotGiven", "includeStatus"}),
    "includeUncategorisedData": frozenset({"uncategorisedDataSearchPeriod"}),
    "includeInvestigations": frozenset({"investigationSearchPeriod"}),
    "includeReferrals": frozenset({"referralSearchPeriod"}),
    "includeDiaryEntries": frozenset({"diaryEntriesSearchDate"}),
}
_REFUSED_BESIDE: Final = frozenset(
    {
        "medicationSearchFromDate",
        "uncategorisedDataSearchPeriod",
        "referralSearchPeriod",
        "diaryEntriesSearchDate",
        "includeNotGiven",
        "includeStatus",
    }
)
"""Filters that are not permitted where consultations or problems are asked for ("Not permitted parameter
combinations")."""


def read_request(body: bytes) -> tuple[str, list[str]]:
    """The NHS number and the areas. Raises Refusal."""
    try:
        parameters = msgspec.json.decode(body, type=dict[str, Any])
        named = [(one["name"], one) for one in parameters["parameter"]]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise Refusal(422, "INVALID_RESOURCE", "This is not a Parameters resource.") from error
    if parameters.get("resourceType") != "Parameters":
        raise Refusal(422, "INVALID_RESOURCE", "This is not a Parameters resource.")
    numbers = [one.get("valueIdentifier", {}) for name, one in named if name == "patientNHSNumber"]
    if len(numbers) != 1 or numbers[0].get("system") != NHS_NUMBER:
        raise _invalid("patientNHSNumber is missing, twice there, or has another system")
    areas = {name: _parts(one) for name, one in named if name != "patientNHSNumber"}
    _check(areas)
    number = str(numbers[0].get("value"))
    if not is_nhs_number(number):
        raise Refusal(400, "INVALID_NHS_NUMBER", "The NHS number is not valid.")
    return number, list(areas)


def _parts(parameter: dict[str, Any]) -> frozenset[str]:
    return frozenset(part["name"] for part in parameter.get("part", ()))


def _check(areas: Mapping[str, frozenset[str]]) -> None:
    if not areas:
        raise _invalid("no clinical area is asked for")
    for name, parts in areas.items():
        if name not in AREAS or not parts <= _PARTS[name]:
            raise _invalid(f"{name} or a part of it is not known")
    if "includeAllergies" in areas and not areas["includeAllergies"]:
        raise _invalid("includeResolvedAllergies is missing")
    if areas.keys() & {"includeConsultations", "includeProblems"}:
        for parts in areas.values():
            if parts & _REFUSED_BESIDE:
                raise _invalid("a filter is not permitted beside consultations or problems")


def _invalid(sentence: str) -> Refusal:
    return Refusal(422, "INVALID_PARAMETER", f"{sentence}.")
