"""What a source says beside its resources stays here: outcomes, diagnostics, validators, cache headers, cookies."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from connectors.fhir_r4 import sandbox
from connectors.fhir_r4.sandbox.flavours import FLAVOURS, PRACTICE
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.asgi import Receive, Scope, Send
from connectors.kit.sandbox import Sandbox
from tests.figures import Figure
from tests.flow.stack import GRACE, Stack, running

SAYS: Final = "SOURCE-SAYS"
TALKATIVE: Final = "RPG"
HEADERS: Final = {
    "etag": f'W/"{SAYS}"',
    "last-modified": "Mon, 23 Nov 2026 07:00:00 GMT",
    "cache-control": f"public, max-age=86400, {SAYS}",
    "expires": "Fri, 01 Jan 2038 00:00:00 GMT",
    "set-cookie": f"session={SAYS}",
    "server": SAYS,
    "x-powered-by": SAYS,
    "location": f"http://elsewhere.invalid/{SAYS}",
    "content-location": f"http://elsewhere.invalid/{SAYS}",
    "warning": f'199 - "{SAYS}"',
    "link": f"<http://elsewhere.invalid/{SAYS}>; rel=preload",
    "access-control-allow-origin": "*",
    "x-request-id": SAYS,
    "vary": SAYS,
}
NEVER: Final = ("etag", "last-modified", "expires", "set-cookie", "x-powered-by", "warning", "link", "age")


class Talking:
    """A system whose every answer carries all of these headers, and whose refusals say more than they should."""

    def __init__(self, ods: str) -> None:
        self._to = FhirServer(sandbox.holdings(ods, canaries=True), FLAVOURS.get(ods, PRACTICE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def saying(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                said = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *said]}
            await send(message)

        await self._to(scope, receive, saying)


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    talking = Sandbox(TALKATIVE, Talking(TALKATIVE))
    async with running(tmp_path_factory.mktemp("words"), others={TALKATIVE: talking}) as stack:
        await stack.agree(GRACE)
        yield stack


async def test_no_header_of_a_source_comes_through(gateway: Stack, figure: Figure) -> None:
    everything = f"/fhir/R4/Patient/{GRACE}/$everything"
    paths = (everything, f"/fhir/R4/Encounter?patient={GRACE}&_count=1", f"/fhir/R4/Patient/{GRACE}/$summary")
    for path in paths:
        answer = await gateway.get(path)
        assert answer.status_code == 200, answer.text
        whole = answer.text + repr(sorted(answer.headers.multi_items()))
        assert SAYS not in whole
        assert not set(NEVER) & set(answer.headers)
        assert "no-store" in answer.headers["cache-control"]
    assert TALKATIVE in answer.text
    figure(f"{len(HEADERS)} headers of a source at {len(paths)} doors: 0 passed on")


async def test_no_diagnostics_of_a_source_come_through(gateway: Stack) -> None:
    gateway.make(TALKATIVE, "broken")
    try:
        answer = await gateway.everything(GRACE)
    finally:
        gateway.make(TALKATIVE, "well")
    assert answer.status_code == 200
    assert "Unhandled error near" not in answer.text
    assert not re.search(rf"CANARY-{TALKATIVE}-[0-9a-f]{{8}}", answer.text)
    assert "no-store" in answer.headers["cache-control"]
