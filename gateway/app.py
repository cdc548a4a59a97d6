"""Puts the gateway together. What is wrong with its settings, policies or organisations stops it here, in words."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.sdk import kernel, shape
from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Transport, fetch_bytes
from connectors.sdk.model import Section
from connectors.sdk.organisations import Entry, Organisation, Organisations, Stage
from gateway import log, startup
from gateway.api import (
    audit,
    audit_events,
    batch,
    cds,
    challenge,
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
    permissions,
    records,
    reports,
    sign_in,
    static,
    summary,
    viewer,
)
from gateway.api.asked_as import AskedAs
from gateway.api.audit_event_search import AUDIT_EVENT
from gateway.api.capability import Capabilities, Published
from gateway.api.capability_resources import OPERATIONS
from gateway.api.consent_search import CONSENT
from gateway.api.contract import own_contract
from gateway.api.cors import Cors
from gateway.api.door import journal_refusal
from gateway.api.host import KnownHosts, names_of
from gateway.api.http import FHIR_JSON, CommonHeaders
from gateway.api.outcome import operation_outcome
from gateway.api.usable import Usable
from gateway.audit.checkpoints import Checkpointer, signer_of
from gateway.audit.events.render import Events
from gateway.audit.followers.make import made_followers
from gateway.audit.journal import Journal
from gateway.audit.read import AuditReader
from gateway.audit.report.make import ReportMaker
from gateway.audit.report.service import Reports
from gateway.caller.admission import Guards
from gateway.caller.certificate import Proxies
from gateway.caller.claims import nhs_number_said
from gateway.caller.directory import Directory
from gateway.caller.dpop import Proofs
from gateway.caller.identify import Callers
from gateway.caller.keys import Keys
from gateway.caller.logout import Logouts
from gateway.caller.revocation import Revocations
from gateway.caller.roles import load_job_roles
from gateway.caller.sender import Senders
from gateway.caller.userinfo import FetchAs, Userinfo
from gateway.choice.consents import Consents
from gateway.choice.may import May, allowed
from gateway.choice.model import Basis
from gateway.choice.permission import Permissions
from gateway.choice.sharing import SharingChoices
from gateway.contracts.examples import read_examples
from gateway.contracts.published import fhir_of_everything, texts
from gateway.desk.alerts import Alerts
from gateway.desk.follow_up import FollowUp
from gateway.desk.officer import Desk
from gateway.desk.volume import Volume
from gateway.errors import GatewayError, NotAllowed, NotFound, NotSignedIn
from gateway.fair_use.count import Counts
from gateway.fair_use.entrance import Entrance
from gateway.fair_use.storms import Storms
from gateway.fair_use.use import FairUse
from gateway.fan_out import FanOut
from gateway.launch.make import keys_of_systems, made_cards, made_ways_in
from gateway.launch.session import Sessions
from gateway.locate import Locator
from gateway.merge import Merger, source_types
from gateway.parts import Parts
from gateway.policy.decide import Policy
from gateway.record import Records
from gateway.register.find import People
from gateway.sealed import Sealer, load_master_key
from gateway.search.page import Pager
from gateway.settings import Settings
from gateway.shadow.watch import Shadow
from gateway.store.interface import Store
from gateway.store.open import open_for_writing
from gateway.taking_part import connected, load_register
from gateway.view import View

VERSION: Final = version("connect-care")
_CLOSING_SECONDS: Final = 5.0
Fetch = Callable[[str], Awaitable[bytes]]


def now() -> datetime:
    """The gateway's clock."""
    return datetime.now(UTC)


async def fetch_document(url: str) -> bytes:
    """An issuer's keys or discovery document. Raises SourceError."""
    return await fetch_bytes(url, limit=64 * 1024, timeout=3.0)


async def fetch_userinfo(url: str, token: str) -> bytes:
    """What an issuer says of the person whose token it is. Raises SourceError."""
    return await fetch_bytes(url, limit=64 * 1024, timeout=3.0, bearer=token)


@dataclass(frozen=True, slots=True)
class Outside:
    """The world that a gateway reaches: its sources, and its issuers' documents. Tests put their own here."""

    connect: Callable[[Organisation], Connector] = connect
    fetch: Fetch = fetch_document
    audit_repository: Transport | None = None
    ehrs: Transport | None = None
    fetch_as: FetchAs = fetch_userinfo


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
    callers = _callers(settings, keys, organisations, sealer, store, outside)
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
    records = Records(
        entrance=entrance,
        journal=journal,
        sharing=sharing,
        permissions=granted,
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
    usable = _usable(organisations, policy, may)
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
        reports=Reports(ReportMaker(store, sealer, checkpointer.public, now), journal, may, checkpointer.checkpoint),
        events=events,
        followers=made_followers(store, events, *copies),
        desk=Desk(store, sealer, journal, may, now),
        volume=volume,
        follow_up=FollowUp(store, now),
        checkpointer=checkpointer,
        fan_out=fan_out,
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
        launches=ways_in.launches,
        sign_ins=ways_in.sign_ins,
        naming=ways_in.naming,
        sessions=Sessions(store, sealer, settings.sessions, now),
        cards=made_cards(
            settings,
            system_keys,
            store,
            records,
            organisations,
            states=lambda: fan_out.states,
            tells=lambda caller: allowed(may, health.SEE_SOURCES, caller),
        ),
        pager=Pager(sealer, settings.public_url, now),
        usable=usable,
        capabilities=_capabilities(settings, usable, may, finds_people=organisations.register() is not None),
    )


def _callers(
    settings: Settings, keys: Keys, organisations: Organisations, sealer: Sealer, store: Store, outside: Outside
) -> Callers:
    def patient_of(said: str) -> str | None:
        return nhs_number_said(said) or sealer.patient_of(said)

    return Callers(
        settings.issuers,
        keys,
        organisations,
        load_job_roles(settings.policies_dir / "job-roles.yaml"),
        guards=_guards(settings, store),
        userinfo=Userinfo(outside.fetch, outside.fetch_as, allow_demo=settings.is_demo),
        floors=settings.floors,
        patient_of=patient_of,
    )


def _guards(settings: Settings, store: Store) -> Guards:
    senders = Senders(Proofs(store), Proxies(settings.certificate_proxies), required=settings.sender_must_prove)
    return Guards(senders, Revocations(store))


def _usable(organisations: Organisations, policy: Policy, may: May) -> Usable:
    shown: list[Entry] = [
        *organisations.sources(),
        *(group.entry for group in organisations.groups() if Stage.LIVE in group.stages),
    ]
    return Usable(frozenset[Section]().union(*(entry.sections for entry in shown)), policy.sections_for, may)


def _capabilities(settings: Settings, usable: Usable, may: May, *, finds_people: bool) -> Capabilities:
    return Capabilities(
        Published(
            public_base=settings.public_url,
            version=VERSION,
            released=now(),
            cors=bool(settings.cors_origins),
            batch=True,
            operations=OPERATIONS,
        ),
        usable,
        finds_people=finds_people,
        authored=(CONSENT, AUDIT_EVENT),
        may=lambda action, caller: allowed(may, action, caller),
    )


def create_app(settings: Settings, outside: Outside | None = None) -> FastAPI:
    """The ASGI application. Its parts are made when it starts, on the server's event loop."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            parts = await assemble(settings, outside or Outside())
        except Exception as error:
            startup.keep(app, error)
            raise
        app.state.parts = parts
        parts.follow_up.start()
        parts.followers.start()
        parts.checkpointer.start()
        _settle()
        sources = len(parts.fan_out.states)
        log.event(
            "gateway.started", version=VERSION, policy_hash=parts.policy.hash, sources=sources, kernel=kernel.running()
        )
        try:
            yield
        finally:
            await close(parts)

    names = names_of(settings.public_url, settings.allowed_hosts, loopback=settings.is_demo)
    known_hosts = Middleware(KnownHosts, public_url=settings.public_url, names=names)
    app = FastAPI(
        title="Connect Care",
        version=VERSION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(CommonHeaders),
            Middleware(AskedAs),
            known_hosts,
            *([Middleware(Cors, origins=settings.cors_origins)] if settings.cors_origins else []),
            Middleware(Faults),
        ],
    )
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
        static.router,
        viewer.router,
        cds.router,
        batch.router,
        summary.router,
        docs.router,
        metadata.router,
        discovery.router,
        logout.router,
        fhir.router,
        fhir.compartments,
    ):
        app.include_router(router)
    app.add_exception_handler(GatewayError, _answer_gateway_error)
    app.add_exception_handler(HTTPException, _answer_no_route)
    return app


async def close(parts: Parts) -> None:
    """End what is under way and close the connectors, then the store: that one always, whatever else fails."""
    ends = {ods: state.connector.aclose for ods, state in parts.fan_out.states.items()}
    ends |= {"issuers": parts.callers.aclose, "practices": parts.fan_out.sources.aclose}
    ends["audit-copies"] = parts.followers.aclose
    ends["launches"] = parts.launches.aclose
    try:
        await parts.follow_up.aclose()
        await parts.fair_use.aclose()
        await parts.volume.aclose()
        await parts.shadow.aclose()
        outcomes = await asyncio.gather(*map(_in_time, ends.values()), return_exceptions=True)
        for source, outcome in zip(ends, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                log.failed("source.close-failed", outcome, source=source)
    finally:
        await parts.checkpointer.aclose()
        await parts.store.aclose()
        log.event("gateway.stopped", version=VERSION)


async def _in_time(aclose: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(_CLOSING_SECONDS):
        await aclose()


def _settle() -> None:
    """What is made at start-up lives as long as the process: take it out of every later collection's way."""
    for kind in shape.KNOWN_TYPES:
        shape.decoder_for(kind)
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def _answer_gateway_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, GatewayError):
        raise error
    if error.status >= 500:
        log.event("request.unavailable", rule=error.rule, status=error.status, request_id=request.state.request_id)
    elif isinstance(error, NotSignedIn):
        log.event("signin.refused", rule=error.rule, request_id=request.state.request_id)
    body = operation_outcome(error, request.state.request_id)
    headers = dict(error.headers)
    if challenge.HEADER in headers:
        headers[challenge.HEADER] = challenge.challenges(
            headers[challenge.HEADER], request, request.app.state.parts.settings
        )
    return Response(body, status_code=error.status, headers=headers, media_type=FHIR_JSON)


async def _answer_no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    refusal: GatewayError
    if status == 405:
        refusal = NotAllowed("This address does not take this method.", rule="route.method")
        allow = (getattr(error, "headers", None) or {}).get("Allow", "")
        refusal.headers["Allow"] = f"{allow}, HEAD" if allow == "GET" else allow
    else:
        refusal = NotFound("There is nothing at this address. See /fhir/R4/metadata.", rule="route.unknown")
    try:
        await journal_refusal(request, refusal, f"{request.method} (no route)")
    except GatewayError as unavailable:
        return await _answer_gateway_error(request, unavailable)
    return await _answer_gateway_error(request, refusal)


class Faults:
    """Pure ASGI middleware: a fault of our own is an OperationOutcome and a log line; a client sees no traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except ClientDisconnect:
            log.event("request.client-gone", request_id=scope["state"]["request_id"])
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.failed("request.fault", error, request_id=scope["state"]["request_id"])
            if started:
                raise
            fault = GatewayError("Something went wrong here, and was noted. Try again.", rule="fault")
            body = operation_outcome(fault, scope["state"]["request_id"])
            await Response(body, status_code=500, media_type=FHIR_JSON)(scope, receive, send)


def contracts(app: FastAPI) -> dict[str, str]:
    """Both contracts by file name, as `make openapi` keeps them: of a gateway that offers everything there is."""
    return texts(own_contract(app, models.REQUESTS), fhir_of_everything(VERSION), read_examples())
