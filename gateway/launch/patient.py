"""From an EHR's Patient to the NHS number that Connect Care opens: one, official, verified; or none.

UK Core: the NHS number is the identifier of the system https://fhir.nhs.uk/Id/nhs-number, with the extension
UKCore-NHSNumberVerificationStatus, whose code 01 says "number present and verified". A number that isn't traced may be
another person's, so one that the EHR itself marks as anything else opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.nhs_number import is_nhs_number

FHIR_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}", re.ASCII)
_STATUS: Final = re.compile(r"(?:^|[-/])(?:UKCore-)?NHSNumberVerificationStatus(?:-1)?$")
"""UK Core's and Care Connect's spellings of the extension's address."""
_VERIFIED: Final = "01"
_NO_LONGER: Final = frozenset({"old", "temp"})
_BIRTH_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class NoNhsNumber(ValueError):
    """The Patient doesn't say for certain whose record to open. The text says why, and repeats nothing of it."""


def nhs_number_of_patient(patient: Any, patient_id: str) -> str:
    """The NHS number of the Patient with that id. Raises NoNhsNumber."""
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient" or patient.get("id") != patient_id:
        raise NoNhsNumber("not the Patient in context")
    if patient.get("active") is False or "replaced-by" in set(_links(patient)):
        raise NoNhsNumber("the Patient isn't in use any more")
    found = {_number(identifier) for identifier in _official(patient)}
    if len(found) != 1:
        raise NoNhsNumber("no NHS number" if not found else "several NHS numbers")
    return found.pop()


def nhs_number_of_token(token: Any) -> str:
    """The NHS number of `system|value`, as a FHIR search writes it. Raises NoNhsNumber."""
    system, bar, value = token.partition("|") if isinstance(token, str) else ("", "", "")
    if not bar or system != NHS_NUMBER_SYSTEM or not is_nhs_number(value):
        raise NoNhsNumber("not an NHS number of the official system with a right check digit")
    return str(value)


def birth_date_of(value: Any) -> str | None:
    """A whole birth date, or None where it isn't given. Raises NoNhsNumber for anything else."""
    if value is None:
        return None
    if not isinstance(value, str) or not _BIRTH_DATE.fullmatch(value):
        raise NoNhsNumber("the birth date isn't a whole date")
    return value


def _official(patient: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    identifiers = patient.get("identifier")
    for identifier in identifiers if isinstance(identifiers, list) else ():
        if isinstance(identifier, dict) and identifier.get("system") == NHS_NUMBER_SYSTEM and _is_in_use(identifier):
            yield identifier


def _is_in_use(identifier: Mapping[str, Any]) -> bool:
    use = identifier.get("use")
    if not isinstance(use, str | None):
        raise NoNhsNumber("an NHS number whose use can't be read")
    return use not in _NO_LONGER


def _number(identifier: Mapping[str, Any]) -> str:
    value = identifier.get("value")
    if not isinstance(value, str) or not is_nhs_number(value):
        raise NoNhsNumber("an NHS number with a wrong check digit")
    if any(status != _VERIFIED for status in _statuses(identifier)):
        raise NoNhsNumber("an NHS number that isn't verified")
    return value


def _statuses(identifier: Mapping[str, Any]) -> Iterator[Any]:
    """The codes of every verification status that the identifier carries; None for one without a readable code."""
    extensions = identifier.get("extension", [])
    for extension in extensions if isinstance(extensions, list) else ():
        if not isinstance(extension, dict) or not _STATUS.search(str(extension.get("url"))):
            continue
        concept = extension.get("valueCodeableConcept")
        codings = concept.get("coding") if isinstance(concept, dict) else None
        if not isinstance(codings, list) or not codings:
            yield None
            continue
        yield from (coding.get("code") if isinstance(coding, dict) else None for coding in codings)


def _links(patient: Mapping[str, Any]) -> Iterator[Any]:
    links = patient.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict):
            yield str(link.get("type"))
