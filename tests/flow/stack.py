"""A whole gateway in one process: real pipeline, real store, the sandboxes behind the real connectors, no sockets."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.applications import Starlette

from connectors.fhir_r4 import sandbox
from connectors.fhir_r4.sandbox import create_app as create_sandbox
from connectors.fhir_r4.sandbox.flavours import FLAVOURS, PRACTICE
from connectors.fhir_r4.sandbox.holdings import Holdings
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.faults import Mode
from connectors.kit.sandbox import Sandbox
from connectors.kit.serve import standing_in
from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits, Transport
from connectors.sdk.organisations import Organisation, load_organisations
from gateway.app import create_app
from gateway.caller.settings import IssuerSettings
from gateway.demo.identity import DEMO_CLIENT, DEMO_PATH, Demo, serving
from gateway.demo.patients import PATIENTS_CLIENT, PatientDemo, patients_of
from gateway.launch.settings import PatientSignInSettings, SignInSettings
from gateway.outside import Outside
from gateway.parts import Parts
from gateway.sealed import new_master_key
from gateway.settings import Settings, load_settings
from tests.boundless import BOUNDLESS, UNHURRIED
from tests.launcher import Launcher
from tests.r4 import Answers

GRACE, TOMASZ, AALIYAH, WINSTON, DANIEL, SIOBHAN = (
    "9990000409", "9990000476", "9990000549", "9990000611", "9990000689", "9990000751",
)  # fmt: skip
MIA, RAJESH, ELSIE, HAROLD = "9990000824", "9990000891", "9990000964", "9990001030"
STRANGER = "9990009996"
ISSUER = "http://127.0.0.1:9/demo"
AUDIENCE = "connect-care"
SIGN_IN = SignInSettings(
    name="the demo's sign-in", tag="demo", issuer=ISSUER, client_id=DEMO_CLIENT, allow_insecure_loopback=True
)
PATIENT_SIGN_IN = PatientSignInSettings(
    name="the demo's sign-in for patients",
    tag="demo-patients",
    issuer=f"{ISSUER}/patients",
    client_id=PATIENTS_CLIENT,
    allow_insecure_loopback=True,
)
SHIPPED: Path = Settings.model_fields["organisations_file"].default
ORGANISATIONS = Path(__file__).with_name("organisations.yaml")
SOURCES = ("RJ2", "G85005", "G85004", "G83021", "RPG", "709", "703")


@dataclass
class Stack:
    """What a test holds of a running gateway."""

    client: httpx2.AsyncClient
    app: FastAPI
    demo: Demo
    sandboxes: Mapping[str, Sandbox]
    parts: Parts
    data: Path
    answers: Answers = field(default_factory=Answers)
    tokens: dict[str, str] = field(default_factory=dict)
    provider: Starlette = field(kw_only=True)
    patients: PatientDemo = field(kw_only=True)

    def token(self, who: str) -> str:
        return self.tokens.setdefault(who, self.demo.mint(who))

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(who)}"}

    async def get(self, path: str, who: str = "gp", **more: Any) -> httpx2.Response:
        return await self.client.get(path, headers=self.headers(who) | more.pop("headers", {}), **more)

    async def post(self, path: str, body: Any, who: str = "gp") -> httpx2.Response:
        return await self.client.post(path, json=body, headers=self.headers(who))

    async def agree(self, nhs_number: str, who: str = "gp", **more: Any) -> str:
        """The patient agrees: returns the permission's id."""
        answer = await self.post("/permissions", {"nhsNumber": nhs_number, "basis": "patient-agreed", **more}, who)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def choose(self, nhs_number: str, choice: str, who: str = "privacy-officer") -> None:
        body = {"nhsNumber": nhs_number, "choice": choice, "statedBy": "patient", "channel": "phone"}
        answer = await self.post("/sharing-choices", body, who)
        assert answer.status_code == 201, answer.text

    @asynccontextmanager
    async def signed_in(self, who: str) -> AsyncIterator[httpx2.AsyncClient]:
        """A browser of a test's own, in which that person signed in to the pages."""
        async with self.browser() as here:
            entered = await here.get(await self.chosen(here, who))
            assert entered.status_code == 303, entered.text
            yield here

    @asynccontextmanager
    async def patient(self, nhs_number: str) -> AsyncIterator[httpx2.AsyncClient]:
        """A browser in which that patient signed in to their own pages."""
        spoken = next(each.spoken for each in self.patients.patients.values() if each.nhs_number == nhs_number)
        async with self.browser() as here:
            entered = await here.get(await self.chosen(here, spoken, "/my/sign-in/demo-patients"))
            assert entered.status_code == 303, entered.text
            yield here

    def browser(self) -> httpx2.AsyncClient:
        """A browser of a test's own, in which nobody signed in."""
        app = self.client._transport.app  # type: ignore[attr-defined]
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=self.client.base_url)

    async def chosen(self, here: httpx2.AsyncClient, who: str, at: str = "/sign-in/demo") -> str:
        """The address to which the provider sends the browser back, once that person was chosen there."""
        began = await here.get(at)
        assert began.status_code == 303, began.text
        sent_to = httpx2.URL(began.headers["location"]).copy_merge_params({"as": who})
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.provider)) as there:
            return str((await there.get(sent_to)).headers["location"])

    async def everything(self, nhs_number: str, who: str = "gp") -> httpx2.Response:
        return await self.get(f"/fhir/R4/Patient/{nhs_number}/$everything", who)

    async def rows(self, nhs_number: str, **more: Any) -> list[dict[str, Any]]:
        """The audit of a patient, as a privacy officer reads it."""
        answer = await self.post("/audit/_search", {"nhsNumber": nhs_number, "limit": 500, **more}, "privacy-officer")
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    def make(self, ods: str, mode: str, delay_ms: int | None = None) -> None:
        """Make a sandbox misbehave."""
        switch = self.sandboxes[ods].switch
        switch.mode = Mode(mode)
        if delay_ms is not None:
            switch.delay_ms = delay_ms

    def calls(self) -> int:
        """How many calls the sandboxes have had in all."""
        return sum(sandbox.state()["calls"]["total"] for sandbox in self.sandboxes.values())

    async def has_asked(self) -> None:
        """Until the look that is under way, the first one, has asked the sources."""
        async with asyncio.timeout(60):
            while not self.calls():  # noqa: ASYNC110 - a sandbox counts its calls, and tells nobody
                await asyncio.sleep(0.01)


def sandbox_without(ods: str, without: frozenset[str], *, canaries: bool) -> Sandbox:
    """The sandbox of an organisation, less the resources that carry one of these canaries."""
    if not without:
        return create_sandbox(ods, canaries=canaries)
    held, kept = sandbox.holdings(ods, canaries=True), Holdings(ods)
    for stored in held.by_key.values():
        if not any(mark.encode() in stored.body for mark in without):
            kept.add(stored)
    return Sandbox(ods, FhirServer(kept, FLAVOURS.get(ods, PRACTICE)), canaries=held.canaries)


def shipped(*, canaries: bool = True) -> dict[str, Sandbox]:
    """The sandboxes of the register that is shipped, by ODS code, as the demo starts them."""
    found = standing_in(load_organisations(SHIPPED))
    return {
        one.ods: importlib.import_module(f"connectors.{one.connector}.sandbox").create_app(one.ods, canaries=canaries)
        for one in found
    }


def _as_it_is(_: str, connector: Connector) -> Connector:
    return connector


def _called_in_process(sandbox: Sandbox) -> Transport:
    return Httpx2Transport(Limits(), httpx2.ASGITransport(app=sandbox))


@asynccontextmanager
async def running(
    data: Path,
    *,
    canaries: bool = True,
    without: frozenset[str] = frozenset(),
    others: Mapping[str, Sandbox] | None = None,
    instead: Mapping[str, Connector] | None = None,
    around: Callable[[str, Connector], Connector] = _as_it_is,
    network: Callable[[Sandbox], Transport] = _called_in_process,
    audit_transport: Transport | None = None,
    ehr: Launcher | None = None,
    **settings: Any,
) -> AsyncIterator[Stack]:
    """A gateway with its data in `data`; settings as given, else the demo's, but for a deadline that nothing misses.

    `without`: the canaries of resources that no source holds in this world. `others`: sandboxes by ODS code, beside
    and in place of the usual ones. `instead`: connectors in place of those to a sandbox; `around`: what is put around
    each connector, by ODS code; `network`: how a sandbox is reached. `audit_transport`: the network
    towards an external audit repository. `ehr`: the EHR that may launch the viewer, as far as the settings register it.
    """
    key_file = data / "master.key"
    if not key_file.exists():
        new_master_key(key_file)
    demo = Demo(ISSUER, AUDIENCE)
    patients = PatientDemo(demo, patients_of([dict(each) for each in sandbox.people()]))
    provider = serving(demo, patients.routes)
    usual = {ods: sandbox_without(ods, without, canaries=canaries) for ods in SOURCES}
    sandboxes = {**usual, **(others or {})}

    given_connectors = instead or {}

    def connected(entry: Organisation) -> Connector:
        if entry.ods in given_connectors:
            return around(entry.ods, given_connectors[entry.ods])
        return around(entry.ods, connect(entry, transport=network(sandboxes[entry.ods])))

    given = {
        "profile": "demo",
        "public_url": "http://127.0.0.1:8000",
        "data_dir": data,
        "key_file": key_file,
        "issuers": (
            IssuerSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",), allow_insecure_loopback=True),
        ),
        "sign_ins": (SIGN_IN,),
        "patient_sign_ins": (PATIENT_SIGN_IN,),
        "organisations_file": ORGANISATIONS,
        "fair_use": BOUNDLESS,
        "deadline": UNHURRIED,
        "addresses": {ods: f"http://{ods.lower()}.sandbox/fhir" for ods in {**sandboxes, **given_connectors}},
        **settings,
    }
    outside = Outside(connected, _fetching(demo, patients, ehr), audit_transport, _to(provider, ehr))
    app = create_app(load_settings(None, **given), outside)
    answers = Answers()
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url=httpx2.URL(str(given["public_url"])).copy_with(path="/"),  # a proxy takes the rest off
            event_hooks={"response": [answers]},
        ) as client,
    ):
        parts = app.state.generations.newest
        yield Stack(
            client,
            app,
            demo,
            sandboxes,
            parts,
            data,
            answers,
            provider=provider,
            patients=patients,
        )


def _fetching(demo: Demo, patients: PatientDemo, ehr: Launcher | None) -> Callable[[str], Awaitable[bytes]]:
    async def fetch(url: str) -> bytes:
        if ehr is not None and url.startswith(ehr.issuer):
            return await ehr.fetch(url)
        return await (patients if url.startswith(patients.issuer) else demo).fetch(url)

    return fetch


def _to(provider: Starlette, ehr: Launcher | None) -> Transport:
    """The network towards the EHR that launches, and the demo's provider."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        is_provider = scope["path"].startswith(f"{DEMO_PATH}/")
        await (provider if is_provider or ehr is None else ehr.app)(scope, receive, send)

    return Httpx2Transport(Limits(), httpx2.ASGITransport(app=app))


def resources(bundle: Mapping[str, Any], resource_type: str | None = None) -> list[dict[str, Any]]:
    """The resources of a Bundle, of one type or all but outcomes."""
    return [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["search"]["mode"] != "outcome" and resource_type in (None, entry["resource"]["resourceType"])
    ]


def outcome(bundle: Mapping[str, Any]) -> list[str]:
    """The sentences of a Bundle's outcome entry."""
    return [
        issue["details"]["text"]
        for entry in bundle["entry"]
        if entry["search"]["mode"] == "outcome"
        for issue in entry["resource"]["issue"]
    ]


def told(answer: httpx2.Response) -> str:
    """The sentence of an OperationOutcome; fails where the answer isn't one."""
    body = json.loads(answer.content)
    assert body["resourceType"] == "OperationOutcome", body
    return str(body["issue"][0]["details"]["text"])
