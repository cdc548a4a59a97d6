"""The two ways in, step by step. Both end in a session for one person and one patient, or in a refusal.

SMART EHR launch (SMART App Launch 2.2)
    begin    `iss` is a registered EHR's, exactly; nothing is asked of any other
             a state, a nonce and a PKCE verifier are made, and sealed into this browser's cookie
             the browser goes to the EHR's authorize endpoint
    finish   this browser began this launch, not long ago, and ends it once: the state is burnt first
             `iss`, where it is given, is the EHR that was asked (RFC 9207)
             the code and the verifier become a token; the ID token is verified, with its nonce
             the person is named, the patient is resolved to a verified NHS number
UK contextual launch: `gateway.launch.context`

A session starts for those whom policy lets open records: for anybody else there is nothing here to see.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from connectors.sdk.http import Transport
from gateway.caller.keys import Keys
from gateway.caller.model import Caller
from gateway.caller.presented import Presented
from gateway.caller.tokens import VerifiedToken
from gateway.launch import pending as pendings
from gateway.launch.context import Contexts
from gateway.launch.ehr import Ehr, Granted
from gateway.launch.entered import Burning, Entered
from gateway.launch.patient import NoNhsNumber, nhs_number_of_patient, nhs_number_of_token
from gateway.launch.people import People
from gateway.launch.refusals import declined, malformed, no_patient, not_believed, unregistered, used
from gateway.launch.session import Session, new_csrf
from gateway.launch.settings import ContextSettings, EhrSettings, Registered
from gateway.launch.statement import Rules, Statement, short_text, verified
from gateway.sealed import Sealer
from gateway.store.moments import Clock, from_micros

CALLBACK: Final = "/launch/callback"
_ID_TOKEN_SECONDS: Final = 24 * 3600.0
_STATE: Final = "launch-state"
_LONGEST: Final = 2048
_SECOND: Final = 1_000_000


class Identifying(Protocol):
    """The caller step, as a launch needs it."""

    async def identify(self, presented: Presented) -> Caller: ...

    async def believe(self, token: str) -> VerifiedToken:
        """An access token that needs no proof of possession: it never left this gateway."""
        ...


class Launches:
    """Every registered EHR and system, and what their launches need. `seconds` tells the time since 1970."""

    def __init__(
        self,
        ehrs: Iterable[EhrSettings],
        contexts: Iterable[ContextSettings],
        people: People,
        keys: Keys,
        callers: Identifying,
        marks: Burning,
        sealer: Sealer,
        *,
        public_url: str,
        transport: Transport,
        clock: Clock,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        launching, signing = list(ehrs), list(contexts)
        self._registered: dict[str, Registered] = {one.registration: one for one in (*launching, *signing)}
        self._ehrs = {one.fhir_base: Ehr(one, transport) for one in launching}
        self._contexts = Contexts(signing, people, keys, marks, public_url=public_url, seconds=seconds)
        self._keys = keys
        self._people = people
        self._callers = callers
        self._marks = marks
        self._sealer = sealer
        self._base = public_url.rstrip("/")
        self._clock = clock
        self._seconds = seconds
        self._transport = transport

    @property
    def opens_from(self) -> frozenset[str]:
        """The FHIR base URLs of the EHRs that may launch."""
        return frozenset(self._ehrs)

    async def begin(self, fhir_base: str, launch: str) -> tuple[str, str]:
        """(where the browser goes, what its cookie holds). Raises Refusal for an EHR that isn't registered."""
        ehr = self._ehrs.get(fhir_base)
        if ehr is None:
            raise unregistered()
        if not 0 < len(launch) <= _LONGEST or not launch.isprintable():
            raise malformed("launch is missing, or too long")
        addresses = await ehr.addresses()
        pending = pendings.begin(fhir_base, self._clock())
        asked = {
            "response_type": "code",
            "client_id": ehr.settings.client_id,
            "redirect_uri": self._base + CALLBACK,
            "launch": launch,
            "scope": ehr.settings.scope,
            "state": pending.state,
            "aud": fhir_base,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in addresses.authorize else "?"
        return f"{addresses.authorize}{joint}{urlencode(asked)}", pendings.seal(pending, self._sealer)

    async def finish(self, answer: Mapping[str, str], cookie: str) -> Entered:
        """Who comes back from the EHR's authorize endpoint, and for which patient."""
        pending = pendings.opened(cookie, self._sealer, self._clock())
        if not hmac.compare_digest(answer.get("state", "").encode(), pending.state.encode()):
            raise not_believed("launch.state", "the state is another browser's, or another launch's")
        if not await self._marks.burn(_STATE, pending.state, pending.expires_at):
            raise used()
        ehr = self._ehrs.get(pending.fhir_base)
        if ehr is None:
            raise unregistered()
        await self._check_sender(ehr, answer)
        if "error" in answer or not 0 < len(answer.get("code", "")) <= _LONGEST:
            raise declined()
        granted = await ehr.exchange(answer["code"], pending.verifier, self._base + CALLBACK)
        return await self._entered(ehr, granted, await self._id_token(ehr.settings, granted, pending.nonce))

    async def context(self, token: str) -> Entered:
        """Who is launched by a signed JWT, and for which patient (`gateway.launch.context`)."""
        return await self._contexts.entered(token)

    async def presented(self, session: Session) -> Presented:
        """What the person of a session presents for sign-in: believed anew on every page.

        Raises NotSignedIn where their access token isn't accepted any more, or the system that let them in isn't
        registered any more, or not for their organisation.
        """
        by = self._registered.get(session.registration)
        if by is None:
            raise not_believed("session.registration", "the system that began the session was taken away")
        if session.token:
            token = await self._callers.believe(session.token)
        else:
            token = self._people.again(session.counts_as, session.claims)
        self._people.require_still_own(by, token)
        return Presented.stated(token)

    async def aclose(self) -> None:
        """Close the connections to the EHRs, and end what is under way for their keys."""
        await self._keys.aclose()
        await self._transport.aclose()

    async def _check_sender(self, ehr: Ehr, answer: Mapping[str, str]) -> None:
        """RFC 9207: an answer that says whose it is must be of the EHR that was asked; a promise to say so is kept."""
        said = answer.get("iss")
        if said is None and (await ehr.addresses()).names_itself:
            raise not_believed("launch.mix-up", "the answer doesn't say whose it is, though the EHR promises that")
        if said is not None and said != ehr.settings.issuer:
            raise not_believed("launch.mix-up", "the answer is another authorization server's")

    async def _id_token(self, settings: EhrSettings, granted: Granted, nonce: str) -> Statement:
        """OpenID Connect Core 1.0, section 3.1.3.7."""
        rules = Rules(settings.client_id, frozenset({None, "jwt"}), _ID_TOKEN_SECONDS)
        statement = await verified(granted.id_token, settings, rules, self._keys, self._seconds())
        said = statement.claims.get("nonce")
        if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
            raise not_believed("launch.nonce", "the ID token is of another launch")
        short_text(statement.claims, "sub")
        return statement

    async def _entered(self, ehr: Ehr, granted: Granted, id_token: Statement) -> Entered:
        settings = ehr.settings
        person, until = await self._person(ehr, granted, id_token)
        session = Session(
            system=settings.name,
            counts_as=settings.counts_as,
            registration=settings.registration,
            nhs_number=await self._patient(ehr, granted, id_token),
            csrf=new_csrf(),
            token=granted.access_token if settings.users == "access-token" else "",
            claims={} if settings.users == "access-token" else dict(person.claims),
            encounter=granted.encounter,
            needs_banner=granted.needs_banner,
        )
        return Entered(session, Presented.stated(person), until)

    async def _person(self, ehr: Ehr, granted: Granted, id_token: Statement) -> tuple[VerifiedToken, datetime | None]:
        """Who signed in, and when that sign-in ends by itself."""
        settings = ehr.settings
        if settings.users == "access-token":
            token = await self._callers.believe(granted.access_token)
            if settings.issuer == settings.counts_as and token.claims["sub"] != id_token.claims["sub"]:
                raise not_believed("launch.subject", "the access token is another person's than the ID token")
            self._people.require_own(settings, token)
            return token, from_micros(int(token.expires * _SECOND))
        claims = {name: value for name, value in id_token.claims.items() if name != settings.nhs_number_claim}
        if settings.users == "userinfo":
            claims = {**await self._userinfo(ehr, granted, id_token), **claims}
        token_id = f"launch-{id_token.claims.get('jti') or id_token.claims['nonce'][:16]}"
        return self._people.stated(settings, id_token, claims, client=settings.client_id, token_id=token_id), None

    async def _userinfo(self, ehr: Ehr, granted: Granted, id_token: Statement) -> Mapping[str, Any]:
        """What the ID token says stands before it. OpenID Connect Core 1.0, section 5.3.2: `sub` must be the same."""
        said = await ehr.userinfo(granted.access_token)
        if said.get("sub") != id_token.claims["sub"]:
            raise not_believed("launch.userinfo", "userinfo is of somebody else")
        return said

    async def _patient(self, ehr: Ehr, granted: Granted, id_token: Statement) -> str:
        claim = ehr.settings.nhs_number_claim
        try:
            if claim is not None:
                return nhs_number_of_token(id_token.claims.get(claim))
            return nhs_number_of_patient(await ehr.patient(granted.patient, granted.access_token), granted.patient)
        except NoNhsNumber as error:
            raise no_patient(str(error)) from error
