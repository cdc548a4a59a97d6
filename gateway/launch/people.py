"""Whose session it is: from what a registered system stated of a person to what the caller step believes.

A stated person goes through the same step as one with an access token (`gateway.caller.identify`): the same mapping of
claims, organisations that take part, role, floors and revocation, again on every page. All that is new here is who may
state it: a registered system, of people of the one issuer that it is registered for, and of its own organisations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from gateway.caller.claims import choose_profile, read_person
from gateway.caller.mapping import ClaimsSettings
from gateway.caller.refusals import CallerRefused
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import VerifiedToken
from gateway.launch.refusals import not_believed
from gateway.launch.settings import Registered
from gateway.launch.statement import Statement, short_text

_NOT_OF_PEOPLE: Final = frozenset(
    {"iss", "aud", "azp", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "nonce", "cnf", "at_hash", "c_hash",
     "patient", "patient_birthdate", "location", "encounter", "need_patient_banner"}
)  # fmt: skip
"""Claims about the statement, its client or the patient. The rest is about the person."""


class People:
    """Knows the issuers whose people may be stated."""

    def __init__(self, issuers: Iterable[IssuerSettings]) -> None:
        self._issuers = {settings.issuer: settings for settings in issuers}

    def stated(
        self,
        by: Registered,
        statement: Statement,
        claims: Mapping[str, Any],
        *,
        client: str,
        token_id: str,
        own_words: bool = False,
    ) -> VerifiedToken:
        """A person whom that system stated. `client` and `token_id` are what the audit names as application and token;
        `own_words`: the claims are in Care Identity's words, whatever the issuer's own tokens look like.

        Scopes that the system granted are for its own API, and say nothing here. Raises NotSignedIn where a claim can't
        be read or the person isn't on the staff of an organisation that the system is registered for, and
        CallerRefused where it is no person, or which role they act in isn't plain.
        """
        short_text(claims, "sub")
        about = {name: value for name, value in claims.items() if name not in _NOT_OF_PEOPLE}
        about |= {"client_id": client, "jti": token_id}
        about |= {name: statement.claims[name] for name in ("iat", "exp")}
        settings = self._issuers[by.counts_as]
        if own_words:
            settings = settings.model_copy(update={"claims": ClaimsSettings()})
        token = VerifiedToken(settings, about, statement.kid, statement.algorithm, statement.key_thumbprint)
        self.require_own(by, token)
        return token

    def again(self, counts_as: str, claims: Mapping[str, Any]) -> VerifiedToken:
        """The same person on a later page of the session. Raises NotSignedIn where the issuer isn't there any more."""
        if counts_as not in self._issuers:
            raise not_believed("session.issuer", "the issuer was taken away")
        return VerifiedToken(self._issuers[counts_as], claims, None, "", "")

    def require_still_own(self, by: Registered, token: VerifiedToken) -> None:
        """On a later page. Raises NotSignedIn as `require_own`. Whoever isn't a person in one role any more is left to
        the caller step, which refuses them in the same words, and with a row."""
        with suppress(CallerRefused):
            self.require_own(by, token)

    def require_own(self, by: Registered, token: VerifiedToken) -> None:
        """Raises NotSignedIn unless the person is of the issuer and of an organisation that the system speaks for."""
        if token.issuer != by.counts_as:
            raise not_believed("launch.issuer", "the person is of another issuer than the system is registered for")
        profile = choose_profile(read_person(token))
        if by.organisations is not None and profile.organisation not in by.organisations:
            raise not_believed("launch.organisation", "the system is not registered for the person's organisation")
