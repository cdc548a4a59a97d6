"""Puts together, from the settings, what tells who is asking."""

from __future__ import annotations

from gateway.caller.admission import Guards
from gateway.caller.certificate import Proxies
from gateway.caller.claims import nhs_number_said
from gateway.caller.dpop import Proofs
from gateway.caller.identify import Callers, Organisations
from gateway.caller.keys import Keys
from gateway.caller.revocation import Revocations
from gateway.caller.roles import JobRoles
from gateway.caller.sender import Senders
from gateway.caller.userinfo import Userinfo
from gateway.outside import Outside
from gateway.sealed import Sealer
from gateway.settings import Settings
from gateway.store.parts.marks import MarkStore


def made_callers(
    settings: Settings,
    keys: Keys,
    organisations: Organisations,
    roles: JobRoles,
    sealer: Sealer,
    marks: MarkStore,
    outside: Outside,
) -> Callers:
    """The first step, over every issuer of the settings."""

    def patient_of(said: str) -> str | None:
        return nhs_number_said(said) or sealer.patient_of(said)

    return Callers(
        settings.issuers,
        keys,
        organisations,
        roles,
        guards=_guards(settings, marks),
        userinfo=Userinfo(outside.fetch, outside.fetch_as, allow_demo=settings.is_demo),
        floors=settings.floors,
        patient_of=patient_of,
    )


def _guards(settings: Settings, marks: MarkStore) -> Guards:
    senders = Senders(Proofs(marks), Proxies(settings.certificate_proxies), required=settings.sender_must_prove)
    return Guards(senders, Revocations(marks))
