"""Puts together, from the settings, what lets people in from other systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from connectors.sdk.http import AiohttpTransport, Limits, Transport
from connectors.sdk.organisations import Organisations
from gateway.caller.issuer_document import Fetch
from gateway.caller.keys import Keys
from gateway.caller.model import Caller
from gateway.cds.cards import Cards, Opening
from gateway.launch.entered import Burning
from gateway.launch.flow import Identifying, Launches
from gateway.launch.people import People
from gateway.sealed import Sealer
from gateway.settings import Settings
from gateway.sources import SourceState
from gateway.store.moments import Clock

_LIMITS: Final = Limits(max_bytes=1024 * 1024, connections=16)


def keys_of_systems(settings: Settings, fetch: Fetch) -> Keys:
    """The keys of every registered system; they are fetched as the issuers' are."""
    registered = (*settings.launches, *settings.contexts, *settings.hooks)
    return Keys({one.issuer: one.signer for one in registered}.values(), fetch, allow_demo=settings.is_demo)


def made_launches(
    settings: Settings,
    keys: Keys,
    callers: Identifying,
    marks: Burning,
    sealer: Sealer,
    clock: Clock,
    transport: Transport | None = None,
) -> Launches:
    """The ways in. `transport` is the network towards the EHRs, where it isn't the usual one."""
    return Launches(
        settings.launches,
        settings.contexts,
        People(settings.issuers),
        keys,
        callers,
        marks,
        sealer,
        public_url=settings.public_url,
        transport=transport or AiohttpTransport(_LIMITS),
        clock=clock,
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
