"""A sharing choice, and a permission, as FHIR R4 Consents (http://hl7.org/fhir/R4/consent.html).

What is in force is `active`; what was replaced, withdrawn or has expired is `inactive`. An opt-out in force is an
active Consent whose policy is to opt out, since R4's `rejected` is for a consent that never came about. R4 puts a
provision's type into the nested rules alone, so each has one below its root.

What people wrote (a reason, who a proxy is) is in no Consent: resources are copied from system to system, and those
texts may speak of the patient's health. The code of the national list is there. A privacy officer reads the texts where
they are kept: with the choices, the permissions, and the cases of the desk.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM
from gateway.audit.events import codes
from gateway.audit.events.codes import coding, concept
from gateway.choice.model import Basis, Choice, IdentifiedBy, Permission, SharingChoice, StatedBy
from gateway.choice.reasons import DISPLAY, ReasonCode

Json = dict[str, Any]

_ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_SCOPE: Final = "urn:connect-care:scope"
_IDENTIFIED_BY: Final = "urn:connect-care:identified-by"
STATES: Final = "http://hl7.org/fhir/consent-state-codes"
PATIENT_PRIVACY: Final = concept(
    coding("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy", "Privacy Consent")
)
DISCLOSURE: Final = coding(_ACT_CODE, "IDSCL", "information disclosure")
ACCESS: Final = coding(_ACT_CODE, "INFA", "information access")
_OPT_IN: Final = concept(coding(_ACT_CODE, "OPTIN", "opt-in"))
_OPT_OUT: Final = concept(coding(_ACT_CODE, "OPTOUT", "opt-out"))
_IN_BEST_INTERESTS: Final = {"text": "Acting in the best interests of a patient who could not be asked"}
_TREATMENT: Final = coding(codes.PURPOSE, "TREAT", "treatment")
_BREAK_THE_GLASS: Final = coding(codes.PURPOSE, "BTG", "break the glass")
_EMERGENCY: Final = coding(codes.PURPOSE, "OVRER", "emergency treatment override")
_JUDGEMENT: Final = coding(codes.PURPOSE, "OVRPJ", "professional judgment override")
_EMERGENCIES: Final = frozenset({ReasonCode.EMERGENCY, ReasonCode.SELF_CLAIMED_EMERGENCY})
_SPOKE: Final = {
    StatedBy.PROXY: "A proxy of the patient",
    StatedBy.REPRESENTATIVE: "A representative of the patient, who has died",
}


def of_choice(choice: SharingChoice, nhs_number: str, consent_id: str, replaced_at: datetime | None) -> Json:
    """A statement of the sharing choice; `replaced_at` is when the next one was recorded, None for the newest."""
    is_out = choice.choice is not Choice.OPTED_IN
    stated_by = _stated_by(choice.stated_by, nhs_number)
    period = _period(choice.recorded_at, replaced_at)
    return {
        **_head(consent_id, nhs_number, choice.organisation, choice.recorded_at, active=replaced_at is None),
        "identifier": [{"system": codes.SHARING_CHOICE, "value": choice.id}],
        "category": [concept(DISCLOSURE, text="Sharing choice")],
        "performer": [stated_by],
        "policyRule": _OPT_OUT if is_out else _OPT_IN,
        "verification": [_stated(stated_by, choice)],
        "provision": {"period": period, "provision": [{"type": "deny" if is_out else "permit", "period": period}]},
    }


def of_permission(
    permission: Permission, nhs_number: str, consent_id: str, *, active: bool, extends: str | None = None
) -> Json:
    """A permission at the point of care. `extends` is the Consent's id of the one that it prolongs."""
    agreed = permission.basis is Basis.PATIENT_AGREED
    patient, practitioner = _patient(nhs_number), _practitioner(permission.caller)
    period = _period(permission.granted_at, permission.withdrawn_at or permission.expires_at)
    consent = {
        **_head(consent_id, nhs_number, permission.organisation, permission.granted_at, active=active),
        "identifier": [{"system": codes.PERMISSION, "value": permission.id}],
        "category": _categories(permission),
        "performer": [patient if agreed else practitioner],
        "policyRule": _OPT_IN if agreed else _IN_BEST_INTERESTS,
        "verification": [_verified(patient, permission.granted_at) if agreed else {"verified": False}],
        "provision": {
            "period": period,
            "provision": [
                {
                    "type": "permit",
                    "period": period,
                    "actor": [_recipient(practitioner), _recipient(_organisation(permission.organisation))],
                    "purpose": _purposes(permission),
                }
            ],
        },
    }
    return consent if extends is None else {**consent, "sourceReference": {"reference": f"Consent/{extends}"}}


def _head(consent_id: str, nhs_number: str, organisation: str, moment: datetime, *, active: bool) -> Json:
    return {
        "resourceType": "Consent",
        "id": consent_id,
        "status": "active" if active else "inactive",
        "scope": PATIENT_PRIVACY,
        "patient": _patient(nhs_number),
        "dateTime": _instant(moment),
        **({"organization": [_organisation(organisation)]} if organisation else {}),
    }


def _categories(permission: Permission) -> list[Json]:
    found = [
        concept(ACCESS, text="Permission at the point of care"),
        concept(coding(codes.BASIS, permission.basis)),
        concept(coding(_SCOPE, permission.scope)),
    ]
    if permission.reason_code:
        code = ReasonCode(permission.reason_code)
        found.append(concept(coding(codes.REASON, code, DISPLAY[code])))
    return found


def _purposes(permission: Permission) -> list[Json]:
    if permission.basis is Basis.PATIENT_AGREED:
        return [_TREATMENT]
    return [_BREAK_THE_GLASS, _EMERGENCY if permission.reason_code in _EMERGENCIES else _JUDGEMENT]


def _patient(nhs_number: str) -> Json:
    identifier = {"system": NHS_NUMBER_SYSTEM, "value": nhs_number}
    return {"reference": f"Patient/{nhs_number}", "type": "Patient", "identifier": identifier}


def _stated_by(stated_by: StatedBy, nhs_number: str) -> Json:
    if stated_by is StatedBy.PATIENT:
        return _patient(nhs_number)
    return {"type": "RelatedPerson", "display": _SPOKE[stated_by]}


def _practitioner(caller: str) -> Json:
    """The person of a binding key (`Caller.key`)."""
    issuer, user_id, *_ = json.loads(caller)
    return {"type": "Practitioner", "identifier": {"system": issuer, "value": user_id}}


def _organisation(ods: str) -> Json:
    return {"type": "Organization", "identifier": {"system": ODS_SYSTEM, "value": ods}}


def _recipient(reference: Json) -> Json:
    return {"role": concept(codes.RECIPIENT), "reference": reference}


def _stated(by: Json, choice: SharingChoice) -> Json:
    """With how whoever spoke was identified, for which R4 has no element."""
    verified = _verified(by, choice.recorded_at)
    if choice.identified_by is IdentifiedBy.NOT_SAID:
        return verified
    return {"extension": [{"url": _IDENTIFIED_BY, "valueCode": choice.identified_by.value}], **verified}


def _verified(by: Json, moment: datetime) -> Json:
    return {"verified": True, "verifiedWith": by, "verificationDate": _instant(moment)}


def _period(start: datetime, end: datetime | None) -> Json:
    period = {"start": _instant(start)}
    return {**period, "end": _instant(end)} if end else period


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
