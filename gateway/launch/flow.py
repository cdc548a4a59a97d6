"""The two ways in, step by step. Both end in a session for one person and one patient, or in a refusal.

SMART EHR launch (SMART App Launch 2.2)
    begin    `iss` is a registered EHR's, exactly; nothing is asked of any other
             the browser goes to the EHR's authorize endpoint (`gateway.launch.code_flow`)
    finish   the code and the verifier become a token; the ID token is verified
             the person is named, the patient is resolved to a verified NHS number
UK contextual launch: `gateway.launch.context`

A session starts for those whom policy lets open records: for anybody else there is nothing here to see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from connectors.sdk.http import Transport
from gateway.caller.keys import Keys
from gateway.caller.presented import Presented
from gateway.launch.code_flow import LONGEST, CodeFlow
from gateway.launch.context import Contexts
from gateway.launch.ehr import Ehr, Granted
from gateway.launch.entered import Entered
from gateway.launch.naming import Naming
from gateway.launch.patient import NoNhsNumber, nhs_number_of_patient, nhs_number_of_token
from gateway.launch.pending import Pending
from gateway.launch.refusals import malformed, no_patient, unregistered
from gateway.launch.session import Session, new_csrf
from gateway.launch.settings import EhrSettings
from gateway.launch.statement import Statement

CALLBACK: Final = "/launch/callback"


class Launches:
    """Every registered EHR and system, and what their launches need."""

    def __init__(
        self,
        ehrs: Iterable[EhrSettings],
        contexts: Contexts,
        codes: CodeFlow,
        naming: Naming,
        keys: Keys,
        *,
        public_url: str,
        transport: Transport,
    ) -> None:
        self._ehrs = {one.fhir_base: Ehr(one, transport) for one in ehrs}
        self._contexts = contexts
        self._codes = codes
        self._naming = naming
        self._keys = keys
        self._base = public_url.rstrip("/")
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
        if not 0 < len(launch) <= LONGEST or not launch.isprintable():
            raise malformed("launch is missing, or too long")
        return await self._codes.begin(ehr, fhir_base, self._base + CALLBACK, launch=launch, aud=fhir_base)

    async def finish(self, answer: Mapping[str, str], pending: Pending) -> Entered:
        """Who comes back from the EHR's authorize endpoint, and for which patient."""
        ehr = self._ehrs.get(pending.asked)
        if ehr is None:
            raise unregistered()
        code = await self._codes.code(answer, ehr)
        granted = await ehr.granted(code, pending.verifier, self._base + CALLBACK)
        id_token = await self._codes.said(granted.tokens.id_token, ehr.settings, pending)
        return await self._entered(ehr, granted, id_token)

    async def context(self, token: str) -> Entered:
        """Who is launched by a signed JWT, and for which patient (`gateway.launch.context`)."""
        return await self._contexts.entered(token)

    async def aclose(self) -> None:
        """Close the connections to the EHRs, and end what is under way for their keys."""
        await self._keys.aclose()
        await self._transport.aclose()

    async def _entered(self, ehr: Ehr, granted: Granted, id_token: Statement) -> Entered:
        settings = ehr.settings
        named = await self._naming.named(ehr, settings, granted.tokens, id_token, not_theirs=settings.nhs_number_claim)
        session = Session(
            system=settings.name,
            counts_as=settings.counts_as,
            registration=settings.registration,
            nhs_number=await self._patient(ehr, granted, id_token),
            csrf=new_csrf(),
            token=named.token,
            claims=dict(named.claims),
            encounter=granted.encounter,
            needs_banner=granted.needs_banner,
        )
        return Entered(session, Presented.stated(named.person), named.until)

    async def _patient(self, ehr: Ehr, granted: Granted, id_token: Statement) -> str:
        claim = ehr.settings.nhs_number_claim
        try:
            if claim is not None:
                return nhs_number_of_token(id_token.claims.get(claim))
            return nhs_number_of_patient(
                await ehr.patient(granted.patient, granted.tokens.access_token), granted.patient
            )
        except NoNhsNumber as error:
            raise no_patient(str(error)) from error
