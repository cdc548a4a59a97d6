"""Puts the gateway together. What is wrong with its settings, policies or organisations stops it here, in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from connectors.sdk import kernel
from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisations
from gateway import startup
from gateway.api import (
    audit,
    audit_events,
    batch,
    cds,
    choices,
    consents,
    desk,
    disclosures,
    discovery,
    docs,
    fhir,
    health,
    launch,
    logout,
    metadata,
    models,
    own_choice,
    own_looks,
    own_permissions,
    own_sign_in,
    patients,
    permissions,
    records,
    reports,
    security_txt,
    sign_in,
    standing,
    static,
    status,
    summary,
    viewer,
)
from gateway.api.asked_as import AskedAs
from gateway.api.contract import own_contract
from gateway.api.cors import Cors
from gateway.api.faults import Faults, answer_gateway_error, answer_no_route
from gateway.api.host import KnownHosts, names_of
from gateway.api.http import CommonHeaders
from gateway.api.offered import made_capabilities, made_usable
from gateway.api.office import router as office
from gateway.audit.checkpoints import Checkpointer, signer_of
from gateway.audit.events.render import Events
from gateway.audit.followers.make import made_followers
from gateway.audit.journal import Journal
from gateway.audit.read import AuditReader
from gateway.audit.report.make import ReportMaker
from gateway.audit.report.service import Reports
from gateway.caller.directory import Directory
from gateway.caller.keys import Keys
from gateway.caller.logout import Logouts
from gateway.caller.make import made_callers
from gateway.choice.consents import Consents
from gateway.choice.may import SEE_SOURCES, allowed
from gateway.choice.model import Basis
from gateway.choice.permission import Permissions
from gateway.choice.sharing import SharingChoices
from gateway.contracts.examples import read_examples
from gateway.contracts.published import fhir_of_everything, texts
from gateway.desk.alerts import Alerts
from gateway.desk.follow_up import FollowUp
from gateway.desk.officer import Desk
from gateway.desk.volume import Volume
from gateway.ending import Drain
from gateway.errors import GatewayError
from gateway.explain.explain import Explainer
from gateway.fair_use.count import Counts
from gateway.fair_use.entrance import Entrance
from gateway.fair_use.storms import Storms
from gateway.fair_use.use import FairUse
from gateway.fan_out import FanOut
from gateway.in_force import InForce, tell_start
from gateway.launch.make import keys_of_systems, made_cards, made_ways_in
from gateway.launch.session import PatientSessions, Sessions
from gateway.lifetime import begin, close
from gateway.locate import Locator
from gateway.merge import Merger, source_types
from gateway.observe.requests import Watched
from gateway.observe.spans import traced
from gateway.observe.worker import telling
from gateway.outside import Outside
from gateway.parts import Parts
from gateway.policy.decide import Policy
from gateway.policy_changes.kept import KeptPolicies
from gateway.record import Records
from gateway.register.confirm import Identities
from gateway.register.find import People
from gateway.room import Room
from gateway.sealed import Sealer, load_master_key
from gateway.search.page import Pager
from gateway.settings import Settings
from gateway.shadow.watch import Shadow
from gateway.store.interface import Store
from gateway.store.moments import utc_now as now
from gateway.store.open import open_for_writing
from gateway.taking_part import connected, load_register
from gateway.version import VERSION
from gateway.view import View

NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own, which any variable of the environment or library may switch on: its spans hold addresses as they were
called, NHS numbers among them, take on a `traceparent` from anybody, and its logs hold exceptions' texts."""


async def assemble(settings: Settings, outside: Outside) -> Parts:
    """The parts of one gateway, on the running event loop. Raises an error with a remedy, or starts whole."""
    kernel.choose(settings.kernel)
    organisations = load_register(settings)
    policy = Policy.load(settings.policies_dir, settings.label_files)
    sealer = Sealer(load_master_key(settings.key_file, closed=not settings.is_demo))
    fan_out = await connected(organisations, settings, outside.connect)
    store = open_for_writing(settings, clock=now)
    try:
        await store.hold_to_key(sealer.fingerprint(), sealer.opens)
        await store.keep_policy(policy.hash, policy.archive)
        return _join(settings, organisations, policy, sealer, fan_out, store, outside)
    except BaseException:
        await store.aclose()
        raise


def _join(
    settings: Settings,
    organisations: Organisations,
    policy: Policy,
    sealer: Sealer,
    fan_out: FanOut,
    store: Store,
    outside: Outside,
) -> Parts:
    may = policy.may_caller
    journal = Journal(store, sealer, lambda: policy.hash, now)
    keys = Keys(settings.issuers, outside.fetch, allow_demo=settings.is_demo)
    callers = made_callers(settings, keys, organisations, sealer, store, outside)
    sharing = SharingChoices(store, sealer, journal, may, now)
    lasts = {
        Basis.PATIENT_AGREED: settings.permission_lasts,
        Basis.BEST_INTERESTS: settings.best_interests_lasts,
    }
    longest = {
        Basis.PATIENT_AGREED: settings.permission_longest,
        Basis.BEST_INTERESTS: settings.best_interests_longest,
    }
    granted = Permissions(store, sealer, journal, may, now, lasts, longest)

    locator, merger = Locator(organisations, settings.deadline), Merger(sealer, organisations)

    def address_of(ods: str) -> str:
        organisation = organisations.get(ods)
        return (organisation.address or "").rstrip("/") if organisation else ""

    def offered(ods: str) -> frozenset[Section]:
        organisation = organisations.get(ods)
        return organisation.sections if organisation and organisation.is_shown else frozenset()

    volume = Volume(store, journal, now, settings.unusual_patients_a_day)
    counts = Counts(settings.fair_use, lambda: now().timestamp(), settings.fair_use.workers or 1)
    fair_use = FairUse(counts, Storms(journal, now), volume)
    entrance = Entrance(callers, fair_use, journal)
    checkpointer = Checkpointer(store, signer_of(settings), now, settings.checkpoint_seconds)
    shadow = Shadow(organisations, locator, fan_out, merger, address_of)
    system_keys = keys_of_systems(settings, outside.fetch)
    ways_in = made_ways_in(settings, system_keys, callers, store, sealer, now, outside.ehrs)
    events = Events(sealer, settings.public_url, settings.log_origin)
    copies = (settings.audit_sink, settings.audit_repository, outside.audit_repository)
    room = Room(settings.looks_at_once, patience=settings.look_waits, longest=settings.deadline + 2)
    records = Records(
        entrance=entrance,
        journal=journal,
        sharing=sharing,
        permissions=granted,
        room=room,
        locator=locator,
        fan_out=fan_out,
        shadow=shadow,
        merger=merger,
        view=View(policy, source_types(organisations)),
        store=store,
        alerts=Alerts(store, sealer, offered, now),
        volume=volume,
        address_of=address_of,
    )
    usable = made_usable(organisations, policy, may)
    return Parts(
        settings=settings,
        organisations=organisations,
        policy=policy,
        sealer=sealer,
        store=store,
        journal=journal,
        callers=callers,
        logouts=Logouts(settings.issuers, keys, store),
        directory=Directory(settings.issuers, outside.fetch, allow_demo=settings.is_demo),
        fair_use=fair_use,
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
        events=events,
        followers=made_followers(store, events, *copies),
        desk=Desk(store, sealer, journal, may, now),
        volume=volume,
        follow_up=FollowUp(store, now),
        checkpointer=checkpointer,
        fan_out=fan_out,
        room=room,
        shadow=shadow,
        records=records,
        people=People(
            entrance,
            journal,
            sharing,
            may,
            organisations.register(),
            fan_out,
            sealer,
            store,
            settings.deadline,
        ),
        identities=Identities(journal, may, organisations.register(), fan_out, address_of, settings.deadline),
        launches=ways_in.launches,
        sign_ins=ways_in.sign_ins,
        codes=ways_in.codes,
        naming=ways_in.naming,
        sessions=Sessions(store, sealer, settings.sessions, now),
        patient_sign_ins=ways_in.patient_sign_ins,
        patient_sessions=PatientSessions(store, sealer, settings.sessions, now),
        cards=made_cards(
            settings,
            system_keys,
            store,
            records,
            organisations,
            states=lambda: fan_out.states,
            tells=lambda caller: allowed(may, SEE_SOURCES, caller),
        ),
        pager=Pager(sealer, settings.public_url, now),
        usable=usable,
        capabilities=made_capabilities(settings, usable, may, now(), finds_people=organisations.register() is not None),
    )


async def started(settings: Settings, outside: Outside) -> Parts:
    """As `assemble`, for a gateway that is about to serve: what it accepted below production's bar is a row."""
    parts = await assemble(settings, outside)
    try:
        now = InForce(parts.policy, parts.organisations)
        await tell_start(parts.journal, now, is_demo=settings.is_demo)
    except BaseException:
        await close(parts)
        raise
    return parts


def create_app(settings: Settings, outside: Outside | None = None, metrics: Path | None = None) -> FastAPI:
    """The ASGI application. Its parts are made when it starts, on the server's event loop.

    `metrics` is the folder in which whoever started the process asks for its metrics.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            parts = await started(settings, outside or Outside())
        except Exception as error:
            startup.keep(app, error)
            raise
        app.state.parts = parts
        begin(parts)
        try:
            async with traced(settings), telling(parts, metrics):
                yield
        finally:
            await close(parts)

    names = names_of(settings.public_url, settings.allowed_hosts, loopback=settings.is_demo)
    drain = Drain(settings.drains_for)
    known_hosts = Middleware(KnownHosts, public_url=settings.public_url, names=names)
    app = FastAPI(
        title="Connect Care",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=NO_TELEMETRY,
        middleware=[
            Middleware(CommonHeaders, drain=drain),
            Middleware(AskedAs),
            Middleware(Watched),
            known_hosts,
            *([Middleware(Cors, origins=settings.cors_origins)] if settings.cors_origins else []),
            Middleware(Faults),
        ],
    )
    app.state.drain = drain
    for router in (
        health.router,
        choices.router,
        permissions.router,
        desk.router,
        records.router,
        disclosures.router,
        audit.router,
        reports.router,
        consents.router,
        audit_events.router,
        launch.router,
        sign_in.router,
        own_sign_in.router,
        own_choice.router,
        own_looks.router,
        own_permissions.router,
        standing.router,
        static.router,
        patients.router,
        viewer.router,
        office.router,
        status.router,
        cds.router,
        batch.router,
        summary.router,
        docs.router,
        metadata.router,
        discovery.router,
        security_txt.router,
        logout.router,
        fhir.router,
        fhir.compartments,
    ):
        app.include_router(router)
    app.add_exception_handler(GatewayError, answer_gateway_error)
    app.add_exception_handler(HTTPException, answer_no_route)
    return app


def contracts(app: FastAPI) -> dict[str, str]:
    """Both contracts by file name, as `make openapi` keeps them: of a gateway that offers everything there is."""
    return texts(own_contract(app, models.REQUESTS), fhir_of_everything(VERSION), read_examples())
