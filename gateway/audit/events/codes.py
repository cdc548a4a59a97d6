"""The codes and addresses that the events use, each with where it comes from.

IHE ITI Basic Audit Log Patterns (BALP) 1.1.4, https://profiles.ihe.net/ITI/BALP; DICOM PS3.15 A.5 (audit events);
ISO 21089 (a record's lifecycle); HL7 v3. What is specific to Connect Care stands under `urn:connect-care`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

BALP: Final = "https://profiles.ihe.net/ITI/BALP/"
BALP_VERSION: Final = "1.1.4"
_PROFILE: Final = BALP + "StructureDefinition/IHE.BasicAudit."
ASSURANCE_LEVEL: Final = BALP + "StructureDefinition/ihe-assuranceLevel"
OTHER_ID: Final = BALP + "StructureDefinition/ihe-otherId"
DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


class Profile(StrEnum):
    """The profiles that an event may claim, by canonical address."""

    READ = _PROFILE + "PatientRead"
    QUERY = _PROFILE + "PatientQuery"
    QUERY_NOBODY = _PROFILE + "Query"
    AUTHORISATION = _PROFILE + "AuthZconsent"
    DISCLOSURE = _PROFILE + "PrivacyDisclosure.Source"
    TOKEN = _PROFILE + "OAUTHaccessTokenUse.Comprehensive"


DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
SECURITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/extra-security-role-type"
ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
PURPOSE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
IDENTIFIER_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
USER_AGENT: Final = BALP + "CodeSystem/UserAgentTypes"
BALP_ENTITY: Final = BALP + "CodeSystem/BasicAuditEntityType"
AUTHZ_SUBTYPE: Final = BALP + "CodeSystem/AuthZsubType"
JTI: Final = "urn:ietf:params:oauth:jti:"
"""BALP, OAUTHaccessTokenUse.Minimal: the token's id SHALL begin so."""

JOB_ROLE: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-SDSJobRoleName"
ROLE_PROFILE: Final = "https://fhir.nhs.uk/Id/sds-role-profile-id"
URI: Final = "urn:ietf:rfc:3986"

KIND: Final = "urn:connect-care:journal:kind"
OWN_ENTITY: Final = "urn:connect-care:journal:entity"
ROW: Final = "urn:connect-care:journal:row"
REASON: Final = "urn:connect-care:best-interests-reason"
BASIS: Final = "urn:connect-care:basis"
LEGAL_BASIS: Final = "urn:connect-care:legal-basis"
PERMISSION: Final = "urn:connect-care:permission"
SHARING_CHOICE: Final = "urn:connect-care:sharing-choice"
SEALED_ID: Final = "urn:connect-care:sealed-id"

Json = dict[str, Any]


def coding(system: str, code: str, display: str = "") -> Json:
    """One Coding."""
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concept(*codings: Json, text: str = "") -> Json:
    """A CodeableConcept."""
    return {"coding": list(codings), **({"text": text} if text else {})}


REST: Final = coding(EVENT_TYPE, "rest", "Restful Operation")
READING: Final = coding(INTERACTION, "read", "read")
SEARCHING: Final = coding(INTERACTION, "search", "search")
SEARCHING_TYPE: Final = coding(INTERACTION, "search-type", "search-type")
OPERATION: Final = coding(INTERACTION, "operation", "operation")
APPLICATION_ACTIVITY: Final = coding(DCM, "110100", "Application Activity")
AUDIT_LOG_USED: Final = coding(DCM, "110101", "Audit Log Used")
EXPORT: Final = coding(DCM, "110106", "Export")
QUERY: Final = coding(DCM, "110112", "Query")
SECURITY_ALERT: Final = coding(DCM, "110113", "Security Alert")
USER_AUTHENTICATION: Final = coding(DCM, "110114", "User Authentication")
APPLICATION: Final = coding(DCM, "110150", "Application")
DESTINATION: Final = coding(DCM, "110152", "Destination Role ID")
SOURCE: Final = coding(DCM, "110153", "Source Role ID")
DISCLOSE: Final = coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event")
DESTROY: Final = coding(LIFECYCLE, "destroy", "Destroy/Delete Record Lifecycle Event")
BY_CONSENT: Final = coding(AUTHZ_SUBTYPE, "AuthZ-Consent", "Authorization Decision using Roles and Consent")
BY_ROLE: Final = coding(AUTHZ_SUBTYPE, "AuthZ-Role", "Authorization Decision using only Roles")
RECIPIENT: Final = coding(PARTICIPATION, "IRCP", "information recipient")
OAUTH_USER: Final = coding(USER_AGENT, "UserOauthAgent", "User OAuth Agent participant")
PROVIDER: Final = coding(ROLE_CLASS, "PROV", "healthcare provider")
AUTHORISER: Final = coding(SECURITY_ROLE, "authserver", "authorization server")
PERSON: Final = coding(ENTITY_TYPE, "1", "Person")
SYSTEM_OBJECT: Final = coding(ENTITY_TYPE, "2", "System Object")
AS_PATIENT: Final = coding(OBJECT_ROLE, "1", "Patient")
AS_REPORT: Final = coding(OBJECT_ROLE, "3", "Report")
AS_RESOURCE: Final = coding(OBJECT_ROLE, "4", "Domain Resource")
AS_QUERY: Final = coding(OBJECT_ROLE, "24", "Query")
CONSENT: Final = coding(RESOURCE_TYPES, "Consent", "Consent")
REQUEST_ID: Final = coding(BALP_ENTITY, "XrequestId", "transport specific unique identifier")
JOURNAL_ROW: Final = coding(OWN_ENTITY, "row", "Row of the journal")
APPLICATION_SERVER: Final = coding(SOURCE_TYPE, "4", "Application Server")

SUCCESS: Final = "0"
MINOR_FAILURE: Final = "4"
SERIOUS_FAILURE: Final = "8"
