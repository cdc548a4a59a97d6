"""Who took part: the person, their organisation, the client application, and the gateway."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from connectors.sdk.model import ODS_SYSTEM
from gateway.audit.events import codes
from gateway.audit.events.codes import Json, coding, concept
from gateway.audit.row import Row, Who
from gateway.caller.model import Role

# A journal's row holds no network address: behind a proxy the gateway sees the proxy's own.
_NO_ADDRESS: Final[Json] = {"extension": [{"url": codes.DATA_ABSENT, "valueCode": "unknown"}]}
_UNKNOWN: Final[Json] = {"display": "unknown"}
_URI: Final = "5"
"""network-type: the address is a URI."""


def gateway(public_url: str) -> Json:
    """The gateway, as the agent that acts and as the observer that writes: BALP compares the two."""
    return {
        "type": "Device",
        "identifier": {"system": codes.URI, "value": public_url.rstrip("/")},
        "display": "Connect Care gateway",
    }


def server(observer: Json, role: Json, fhir_base: str) -> Json:
    """The gateway as the server of a request."""
    network = {"address": fhir_base, "type": _URI}
    return {"type": concept(role), "who": observer, "requestor": False, "network": network}


def authoriser(observer: Json) -> Json:
    """The gateway as the one who decided."""
    return {"type": concept(codes.AUTHORISER), "who": observer, "requestor": False}


def client(who: Who | None, *roles: Json) -> Json:
    """The application that the person used. `roles` come before what every client is: an application."""
    known = {"identifier": {"value": who.client_id}} if who and who.client_id else _UNKNOWN
    types = [*(role for role in roles if role != codes.APPLICATION), codes.APPLICATION]
    return {"type": concept(*types), "who": known, "requestor": False, "network": _NO_ADDRESS}


def receiver(name: str) -> Json:
    """Somebody outside to whom a record was disclosed."""
    return {
        "type": concept(codes.DESTINATION),
        "who": {"display": name or "unknown"},
        "requestor": False,
        "network": _NO_ADDRESS,
    }


def user(who: Who) -> Json:
    """The person who asked, with the token named by its `jti` and never by its bytes."""
    agent: Json = {
        "type": concept(codes.RECIPIENT, codes.OAUTH_USER),
        "who": _person(who),
        "requestor": True,
    }
    if extensions := _extensions(who):
        agent["extension"] = extensions
    if who.job_role_code or who.role:
        agent["role"] = [_role(who)]
    if who.name:
        agent["name"] = who.name
    if who.token_id:
        agent["policy"] = [token_urn(who.token_id)]
    if who.purpose:
        agent["purposeOfUse"] = [purpose(who.purpose)]
    return agent


def organisation(who: Who) -> Json:
    """The organisation for which the person acted."""
    named: Json = {"type": "Organization", "identifier": {"system": ODS_SYSTEM, "value": who.organisation}}
    if who.organisation_name:
        named["display"] = who.organisation_name
    return {"type": concept(codes.PROVIDER), "who": named, "requestor": False}


def purpose(code: str) -> Json:
    """A purpose of use, as the token stated it."""
    return concept(coding(codes.PURPOSE, code))


def purposes_of_disclosure(row: Row) -> list[Json]:
    """Why a record was disclosed: the law, or the token's purpose and the basis and reason of a look without the
    patient's word."""
    if row.lawful is not None:
        return [concept(coding(codes.PURPOSE, "HLEGAL", "legal"), coding(codes.LEGAL_BASIS, row.lawful.basis))]
    stated = [purpose(row.who.purpose)] if row.who and row.who.purpose else []
    given = [coding(codes.PURPOSE, "BTG", "break the glass")]
    given += [coding(codes.BASIS, row.basis)] if row.basis else []
    given += [coding(codes.REASON, row.reason_code)] if row.reason_code else []
    return [*stated, concept(*given)]


def token_urn(token_id: str) -> str:
    """The token's id as a URI: whatever an issuer puts into it, no white space is left."""
    return codes.JTI + quote(token_id, safe="!$&'()*+,;=:@/?-._~")


def _person(who: Who) -> Json:
    if not who.user_id:
        return {"display": who.name or "unknown"}
    kind = "Patient" if who.role == Role.PATIENT else "Practitioner"
    named: Json = {"type": kind, "identifier": {"system": who.issuer, "value": who.user_id}}
    return {**named, "display": who.name} if who.name else named


def _role(who: Who) -> Json:
    if not who.job_role_code:
        return {"text": who.role}
    return concept(coding(codes.JOB_ROLE, who.job_role_code), text=who.role)


def _extensions(who: Who) -> list[Json]:
    found: list[Json] = []
    if who.acr:
        found.append({"url": codes.ASSURANCE_LEVEL, "valueCodeableConcept": {"text": who.acr}})
    if who.role_profile_id:
        identifier = {
            "type": concept(coding(codes.IDENTIFIER_TYPE, "PRN")),
            "system": codes.ROLE_PROFILE,
            "value": who.role_profile_id,
        }
        found.append({"url": codes.OTHER_ID, "valueIdentifier": identifier})
    return found
