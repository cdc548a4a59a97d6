"""The one place where a JWS is checked against a key: joserfc does it, with the pinned algorithm and no other."""

from __future__ import annotations

from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

from gateway.caller.jwk import VerifyingKey

LONGEST_HEADER: Final = 8 * 1024
"""Characters. joserfc's own bound of 512 is too narrow for a header that carries an RSA key (DPoP with PS256)."""


class BadSignature(ValueError):
    """The signature isn't that key's."""


class PinnedRegistry(jws.JWSRegistry):
    """joserfc warns of the name EdDSA, for it leaves the curve open (RFC 9864); our keys have Ed25519 pinned."""

    def get_alg(self, name: str) -> Any:
        if not self.allowed or name not in self.allowed:
            raise JoseError("the algorithm is not the pinned one")
        return self.algorithms[name]


def check_signature(
    token: str,
    key: VerifyingKey,
    algorithm: str,
    *,
    longest_header: int = LONGEST_HEADER,
    is_header_checked: bool = False,
) -> None:
    """Raises BadSignature unless that key signed the token (JWS in compact form) with that algorithm.

    `longest_header` is in characters, as encoded; whoever calls has bounded the whole token already.
    `is_header_checked`: they have also checked which members the header has; else it may have those of RFC 7515 alone.
    """
    registry = PinnedRegistry(algorithms=[algorithm], strict_check_header=not is_header_checked)
    registry.max_header_length = longest_header
    try:
        jws.deserialize_compact(token, key.key, registry=registry)
    except (JoseError, ValueError) as error:
        raise BadSignature from error
