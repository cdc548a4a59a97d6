"""A CDS Hooks 2.0 call of `patient-view`, as far as it is read: who opened whose chart, with both prefetched.

Further members are an EHR's own business, and ignored. `fhirAuthorization` is: nothing is asked of the EHR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.model import ODS_SYSTEM
from connectors.sdk.objects import objects
from gateway.errors import BadRequest, GatewayError
from gateway.launch.patient import FHIR_ID, NoNhsNumber, nhs_number_of_patient

USER_SYSTEM: Final = "https://fhir.nhs.uk/Id/sds-user-id"
PROFILE_SYSTEM: Final = "https://fhir.nhs.uk/Id/sds-role-profile-id"
JOB_ROLE_SYSTEM: Final = "https://fhir.nhs.uk/CodeSystem/NHSDigital-SDS-JobRoleCode"
PREFETCH: Final[Mapping[str, str]] = {"patient": "Patient/{{context.patientId}}", "user": "{{context.userId}}"}


class NotPrefetched(GatewayError):
    """CDS Hooks 2.0, "HTTP status codes": the service lacks FHIR data that it needs."""

    status = 412
    code = "required"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PatientViewContext(_Part):
    """The hook's context. `userId` is a reference, `patientId` a bare id."""

    userId: str = Field(min_length=1, max_length=200)  # noqa: N815
    patientId: str = Field(pattern=rf"^{FHIR_ID.pattern}$")  # noqa: N815
    encounterId: str | None = Field(default=None, max_length=64)  # noqa: N815


class PatientViewCall(_Part):
    """The body of a call. `prefetch` holds what the discovery document asks for."""

    hook: Literal["patient-view"]
    hookInstance: UUID  # noqa: N815
    context: PatientViewContext
    prefetch: dict[str, Any] = Field(default_factory=dict)

    @property
    def nhs_number(self) -> str:
        """Of the patient whose chart was opened. Raises NotPrefetched, or BadRequest where it isn't verified."""
        patient = self.prefetch.get("patient")
        if patient is None:
            raise NotPrefetched(
                "The prefetch lacks patient: send the Patient of context.patientId.", rule="cds.prefetch-patient"
            )
        try:
            return nhs_number_of_patient(patient, self.context.patientId)
        except NoNhsNumber as error:
            raise BadRequest(
                "The Patient in the prefetch must be that of context.patientId and carry one verified NHS number.",
                rule="cds.patient",
                detail=str(error),
                expression="prefetch.patient",
            ) from error

    def user(self) -> dict[str, Any]:
        """Care Identity's claims about the user, read from their PractitionerRole: who they are and in which role.

        Raises NotPrefetched, or BadRequest where it doesn't say so.
        """
        role = self.prefetch.get("user")
        if role is None:
            raise NotPrefetched(
                "The prefetch lacks user: send what context.userId refers to.", rule="cds.prefetch-user"
            )
        if not isinstance(role, dict) or self.context.userId != f"PractitionerRole/{role.get('id')}":
            raise _not_said("context.userId must be the user's PractitionerRole, and the prefetch must hold it")
        if role.get("resourceType") != "PractitionerRole" or role.get("active") is False:
            raise _not_said("it is no PractitionerRole that is in use")
        practitioner, organisation = _part(role, "practitioner"), _part(role, "organization")
        profile = _identifier(role.get("identifier"), PROFILE_SYSTEM)
        return {
            "sub": _identifier([practitioner.get("identifier")], USER_SYSTEM),
            "nhsid_useruid": _identifier([practitioner.get("identifier")], USER_SYSTEM),
            "name": practitioner.get("display"),
            "nhsid_nrbac_roles": [
                {
                    "person_roleid": profile,
                    "org_code": _identifier([organisation.get("identifier")], ODS_SYSTEM),
                    "role_code": _job_role(role),
                }
            ],
            "selected_roleid": profile,
        }


def _part(resource: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = resource.get(name)
    if not isinstance(value, dict):
        raise _not_said(f"it has no {name}")
    return value


def _identifier(identifiers: Any, system: str) -> str:
    values = {
        one["value"]
        for one in objects(identifiers)
        if one.get("system") == system and isinstance(one.get("value"), str)
    }
    if len(values) != 1:
        raise _not_said(f"it doesn't have just one identifier of the system {system}")
    return str(values.pop())


def _job_role(role: Mapping[str, Any]) -> str:
    """A person acts in one role at a time: activities of several are never added together."""
    codings = [coding for concept in objects(role.get("code")) for coding in objects(concept.get("coding"))]
    codes = [coding.get("code") for coding in codings if coding.get("system") == JOB_ROLE_SYSTEM]
    named = {code for code in codes if isinstance(code, str)}
    if len(named) != 1 or not all(isinstance(code, str) for code in codes):
        raise _not_said(f"it doesn't have just one code of the system {JOB_ROLE_SYSTEM}")
    return named.pop()


def _not_said(why: str) -> BadRequest:
    return BadRequest(
        "The prefetch doesn't say for certain who the user is: send their PractitionerRole with its role profile, job "
        "role, and the identifiers of practitioner and organization.",
        rule="cds.user",
        detail=why,
        expression="prefetch.user",
    )
