"""The parts of a running gateway, put together once at start-up and handed to the doors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.sdk.organisations import Organisations
from gateway.audit.checkpoints import Checkpointer
from gateway.audit.events.render import Events
from gateway.audit.followers.runner import Followers
from gateway.audit.journal import Journal
from gateway.audit.read import AuditReader
from gateway.audit.report.service import Reports
from gateway.caller.directory import Directory
from gateway.caller.identify import Callers
from gateway.caller.logout import Logouts
from gateway.cds.cards import Cards
from gateway.choice.consents import Consents
from gateway.choice.permission import Permissions
from gateway.choice.sharing import SharingChoices
from gateway.desk.follow_up import FollowUp
from gateway.desk.officer import Desk
from gateway.desk.volume import Volume
from gateway.explain.explain import Explainer
from gateway.fair_use.entrance import Entrance
from gateway.fair_use.use import FairUse
from gateway.fan_out import FanOut
from gateway.in_force import InForce
from gateway.launch.code_flow import CodeFlow
from gateway.launch.flow import Launches
from gateway.launch.naming import Naming
from gateway.launch.patient_sign_in import PatientSignIns
from gateway.launch.session import PatientSessions, Sessions
from gateway.launch.sign_in import SignIns
from gateway.policy.decide import Policy
from gateway.policy_changes.kept import KeptPolicies
from gateway.record import Records
from gateway.register.confirm import Identities
from gateway.register.find import People
from gateway.room import Room
from gateway.sealed import Sealer
from gateway.search.page import Pager
from gateway.settings import Settings
from gateway.shadow.watch import Shadow
from gateway.store.interface import Store

if TYPE_CHECKING:
    from gateway.api.capability import Capabilities
    from gateway.api.usable import Usable
    from gateway.lasting import Lasting


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a door may use. A request uses the same parts from its beginning to its end, also where others
    are in force by then (`gateway.generations`)."""

    settings: Settings
    in_force: InForce
    organisations: Organisations
    policy: Policy
    sealer: Sealer
    store: Store
    journal: Journal
    callers: Callers
    logouts: Logouts
    directory: Directory
    fair_use: FairUse
    entrance: Entrance
    sharing: SharingChoices
    permissions: Permissions
    consents: Consents
    audit: AuditReader
    reports: Reports
    explainer: Explainer
    policies: KeptPolicies
    events: Events
    followers: Followers
    desk: Desk
    volume: Volume
    follow_up: FollowUp
    checkpointer: Checkpointer
    fan_out: FanOut
    room: Room
    shadow: Shadow
    records: Records
    people: People
    identities: Identities
    launches: Launches
    sign_ins: SignIns
    codes: CodeFlow
    naming: Naming
    sessions: Sessions
    patient_sign_ins: PatientSignIns
    patient_sessions: PatientSessions
    cards: Cards
    pager: Pager
    usable: Usable
    capabilities: Capabilities
    lasting: Lasting
