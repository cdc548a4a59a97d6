"""The gateway as a client of SMART Backend Services, as the Inferno SMART client suite looks at one.

Inferno plays a server that gives a token to whatever it is sent, keeps every request, and then lists what was wrong
with them: the list must be empty. Source: smart-app-launch-test-kit, SMART STU 2.2 client suite, "Verify SMART Token
Requests" (backend services) and "Verify SMART Token Use", with the requirements of hl7.fhir.uv.smart-app-launch_2.2.0
that they cite.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, RSAKey
from pydantic import TypeAdapter

from connectors.sdk.auth import AuthSettings, authorizer
from connectors.sdk.http import Httpx2Transport, Limits, SourceClient
from tests.wire import BUNDLE, soon

TOKEN_URL: Final = "https://inferno.test/auth/token"
CLIENT_ID: Final = "connect-care"
SCOPE: Final = "system/*.rs"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REQUIREMENTS: Final[Mapping[str, str]] = {
    "@229": "the client authenticates with a signed assertion",
    "@230": "the assertion's header says typ JWT, its algorithm and its key",
    "@233": "iss is the client's id",
    "@234": "sub is the client's id",
    "@235": "aud is the token endpoint",
    "@236": "exp is there, five minutes ahead at most",
    "@237": "jti is there, and never the same twice",
    "@238": "the request names grant_type, scope, client_assertion_type and client_assertion",
    "@267": "grant_type is client_credentials",
    "@93": "the token that came is the one that is used",
}


@dataclass
class Inferno:
    """The token endpoint and a FHIR server: everybody is let in, and everything is kept."""

    keys: KeySet
    asked: list[dict[str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        told = self._token((await receive()).get("body", b"")) if scope["path"] == "/auth/token" else BUNDLE
        if scope["path"] != "/auth/token":
            self.used.append(headers.get("authorization", "").removeprefix("Bearer "))
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": told})

    def _token(self, body: bytes) -> bytes:
        self.asked.append(dict(parse_qsl(body.decode())))
        # So short that the next call needs another.
        return msgspec.json.encode({"access_token": f"t{len(self.asked)}", "token_type": "bearer", "expires_in": 0.001})

    def wrong(self) -> list[str]:
        """The requirements that were broken, request by request."""
        seen: set[str] = set()
        return [fault for asked in self.asked for fault in (*_of_form(asked), *self._of_assertion(asked, seen))]

    def _of_assertion(self, asked: Mapping[str, str], seen: set[str]) -> list[str]:
        signed = jws.deserialize_compact(asked["client_assertion"], self.keys, algorithms=["ES384", "RS384"])
        claims = msgspec.json.decode(signed.payload)
        fresh = claims.get("jti") not in seen
        seen.add(claims.get("jti"))
        held = {
            "@230": signed.protected.get("typ") == "JWT" and signed.protected.get("kid") == "k1",
            "@233": claims.get("iss") == CLIENT_ID,
            "@234": claims.get("sub") == CLIENT_ID,
            "@235": claims.get("aud") == TOKEN_URL,
            "@236": time.time() < claims.get("exp", 0) <= time.time() + 300,
            "@237": bool(claims.get("jti")) and fresh,
        }
        return [number for number, holds in held.items() if not holds]


def _of_form(asked: Mapping[str, str]) -> list[str]:
    held = {
        "@267": asked.get("grant_type") == "client_credentials",
        "@229": asked.get("client_assertion_type") == ASSERTION_TYPE,
        "@238": asked.get("scope") == SCOPE and "client_assertion" in asked and "client_secret" not in asked,
    }
    return [number for number, holds in held.items() if not holds]


def _key(algorithm: str) -> Any:
    if algorithm == "ES384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(params=["ES384", "RS384"])
async def met(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Inferno, SourceClient]]:
    """Inferno, and a connector's client that is set up for it."""
    key, file = _key(request.param), tmp_path / "key.pem"
    no_password = serialization.NoEncryption()
    file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    kind: type[ECKey | RSAKey] = ECKey if request.param == "ES384" else RSAKey
    inferno = Inferno(KeySet([kind.import_key(public, {"kid": "k1"})]))
    transport = Httpx2Transport(Limits(), httpx2.ASGITransport(app=inferno))
    auth: Any = TypeAdapter(AuthSettings).validate_python(
        {
            "scheme": "smart-backend-services",
            "token_url": TOKEN_URL,
            "client_id": CLIENT_ID,
            "kid": "k1",
            "algorithm": request.param,
            "key_file": file,
            "scope": SCOPE,
        }
    )
    proof = authorizer(auth, transport=transport)
    client = SourceClient("http://inferno.test/fhir", transport, authorize=proof)
    yield inferno, client
    await client.aclose()


async def test_no_token_request_is_wrong_and_the_tokens_are_used(met: tuple[Inferno, SourceClient]) -> None:
    inferno, client = met
    for _ in range(3):
        await client.get("Patient", deadline=soon())
        time.sleep(0.002)  # noqa: ASYNC251 (until the token has ended)
    assert len(inferno.asked) == 3
    assert inferno.wrong() == []
    assert inferno.used == ["t1", "t2", "t3"]


async def test_what_inferno_would_flag_is_flagged_here(met: tuple[Inferno, SourceClient]) -> None:
    inferno, client = met
    await client.get("Patient", deadline=soon())
    asked = inferno.asked[0]
    inferno.asked += [asked, {**asked, "grant_type": "password"}, {**asked, "scope": ""}]
    assert inferno.wrong() == ["@237", "@267", "@237", "@238", "@237"]
    assert set(inferno.wrong()) <= set(REQUIREMENTS)
