"""Puts together, from the settings, what lets people in from other systems."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from connectors.sdk.http import AiohttpTransport, Limits, Transport
from connectors.sdk.organisations import Organisations
from gateway.caller.issuer_document import Fetch
from gateway.caller.keys import Keys
from gateway.caller.model import Caller
from gateway.cds.cards import Cards, Opening
from gateway.launch.code_flow import CodeFlow
from gateway.launch.context import Contexts
from gateway.launch.entered import Burning
from gateway.launch.flow import Launches
from gateway.launch.naming import Identifying, Naming
from gateway.launch.patient_sign_in import PatientSignIns
from gateway.launch.people import People
from gateway.launch.sign_in import SignIns
from gateway.sealed import Sealer
from gateway.settings import Settings
from gateway.sources import SourceState
from gateway.store.moments import Clock

_LIMITS: Final = Limits(max_bytes=1024 * 1024, connections=16)


def keys_of_systems(settings: Settings, fetch: Fetch) -> Keys:
    """The keys of every registered system; they are fetched as the issuers' are."""
    return Keys({one.issuer: one.signer for one in settings.registered}.values(), fetch, allow_demo=settings.is_demo)


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How people come to the pages, and how they are the same people on every page after."""

    launches: Launches
    sign_ins: SignIns
    patient_sign_ins: PatientSignIns
    codes: CodeFlow
    naming: Naming


def made_ways_in(
    settings: Settings,
    keys: Keys,
    callers: Identifying,
    marks: Burning,
    sealer: Sealer,
    clock: Clock,
    transport: Transport | None = None,
) -> WaysIn:
    """The ways in. `transport` is the network towards EHRs and providers, where it isn't the usual one."""
    people = People(settings.issuers)
    naming = Naming((*settings.launches, *settings.contexts, *settings.sign_ins), people, callers)
    codes = CodeFlow(keys, marks, sealer, clock)
    outside = transport or AiohttpTransport(_LIMITS)
    base = settings.public_url
    contexts = Contexts(settings.contexts, people, keys, marks, public_url=base, seconds=time.time)
    return WaysIn(
        Launches(settings.launches, contexts, codes, naming, keys, public_url=base, transport=outside),
        SignIns(settings.sign_ins, codes, naming, public_url=base, transport=outside),
        PatientSignIns(settings.patient_sign_ins, codes, sealer, clock, public_url=base, transport=outside),
        codes,
        naming,
    )


def made_cards(
    settings: Settings,
    keys: Keys,
    marks: Burning,
    records: Opening,
    organisations: Organisations,
    *,
    states: Callable[[], Mapping[str, SourceState]],
    tells: Callable[[Caller], bool],
) -> Cards:
    """The cards."""
    return Cards(
        settings.hooks,
        People(settings.issuers),
        keys,
        marks,
        records,
        organisations,
        states=states,
        tells=tells,
        public_url=settings.public_url,
        opens=bool(settings.launches),
        seconds=settings.card_deadline,
    )
