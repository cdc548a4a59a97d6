"""The system that `fhir_r4` talks to in the demo and in tests: FHIR R4 servers with invented patients.

    create_app("RJ2")     one organisation's server as an ASGI app: /fhir, and its switch at /_sandbox/RJ2
    people()              the demo's patients, and what each of them shows
    organisations()       the ODS codes that there is data for

Production code never imports this package.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict, cast

import msgspec

from connectors.fhir_r4.sandbox import generate as generate
from connectors.fhir_r4.sandbox.flavours import FLAVOURS, PRACTICE, Flavour
from connectors.fhir_r4.sandbox.holdings import Holdings, hold
from connectors.fhir_r4.sandbox.server import FhirServer
from connectors.kit.sandbox import Sandbox

__all__ = ["Person", "create_app", "holdings", "organisations", "people"]

_DATA: Final = Path(__file__).parent / "data"
_PEOPLE: Final = Path(__file__).parent / "people.json"
_texts: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Person(TypedDict):
    """One invented patient of the demo. `birthDate` is YYYY-MM-DD; `story` says in one sentence what they show."""

    nhsNumber: str
    birthDate: str
    name: str
    story: str


def create_app(
    ods: str,
    *,
    canaries: bool = False,
    flavour: Flavour | None = None,
    required_header: tuple[str, str] | None = None,
) -> Sandbox:
    """The sandbox of one organisation. With `required_header` (name, value) it answers 401 to calls without it.

    Raises LookupError, with a sentence, for an organisation that there is no data for.
    """
    held = holdings(ods, canaries=canaries)
    system = FhirServer(held, flavour or FLAVOURS.get(ods, PRACTICE), required_header=required_header)
    return Sandbox(ods, system, canaries=held.canaries)


def holdings(ods: str, *, canaries: bool = False) -> Holdings:
    """Everything that one organisation holds, canaries included in `.canaries` where they were asked for."""
    if ods not in organisations():
        raise LookupError(f"There is no sandbox data for {ods}. Add {ods}/*.json to the data of the fhir_r4 sandbox.")
    return hold(ods, _resources(ods), canaries=canaries)


@functools.cache
def organisations() -> tuple[str, ...]:
    """The ODS codes that there is data for, in order."""
    return tuple(sorted(folder.name for folder in _DATA.iterdir() if folder.is_dir()))


def people() -> list[Person]:
    """The demo's patients, in the order in which a reader should meet them."""
    return cast(list[Person], msgspec.json.decode(_PEOPLE.read_bytes()))


def _resources(ods: str) -> Iterator[bytes]:
    """The JSON texts of one organisation: its files in order of name, then what the generator adds."""
    for file in sorted((_DATA / ods).glob("*.json")):
        yield from (bytes(text) for text in _texts(file.read_bytes()))
    yield from generate.resources(ods)
