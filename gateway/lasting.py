"""The parts of a gateway that live as long as its process: what they hold must survive a reload.

Policies and organisations may be read anew while the gateway runs; the store, the issuers' keys, the counts of fair use
and the sign-ins under way go on as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit.checkpoints import Checkpointer, signer_of
from gateway.audit.events.render import Events
from gateway.audit.followers.make import made_followers
from gateway.audit.followers.runner import Followers
from gateway.audit.journal import Journal
from gateway.caller.directory import Directory
from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.logout import Logouts
from gateway.caller.make import made_callers
from gateway.desk.follow_up import FollowUp
from gateway.desk.volume import Volume
from gateway.fair_use.count import Counts
from gateway.fair_use.storms import Storms
from gateway.fair_use.use import FairUse
from gateway.in_force import InForce
from gateway.launch.make import WaysIn, keys_of_systems, made_ways_in
from gateway.launch.session import PatientSessions, Sessions
from gateway.outside import Outside
from gateway.room import Room
from gateway.sealed import Sealer
from gateway.search.page import Pager
from gateway.settings import Settings
from gateway.store.interface import Store
from gateway.store.moments import utc_now as now


@dataclass(slots=True)
class Latest:
    """What came into force last. The rows of what lasts name its hash; a request's own rows name that of the policies
    with which it began."""

    in_force: InForce


@dataclass(frozen=True, slots=True)
class Lasting:
    """See above. `callers` know the first organisations: those of a later generation are made of them (`among`)."""

    settings: Settings
    outside: Outside
    sealer: Sealer
    store: Store
    latest: Latest
    callers: Callers
    logouts: Logouts
    directory: Directory
    system_keys: Keys
    ways_in: WaysIn
    volume: Volume
    fair_use: FairUse
    room: Room
    events: Events
    followers: Followers
    follow_up: FollowUp
    checkpointer: Checkpointer
    sessions: Sessions
    patient_sessions: PatientSessions
    pager: Pager


def made_lasting(settings: Settings, in_force: InForce, sealer: Sealer, store: Store, outside: Outside) -> Lasting:
    """Made once, on the running event loop. Raises an error with a remedy."""
    latest = Latest(in_force)
    journal = Journal(store, sealer, lambda: latest.in_force.policy.hash, now)
    keys = Keys(settings.issuers, outside.fetch, allow_demo=settings.is_demo)
    callers = made_callers(settings, keys, in_force.organisations, in_force.roles, sealer, store, outside)
    system_keys = keys_of_systems(settings, outside.fetch)
    volume = Volume(store, journal, now, settings.unusual_patients_a_day)
    counts = Counts(settings.fair_use, lambda: now().timestamp(), settings.fair_use.workers or 1)
    events = Events(sealer, settings.public_url, settings.log_origin)
    copies = (settings.audit_sink, settings.audit_repository, outside.audit_repository)
    return Lasting(
        settings=settings,
        outside=outside,
        sealer=sealer,
        store=store,
        latest=latest,
        callers=callers,
        logouts=Logouts(settings.issuers, keys, store),
        directory=Directory(settings.issuers, outside.fetch, allow_demo=settings.is_demo),
        system_keys=system_keys,
        ways_in=made_ways_in(settings, system_keys, callers, store, sealer, now, outside.ehrs),
        volume=volume,
        fair_use=FairUse(counts, Storms(journal, now), volume),
        room=Room(settings.looks_at_once, patience=settings.look_waits, longest=settings.deadline + 2),
        events=events,
        followers=made_followers(store, events, *copies),
        follow_up=FollowUp(store, now),
        checkpointer=Checkpointer(store, signer_of(settings), now, settings.checkpoint_seconds),
        sessions=Sessions(store, sealer, settings.sessions, now),
        patient_sessions=PatientSessions(store, sealer, settings.sessions, now),
        pager=Pager(sealer, settings.public_url, now),
    )
