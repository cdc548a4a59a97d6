"""Puts the parts of a gateway together, and anew when its policies and organisations are read again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sdk import kernel
from connectors.sdk.model import Section
from gateway.api.offered import made_capabilities, made_usable
from gateway.audit.journal import Journal
from gateway.audit.read import AuditReader
from gateway.audit.report.make import ReportMaker
from gateway.audit.report.service import Reports
from gateway.caller.roles import load_job_roles
from gateway.choice.consents import Consents
from gateway.choice.may import SEE_SOURCES, allowed
from gateway.choice.model import Basis
from gateway.choice.permission import Permissions
from gateway.choice.sharing import SharingChoices
from gateway.desk.alerts import Alerts
from gateway.desk.officer import Desk
from gateway.explain.explain import Explainer
from gateway.fair_use.entrance import Entrance
from gateway.fan_out import FanOut
from gateway.in_force import InForce
from gateway.lasting import Lasting, made_lasting
from gateway.launch.make import made_cards
from gateway.locate import Locator
from gateway.merge import Merger, source_types
from gateway.outside import Outside
from gateway.parts import Parts
from gateway.policy.decide import Policy
from gateway.policy_changes.kept import KeptPolicies
from gateway.record import Records
from gateway.register.confirm import Identities
from gateway.register.find import People
from gateway.sealed import Sealer, load_master_key
from gateway.settings import Settings
from gateway.shadow.watch import Shadow
from gateway.store.moments import utc_now as now
from gateway.store.open import open_for_writing
from gateway.taking_part import Running, connected, load_register, nothing_runs
from gateway.view import View


async def assemble(settings: Settings, outside: Outside) -> Parts:
    """The parts of one gateway, on the running event loop. Raises an error with a remedy, or starts whole."""
    kernel.choose(settings.kernel)
    in_force = read_in_force(settings)
    sealer = Sealer(load_master_key(settings.key_file, closed=not settings.is_demo))
    fan_out = await connected(in_force.organisations, settings, outside.connect)
    store = open_for_writing(settings, clock=now)
    try:
        await store.hold_to_key(sealer.fingerprint(), sealer.opens)
        await store.keep_policy(in_force.policy.hash, in_force.policy.archive)
        return joined(made_lasting(settings, in_force, sealer, store, outside), in_force, fan_out)
    except BaseException:
        await store.aclose()
        raise


def read_in_force(settings: Settings, running: Running = nothing_runs) -> InForce:
    """What the files say now. Raises ConfigurationError or SettingsError."""
    organisations = load_register(settings, running=running)
    policy = Policy.load(settings.policies_dir, settings.label_files)
    return InForce(policy, load_job_roles(settings.policies_dir / "job-roles.yaml"), organisations)


def joined(lasting: Lasting, in_force: InForce, fan_out: FanOut, before: Parts | None = None) -> Parts:
    """The parts of one generation: what lasts, under these policies and organisations. `before` are the parts that they
    take the place of."""
    settings, sealer, store = lasting.settings, lasting.sealer, lasting.store
    policy, organisations = in_force.policy, in_force.organisations
    may = policy.may_caller
    journal = Journal(store, sealer, lambda: policy.hash, now)
    callers = lasting.callers.among(organisations, in_force.roles)
    entrance = Entrance(callers, lasting.fair_use, journal)
    sharing = SharingChoices(store, sealer, journal, may, now)
    granted = Permissions(store, sealer, journal, may, now, *_times(settings))
    locator, merger = Locator(organisations, settings.deadline), Merger(sealer, organisations)

    def address_of(ods: str) -> str:
        organisation = organisations.get(ods)
        return (organisation.address or "").rstrip("/") if organisation else ""

    def offered(ods: str) -> frozenset[Section]:
        organisation = organisations.get(ods)
        return organisation.sections if organisation and organisation.is_shown else frozenset()

    counts = before.shadow.counts if before else None
    shadow = Shadow(organisations, locator, fan_out, merger, address_of, counts=counts)
    records = Records(
        entrance=entrance,
        journal=journal,
        sharing=sharing,
        permissions=granted,
        room=lasting.room,
        locator=locator,
        fan_out=fan_out,
        shadow=shadow,
        merger=merger,
        view=View(policy, source_types(organisations)),
        store=store,
        alerts=Alerts(store, sealer, offered, now),
        volume=lasting.volume,
        address_of=address_of,
    )
    usable = made_usable(organisations, policy, may)
    checkpointer, register = lasting.checkpointer, organisations.register()
    return Parts(
        settings=settings,
        in_force=in_force,
        organisations=organisations,
        policy=policy,
        sealer=sealer,
        store=store,
        journal=journal,
        callers=callers,
        logouts=lasting.logouts,
        directory=lasting.directory,
        fair_use=lasting.fair_use,
        entrance=entrance,
        sharing=sharing,
        permissions=granted,
        consents=Consents(store, sealer, journal, may, now),
        audit=AuditReader(store, sealer, journal, may),
        reports=Reports(
            ReportMaker(store, sealer, checkpointer.public, now),
            journal,
            may,
            checkpointer.checkpoint,
            timedelta(seconds=settings.checkpoint_seconds),
        ),
        explainer=Explainer(store, sealer, policy),
        policies=KeptPolicies(store, policy),
        events=lasting.events,
        followers=lasting.followers,
        desk=Desk(store, sealer, journal, may, now),
        volume=lasting.volume,
        follow_up=lasting.follow_up,
        checkpointer=checkpointer,
        fan_out=fan_out,
        room=lasting.room,
        shadow=shadow,
        records=records,
        people=People(entrance, journal, sharing, may, register, fan_out, sealer, store, settings.deadline),
        identities=Identities(journal, may, register, fan_out, address_of, settings.deadline),
        launches=lasting.ways_in.launches,
        sign_ins=lasting.ways_in.sign_ins,
        codes=lasting.ways_in.codes,
        naming=lasting.ways_in.naming,
        sessions=lasting.sessions,
        patient_sign_ins=lasting.ways_in.patient_sign_ins,
        patient_sessions=lasting.patient_sessions,
        cards=made_cards(
            settings,
            lasting.system_keys,
            store,
            records,
            organisations,
            states=lambda: fan_out.states,
            tells=lambda caller: allowed(may, SEE_SOURCES, caller),
        ),
        pager=lasting.pager,
        usable=usable,
        capabilities=made_capabilities(settings, usable, may, now(), finds_people=register is not None),
        lasting=lasting,
    )


def _times(settings: Settings) -> tuple[dict[Basis, Any], dict[Basis, Any]]:
    """How long a permission lasts, and how long in all, by its basis."""
    lasts = {
        Basis.PATIENT_AGREED: settings.permission_lasts,
        Basis.BEST_INTERESTS: settings.best_interests_lasts,
    }
    longest = {
        Basis.PATIENT_AGREED: settings.permission_longest,
        Basis.BEST_INTERESTS: settings.best_interests_longest,
    }
    return lasts, longest
