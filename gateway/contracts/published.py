"""Both contracts as files: made, kept as released, and compared with what was released last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from connectors.sdk.model import Section
from gateway.api.audit_event_search import AUDIT_EVENT
from gateway.api.capability import Capabilities, Published
from gateway.api.capability_resources import OPERATIONS
from gateway.api.consent_search import CONSENT
from gateway.api.usable import Usable
from gateway.contracts.breaking import breaks, version_allows
from gateway.contracts.examples import Example, with_examples
from gateway.contracts.fhir import fhir_contract

OWN: Final = "connect-care.json"
FHIR: Final = "fhir-r4.json"
RELEASED: Final = "released"
"""The folder, beside the contracts, of those that were released last."""

Json = dict[str, Any]


class ContractBroken(Exception):
    """What would break those who built on the released contract; the text says what, and what to do."""


def fhir_of_everything(version: str) -> Json:
    """The contract of a gateway where organisations take part that offer everything there is."""
    statement = Capabilities(
        Published(
            public_base="http://127.0.0.1:8000",
            version=version,
            released=datetime(2026, 1, 1, tzinfo=UTC),
            batch=True,
            operations=OPERATIONS,
        ),
        Usable.by_nobody(frozenset(Section)),
        finds_people=True,
        authored=(CONSENT, AUDIT_EVENT),
    )
    return fhir_contract(json.loads(statement.document()), version)


def texts(own: Json, fhir: Json, examples: tuple[Example, ...]) -> dict[str, str]:
    """The contracts by file name, with the examples in their places, as sorted JSON."""
    documents = with_examples({OWN: own, FHIR: fhir}, examples)
    return {name: as_text(document) for name, document in documents.items()}


def as_text(document: Mapping[str, Any]) -> str:
    """Sorted, so that a change shows as what it is."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def keep(place: Path, made: Mapping[str, str], *, release: bool = False) -> None:
    """Write the contracts into a folder; or one of them, by the file's name (our own API's, where it has another).

    Raises ContractBroken where they are to be released, and break those before.
    """
    if place.suffix == ".json":
        place.write_text(made[place.name if place.name in made else OWN], encoding="utf-8")
        return
    place.mkdir(parents=True, exist_ok=True)
    if release:
        _release(place, made)
    for name, text in made.items():
        (place / name).write_text(text, encoding="utf-8")


def broken(released: Path, made: Mapping[str, str]) -> list[str]:
    """What the contracts `made` break of those in the folder `released`, where the version doesn't say that they may.

    Raises FileNotFoundError where a contract was never released: then nothing is checked, which must not go unseen.
    """
    found = []
    for name, text in made.items():
        before, after = json.loads((released / name).read_text(encoding="utf-8")), json.loads(text)
        if not version_allows(before["info"]["version"], after["info"]["version"]):
            found += [f"{name}: {sentence}" for sentence in breaks(before, after)]
    return found


def _release(folder: Path, made: Mapping[str, str]) -> None:
    kept = folder / RELEASED
    kept.mkdir(parents=True, exist_ok=True)
    there = {name: text for name, text in made.items() if (kept / name).exists()}
    if sentences := broken(kept, there):
        raise ContractBroken(told(sentences))
    for name, text in made.items():
        (kept / name).write_text(text, encoding="utf-8")


def told(sentences: list[str]) -> str:
    """What breaks, and what to do."""
    return "\n".join(
        [
            "Clients of the released contract would break:",
            *(f"  {sentence}" for sentence in sentences),
            "Keep what was promised; or give pyproject.toml another version (the minor one, while the major one is 0), "
            "and say in CHANGELOG.md what clients must change.",
        ]
    )
