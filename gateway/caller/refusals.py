"""What a caller is told when they can't be accepted.

NotSignedIn          401  no token, or one that can't be accepted        `not_signed_in`
CallerRefused        403  a good token of somebody who may not ask here  carries who it was, for the audit
SignInUnavailable    503  the issuer's keys can't be had: nobody can be told apart just now
"""

from __future__ import annotations

from typing import Final

from gateway.caller.model import KnownCaller
from gateway.errors import GatewayError, NotSignedIn, Refusal

_SIGN_IN: Final = "Sign in first: send an access token in the header `Authorization: Bearer <token>`, once."
_SIGN_IN_AGAIN: Final = "This access token can't be accepted. Sign in again, and send the new token."
_EXPIRED: Final = "This access token has expired. Sign in again, and send the new token."


class CallerRefused(Refusal):
    """The token is good, but this person may not ask in this role. `known` is who it was, as far as it was told."""

    def __init__(self, told: str, *, rule: str, known: KnownCaller, detail: str = "") -> None:
        super().__init__(told, rule=rule, detail=detail)
        self.known = known


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


def not_signed_in(rule: str, detail: str) -> NotSignedIn:
    """The token fails the check named by `rule`. Which check it was is for the operator, not for the sender."""
    return NotSignedIn(_SIGN_IN_AGAIN, rule=rule, detail=detail)


def expired() -> NotSignedIn:
    """The token was good, and its time is over."""
    return NotSignedIn(_EXPIRED, rule="token.expired", detail="exp is past")
