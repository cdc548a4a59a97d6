"""What a caller is told when they can't be accepted.

NotSignedIn          401  no token, or one that can't be accepted        `not_signed_in`
CallerRefused        403  a good token of somebody who may not ask here  carries who it was, for the audit
└ StrongerSignInNeeded 401  they may, once they have signed in again, as strongly or lately as is asked (RFC 9470)
SignInUnavailable    503  the issuer's keys can't be had: nobody can be told apart just now
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.caller.model import KnownCaller
from gateway.errors import BadRequest, GatewayError, NotSignedIn, Refusal

_SIGN_IN: Final = "Sign in first: send an access token in the header `Authorization: Bearer <token>`, once."
_SIGN_IN_AGAIN: Final = "This access token can't be accepted. Sign in again, and send the new token."
_PROVE_AGAIN: Final = (
    "The DPoP proof can't be accepted. Make a new one for each request: signed now, with the key of the access token, "
    "for this method, this public address and this token (RFC 9449)."
)
_BIND: Final = (
    "This access token is bound to no key and no certificate, so whoever copies it could use it. Ask your sign-in "
    "service for a DPoP-bound or certificate-bound token."
)
_NOT_THE_PROXY: Final = "The header Client-Cert is for the proxy in front of Connect Care alone. Leave it out."
_ENDED: Final = "This sign-in was ended. Sign in again, and send the new token."
_EXPIRED: Final = "This access token has expired. Sign in again, and send the new token."


class CallerRefused(Refusal):
    """The token is good, but this person may not ask in this role. `known` is who it was, as far as it was told."""

    def __init__(self, told: str, *, rule: str, known: KnownCaller, detail: str = "") -> None:
        super().__init__(told, rule=rule, detail=detail)
        self.known = known


class StrongerSignInNeeded(CallerRefused):
    """A good token of somebody whose sign-in was too weak, or too long ago, for the purpose that they state.

    Unlike other 401s it says who it was, and so is journalled. `max_age` is in seconds.
    """

    status = 401
    code = "login"

    def __init__(self, known: KnownCaller, *, acr_values: Sequence[str], max_age: int | None) -> None:
        told = "Sign in again, as strongly and as lately as this purpose of use needs."
        super().__init__(told, rule="caller.sign-in-strength", known=known)
        params = ['error="insufficient_user_authentication"', f'error_description="{told}"']
        params += [f'acr_values="{" ".join(acr_values)}"'] if acr_values else []
        params += [f'max_age="{max_age}"'] if max_age is not None else []
        self.headers["WWW-Authenticate"] = f"Bearer {', '.join(params)}"


class SignInUnavailable(GatewayError):
    """The issuer's keys can't be fetched, so no token can be checked: a new sign-in would not help."""

    status = 503
    code = "transient"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "Connect Care can't check sign-ins just now. Try again shortly; there is no need to sign in again.",
            rule="token.keys-unavailable",
            detail=detail,
        )
        self.headers["Retry-After"] = "10"


def no_token() -> NotSignedIn:
    """No credentials were sent: the challenge names no error then (RFC 6750, section 3.1)."""
    return NotSignedIn(_SIGN_IN, rule="token.missing", error="")


def unclear_authorization(detail: str) -> NotSignedIn:
    """The Authorization header isn't one bearer token."""
    return NotSignedIn(_SIGN_IN, rule="token.header", detail=detail, error="invalid_request")


def not_signed_in(rule: str, detail: str, scheme: str = "Bearer") -> NotSignedIn:
    """The token fails the check named by `rule`. Which check it was is for the operator, not for the sender."""
    return NotSignedIn(_SIGN_IN_AGAIN, rule=rule, detail=detail, scheme=scheme)


def bad_proof(rule: str, detail: str, error: str = "invalid_dpop_proof") -> NotSignedIn:
    """The DPoP proof fails the check named by `rule` (RFC 9449, section 7.1)."""
    return NotSignedIn(_PROVE_AGAIN, rule=rule, detail=detail, error=error, scheme="DPoP")


def unbound(scheme: str) -> NotSignedIn:
    """A token that anybody could use, where senders must prove that it is theirs."""
    return NotSignedIn(_BIND, rule="token.unbound", detail="cnf is missing", scheme=scheme)


def not_from_the_proxy() -> BadRequest:
    """A client certificate in a header that the configured proxy didn't write."""
    return BadRequest(_NOT_THE_PROXY, rule="certificate.not-from-the-proxy", expression="Client-Cert")


def ended() -> NotSignedIn:
    """The token was good, and its issuer has ended the sign-in since."""
    return NotSignedIn(_ENDED, rule="token.revoked", detail="the session or the person was signed out")


def expired() -> NotSignedIn:
    """The token was good, and its time is over."""
    return NotSignedIn(_EXPIRED, rule="token.expired", detail="exp is past")
