"""What each kind of issuer calls the things that the gateway needs: from a token's claims to our own names for them.

Sources: NHS Care Identity Service 2 (`nhsid_useruid`, `nhsid_nrbac_roles`, `selected_roleid`); Keycloak's access token
(`realm_access`, `resource_access`, and attributes that are mapped to claims of Care Identity's names); GP Connect,
"Cross-organisation audit and provenance" (`requesting_practitioner`, `requesting_organization`,
`reason_for_request`). Nothing is checked here but what is needed to find a value: `claims.py` reads each strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from connectors.sdk.model import ODS_SYSTEM
from connectors.sdk.objects import objects
from gateway.caller.mapping import Preset
from gateway.caller.said import wrong

Claims = Mapping[str, Any]
Said = dict[str, Any]
"""By the names of `mapping.OfToken`."""

USERINFO_SAYS: Final = frozenset({"user_id", "name", "roles", "selected_role"})
"""All that is taken from the userinfo endpoint. What the token may be used for is in the token, which is signed."""
_COMMON: Final = {
    "name": "name",
    "selected_role": "selected_roleid",
    "purpose": "purpose_of_use",
    "scope": "scope",
    "acr": "acr",
    "auth_time": "auth_time",
    "patient": "patient",
}
_USER: Final = "nhsid_useruid"
_ROLES: Final = "nhsid_nrbac_roles"
_SDS_USER: Final = "https://fhir.nhs.uk/Id/sds-user-id"
_SDS_ROLE_PROFILE: Final = "https://fhir.nhs.uk/Id/sds-role-profile-id"
_JOB_ROLE_OF: Final = "https://fhir.nhs.uk/STU3/StructureDefinition/Extension-GPConnect-PractitionerRole-1"
_UNKNOWN: Final = "UNK"
_DIRECT_CARE: Final = "directcare"


def said_by(preset: Preset, claims: Claims, audience: str) -> Said:
    """What a token of this kind says, by our own names; what it doesn't say is absent. Raises NotSignedIn."""
    return _PRESETS[preset](claims, audience)


def _care_identity(claims: Claims, _audience: str) -> Said:
    named = {"user_id": _USER, "roles": _ROLES}
    return _common(claims) | {name: claims[claim] for name, claim in named.items() if claim in claims}


def _keycloak(claims: Claims, audience: str) -> Said:
    """Attributes that are mapped to Care Identity's claims come first; else the subject, and the names of realm and
    client roles."""
    roles = claims[_ROLES] if _ROLES in claims else _role_names(claims, audience)
    user = claims[_USER] if _USER in claims else _subject(claims)
    return _common(claims) | {"user_id": user, "roles": roles}


def _role_names(claims: Claims, audience: str) -> list[Any]:
    of_clients = _object(claims, "resource_access")
    return [*_names(_object(claims, "realm_access")), *_names(_object(of_clients, audience))]


def _names(held: Claims) -> list[Any]:
    names = held.get("roles", [])
    if not isinstance(names, list):
        raise wrong("roles")
    return names


def _object(claims: Claims, name: str) -> Claims:
    value = claims.get(name, {})
    if not isinstance(value, dict):
        raise wrong("roles")
    return value


def _ehr_assertion(claims: Claims, _audience: str) -> Said:
    """`sub` is the practitioner's own id. Who has no smartcard (`UNK`) is told apart by that, never by what all such
    people share."""
    practitioner, subject = claims.get("requesting_practitioner"), _subject(claims)
    if not isinstance(practitioner, dict) or practitioner.get("id") != subject or subject == _UNKNOWN:
        raise wrong("user_id")
    # A launch states the person without the statement's own claims: its application is named by client_id then.
    said = ({"client_id": claims["iss"]} if "iss" in claims else {}) | _common(claims)
    said |= {
        "user_id": _identifier(practitioner, _SDS_USER) or subject,
        "name": _name(practitioner),
        "roles": [_role(practitioner, claims.get("requesting_organization"))],
        "purpose": _purpose(claims),
    }
    if "scope" not in claims and "requested_scope" in claims:
        said["scope"] = claims["requested_scope"]
    return said


def _subject(claims: Claims) -> Any:
    """Access tokens were refused without it already; other statements of a person need not have it."""
    if "sub" not in claims:
        raise wrong("sub")
    return claims["sub"]


def _role(practitioner: Any, organisation: Any) -> Said:
    code, ods = _job_role(practitioner), _identifier(organisation, ODS_SYSTEM)
    return {
        "person_roleid": _identifier(practitioner, _SDS_ROLE_PROFILE) or f"{ods}.{str(code)[-5:]}",
        "org_code": ods,
        "role_code": code,
    }


def _purpose(claims: Claims) -> Any:
    """`reason_for_request` must be direct care; `purpose_of_use` may say that it is an emergency."""
    reason = claims.get("reason_for_request")
    return claims.get("purpose_of_use", "TREAT") if reason == _DIRECT_CARE else reason or ""


def _identifier(resource: Any, system: str) -> Any:
    """The value of the one identifier of a system; None where there is none, it isn't known, or there are several."""
    values = [each.get("value") for each in _objects(resource, "identifier") if each.get("system") == system]
    return values[0] if len(values) == 1 and values[0] != _UNKNOWN else None


def _job_role(practitioner: Any) -> Any:
    """The code in the extension that GP Connect's consumers say somebody's job role in."""
    found = [
        coding.get("code")
        for extension in _objects(practitioner, "extension")
        if extension.get("url") == _JOB_ROLE_OF
        for coding in _objects(extension.get("valueCodeableConcept"), "coding")
    ]
    return found[0] if len(found) == 1 else None


def _name(practitioner: Any) -> str:
    """As Care Identity writes names: `FAMILY Given Title`."""
    for name in _objects(practitioner, "name"):
        given, prefix = (_words(name.get(part)) for part in ("given", "prefix"))
        family = name.get("family")
        if isinstance(family, str) and family.strip():
            return " ".join([family.strip().upper(), *given[:1], *prefix[:1]])
    return ""


def _words(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _objects(resource: Any, name: str) -> list[dict[str, Any]]:
    return objects(resource.get(name)) if isinstance(resource, dict) else []


def _common(claims: Claims) -> Said:
    said = {name: claims[claim] for name, claim in _COMMON.items() if claim in claims}
    named = [claims[name] for name in ("client_id", "azp") if name in claims]
    if named:
        said["client_id"] = named[0] if all(each == named[0] for each in named) else None
    return said


_PRESETS: Final[Mapping[Preset, Callable[[Claims, str], Said]]] = {
    Preset.CARE_IDENTITY: _care_identity,
    Preset.KEYCLOAK: _keycloak,
    Preset.EHR_ASSERTION: _ehr_assertion,
}
