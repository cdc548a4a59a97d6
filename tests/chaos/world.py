"""A world of real processes for the chaos suites: an identity provider, one source that knows everybody, a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.demo.run import fetch_token
from tests.chaos.history import Operation
from tests.chaos.source import LATE
from tests.processes import Gateway, identity_provider, organisation, process

LOOKERS = ("gp@G85005", "hospital-doctor@RJ2", "nurse@RJ2", "gp@G83021")
OFFICER = "privacy-officer"
_NEVER = 1_000_000
"""Failures before a source is left alone: what dies here is the gateway, and what it never showed proves nothing."""


@dataclass
class World:
    """The gateway, tokens for it by person, and what clients have seen of it."""

    running: Gateway
    tokens: dict[str, str] = field(default_factory=dict)
    seen: list[Operation] = field(default_factory=list)

    async def sign_in_all(self) -> None:
        """A token for everybody who will ask."""
        for who in (*LOOKERS, OFFICER):
            self.tokens[who] = await fetch_token(self.running.issuer, who)

    @property
    def lookers(self) -> list[str]:
        return [self.tokens[who] for who in LOOKERS]

    @property
    def officer(self) -> str:
        return self.tokens[OFFICER]


@contextmanager
def world(folder: Path, settings: Mapping[str, Any], *, two_sources: bool = False, **gateway: Any) -> Iterator[World]:
    """Everything but the gateway is started: `running.start()` is the test's. `two_sources`: a second
    organisation says the same, and later, so that a live look has parts. `gateway`: further fields of `Gateway`."""
    with ExitStack() as stack:
        state = folder / "source.state"
        address = stack.enter_context(process(state, "tests.chaos.source", "--state", str(state)))
        issuer = stack.enter_context(identity_provider(folder))
        held = organisation("RJ2", "acute-trust", address, patient_by="identifier")
        late = address.replace("/fhir", f"{LATE}/fhir")
        other = organisation("RPG", "mental-health-and-community-trust", late, patient_by="identifier")
        entries = [
            *([other | {"sections": ["demographics", "allergies"]}] if two_sources else []),
            held | {"sections": ["demographics", "allergies"]},
            {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"},
            {"ods": "G83021", "name": "Another practice", "type": "gp-practice", "stage": "live"},
        ]
        running = Gateway(folder, issuer, entries, {"breaker_failures": _NEVER, **settings}, **gateway)
        running.configure()
        try:
            yield World(running)
        finally:
            if running.child is not None and running.child.poll() is None:
                running.stop()
