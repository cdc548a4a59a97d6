"""The viewer opens from the launcher in a real browser, over real HTTP: patient in context, and no second sign-in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from connectors.kit.sandbox import Sandbox
from connectors.sdk.connector import Connector, connect
from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.organisations import Organisation
from gateway import log
from gateway.app import create_app
from gateway.caller.settings import IssuerSettings
from gateway.demo.server import Announcing
from gateway.outside import Outside
from gateway.sealed import new_master_key
from gateway.settings import load_settings
from tests.boundless import UNHURRIED
from tests.flow.stack import AUDIENCE, GRACE, ISSUER, ORGANISATIONS, SOURCES, sandbox_without
from tests.launcher import Launcher, Opening, an_ehr_patient
from tests.processes import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")]


@asynccontextmanager
async def world(data: Path) -> AsyncIterator[tuple[str, Launcher]]:
    """A gateway and an EHR, each on a port of its own; the sandboxes are in this process."""
    new_master_key(data / "master.key")
    port = free_port()
    sandboxes: dict[str, Sandbox] = {ods: sandbox_without(ods, frozenset(), canaries=False) for ods in SOURCES}

    def connected(entry: Organisation) -> Connector:
        return connect(entry, transport=Httpx2Transport(Limits(), httpx2.ASGITransport(app=sandboxes[entry.ods])))

    ehr = Launcher(f"http://127.0.0.1:{port}")
    ehr.patients["grace"] = an_ehr_patient("grace", GRACE)
    async with _on(ehr.app, port):
        own = free_port()
        settings = load_settings(
            None,
            profile="demo",
            public_url=f"http://127.0.0.1:{own}",
            data_dir=data,
            key_file=data / "master.key",
            issuers=(
                IssuerSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",), allow_insecure_loopback=True),
            ),
            organisations_file=ORGANISATIONS,
            addresses={ods: f"http://{ods.lower()}.sandbox/fhir" for ods in sandboxes},
            launches=[ehr.settings(ISSUER)],
            deadline=UNHURRIED,
        )
        async with _on(create_app(settings, Outside(connected)), own):
            yield settings.public_url, ehr


@asynccontextmanager
async def _on(app: Any, port: int) -> AsyncIterator[None]:
    server = Announcing(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="auto", **log.UVICORN))
    task = asyncio.create_task(server.serve())
    try:
        await server.up.wait()
        yield
    finally:
        server.should_exit = True
        await task


async def test_a_clinician_opens_the_record_from_the_ehr(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.async_api", reason="playwright isn't installed")
    async with world(tmp_path) as (gateway, ehr), playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await browser.new_context(java_script_enabled=False)
        context.set_default_timeout(120_000)
        page = await context.new_page()
        await page.goto(gateway + ehr.begin(Opening("gp", "grace")))
        opened = page.url
        assert opened.startswith(f"{gateway}/viewer/")
        assert "ASHWORTH Meera Dr" in await page.inner_text("header")
        assert "999 000 0409" in await page.inner_text(".cc-banner")
        await page.get_by_label("Yes, the patient agrees").check()
        async with page.expect_navigation():
            await page.get_by_role("button", name="Continue").click()
        assert page.url == opened
        await page.get_by_role("heading", name="What is held", exact=True).wait_for(state="attached")
        await page.locator(".cc-banner", has_text="ADEBAYO, Grace").wait_for()
        (cookie,) = await context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("connect-care-session", True, "Lax")
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("heading", name="You are signed out").wait_for()
        answer = await page.goto(opened)
        assert answer is not None
        assert answer.status == 401
        await browser.close()
