"""Making the examples: every request of `wanted` against a gateway with the sandboxes behind it, its answer settled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2

from gateway.contracts.examples import Answer, Example, Request, as_text
from tests.boundless import BOUNDLESS
from tests.examples.settled import Settled
from tests.examples.wanted import OWN, WANTED, Wanted
from tests.flow.stack import AALIYAH, Stack, resources, running

KEY: Final = "2a" * 32
"""The master key of this made-up world: so the sealed ids are the same in every run."""
_FAIR_USE: Final = {**BOUNDLESS, "best_interests": BOUNDLESS["requests"] | {"person": "1 per 10 minutes"}}
_TOLD: Final = ("Connect-Care-Sources", "Content-Type", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID")


async def make(folder: Path) -> dict[str, str]:
    """The examples' files by their names below `examples`. `folder` is for the gateway's data."""
    (folder / "master.key").write_text(KEY)
    (folder / "master.key").chmod(0o600)
    async with running(folder, canaries=False, fair_use=_FAIR_USE) as stack:
        await stack.agree(AALIYAH)
        maker = _Maker(stack, Settled(datetime.now(UTC)))
        return {f"{one.api}/{one.name}.json": as_text(await maker.example(one)) for one in WANTED}


@dataclass
class _Maker:
    """Asks, one after the other, and remembers the id that a later one needs."""

    stack: Stack
    settled: Settled
    allergy: str = ""

    async def example(self, wanted: Wanted) -> Example:
        """One request with its answer."""
        request = _request(wanted, self.allergy)
        with _down(self.stack, wanted.down):
            answer = await self._answer(request, wanted.who)
        if wanted.name == "search-allergies":
            self.allergy = resources(answer.json(), "AllergyIntolerance")[0]["id"]
        told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
        body = answer.json() if answer.content else None
        got = self.settled.of({"headers": told, "body": body})
        return Example(
            name=wanted.name,
            api=wanted.api,
            summary=wanted.summary,
            who=wanted.who,
            request=request,
            answer=Answer(status=answer.status_code, **got),
        )

    async def _answer(self, request: Request, who: str) -> httpx2.Response:
        headers = request.headers | (self.stack.headers(who) if who else {})
        content = request.form or (json.dumps(request.body) if request.body is not None else "")
        return await self.stack.client.request(request.method, request.url, headers=headers, content=content)


def _request(wanted: Wanted, allergy: str) -> Request:
    """As it's sent, but for the token, which differs each time."""
    headers = {"Accept": wanted.accept, "X-Request-ID": f"example-{wanted.name}"}
    if wanted.body is not None:
        headers["Content-Type"] = "application/json" if wanted.api == OWN else "application/fhir+json"
    if wanted.form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    url = (wanted.url or wanted.path).replace("{allergy}", allergy)
    return Request(method=wanted.method, path=wanted.path, url=url, headers=headers, body=wanted.body, form=wanted.form)


@contextmanager
def _down(stack: Stack, sources: Iterable[str]) -> Iterator[None]:
    """While these sources can't be read."""
    for ods in sources:
        stack.make(ods, "broken")
    yield
    for ods in sources:
        stack.make(ods, "well")
