"""The one place where a JWS is checked against a key: joserfc does it, with the pinned algorithm and no other."""

from __future__ import annotations

from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from gateway.caller.jwk import VerifyingKey


class BadSignature(ValueError):
    """The signature isn't that key's."""


class PinnedRegistry(jws.JWSRegistry):
    """joserfc warns of the name EdDSA, for it leaves the curve open (RFC 9864); our keys have Ed25519 pinned.

    Its bound of 512 characters for a header is too narrow for one that carries an RSA key (DPoP with PS256). Whoever
    calls has bounded the whole already.
    """

    max_header_length = 8 * 1024

    def get_alg(self, name: str) -> Any:
        if not self.allowed or name not in self.allowed:
            raise JoseError("the algorithm is not the pinned one")
        return self.algorithms[name]


def check_signature(token: str, key: VerifyingKey, algorithm: str) -> None:
    """Raises BadSignature unless that key signed the token (JWS in compact form) with that algorithm."""
    try:
        jws.deserialize_compact(token, key.key, registry=PinnedRegistry(algorithms=[algorithm]))
    except (JoseError, ValueError) as error:
        raise BadSignature from error
