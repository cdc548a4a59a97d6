"""The demo's provider at which patients sign in, as NHS login might: it shows itself as the demo's in the same ways.

It is another issuer than that of staff, below it and with a key of its own: what one signs is nothing to the other.
Whoever can reach it can be any of the demo's patients, or one of them who hasn't proved who they are yet.

    GET  /demo/patients/.well-known/openid-configuration    GET  /demo/patients/jwks
    GET  /demo/patients/authorize    choose a patient, or name one with `as`
    POST /demo/patients/token        authorization_code with PKCE
    GET  /demo/patients/userinfo     what is known of whoever signed in
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.demo.codes import CODE_SECONDS, NO_STORE, Codes, Held, Wrong, authorize_query, choosing, form_of
from gateway.demo.identity import DEMO_PATH, Demo

PATIENTS_PATH: Final = f"{DEMO_PATH}/patients"
PATIENTS_CLIENT: Final = "connect-care-demo-patients"
NOT_PROVEN: Final = "not-proven"
"""How somebody is asked for who claims to be the first patient and has proved nothing."""
_BEARER: Final = "Bearer "
_MOST_TOKENS: Final = 1000


@dataclass(frozen=True, slots=True)
class DemoPatient:
    """A made-up patient, and how far their identity is proven (P9: as health records ask for it)."""

    spoken: str
    name: str
    nhs_number: str
    birth_date: str
    proofing: str = "P9"

    @property
    def told(self) -> str:
        """On the page where one is chosen."""
        told = f"{self.name}, born {self.birth_date}"
        return told if self.proofing == "P9" else f"{told}, whose identity is not proven ({self.proofing})"

    def claims(self) -> dict[str, Any]:
        """What NHS login says of a person, as far as it is read here."""
        given, _, family = self.name.rpartition(" ")
        return {
            "sub": self.sub,
            "nhs_number": self.nhs_number,
            "birthdate": self.birth_date,
            "family_name": family,
            "given_name": given,
            "identity_proofing_level": self.proofing,
        }

    @property
    def sub(self) -> str:
        """Of an account, and so of this person at this level."""
        return hashlib.sha256(f"demo patient {self.spoken}".encode()).hexdigest()[:32]


def patients_of(people: Iterable[Mapping[str, Any]]) -> list[DemoPatient]:
    """The patients whom the sandboxes know (`nhsNumber`, `birthDate`, `name`), and the first of them unproven."""
    known = [
        DemoPatient(each["name"].lower().replace(" ", "-"), each["name"], each["nhsNumber"], each["birthDate"])
        for each in people
    ]
    first = [DemoPatient(NOT_PROVEN, one.name, one.nhs_number, one.birth_date, "P5") for one in known[:1]]
    return [*known, *first]


def read_patients(file: Path | None) -> list[DemoPatient]:
    """Those of the state file that the sandboxes wrote; none where there is none."""
    return patients_of(json.loads(file.read_bytes())["people"]) if file is not None else []


class PatientDemo:
    """The provider beside the one of staff."""

    def __init__(self, staff: Demo, patients: Iterable[DemoPatient]) -> None:
        self.issuer = f"{staff.issuer}/patients"
        self.patients = {each.spoken: each for each in patients}
        self._signer = Demo(self.issuer, PATIENTS_CLIENT, clock=staff.clock)
        self._codes = Codes(staff.clock)
        self._tokens: dict[str, DemoPatient] = {}

    @property
    def routes(self) -> list[Route]:
        """Its addresses, below those of the staff's provider."""
        return [
            Route(f"{PATIENTS_PATH}/.well-known/openid-configuration", self._discovery),
            Route(f"{PATIENTS_PATH}/jwks", self._jwks),
            Route(f"{PATIENTS_PATH}/authorize", self._authorize),
            Route(f"{PATIENTS_PATH}/token", self._token, methods=["POST"]),
            Route(f"{PATIENTS_PATH}/userinfo", self._userinfo),
        ]

    def discovery(self) -> dict[str, Any]:
        """The discovery document."""
        return {
            **self._signer.discovery(),
            "grant_types_supported": ["authorization_code"],
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }

    async def fetch(self, url: str) -> bytes:
        """Serves `Keys` without a network, in tests. Raises LookupError for any other address."""
        return await self._signer.fetch(url)

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(self.discovery())

    async def _jwks(self, _request: Request) -> Response:
        return JSONResponse(self._signer.jwks())

    async def _authorize(self, request: Request) -> Response:
        try:
            asked = authorize_query(request)
            if "as" not in asked:
                people = {each.spoken: each.told for each in self.patients.values()}
                return HTMLResponse(choosing("Demo sign-in for patients", people, asked), headers=NO_STORE)
            if asked["as"] not in self.patients:
                raise Wrong("invalid_request", f"Ask for one of {', '.join(self.patients)}.")
            return self._codes.sent_back(asked, asked["as"], self.issuer)
        except Wrong as wrong:
            return wrong.response()

    async def _token(self, request: Request) -> Response:
        try:
            asked = await form_of(request)
            if asked.get("grant_type") != "authorization_code":
                raise Wrong("unsupported_grant_type", "Use authorization_code.")
            held = self._codes.redeem(asked)
        except Wrong as wrong:
            return wrong.response()
        return JSONResponse(self._answer(held), headers=NO_STORE)

    def _answer(self, held: Held) -> dict[str, Any]:
        """The access token is good for userinfo here, and for nothing else anywhere."""
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()
        token, patient = secrets.token_urlsafe(24), self.patients[held.spoken]
        self._tokens[token] = patient
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": CODE_SECONDS,
            "id_token": self._signer.sign(self.id_token_claims(patient, held), header={"typ": "JWT"}),
        }

    def id_token_claims(self, patient: DemoPatient, held: Held) -> dict[str, Any]:
        """The ID token says who and how far proven; the rest is at the userinfo endpoint."""
        now = int(self._signer.clock())
        said = {name: patient.claims()[name] for name in ("sub", "identity_proofing_level")}
        said |= {"iss": self.issuer, "aud": held.client_id, "iat": now, "exp": now + CODE_SECONDS * 5, "auth_time": now}
        return said | ({"nonce": held.nonce} if held.nonce else {})

    async def _userinfo(self, request: Request) -> Response:
        given = request.headers.get("authorization", "")
        patient = self._tokens.get(given.removeprefix(_BEARER)) if given.startswith(_BEARER) else None
        if patient is None:
            return JSONResponse({"error": "invalid_token"}, status_code=401, headers=NO_STORE)
        return JSONResponse(self.userinfo(patient), headers=NO_STORE)

    def userinfo(self, patient: DemoPatient) -> dict[str, Any]:
        """What the userinfo endpoint says."""
        return patient.claims()
