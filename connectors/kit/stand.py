"""The stand on which a case plays: a connector in front of the fault server, in front of its own sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.kit.exchange import Request, of_app
from connectors.kit.fault_server import FaultServer, blackhole, fault_server, saying
from connectors.kit.registry import Fell, require
from connectors.sdk.code_faults import place_of
from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConfigurationError, NoRecord, Refused, SourceError, SourceTimeout, Withheld
from connectors.sdk.model import Answer, Ask, AskedBy, Gap, Item, Outcome, Section

if TYPE_CHECKING:
    from connectors.kit.subject import Subject

PLENTY: Final = 10.0
"""Seconds for a question that isn't about time."""
SHORT: Final = 0.3
"""Seconds for a question that must run into its deadline."""
GRACE: Final = 0.5
"""Seconds that a machine with other work may be late. (The gateway itself allows 0.05, and cuts.)"""
_LATE: Final = 2.0
_PULSE: Final = 0.02
_LONG_NUMBER: Final = re.compile(r"\d(?:[ -]?\d){8,}")
_MOST_DETAIL: Final = 300
SECRET: Final = "kit-secret-8f3d1c06a97b4e52"

ASKED_BY: Final = AskedBy(
    user_id="555021935107",
    name="Dr Kit",
    role_profile_id="555021941100",
    job_role_code="R8000",
    role="gp",
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    purpose="TREAT",
)

_OUTCOME_OF: Final[tuple[tuple[type[SourceError], Outcome], ...]] = (
    (SourceTimeout, Outcome.TIMED_OUT),
    (Refused, Outcome.REFUSED),
    (Withheld, Outcome.WITHHELD_BY_SOURCE),
    (NoRecord, Outcome.NO_RECORD),
    (SourceError, Outcome.FAILED),
)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one question: an answer or an error, how long it took (seconds), and what the source was asked."""

    answer: Answer | None
    error: SourceError | None
    took: float
    requests: list[Request]
    lag: float = 0.0
    longest_lag: float = 0.0
    """Seconds that this machine let everybody wait meanwhile, in all and at once: nobody's fault."""

    @property
    def outcome(self) -> Outcome:
        """As the gateway reads it."""
        if self.answer is not None:
            stated = self.answer.outcome
            return Outcome.PARTIAL if stated is Outcome.ANSWERED and self.answer.gaps else stated
        return next(outcome for kind, outcome in _OUTCOME_OF if isinstance(self.error, kind))

    @property
    def items(self) -> list[Item]:
        """What came; nothing where an error was raised."""
        return [] if self.answer is None else self.answer.items

    @property
    def gaps(self) -> Mapping[Section, Gap]:
        """The sections that aren't whole, where there is an answer."""
        return {} if self.answer is None else self.answer.gaps

    @property
    def in_words(self) -> str:
        """For a report: `raised Unwell`, or `said partial with 12 items and gaps in allergies (failed): why`. No
        identifier."""
        if self.answer is None:
            return f"raised {type(self.error).__name__}"
        gaps = ", ".join(f"{section} ({gap})" for section, gap in sorted(self.gaps.items()))
        why = f": {_LONG_NUMBER.sub('…', self.answer.detail)[:_MOST_DETAIL]}" if gaps and self.answer.detail else ""
        said = f"said {self.answer.outcome.value} with {len(self.items)} items"
        return f"{said} and gaps in {gaps}{why}" if gaps else f"{said} and no gap"

    def of_section(self, section: Section | None) -> list[Item]:
        """The items of one section."""
        return [item for item in self.items if item.section is section]


@dataclass(slots=True)
class Stand:
    """A connector, the server in front of its sandbox, and the server `elsewhere` that nobody should ever reach."""

    subject: Subject
    server: FaultServer
    elsewhere: FaultServer
    connector: Connector
    _known: dict[str, Settled] = field(default_factory=dict)

    async def ask(
        self,
        nhs_number: str | None = None,
        *,
        sections: Collection[Section] | None = None,
        seconds: float = PLENTY,
    ) -> Settled:
        """Ask, and see what comes. Raises Fell for what no connector may do, whatever its source does."""
        loop = asyncio.get_running_loop()
        before, started = len(self.server.requests), loop.time()
        task = self.start(nhs_number, sections=sections, seconds=seconds)
        try:
            lags = await _wait(task, seconds + _LATE)
            took = loop.time() - started
            require(task.done(), f"was still busy {_LATE:g} s after its deadline")
        finally:
            await put_away(task)
        return replace(
            self._settle(task, took, self.server.requests[before:]), lag=sum(lags), longest_lag=max(lags, default=0.0)
        )

    def start(
        self,
        nhs_number: str | None = None,
        *,
        sections: Collection[Section] | None = None,
        seconds: float = PLENTY,
    ) -> asyncio.Task[Answer]:
        """Begin to ask, as a task."""
        asked = self.subject.sections if sections is None else frozenset(sections)
        deadline = asyncio.get_running_loop().time() + seconds
        ask = Ask(
            nhs_number or self.subject.kit.patient, asked, ASKED_BY, deadline, "4d1f0d0e-0000-4000-8000-000000000001"
        )

        async def asking() -> Answer:
            return await self.connector.ask(ask)

        return asyncio.create_task(asking())

    @staticmethod
    def _settle(task: asyncio.Task[Answer], took: float, requests: list[Request]) -> Settled:
        if task.cancelled():
            raise Fell("gave itself up: it raised CancelledError though nobody had cancelled it")
        error = task.exception()
        if error is None:
            answer = task.result()
            require(type(answer) is Answer, f"returned {type(answer).__name__}, which is no Answer")
            return Settled(answer, None, took, requests)
        if not isinstance(error, SourceError):
            raise Fell(f"raised {type(error).__name__}{place_of(error)}, which is no SourceError")
        return Settled(None, error, took, requests)

    async def well(self, nhs_number: str | None = None) -> Settled:
        """What comes for the patient, or for another number, when all is well; asked once for each stand."""
        number = nhs_number or self.subject.kit.patient
        if number not in self._known:
            self._known[number] = await self.ask(number)
            said = self._known[number].in_words
            require(self._known[number].items, f"{said} when all was well: see k01 first")
        return self._known[number]


async def _wait(task: asyncio.Task[Answer], seconds: float) -> list[float]:
    """Wait for a task, for `seconds` at the most. Returns by how much this machine was late, each time that it was."""
    loop, lags = asyncio.get_running_loop(), list[float]()
    end = loop.time() + seconds
    while not task.done() and loop.time() < end + sum(lags):
        due = loop.time() + _PULSE
        await asyncio.wait({task}, timeout=_PULSE)
        lags += [late] if (late := loop.time() - due) > 0 else []
    return lags


async def put_away(task: asyncio.Task[Any]) -> None:
    """Cancel a task that isn't done, and wait a moment for it to go."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that nobody reports it as forgotten


@asynccontextmanager
async def standing(subject: Subject) -> AsyncIterator[Stand]:
    """Sandbox, servers and connector, all fresh."""
    async with contextlib.AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(fault_server(of_app(_nobody), base_path="/"))
        elsewhere.fault = saying(b'{"resourceType":"Bundle","type":"searchset","total":0}')
        server = await stack.enter_async_context(
            fault_server(of_app(subject.sandbox()), base_path=subject.base_path, elsewhere=elsewhere.origin)
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-kit-")))
        settings = _filled(dict(subject.kit.settings), _Places(server, folder))
        connector = subject.build(subject.organisation(server.address, settings))
        try:
            yield Stand(subject, server, elsewhere, connector)
        finally:
            server.fault = blackhole
            with contextlib.suppress(Exception):  # how it closes is a case of its own
                async with asyncio.timeout(GRACE):
                    await connector.aclose()


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    raise ConnectionError


class _Places(dict[str, str]):
    """What stands for `${…}` in the settings; files are made when they are asked for."""

    def __init__(self, server: FaultServer, folder: Path) -> None:
        super().__init__(origin=server.origin, address=server.address)
        self._folder = folder

    def __missing__(self, name: str) -> str:
        makers = {"secret": _secret, "ec_key": _ec_key, "rsa_key": _rsa_key}
        if name not in makers:
            offered = ", ".join(f"${{{known}}}" for known in (*self, *makers))
            raise ConfigurationError(f"kit.settings: ${{{name}}} stands for nothing. Use one of {offered}.")
        contents = makers[name]()
        file = self._folder / name
        file.write_bytes(contents)
        file.chmod(0o600)
        self[name] = str(file)
        return self[name]


def _filled(value: Any, places: _Places) -> Any:
    if isinstance(value, str):
        return Template(value).substitute(places)
    if isinstance(value, Mapping):
        return {name: _filled(part, places) for name, part in value.items()}
    return [_filled(part, places) for part in value] if isinstance(value, list) else value


def _secret() -> bytes:
    return SECRET.encode() + b"\n"


def _ec_key() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _rsa_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
