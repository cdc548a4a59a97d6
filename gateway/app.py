"""Puts the gateway together. What is wrong with its settings, policies or organisations stops it here, in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

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
from gateway.api.generation import OneGeneration
from gateway.api.host import KnownHosts, names_of
from gateway.api.http import CommonHeaders
from gateway.api.office import router as office
from gateway.assembly import assemble
from gateway.contracts.examples import read_examples
from gateway.contracts.published import fhir_of_everything, texts
from gateway.ending import Drain
from gateway.errors import GatewayError
from gateway.generations import Generations
from gateway.in_force import tell_start
from gateway.lifetime import begin, close
from gateway.observe.requests import Watched
from gateway.observe.spans import traced
from gateway.observe.worker import telling
from gateway.outside import Outside
from gateway.parts import Parts
from gateway.reload import Reloads, reloading
from gateway.settings import Settings
from gateway.version import VERSION

NO_TELEMETRY: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own, which any variable of the environment or library may switch on: its spans hold addresses as they were
called, NHS numbers among them, take on a `traceparent` from anybody, and its logs hold exceptions' texts."""


async def started(settings: Settings, outside: Outside) -> Parts:
    """As `assemble`, for a gateway that is about to serve: what it accepted below production's bar is a row."""
    parts = await assemble(settings, outside)
    try:
        await tell_start(parts.journal, parts.in_force, is_demo=settings.is_demo)
    except BaseException:
        await close(parts)
        raise
    return parts


def create_app(
    settings: Settings, outside: Outside | None = None, metrics: Path | None = None, *, reloads: Reloads | None = None
) -> FastAPI:
    """The ASGI application. Its parts are made when it starts, on the server's event loop.

    `metrics` is the folder in which whoever started the process asks for its metrics. `reloads`: the process is a
    gateway's own, and SIGHUP reads policies and organisations anew.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            parts = await started(settings, outside or Outside())
        except Exception as error:
            startup.keep(app, error)
            raise
        generations = app.state.generations = Generations(parts)
        begin(parts)
        try:
            async with traced(settings), telling(lambda: generations.newest, metrics), reloading(generations, reloads):
                yield
        finally:
            await generations.aclose()
            await close(generations.newest)

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
            Middleware(OneGeneration),
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
        batch.router,  # records first: each router before theirs costs every look its share
        summary.router,
        metadata.router,
        discovery.router,
        consents.router,
        audit_events.router,
        fhir.router,
        fhir.compartments,
        health.router,
        choices.router,
        permissions.router,
        desk.router,
        records.router,
        disclosures.router,
        audit.router,
        reports.router,
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
        docs.router,
        security_txt.router,
        logout.router,
    ):
        app.include_router(router)
    app.add_exception_handler(GatewayError, answer_gateway_error)
    app.add_exception_handler(HTTPException, answer_no_route)
    return app


def contracts(app: FastAPI) -> dict[str, str]:
    """Both contracts by file name, as `make openapi` keeps them: of a gateway that offers everything there is."""
    return texts(own_contract(app, models.REQUESTS), fhir_of_everything(VERSION), read_examples())
