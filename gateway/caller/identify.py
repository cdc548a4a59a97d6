"""Step 1: who is asking. From the Authorization header to a `Caller`, or to the reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from typing import Protocol

from connectors.sdk.organisations import OrganisationType
from gateway.caller.admission import Admission, Guards
from gateway.caller.claims import RoleProfile, choose_profile, lacks_person, nhs_number_said, read_person
from gateway.caller.credentials import credentials
from gateway.caller.floors import Floors, require_sign_in
from gateway.caller.keys import Keys
from gateway.caller.model import Caller, KnownCaller, Role
from gateway.caller.presented import Presented
from gateway.caller.refusals import CallerRefused
from gateway.caller.roles import JobRoles
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import Tokens, VerifiedToken
from gateway.caller.userinfo import Userinfo


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
    """Turns access tokens into callers. `clock` is seconds since 1970.

    `userinfo`: None where no issuer is asked more than its token says. `floors` are what sign-ins must reach, by
    purpose. `patient_of` finds the NHS number of the patient in context, who is named by it or by a sealed id.
    """

    def __init__(
        self,
        issuers: Iterable[IssuerSettings],
        keys: Keys,
        organisations: Organisations,
        roles: JobRoles,
        clock: Callable[[], float] = time.time,
        *,
        guards: Guards,
        userinfo: Userinfo | None = None,
        floors: Floors | None = None,
        patient_of: Callable[[str], str | None] = nhs_number_said,
    ) -> None:
        self._keys = keys
        self._tokens = Tokens(issuers, keys, clock=clock)
        self._admission = Admission(self._tokens, guards)
        self._clock = clock
        self._userinfo = userinfo
        self._floors = floors or {}
        self._patient_of = patient_of
        self._organisations = organisations
        self._roles = roles

    def among(self, organisations: Organisations, roles: JobRoles) -> Callers:
        """The same step, over other organisations and job roles: keys, proofs and all else that it holds are shared."""
        others = copy(self)
        others.__dict__.update(_organisations=organisations, _roles=roles)
        return others

    async def identify(self, presented: Presented) -> Caller:
        """The caller of a request, from what it presents.

        Raises NotSignedIn (401), CallerRefused (403; names who it was, for the audit), SignInUnavailable or
        AuditUnavailable (503), or BadRequest where somebody else than the proxy sent a client certificate.
        """
        token = await self._admitted(presented)
        person = read_person(token)
        profile = choose_profile(person)
        known = _with_profile(person.known, profile)
        _require_spoken_for(known, token.settings)
        organisation = self._organisation(known)
        known = replace(known, organisation_name=organisation.name, organisation_type=organisation.type)
        role = self._role(known, organisation.type)
        self._require_sign_in(replace(known, role=role), person.auth_time, token.settings)
        return Caller(
            issuer=known.issuer,
            user_id=known.user_id,
            name=known.name,
            role_profile_id=known.role_profile_id,
            job_role_code=known.job_role_code,
            role=role,
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
            patient=self._patient_of(person.patient) if person.patient else None,
        )

    async def require_standing(self, presented: Presented) -> None:
        """That whoever was identified is still signed in. Raises NotSignedIn, SignInUnavailable or AuditUnavailable."""
        await self._admission.require_standing(presented)

    async def believe(self, token: str) -> VerifiedToken:
        """An access token that never left this gateway: whoever presents it needn't prove that they hold a key.

        Raises NotSignedIn or SignInUnavailable.
        """
        return await self._completed(await self._tokens.verify(token), token)

    async def aclose(self) -> None:
        """End questions to the issuers that are still under way."""
        await self._keys.aclose()
        if self._userinfo is not None:
            await self._userinfo.aclose()

    async def _admitted(self, presented: Presented) -> VerifiedToken:
        token = await self._admission.admit(presented)
        if presented.believed is not None:
            return token
        return await self._completed(token, credentials(presented.authorization).token)

    async def _completed(self, token: VerifiedToken, encoded: str) -> VerifiedToken:
        """The token, and what its issuer says besides where it leaves out whose it is."""
        if self._userinfo is None or not lacks_person(token):
            return token
        return replace(token, userinfo=await self._userinfo.of(token, encoded))

    def _require_sign_in(self, known: KnownCaller, auth_time: int | None, settings: IssuerSettings) -> None:
        floor = next((floor for purpose, floor in self._floors.items() if purpose == known.purpose), None)
        if floor is not None:
            require_sign_in(floor, known, auth_time, settings.acr, self._clock())

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


def _require_spoken_for(known: KnownCaller, settings: IssuerSettings) -> None:
    if settings.organisations and known.organisation not in settings.organisations:
        told = "Whoever signed you in may not speak for the staff of that organisation. Sign in with another role."
        raise CallerRefused(told, rule="caller.organisation-of-another", known=known)


def _with_profile(known: KnownCaller, profile: RoleProfile) -> KnownCaller:
    return replace(
        known,
        role_profile_id=profile.id,
        job_role_code=profile.job_role_code,
        organisation=profile.organisation,
    )
