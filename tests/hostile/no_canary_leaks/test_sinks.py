"""Canaries stand in every resource of every source: they come out in the record, for who may see it, and nowhere else.

Every sink is read after a day at the gateway: logs at their most talkative, refusals, headers, pages about the gateway
itself, and all that is on the disk. What `tests/conftest.py` does for the files of each run is done here for the rest.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest

from connectors.kit.faults import Mode
from gateway import log
from gateway.observe.worker import told
from tests.canaries import CANARY, leaked
from tests.figures import Figure
from tests.flow.stack import DANIEL, GRACE, STRANGER, Stack, running
from tests.logs import untouched

QUICK: Final = (Mode.BROKEN, Mode.LYING, Mode.GARBAGE)
SLOW: Final = tuple(mode for mode in Mode if mode not in (Mode.HUNG, Mode.BLACKHOLE, Mode.DRIPPING, Mode.BOMB))
NUMBERS: Final = re.compile("|".join(f"{n}|{n[:3]}[ -]{n[3:6]}[ -]{n[6:]}" for n in (GRACE, DANIEL, STRANGER)))
ABOUT_ITSELF: Final = ("/livez", "/readyz", "/sources", "/fhir/R4/metadata", "/openapi.json", "/nowhere")


@contextmanager
def talkative() -> Iterator[io.StringIO]:
    """Every logger of the process at its lowest level, through the formatter that production has."""
    stream = io.StringIO()
    with untouched():
        log.setup(production=False, stream=stream, level=logging.DEBUG)
        logging.getLogger().setLevel(logging.DEBUG)
        yield stream


@dataclass
class Day:
    """What a day at the gateway left: the answers that show nothing, and every header."""

    shown: int = 0
    refusals: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    itself: list[str] = field(default_factory=list)

    def note(self, answer: httpx2.Response) -> None:
        """Keep what may hold no canary."""
        self.headers.append(repr(answer.headers.multi_items()))
        if answer.status_code == 200:
            self.shown += len(CANARY.findall(answer.content))
        else:
            self.refusals.append(answer.text)


async def ask_all(stack: Stack, day: Day) -> None:
    """What people ask, rightly and wrongly."""
    everything = f"/fhir/R4/Patient/{GRACE}/$everything"
    for who in ("gp", "social-worker", "commissioner", "hospital-doctor"):
        for path in (everything, f"/fhir/R4/Condition?patient={GRACE}", f"/fhir/R4/Patient/{DANIEL}/$summary"):
            day.note(await stack.get(path, who))
    wrong = (
        f"/fhir/R4/Condition?patient={GRACE}&code:text={GRACE}",
        f"/fhir/R4/{GRACE}/{GRACE}",
        f"/fhir/R4/Patient/{STRANGER}/$everything",
        f"/fhir/R4/Patient?identifier={GRACE}",
        f"/records/{GRACE}",
        f"{everything}?_cursor={GRACE}",
    )
    for path in wrong:
        day.note(await stack.get(path, headers={"X-Request-Id": f"n-{GRACE}", "User-Agent": GRACE}))
    day.note(await stack.client.get(everything, headers={"Authorization": f"Bearer {stack.token('gp')}x"}))
    day.note(await stack.post("/records", {"nhsNumber": GRACE, "sections": ["allergies"]}))
    day.note(await stack.post("/records", {"nhsNumber": GRACE, GRACE: GRACE}))
    day.note(await stack.post("/permissions", {"nhsNumber": GRACE, "basis": "patient-agreed", "reason": "x" * 900}))
    day.note(await stack.get(everything, headers={"Accept": "text/event-stream"}))


async def a_day(stack: Stack, modes: tuple[Mode, ...]) -> Day:
    """A look in each mode of one source, and everything else once."""
    day = Day()
    await stack.agree(GRACE)
    await stack.agree(DANIEL, "social-worker")
    await ask_all(stack, day)
    for mode in modes:
        stack.make("RPG", mode, 10 if mode is Mode.SLOW else None)
        day.note(await stack.everything(GRACE))
    stack.make("RPG", "well")
    async with stack.signed_in("gp") as browser:
        day.note(await browser.get(f"/patients/{GRACE}"))
    day.itself = [(await stack.client.get(path, headers=stack.headers("gp"))).text for path in ABOUT_ITSELF]
    day.itself.append((await told(stack.parts, 0)).decode())
    return day


def check(day: Day, logged: str, stack: Stack) -> dict[str, int]:
    """How much each sink holds; raises AssertionError where it holds what it must not."""
    sinks: dict[str, Any] = {
        "lines of the log": logged.splitlines(),
        "refusals": day.refusals,
        "sets of headers": day.headers,
        "pages and metrics about the gateway": day.itself,
    }
    for name, texts in sinks.items():
        whole = "\n".join(texts)
        assert texts, name
        assert CANARY.search(whole.encode()) is None, name
        for token in stack.tokens.values():
            assert token not in whole, name
            assert token.rpartition(".")[2] not in whole, name
        if name in ("lines of the log", "pages and metrics about the gateway"):
            assert NUMBERS.search(whole) is None, (name, NUMBERS.search(whole))
    assert list(leaked(stack.data)) == []
    files = [path for path in stack.data.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in files:
        assert NUMBERS.search(path.read_bytes().decode("latin-1")) is None, path.name
    return {**{name: len(texts) for name, texts in sinks.items()}, "files": len(files)}


@pytest.fixture
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("sinks"), deadline=2) as stack:
        yield stack


@pytest.mark.parametrize("modes", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["a few", "every illness"])
async def test_no_sink_holds_a_canary(stack: Stack, modes: tuple[Mode, ...], figure: Figure) -> None:
    with talkative() as stream:
        day = await a_day(stack, modes)
    assert day.shown > 100, "the record holds them: there was something to leak"
    found = check(day, stream.getvalue(), stack)
    figure(
        f"{len(modes)} illnesses, 0 canaries, numbers and tokens in " + ", ".join(f"{n} {k}" for k, n in found.items())
    )
