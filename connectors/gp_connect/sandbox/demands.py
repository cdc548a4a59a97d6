"""What a provider demands of every request: the Ssp headers, and the token of GP Connect's audit specification."""

from __future__ import annotations

import base64
import binascii
import re
import time
from typing import Any, Final, TypeGuard
from uuid import UUID

import msgspec

from connectors.gp_connect.directory import stand_in

_LIFETIME: Final = 300
_SKEW: Final = 60
_ASID: Final = re.compile(rb"[0-9]{1,20}")
_ODS: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
_OF_SMARTCARD: Final = ("https://fhir.nhs.uk/Id/sds-user-id", "https://fhir.nhs.uk/Id/sds-role-profile-id")


class Refusal(Exception):
    """The request isn't served: HTTP status, GP Connect's code, and a sentence for whoever builds the client."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def check_headers(ods: str, headers: dict[bytes, bytes], interaction: str) -> None:
    """Raises Refusal: 403 without a GP Connect code, as the Spine Secure Proxy does, for what it checks itself."""
    try:
        UUID(headers.get(b"ssp-traceid", b"").decode("ascii", "replace"))
    except ValueError as error:
        raise _bad("Ssp-TraceID is not a UUID") from error
    if not _ASID.fullmatch(headers.get(b"ssp-from", b"")) or headers.get(b"ssp-to", b"").decode() != stand_in(ods):
        raise Refusal(403, "", "The ASID check has failed.")
    if headers.get(b"ssp-interactionid", b"").decode("ascii", "replace") != interaction:
        raise Refusal(403, "", "The interaction check has failed.")


def check_token(headers: dict[bytes, bytes], base_path: str, now: float | None = None) -> None:
    """Raises Refusal for a token that isn't as the specification has it. `now` is Unix time."""
    scheme, _, token = headers.get(b"authorization", b"").decode("ascii", "replace").partition(" ")
    parts = token.split(".")
    if scheme != "Bearer" or len(parts) != 3 or parts[2]:
        raise _bad("There is no bearer token with three parts, the last of them empty")
    head, claims = _json(parts[0]), _json(parts[1])
    if head != {"alg": "none", "typ": "JWT"}:
        raise _bad("The token's header is not alg none, typ JWT")
    _check_times(claims, time.time() if now is None else now)
    if not str(claims.get("aud", "")).rstrip("/").endswith(base_path):
        raise _bad("The aud claim is not the service root URL")
    if not claims.get("iss") or claims.get("reason_for_request") != "directcare":
        raise _bad("The claim iss or reason_for_request is wrong")
    if claims.get("requested_scope") != "patient/*.read":
        raise _bad("The requested_scope claim is wrong")
    _check_who(claims)


def _check_times(claims: dict[str, Any], now: float) -> None:
    issued, ends = claims.get("iat"), claims.get("exp")
    if type(issued) is not int or type(ends) is not int or ends - issued != _LIFETIME:
        raise _bad("exp is not five minutes after iat")
    if not issued - _SKEW <= now < ends:
        raise _bad("The token is not valid now")


def _check_who(claims: dict[str, Any]) -> None:
    device, organisation, person = (
        claims.get(f"requesting_{name}") for name in ("device", "organization", "practitioner")
    )
    if not _is(device, "Device", "identifier", "model", "version"):
        raise _bad("The requesting_device claim is not a Device")
    if not _is(organisation, "Organization", "identifier", "name") or _ODS not in _systems(organisation):
        raise _bad("The requesting_organization claim is not an Organization with an ODS code")
    if not _is(person, "Practitioner", "id", "identifier", "name") or person["id"] != claims.get("sub"):
        raise _bad("The requesting_practitioner claim is not the Practitioner of sub")
    if not set(_OF_SMARTCARD) <= set(_systems(person)) or len(person["identifier"]) < 3:
        raise _bad("The requesting_practitioner claim lacks an identifier")
    if not person["name"][0].get("family"):
        raise _bad("The requesting_practitioner claim has no family name")


def _is(value: Any, kind: str, *elements: str) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and value.get("resourceType") == kind and all(value.get(name) for name in elements)


def _systems(resource: Any) -> list[str]:
    return [str(one.get("system")) for one in resource["identifier"] if one.get("value")]


def _json(part: str) -> dict[str, Any]:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        return msgspec.json.decode(decoded, type=dict[str, Any])
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise _bad("A part of the token is not JSON in base64url") from error


def _bad(sentence: str) -> Refusal:
    return Refusal(400, "BAD_REQUEST", f"{sentence}.")
