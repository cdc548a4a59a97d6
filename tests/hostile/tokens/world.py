"""A gateway that demands proof of possession, an honest client of it, and what an attacker has: all but the keys."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from joserfc.jwk import ECKey, Key, RSAKey

from gateway.caller.settings import IssuerSettings
from tests.flow.stack import AUDIENCE, GRACE, ISSUER, Stack, running
from tests.launcher import Launcher
from tests.proofs import Prover, b64, signed_raw

BASE: Final = "http://127.0.0.1:8000"
PATH: Final = f"/fhir/R4/Patient/{GRACE}"
PROXY: Final = "10.9.9.9"
DER: Final = b"0\x82 a certificate's bytes"
CLIENT_CERT: Final = f":{base64.b64encode(DER).decode()}:"
BOUND_TO_CERTIFICATE: Final = {"x5t#S256": b64(hashlib.sha256(DER).digest())}


@dataclass
class Sent:
    """One request. `from_proxy`: it comes from the address of the TLS proxy."""

    headers: list[tuple[str, str]]
    path: str = PATH
    method: str = "GET"
    from_proxy: bool = False


@dataclass
class World:
    """`client` holds the key that its tokens are bound to; `stranger` is a key that nobody knows."""

    stack: Stack
    other: Launcher
    direct: httpx2.AsyncClient
    proxied: httpx2.AsyncClient
    client: Prover = field(default_factory=Prover)
    thief: Prover = field(default_factory=Prover)
    stranger: Key = field(default_factory=lambda: ECKey.generate_key("P-256", auto_kid=True))
    rsa: Key = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "rsa"}))

    @property
    def kid(self) -> str:
        return str(self.stack.demo.key.kid)

    def token(self, **claims: Any) -> str:
        """A good token of a GP, bound to the client's key; claims may be replaced."""
        return self.stack.demo.mint("gp", claims={"cnf": self.client.cnf, **claims})

    def said(self, **claims: Any) -> dict[str, Any]:
        """The claims of a good token."""
        payload = self.token(**claims).split(".")[1]
        return dict(json.loads(base64.urlsafe_b64decode(payload + "==")))

    def head(self, **members: Any) -> dict[str, Any]:
        """The header of a good token; members may be replaced, or left out with None."""
        head = {"typ": "at+jwt", "alg": "ES256", "kid": self.kid, **members}
        return {name: value for name, value in head.items() if value is not None}

    def signed(self, header: Mapping[str, Any], payload: Mapping[str, Any] | bytes, key: Key | None = None) -> str:
        """Exactly these bytes, by the issuer's true key unless another is given."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return signed_raw(json.dumps(header).encode(), body, key or self.stack.demo.key, "ES256")

    def dpop(self, token: str, **changed: Any) -> Sent:
        """The request that the honest client would make with that token; the proof's parts may be replaced."""
        prover = changed.pop("prover", self.client)
        method, url = changed.pop("method", "GET"), changed.pop("url", BASE + PATH)
        proof = prover.proof(method, url, changed.pop("ath_of", token), **changed)
        return Sent([("Authorization", f"DPoP {token}"), ("DPoP", proof)])

    async def send(self, sent: Sent) -> httpx2.Response:
        through = self.proxied if sent.from_proxy else self.direct
        return await through.request(sent.method, sent.path, headers=sent.headers)


@asynccontextmanager
async def attacked(data: Path) -> AsyncIterator[World]:
    """The gateway, with a second issuer beside the first."""
    other = Launcher("http://127.0.0.1:9")
    shared: dict[str, Any] = {"audience": AUDIENCE, "allow_insecure_loopback": True}
    issuers = (
        IssuerSettings(issuer=ISSUER, algorithms=("ES256",), **shared),
        IssuerSettings(issuer=other.issuer, algorithms=("ES256",), **shared),
    )
    async with running(
        data, ehr=other, issuers=issuers, sender_constraint="required", certificate_proxies=(PROXY,)
    ) as stack:
        app = stack.client._transport.app  # type: ignore[attr-defined]
        from_proxy = httpx2.ASGITransport(app=app, client=(PROXY, 40_000))
        async with httpx2.AsyncClient(transport=from_proxy, base_url=BASE) as proxied:
            world = World(stack, other, stack.client, proxied)
            token = world.token()
            agreed = Sent(
                [("Authorization", f"DPoP {token}"), ("DPoP", world.client.proof("POST", f"{BASE}/permissions", token))]
            )
            answer = await stack.client.post(
                "/permissions", json={"nhsNumber": GRACE, "basis": "patient-agreed"}, headers=agreed.headers
            )
            assert answer.status_code == 201, answer.text
            yield world
