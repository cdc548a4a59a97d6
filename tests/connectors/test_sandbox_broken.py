"""The switch's modes in which a connection or a body breaks, behind a real server and without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from connectors.fhir_r4 import sandbox
from connectors.kit import serve
from connectors.kit.faults import Broken, Mode
from connectors.kit.sandbox import Sandbox
from connectors.sdk.bundle import read_bundle
from connectors.sdk.errors import NoRecord, SourceError, SourceTimeout, Unreachable, WrongContent
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import Outcome
from tests.connectors.asking import asking, connected
from tests.wire import soon

FIND = "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number%7C9990000409"


@asynccontextmanager
async def served(app: Sandbox) -> AsyncIterator[SourceClient]:
    """A sandbox behind uvicorn, as the demo serves it, and a client."""
    running = serve.Running("RJ2", app, serve._bound(serve.LOOPBACK, 0))
    stop, up = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve.serve([running], stop, up.set))
    await up.wait()
    client = SourceClient(f"{running.origin}{app.base_path}", AiohttpTransport(Limits()))
    try:
        yield client
    finally:
        await client.aclose()
        stop.set()
        await task
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.RESET, Unreachable),
        (Mode.TRUNCATED, Unreachable),
        (Mode.CORRUPT, WrongContent),
        (Mode.BLACKHOLE, SourceTimeout),
    ],
)
async def test_a_broken_answer_is_one_clear_error(mode: Mode, expected: type[SourceError]) -> None:
    app = sandbox.create_app("RJ2")
    app.switch.mode = mode
    async with connected(app) as connector:
        with pytest.raises(expected):
            await connector.ask(asking(seconds=0.2 if mode is Mode.BLACKHOLE else 5))


async def test_a_duplicate_answer_is_the_same_answer() -> None:
    app = sandbox.create_app("G85005")
    async with connected(app) as connector:
        before = await connector.ask(asking("9990000891"))
        app.switch.mode = Mode.DUPLICATE
        with pytest.raises(SourceError):  # two Patients with one number: nobody guesses
            await connector.ask(asking("9990000891"))
    assert before.outcome is Outcome.ANSWERED


async def test_behind_a_real_server_the_connection_breaks_and_nobody_reports_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = sandbox.create_app("RJ2")
    async with served(app) as client:
        whole = await client.get(FIND, deadline=soon())
        for mode in (Mode.RESET, Mode.TRUNCATED):
            app.switch.mode = mode
            with pytest.raises(Unreachable):
                await client.get(FIND, deadline=soon())
        app.switch.mode = Mode.BLACKHOLE
        with pytest.raises(SourceTimeout):
            await client.get(FIND, deadline=soon(0.2))
        app.switch.mode = Mode.CORRUPT
        with pytest.raises(WrongContent):
            read_bundle(await client.get(FIND, deadline=soon()))
        app.switch.mode = Mode.DUPLICATE
        twice = await client.get(FIND, deadline=soon())
        assert len(read_bundle(twice).entries) == 2 * len(read_bundle(whole).entries)
    assert [record for record in caplog.records if record.exc_info] == []


def test_only_what_was_broken_on_purpose_goes_unreported() -> None:
    def record(error: Exception | None) -> logging.LogRecord:
        told = (type(error), error, None) if error else None
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, "failed", None, told)  # type: ignore[arg-type]

    assert not serve._by_accident(record(Broken()))
    assert serve._by_accident(record(ValueError()))
    assert serve._by_accident(record(None))


def test_a_stranger_is_still_unknown_under_another_base_path() -> None:
    assert sandbox.create_app("RJ2").base_path == "/fhir"
    assert issubclass(NoRecord, SourceError)
