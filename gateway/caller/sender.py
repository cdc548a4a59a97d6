"""Whether the sender of an access token is the one it was given to: a token that is bound to a key or a certificate is
worth nothing to who only copied it (RFC 9700, section 2.2.1)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Final

from gateway.caller.certificate import Proxies, certificate_thumbprint
from gateway.caller.credentials import DPOP, Credentials
from gateway.caller.dpop import Proofs
from gateway.caller.presented import Presented
from gateway.caller.refusals import not_signed_in, unbound
from gateway.caller.tokens import VerifiedToken

_KEY: Final = "jkt"
_CERTIFICATE: Final = "x5t#S256"


@dataclass(frozen=True, slots=True)
class Senders:
    """`required`: tokens that are bound to nothing are refused, whoever issued them."""

    proofs: Proofs
    proxies: Proxies
    required: bool

    def certificate(self, presented: Presented) -> str | None:
        """The thumbprint of the certificate that the proxy handed on. Raises BadRequest where it wasn't the proxy."""
        return certificate_thumbprint(presented, self.proxies)

    async def check(
        self, presented: Presented, given: Credentials, token: VerifiedToken, certificate: str | None
    ) -> None:
        """Everything that the token is bound to must be there. Raises NotSignedIn.

        Source: RFC 9449, section 7.1 (a DPoP-bound token is refused under Bearer; under DPoP nothing but a bound token
        is accepted); RFC 8705, section 3.
        """
        bound = _confirmation(token)
        key, wanted = bound.get(_KEY), bound.get(_CERTIFICATE)
        if not bound and self.required:
            raise unbound(given.scheme)
        if (key is None) == (given.scheme == DPOP):
            raise not_signed_in("token.scheme", "the scheme is not that of the token's binding", scheme=given.scheme)
        if wanted is not None and not (certificate and hmac.compare_digest(wanted, certificate)):
            raise not_signed_in("token.certificate", "the token is bound to another certificate", scheme=given.scheme)
        if key is not None:
            await self.proofs.check(presented, given.token, key)


def _confirmation(token: VerifiedToken) -> dict[str, str]:
    """What the token is bound to (RFC 7800, `cnf`). A binding that isn't known can't be checked, so it is refused."""
    if "cnf" not in token.claims:
        return {}
    bound: Any = token.claims["cnf"]
    known = isinstance(bound, dict) and bool(bound) and bound.keys() <= {_KEY, _CERTIFICATE}
    if not known or not all(isinstance(value, str) and value.isascii() and value for value in bound.values()):
        raise not_signed_in("token.binding", "cnf holds something else than jkt and x5t#S256")
    return dict(bound)
