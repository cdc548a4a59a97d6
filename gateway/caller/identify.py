"""Step 1: who is asking. From the Authorization header to a `Caller`, or to the reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from connectors.sdk.organisations import OrganisationType
from gateway.caller.claims import RoleProfile, choose_profile, read_person
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, KnownCaller, Role
from gateway.caller.refusals import CallerRefused
from gateway.caller.roles import JobRoles
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import Tokens, bearer_token


class Organisation(Protocol):
    """What this step must know of an organisation. Unless `takes_part` is True its staff are refused."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> OrganisationType: ...
    @property
    def takes_part(self) -> bool | None: ...


class Organisations(Protocol):
    """The register of organisations."""

    def get(self, ods: str, /) -> Organisation | None: ...


class Callers:
    """Turns access tokens into callers. `clock` is seconds since 1970."""

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        keys: Keys,
        organisations: Organisations,
        roles: JobRoles,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._tokens = Tokens(issuers, keys, clock=clock)
        self._organisations = organisations
        self._roles = roles

    async def identify(self, authorization: Sequence[str]) -> Caller:
        """The caller of a request, from all its Authorization headers.

        Raises NotSignedIn (401), CallerRefused (403; names who it was, for the audit) or SignInUnavailable (503).
        """
        token = await self._tokens.verify(bearer_token(authorization))
        person = read_person(token)
        profile = choose_profile(person)
        known = _with_profile(person.known, profile)
        organisation = self._organisation(known)
        known = replace(known, organisation_name=organisation.name, organisation_type=organisation.type)
        return Caller(
            issuer=known.issuer,
            user_id=known.user_id,
            name=known.name,
            role_profile_id=known.role_profile_id,
            job_role_code=known.job_role_code,
            role=self._role(known, organisation.type),
            organisation=known.organisation,
            organisation_name=organisation.name,
            organisation_type=organisation.type,
            client_id=known.client_id,
            purpose=known.purpose,
            scopes=person.scopes,
            acr=known.acr,
            auth_time=person.auth_time,
            token_id=known.token_id,
            themselves=person.themselves,
        )

    async def aclose(self) -> None:
        """End refreshes of the issuers' keys that are still under way."""
        await self._keys.aclose()

    def _organisation(self, known: KnownCaller) -> Organisation:
        organisation = self._organisations.get(known.organisation)
        if organisation is None or organisation.takes_part is not True:
            told = "The organisation of your role does not take part in Connect Care, or not at present."
            raise CallerRefused(told, rule="caller.organisation-not-taking-part", known=known)
        return organisation

    def _role(self, known: KnownCaller, organisation_type: OrganisationType) -> Role:
        role = self._roles.role_of(known.job_role_code, organisation_type)
        if role is not None:
            return role
        if self._roles.knows(known.job_role_code):
            told = (
                "Your role has no use of Connect Care in this type of organisation. Sign in with another of your roles."
            )
            raise CallerRefused(told, rule="caller.role-in-wrong-organisation", known=known)
        told = "Your job role has no use of Connect Care. If it should, ask the information governance team."
        raise CallerRefused(told, rule="caller.unknown-role", known=known)


def _with_profile(known: KnownCaller, profile: RoleProfile) -> KnownCaller:
    return replace(
        known,
        role_profile_id=profile.id,
        job_role_code=profile.job_role_code,
        organisation=profile.organisation,
    )
