"""STU3's names and R4's: code systems, extensions, profiles, and the types that references lead to.

A name is moved only where R4 or UK Core has another one in force for the same thing (UK Core as published in June
2025; its retired extensions and code systems aren't new homes). Anything else keeps the name that it came with: an
extension that nobody replaced still says what it said.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from connectors.sdk.model import Resource

UK_CORE: Final = "https://fhir.hl7.org.uk/StructureDefinition/"
UK_CORE_CODES: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-"
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
SNOMED: Final = "http://snomed.info/sct"

_DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_STU3_ELEMENT: Final = "http://hl7.org/fhir/3.0/StructureDefinition/extension-"
_NATIONAL_EXTENSION: Final = re.compile(
    r"https?://fhir\.(?:hl7\.org\.uk|nhs\.uk)/(?:STU3/)?StructureDefinition/Extension-"
    r"(?:CareConnect-)?(?:GPC-|GPConnect-)?([A-Za-z]+(?:-sctdescid)?)(?:-[0-9]+)?"
)
_NATIONAL_SYSTEM: Final = re.compile(
    r"https?://fhir\.(?:hl7\.org\.uk|nhs\.uk)/(?:STU3/)?(?:CodeSystem/)?CareConnect-([A-Za-z]+)(?:-[0-9]+)?"
)
_HL7_SYSTEM: Final = re.compile(r"http://hl7\.org/fhir/(?:(v[23])/)?([A-Za-z0-9-]+)")
_PROFILE: Final = re.compile(
    r"https?://fhir\.(?:hl7\.org\.uk|nhs\.uk)/(?:STU3/)?StructureDefinition/(?:CareConnect|GPConnect)-[A-Za-z-]+-[0-9]+"
)

EXTENSIONS: Final[Mapping[str, str]] = {
    "AllergyIntoleranceEnd": "AllergyIntoleranceEnd",
    "BookingOrganisation": "BookingOrganization",
    "coding-sctdescid": "CodingSCTDescId",
    "DeliveryChannel": "DeliveryChannel",
    "Evidence": "Evidence",
    "MainLocation": "MainLocation",
    "MedicationStatementLastIssueDate": "MedicationStatementLastIssueDate",
    "NHSNumberVerificationStatus": "NHSNumberVerificationStatus",
    "ParentPresent": "ParentPresent",
    "PrescribingAgency": "MedicationPrescribingOrganizationType",
    "VaccinationProcedure": "VaccinationProcedure",
}
"""Extensions of CareConnect and GP Connect, and UK Core's for the same thing."""

_SYSTEMS: Final[Mapping[str, str]] = {
    "LanguageAbilityMode": f"{TERMINOLOGY}v3-LanguageAbilityMode",
    "LanguageAbilityProficiency": f"{TERMINOLOGY}v3-LanguageAbilityProficiency",
    "NHSNumberVerificationStatus": f"{UK_CORE_CODES}NHSNumberVerificationStatusEngland",
    "PrescribingAgency": f"{UK_CORE_CODES}MedicationPrescribingOrganizationType",
}
"""Code systems of CareConnect, and those in force with the same codes."""

_HL7_RENAMED: Final[Mapping[str, str]] = {"medication-request-category": "medicationrequest-category"}
_HL7_SAME_NAME: Final = frozenset(
    {
        "admit-source",
        "condition-category",
        "data-absent-reason",
        "diagnosis-role",
        "discharge-disposition",
        "immunization-origin",
        "location-physical-type",
        "medication-statement-category",
        "observation-category",
        "organization-type",
        "practitioner-role",
        "referencerange-meaning",
        "service-category",
        "service-type",
    }
)
"""Code systems that R4 moved to terminology.hl7.org under the same name."""

_TYPES: Final[Mapping[str, str]] = {
    "BodySite": "BodyStructure",
    "ProcedureRequest": "ServiceRequest",
    "ReferralRequest": "ServiceRequest",
    "Sequence": "MolecularSequence",
}
"""Resource types that R4 names otherwise."""


def extension_name(url: str) -> str:
    """What an extension is called whatever its address: `Evidence` for each of its national urls, else the url."""
    match = _NATIONAL_EXTENSION.fullmatch(url)
    return match[1] if match else url


def extension_url(url: str) -> str:
    """UK Core's url for the same extension, or the url itself."""
    moved = EXTENSIONS.get(extension_name(url))
    return f"{UK_CORE}Extension-UKCore-{moved}" if moved else url


def code_system(system: str) -> str:
    """R4's or UK Core's name of a code system, or the system itself."""
    national = _NATIONAL_SYSTEM.fullmatch(system)
    if national:
        return _SYSTEMS.get(national[1], system)
    hl7 = _HL7_SYSTEM.fullmatch(system)
    if hl7 is None:
        return system
    if hl7[1]:
        return f"{TERMINOLOGY}{hl7[1]}-{hl7[2]}"
    name = _HL7_RENAMED.get(hl7[2], hl7[2])
    return f"{TERMINOLOGY}{name}" if hl7[2] in _HL7_RENAMED or name in _HL7_SAME_NAME else system


def target(reference: str) -> str:
    """A relative reference by R4's name of its type: `ServiceRequest/1` for `ProcedureRequest/1`."""
    kind, slash, rest = reference.partition("/")
    return f"{_TYPES[kind]}{slash}{rest}" if slash and kind in _TYPES else reference


def profile(url: str, kind: str) -> str | None:
    """The UK Core profile of the resource type, where the url is that of a national STU3 profile."""
    return f"{UK_CORE}UKCore-{kind}" if _PROFILE.fullmatch(url) else None


def absent() -> Resource:
    """The extension that says that R4 demands a value which nobody sent."""
    return {"url": _DATA_ABSENT, "valueCode": "unknown"}


def of_stu3(path: str, value: str, content: object) -> Resource:
    """An STU3 element that R4 has no place for, as the extension that HL7 defines for just that.

    (R4, "Extensions for converting between versions".) `value` is the name of the extension's value, `valueString`; an
    element that has elements of its own is one with the name `extension`, and a list of extensions for its content.
    """
    return {"url": f"{_STU3_ELEMENT}{path}", value: content}
