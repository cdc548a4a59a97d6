"""Clients that look, ask, opt people out and in, and write down what became of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.history import UNHEARD, Did, Operation
from tests.chaos.source import MARK

_SHARES = {Did.LOOK: 60, Did.GRANT: 24, Did.OPT_OUT: 7, Did.OPT_IN: 9}
_PATIENCE = aiohttp.ClientTimeout(total=60)


@dataclass
class Clients:
    """`at_once` clients share `operations` among them. `tokens`: of those who look; `officer`: of who records
    choices."""

    base: str
    patients: Sequence[str]
    tokens: Sequence[str]
    officer: str
    seed: int
    shares: Mapping[Did, int] = field(default_factory=lambda: _SHARES)
    history: list[Operation] = field(default_factory=list)
    prefix: str = "op"

    async def agree(self) -> None:
        """Every patient agrees to everybody's look. An answer that doesn't come is the caller's to find out."""
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
            for token in self.tokens:
                for patient in self.patients:
                    body = {"nhsNumber": patient, "basis": "patient-agreed"}
                    headers = {"Authorization": f"Bearer {token}"}
                    with suppress(aiohttp.ClientError, OSError):
                        async with session.post(f"{self.base}/permissions", json=body, headers=headers) as answer:
                            await answer.read()

    async def run(self, operations: int, at_once: int) -> None:
        """Until all were tried."""
        rng = random.Random(self.seed)
        todo = iter(
            [
                (number, rng.choices([*self.shares], [*self.shares.values()])[0], rng.choice(self.patients))
                for number in range(operations)
            ]
        )
        connector = aiohttp.TCPConnector(limit=at_once)
        async with aiohttp.ClientSession(connector=connector, timeout=_PATIENCE) as session:

            async def one_client() -> None:
                for number, did, patient in todo:
                    self.history.append(await self._one(session, number, did, patient))

            await asyncio.gather(*(one_client() for _ in range(at_once)))

    async def _one(self, session: aiohttp.ClientSession, number: int, did: Did, patient: str) -> Operation:
        request_id, start, said = f"{self.prefix}-{number}", time.monotonic(), bytearray()
        status, whole = 0, False
        method, path, body, token = self._asks(number, did, patient)
        headers = {"Authorization": f"Bearer {token}", "X-Request-ID": request_id}
        headers |= {"Accept": "text/event-stream"} if did is Did.LIVE else {}
        try:
            async with session.request(method, self.base + path, json=body, headers=headers) as answer:
                status = answer.status
                async for chunk in answer.content.iter_any():
                    said += chunk
                whole = True
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.02)  # the worker was killed: another takes its place
        end = time.monotonic() if whole else UNHEARD
        return Operation(
            did,
            patient,
            start,
            end,
            whole and status in (200, 201),
            request_id,
            MARK.encode() in said,
            status,
            said.count(b"\n\n") if did is Did.LIVE else 1,
        )

    def _asks(self, number: int, did: Did, patient: str) -> tuple[str, str, dict[str, str] | None, str]:
        token = self.tokens[number % len(self.tokens)]
        if did is Did.LOOK:
            return "POST", "/records", {"nhsNumber": patient}, token
        if did is Did.LIVE:
            return "GET", f"/fhir/R4/Patient/{patient}/$everything", None, token
        if did is Did.GRANT:
            return "POST", "/permissions", {"nhsNumber": patient, "basis": "patient-agreed"}, token
        choice = {"nhsNumber": patient, "choice": did.value, "statedBy": "patient", "channel": "phone"}
        return "POST", "/sharing-choices", choice, self.officer


def numbers(count: int) -> list[str]:
    """Different NHS numbers of the range that is set aside for tests."""
    found, nine = [], 999_400_000
    while len(found) < count:
        check = 11 - sum((10 - place) * int(digit) for place, digit in enumerate(str(nine))) % 11
        if check != 10:
            found.append(f"{nine}{check % 11}")
        nine += 1
    return found
