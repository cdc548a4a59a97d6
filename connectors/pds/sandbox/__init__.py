"""The system that `pds` talks to in the demo and in tests: a stand-in for the national register, with invented people.

    create_app("X26")     the register as an ASGI app: /fhir, and its switch at /_sandbox/X26
    people()              those of the demo's people whom the register alone has a story about
    organisations()       the one ODS code that keeps the register

Production code never imports this package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypedDict, cast

import msgspec

from connectors.kit.sandbox import Sandbox
from connectors.pds.sandbox.register import Register, load
from connectors.pds.sandbox.server import RegisterServer

__all__ = ["Person", "create_app", "organisations", "people", "register"]

ODS: Final = "X26"
"""NHS England, which runs the register."""

_FOLDER: Final = Path(__file__).parent


class Person(TypedDict):
    """One invented person. `birthDate` is YYYY-MM-DD; `story` says in one sentence what they show."""

    nhsNumber: str
    birthDate: str
    name: str
    story: str


def create_app(ods: str = ODS, *, canaries: bool = False) -> Sandbox:
    """The stand-in. Raises LookupError, with a sentence, for any organisation but the one that keeps the register."""
    if ods != ODS:
        raise LookupError(f"There is one register and {ODS} keeps it. Give {ods} another connector.")
    held = register(canaries=canaries)
    return Sandbox(ods, RegisterServer(held), canaries=held.canaries)


def register(*, canaries: bool = False) -> Register:
    """Everybody whom the register knows; with `canaries`, one is planted in each Patient."""
    return load(_FOLDER, canaries_of=ODS if canaries else None)


def organisations() -> tuple[str, ...]:
    """The ODS codes that there is data for."""
    return (ODS,)


def people() -> list[Person]:
    """Those whom no other sandbox tells of: restricted, replaced, invalid, namesakes, elsewhere, nowhere, dead."""
    return cast(list[Person], msgspec.json.decode((_FOLDER / "people.json").read_bytes()))
