"""A SMART launcher for tests: an EHR's authorization server and a stub of its FHIR API, in one ASGI app.

Somebody is signed in to the EHR already, so its authorize endpoint asks nobody anything: `begin` says who opens what,
and the gateway's own redirects do the rest. It is as strict as a real one where a client could go wrong (redirect
address, audience, PKCE, client assertion, a code that is used twice); `twist` makes it misbehave on purpose.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jws
from joserfc.jwk import ECKey, Key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.demo.people import person

ORIGIN = "http://127.0.0.1:7"
CLIENT = "connect-care-viewer"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_STATUS = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_STATUSES = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"


def _said(claims: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Claims as they go into a JWT."""
    counted = {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    return {name: value for name, value in counted.items() if value is not None}


def an_ehr_patient(patient_id: str, nhs_number: str, status: str = "01") -> dict[str, Any]:
    """A Patient as an EHR holds it, with its verification status."""
    verified = {"url": _STATUS, "valueCodeableConcept": {"coding": [{"system": _STATUSES, "code": status}]}}
    identifier = {"system": NHS_NUMBER, "value": nhs_number, "extension": [verified]}
    return {"resourceType": "Patient", "id": patient_id, "identifier": [identifier]}


def a_practitioner_role(spoken: str = "gp", role_id: str = "role-1") -> dict[str, Any]:
    """The PractitionerRole of one of the demo's people, as an EHR prefetches it."""
    claims = person(spoken).claims()
    role = claims["nhsid_nrbac_roles"][0]
    return {
        "resourceType": "PractitionerRole",
        "id": role_id,
        "identifier": [{"system": "https://fhir.nhs.uk/Id/sds-role-profile-id", "value": role["person_roleid"]}],
        "practitioner": {
            "identifier": {"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": claims["nhsid_useruid"]},
            "display": claims["name"],
        },
        "organization": {
            "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": role["org_code"]}
        },
        "code": [
            {
                "coding": [
                    {
                        "system": "https://fhir.nhs.uk/CodeSystem/NHSDigital-SDS-JobRoleCode",
                        "code": role["role_code"],
                    }
                ]
            }
        ],
    }


@dataclass
class Opening:
    """What a clinician does in the EHR: open one patient, with an app."""

    spoken: str
    patient: str
    encounter: str | None = None
    banner: bool | None = None


@dataclass
class Twist:
    """How the launcher misbehaves. `answer` changes the parameters of the authorize endpoint's redirect (None: leave
    out), `id_token` the claims, `token` the token answer, `patient` replaces the Patient."""

    answer: dict[str, str | None] = field(default_factory=dict)
    id_token: dict[str, Any] = field(default_factory=dict)
    id_token_header: dict[str, Any] = field(default_factory=dict)
    token: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    patient: dict[str, Any] | None = None
    key: Key | None = None


@dataclass
class _Code:
    opening: Opening
    asked: dict[str, str]


class Launcher:
    """`client_key` is the public half of the key with which the gateway proves itself; without it a public client is
    expected. `access_token` makes the token of a person, where the gateway is to accept it as one of its own."""

    def __init__(self, origin: str = ORIGIN, *, client_key: Key | None = None, access_token: Any = None) -> None:
        self.fhir_base = f"{origin}/ehr/fhir"
        self.issuer = f"{origin}/ehr/auth"
        self.client_key = client_key
        self.access_token = access_token
        self.key: Key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        self.patients: dict[str, dict[str, Any]] = {}
        self.twist = Twist()
        self.asked: list[str] = []
        self._openings: dict[str, Opening] = {}
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, Opening] = {}
        self.app = Starlette(
            routes=[
                Route("/ehr/fhir/.well-known/smart-configuration", self._smart_configuration),
                Route("/ehr/auth/.well-known/openid-configuration", self._openid_configuration),
                Route("/ehr/auth/jwks", self._jwks),
                Route("/ehr/auth/authorize", self._authorize),
                Route("/ehr/auth/token", self._token, methods=["POST"]),
                Route("/ehr/auth/userinfo", self._userinfo),
                Route("/ehr/fhir/Patient/{id}", self._patient),
            ]
        )

    def settings(self, counts_as: str, **more: Any) -> dict[str, Any]:
        """The gateway's entry of `launches` for this EHR."""
        return {
            "name": "Test EHR",
            "fhir_base": self.fhir_base,
            "issuer": self.issuer,
            "client_id": CLIENT,
            "counts_as": counts_as,
            "organisations": ["G85005", "RJ2", "08L"],
            "algorithms": ["ES256"],
            "allow_insecure_loopback": True,
            **more,
        }

    def begin(self, opening: Opening) -> str:
        """The path and query with which the EHR opens the gateway."""
        launch = secrets.token_urlsafe(12)
        self._openings[launch] = opening
        return "/launch?" + urlencode({"iss": self.fhir_base, "launch": launch})

    def sign(self, claims: Mapping[str, Any], *, key: Key | None = None, **header: Any) -> str:
        """Claims as a JWT of this EHR; a header member given as None is left out."""
        signer = key or self.key
        members = {"typ": "JWT", "alg": "ES256", "kid": signer.kid, **header}
        members = {name: value for name, value in members.items() if value is not None}
        return jws.serialize_compact(members, json.dumps(claims).encode(), signer, algorithms=[str(members["alg"])])

    def context_jwt(self, audience: str, nhs_number: str, spoken: str = "gp", **claims: Any) -> str:
        """A UK contextual launch; a claim given as None is left out, and one given as a timedelta counts from now."""
        now = int(time.time())
        said = {
            **person(spoken).claims(),
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
            "patient": f"{NHS_NUMBER}|{nhs_number}",
            **claims,
        }
        return self.sign(_said(said, now), typ="launch+jwt")

    def hook_jwt(self, audience: str, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """The JWT of a CDS Hooks call; its claims as those of a contextual launch."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": audience, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4()), **claims}
        return self.sign(_said(said, now), **(header or {}))

    def hook_call(self, patient_id: str, spoken: str = "gp") -> dict[str, Any]:
        """The body of a `patient-view` call."""
        return {
            "hook": "patient-view",
            "hookInstance": str(uuid.uuid4()),
            "fhirServer": self.fhir_base,
            "context": {"userId": "PractitionerRole/role-1", "patientId": patient_id},
            "prefetch": {"patient": self.patients[patient_id], "user": a_practitioner_role(spoken)},
        }

    async def fetch(self, url: str) -> bytes:
        """The documents of this issuer, without a network. Raises LookupError for any other address."""
        documents = {
            f"{self.issuer}/.well-known/openid-configuration": self._openid(),
            f"{self.issuer}/jwks": {"keys": [self.key.as_dict(private=False)]},
        }
        return json.dumps(documents[url]).encode()

    def _openid(self) -> dict[str, Any]:
        return {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/jwks"}

    async def _openid_configuration(self, _: Request) -> Response:
        return JSONResponse(self._openid())

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _smart_configuration(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        document = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "capabilities": [
                "launch-ehr",
                "sso-openid-connect",
                "context-ehr-patient",
                "client-confidential-asymmetric",
            ],
            **self.twist.discovery,
        }
        return JSONResponse(document)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        opening = self._openings.pop(asked.get("launch", ""), None)  # a launch is used once
        if opening is None or asked["client_id"] != CLIENT or asked["aud"] != self.fhir_base:
            return JSONResponse({"error": "invalid_request"}, 400)
        if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256" or not asked["nonce"]:
            return JSONResponse({"error": "invalid_request"}, 400)
        assert {"launch", "openid"} <= set(asked["scope"].split())
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Code(opening, asked)
        answer = {"code": code, "state": asked["state"], "iss": self.issuer, **self.twist.answer}
        said = urlencode({name: value for name, value in answer.items() if value is not None})
        return RedirectResponse(f"{asked['redirect_uri']}?{said}", 302)

    async def _token(self, request: Request) -> Response:
        asked = dict(parse_qsl((await request.body()).decode()))
        held = self._codes.pop(asked.get("code", ""), None)
        proof = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        stands = held is not None and held.asked["code_challenge"] == challenge
        if held is None or not stands or asked["redirect_uri"] != held.asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if not self._is_client(asked):
            return JSONResponse({"error": "invalid_client"}, 401)
        opening = held.opening
        token = self.access_token(opening.spoken) if self.access_token else secrets.token_urlsafe(24)
        self._tokens[token] = opening
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": held.asked["scope"],
            "id_token": self._id_token(opening, held.asked["nonce"]),
            "patient": opening.patient,
            **({"encounter": opening.encounter} if opening.encounter else {}),
            **({"need_patient_banner": opening.banner} if opening.banner is not None else {}),
            **self.twist.token,
        }
        return JSONResponse(answer)

    def _is_client(self, asked: Mapping[str, str]) -> bool:
        if self.client_key is None:
            return "client_assertion" not in asked and asked.get("client_id") == CLIENT
        signed = jws.deserialize_compact(asked["client_assertion"], self.client_key, algorithms=["ES384"])
        claims = json.loads(signed.payload or b"{}")
        lasts = claims["exp"] - time.time()
        return claims["iss"] == claims["sub"] == CLIENT and claims["aud"] == f"{self.issuer}/token" and lasts <= 300

    def _id_token(self, opening: Opening, nonce: str) -> str:
        now = int(time.time())
        said = {
            **person(opening.spoken).claims(),
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "auth_time": now - 60,
            "acr": "AAL3",
            "nonce": nonce,
            "fhirUser": f"{self.fhir_base}/Practitioner/1",
            **self.twist.id_token,
        }
        kept = {name: value for name, value in said.items() if value is not None}
        return self.sign(kept, key=self.twist.key, **self.twist.id_token_header)

    def _opening(self, request: Request) -> Opening | None:
        return self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    async def _userinfo(self, request: Request) -> Response:
        opening = self._opening(request)
        if opening is None:
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(person(opening.spoken).claims() | self.twist.userinfo)

    async def _patient(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        opening = self._opening(request)
        if opening is None or opening.patient != request.path_params["id"]:
            return JSONResponse({"resourceType": "OperationOutcome"}, 401)
        return JSONResponse(self.twist.patient or self.patients[opening.patient], media_type="application/fhir+json")
