"""The unsigned token of every request: who asks, where they work, from which system, and why.

GP Connect, "Cross-organisation audit and provenance": a JWT with `alg: none` and an empty signature, new for each
request, valid for five minutes. What trust there is comes from mutual TLS; the token is what the practice's own audit
keeps, so it names the user's organisation and role and never this gateway's.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.gp_connect.settings import Device
from connectors.sdk.model import ODS_SYSTEM, AskedBy

LIFETIME: Final = 300
"""Seconds between `iat` and `exp`: providers refuse any other."""

UNKNOWN: Final = "UNK"
"""Stands for the identifiers of somebody who isn't signed in with a smartcard."""

_USER: Final = "https://fhir.nhs.uk/Id/sds-user-id"
_ROLE_PROFILE: Final = "https://fhir.nhs.uk/Id/sds-role-profile-id"
_JOB_ROLE: Final = "https://fhir.hl7.org.uk/STU3/CodeSystem/CareConnect-SDSJobRoleName-1"
_JOB_ROLE_OF: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-GPConnect-PractitionerRole-1"
_HEADER: Final = {"alg": "none", "typ": "JWT"}
_SMARTCARD: Final = re.compile(r"[0-9]{12}", re.ASCII)
_JOB_ROLE_CODE: Final = re.compile(r"(?:S[0-9]+:G[0-9]+:)?(R[0-9]{4})", re.ASCII)
_TITLES: Final = frozenset(
    ("dr", "mr", "mrs", "ms", "miss", "mx", "prof", "professor", "sir", "dame", "nurse", "sister", "matron")
)
_SURNAME_FIRST: Final = re.compile(r"(?P<family>[^,(]+?),\s*(?P<given>[^,(]*?)\s*(?:\((?P<title>[^()]*)\))?")
_CAPITALS_FIRST: Final = re.compile(r"(?P<family>[^\sa-z(]{2,})\s+(?P<given>[^(]*?)\s*(?:\((?P<title>[^()]*)\))?")


@dataclass(frozen=True, slots=True)
class Consumer:
    """This gateway: the URL that its tokens are issued under, and the device that it is."""

    issuer: str
    device: Device


def token(asked_by: AskedBy, consumer: Consumer, audience: str, now: int) -> str:
    """The compact form, its last dot kept. `audience` is the practice's service root URL; `now` is in Unix seconds."""
    claims: dict[str, Any] = {
        "iss": consumer.issuer,
        "sub": asked_by.user_id,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "reason_for_request": "directcare",
        "requested_scope": "patient/*.read",
        "requesting_device": _device(consumer.device),
        "requesting_organization": _organisation(asked_by),
        "requesting_practitioner": _practitioner(asked_by, consumer.issuer),
    }
    return f"{_part(_HEADER)}.{_part(claims)}."


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(content)).rstrip(b"=").decode()


def _device(device: Device) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "identifier": [{"system": device.system, "value": device.value}],
        "model": device.model,
        "version": device.version,
    }


def _organisation(asked_by: AskedBy) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "identifier": [{"system": ODS_SYSTEM, "value": asked_by.organisation}],
        "name": asked_by.organisation_name,
    }


def _practitioner(asked_by: AskedBy, issuer: str) -> dict[str, Any]:
    local = {"system": f"{issuer.rstrip('/')}/Id/user", "value": asked_by.user_id}
    practitioner: dict[str, Any] = {
        "resourceType": "Practitioner",
        "id": asked_by.user_id,
        "identifier": [
            {"system": _USER, "value": _of_smartcard(asked_by.user_id)},
            {"system": _ROLE_PROFILE, "value": _of_smartcard(asked_by.role_profile_id)},
            local,
        ],
        "name": [human_name(asked_by.name)],
    }
    if role := _JOB_ROLE_CODE.fullmatch(asked_by.job_role_code):
        coded = {"coding": [{"system": _JOB_ROLE, "code": role[1]}]}
        practitioner["extension"] = [{"url": _JOB_ROLE_OF, "valueCodeableConcept": coded}]
    return practitioner


def _of_smartcard(value: str) -> str:
    """A smartcard's identifiers have twelve digits; what another identity provider gave would be nobody there."""
    return value if _SMARTCARD.fullmatch(value) else UNKNOWN


def human_name(name: str) -> dict[str, Any]:
    """A HumanName of a name in one piece: `Dr Asha Rao`, `RAO Asha (Dr)` or `Rao, Asha`. The text stays as it is."""
    words = name.split()
    plain = " ".join(words)
    found = _SURNAME_FIRST.fullmatch(plain) or _CAPITALS_FIRST.fullmatch(plain)
    if found:
        title, given, family = found["title"] or "", found["given"].split(), found["family"]
    else:
        title = words.pop(0) if len(words) > 1 and words[0].casefold().rstrip(".") in _TITLES else ""
        *given, family = words or [UNKNOWN]
    parts = {"text": plain, "family": family, "given": given, "prefix": [title] if title else []}
    return {key: value for key, value in parts.items() if value}
