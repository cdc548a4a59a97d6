"""A registered EHR: the authorization server of its SMART launches, and the patient whom it has in context."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.sdk.http import Transport
from gateway.launch.patient import FHIR_ID
from gateway.launch.provider import Provider, Tokens
from gateway.launch.refusals import no_patient
from gateway.launch.settings import EhrSettings

_DISCOVERY: Final = "/.well-known/smart-configuration"


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer of the token endpoint: the tokens, and the context of the launch."""

    tokens: Tokens
    patient: str
    encounter: str
    needs_banner: bool


class Ehr(Provider):
    """One registered EHR."""

    def __init__(
        self, settings: EhrSettings, transport: Transport, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(settings, settings.fhir_base.rstrip("/") + _DISCOVERY, transport, clock=clock)
        self.settings = settings

    async def granted(self, code: str, verifier: str, redirect_uri: str) -> Granted:
        """The tokens and the context for a code. Raises as `exchange`, and BadRequest without a patient."""
        return _granted(await self.exchange(code, verifier, redirect_uri))

    async def patient(self, patient_id: str, access_token: str) -> Mapping[str, Any]:
        """The Patient in context, as the EHR holds it. Raises EhrUnavailable."""
        base = self.settings.fhir_base.rstrip("/")
        return await self.get(f"{base}/Patient/{patient_id}", "launch.patient", access_token)


def _granted(answer: Mapping[str, Any]) -> Granted:
    """A banner is shown unless the EHR says that it isn't needed, in just that word (SMART App Launch 2.2)."""
    return Granted(
        tokens=Tokens.of(answer),
        patient=_id(answer.get("patient"), "patient"),
        encounter=_id(answer["encounter"], "encounter") if answer.get("encounter") is not None else "",
        needs_banner=answer.get("need_patient_banner") is not False,
    )


def _id(value: Any, name: str) -> str:
    if not isinstance(value, str) or not FHIR_ID.fullmatch(value) or not value.strip("."):
        raise no_patient(f"the token's {name} is not the id of a resource")
    return value
