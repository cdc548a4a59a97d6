"""The facade that `social_care` talks to in the demo and in tests: two councils with invented people.

    create_app("709")     one council's facade as an ASGI app: /fhir, and its switch at /_sandbox/709
    organisations()       the ODS codes that there is data for

What the councils' systems hold (`data/`) is more than their facades may send: a key safe, a daughter, a note. A facade
that keeps to the contract sends only what it is asked for by `_elements`; a careless one sends it all.

Production code never imports this package.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from connectors.kit.sandbox import Sandbox
from connectors.social_care.sandbox.facade import Facade
from connectors.social_care.sandbox.holdings import Holdings, hold

__all__ = ["create_app", "holdings", "organisations"]

_DATA: Final = Path(__file__).parent / "data"


def create_app(ods: str, *, canaries: bool = False, careless: bool = False, cap: int = 100) -> Sandbox:
    """The sandbox of one council, whose facade sends at most `cap` matches.

    Raises LookupError, with a sentence, for an organisation that there is no data for.
    """
    held = holdings(ods, canaries=canaries)
    return Sandbox(ods, Facade(held, careless=careless, cap=cap), canaries=[*held.canaries, *held.kept_back])


def holdings(ods: str, *, canaries: bool = False) -> Holdings:
    """Everything that one council holds. With canaries, those that may be shown and those that never may apart."""
    if ods not in organisations():
        raise LookupError(
            f"There is no sandbox data for {ods}. Add {ods}/*.json to the data of the social_care sandbox."
        )
    texts = (file.read_bytes() for file in sorted((_DATA / ods).glob("*.json")))
    return hold(ods, texts, canaries=canaries)


@functools.cache
def organisations() -> tuple[str, ...]:
    """The ODS codes that there is data for, in order."""
    return tuple(sorted(folder.name for folder in _DATA.iterdir() if folder.is_dir()))
