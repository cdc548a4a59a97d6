"""Puts together what a gateway can offer at all: it follows from its organisations, its policy and its settings."""

from __future__ import annotations

from datetime import datetime

from connectors.sdk.model import Section
from connectors.sdk.organisations import Entry, Organisations, Stage
from gateway.api.audit_event_search import AUDIT_EVENT
from gateway.api.capability import Capabilities, Published
from gateway.api.capability_resources import OPERATIONS
from gateway.api.consent_search import CONSENT
from gateway.api.usable import Usable
from gateway.choice.may import May, allowed
from gateway.policy.decide import Policy
from gateway.settings import Settings
from gateway.version import VERSION


def made_usable(organisations: Organisations, policy: Policy, may: May) -> Usable:
    """What the sources that are shown can hold, as far as policy shows it."""
    shown: list[Entry] = [
        *organisations.sources(),
        *(group.entry for group in organisations.groups() if Stage.LIVE in group.stages),
    ]
    return Usable(frozenset[Section]().union(*(entry.sections for entry in shown)), policy.sections_for, may)


def made_capabilities(
    settings: Settings, usable: Usable, may: May, released: datetime, *, finds_people: bool
) -> Capabilities:
    """The statements. `released` is when this gateway started."""
    return Capabilities(
        Published(
            public_base=settings.public_url,
            version=VERSION,
            released=released,
            cors=bool(settings.cors_origins),
            batch=True,
            operations=OPERATIONS,
        ),
        usable,
        finds_people=finds_people,
        authored=(CONSENT, AUDIT_EVENT),
        may=lambda action, caller: allowed(may, action, caller),
    )
