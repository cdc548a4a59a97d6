"""What one sandbox holds: every resource as the bytes it will be sent as, indexed by patient when it starts.

The JSON in `data/` is the source's own text. Only white space between its tokens is dropped, so `4.50` and
`2026-10-02T08:15:30.120+01:00` leave digit for digit. Nothing is parsed or written while a question is answered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec

from connectors.fhir_r4.sandbox.elements import (
    INCLUDES,
    PATIENT_ELEMENTS,
    TOKENS,
    Token,
    include_targets,
    local_keys,
    reach,
    tokens,
)
from connectors.kit.canaries import canary, plant

_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class Stored:
    """One resource. `key` is type and id: `Observation/17`; `include` holds such keys by `_include` parameter, and
    `refers_to` those of every reference in it. `patients` are local patient ids."""

    key: str
    type: str
    id: str
    body: bytes
    patients: frozenset[str]
    tokens: dict[str, frozenset[Token]]
    include: dict[str, tuple[str, ...]]
    refers_to: tuple[str, ...]


@dataclass(slots=True)
class Holdings:
    """All resources of one organisation, with the indexes that a search uses. Order is the order of the files."""

    ods: str
    by_key: dict[str, Stored] = field(default_factory=dict)
    by_type: defaultdict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    by_patient: defaultdict[str, defaultdict[str, list[Stored]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    patient_ids: defaultdict[Token, list[str]] = field(default_factory=lambda: defaultdict(list))
    canaries: list[str] = field(default_factory=list)

    def add(self, stored: Stored) -> None:
        """Index one resource. Raises ValueError where the same type and id stand twice."""
        if stored.key in self.by_key:
            raise ValueError(f"{self.ods}: {stored.type} with the same id stands twice in the data.")
        self.by_key[stored.key] = stored
        self.by_type[stored.type].append(stored)
        for patient in stored.patients:
            self.by_patient[patient][stored.type].append(stored)
        if stored.type == "Patient":
            for token in stored.tokens["identifier"]:
                self.patient_ids[token].append(stored.id)

    def of_patient(self, patient: str, kind: str) -> Sequence[Stored]:
        """The resources of one type of one patient (local id)."""
        return self.by_patient[patient][kind] if patient in self.by_patient else ()


def hold(ods: str, texts: Iterable[bytes], *, canaries: bool) -> Holdings:
    """Index the JSON texts of an organisation's resources; with `canaries`, plant one in each first."""
    holdings = Holdings(ods)
    for text in texts:
        resource = _decode(text)
        body = msgspec.json.format(text, indent=-1)
        if canaries:
            mark = canary(ods, resource["resourceType"], resource["id"])
            plant(resource, mark)
            holdings.canaries.append(mark)
            body = _encode(resource)
        holdings.add(_store(resource, body))
    return holdings


def _store(resource: dict[str, Any], body: bytes) -> Stored:
    kind = resource["resourceType"]
    return Stored(
        key=f"{kind}/{resource['id']}",
        type=kind,
        id=resource["id"],
        body=body,
        patients=_patients(resource),
        tokens={
            name: frozenset(token for value in reach(resource, path) for token in tokens(value))
            for name, path in TOKENS.get(kind, {}).items()
        },
        include={name: tuple(include_targets(resource, name)) for name in ("*", *INCLUDES.get(kind, {}))},
        refers_to=tuple(dict.fromkeys(local_keys(resource))),
    )


def _patients(resource: dict[str, Any]) -> frozenset[str]:
    if resource["resourceType"] == "Patient":
        return frozenset({resource["id"]})
    keys = (key for path in PATIENT_ELEMENTS for value in reach(resource, path) for key in local_keys(value))
    return frozenset(key.removeprefix("Patient/") for key in keys if key.startswith("Patient/"))
