"""A client that holds a key: DPoP proofs, right ones and any other."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: Key) -> str:
    """A JWT; members that are given as None are left out."""
    members = {name: value for name, value in header.items() if value is not None}
    said = {name: value for name, value in claims.items() if value is not None}
    return signed_raw(json.dumps(members).encode(), json.dumps(said).encode(), key, str(members["alg"]))


def signed_raw(header: bytes, payload: bytes, key: Key, alg: str) -> str:
    """The key's true signature over exactly these bytes."""
    signing_input = f"{b64(header)}.{b64(payload)}"
    return f"{signing_input}.{b64(JWSRegistry.algorithms[alg].sign(signing_input.encode(), key))}"


class Prover:
    """`clock` is seconds since 1970."""

    def __init__(self, key: Key | None = None, alg: str = "ES256", clock: Callable[[], float] = time.time) -> None:
        self.key: Key = key or ECKey.generate_key("P-256")
        self.alg = alg
        self.clock = clock

    @property
    def cnf(self) -> dict[str, str]:
        """What the issuer binds a token to."""
        return {"jkt": self.key.thumbprint()}

    def proof(
        self,
        method: str,
        url: str,
        token: str,
        *,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
        **claims: Any,
    ) -> str:
        """A proof for one request; header members and claims may be replaced, or left out with None."""
        members = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **(header or {})}
        said = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": url,
            "iat": int(self.clock()),
            "ath": b64(hashlib.sha256(token.encode()).digest()),
        }
        return signed(members, said | claims, key or self.key)
