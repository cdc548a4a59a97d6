"""What the stand-in knows: people by number, which numbers were replaced or invalidated, and who fits a search.

The search is the register's plain one, simplified: whole names without case, one birth date, gender, postcode without
spaces. A match by a later given name alone scores under 1, so that a partial match exists to be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from connectors.kit.canaries import canary, plant

PARTIAL: Final = Decimal("0.9259")

_NAMES_SEARCHED: Final = ("usual", "nickname", "temp")
_NOT_IN_SEARCHES: Final = ("extension", "multipleBirthInteger")
_DEATH: Final = "DeathNotificationStatus"

Patient = dict[str, Any]


class _Numbers(msgspec.Struct):
    superseded: dict[str, str]
    invalidated: list[str]


@dataclass(frozen=True, slots=True)
class Criteria:
    """One search, its parameters checked. `given` are names that must all fit."""

    family: str
    birth_date: str
    given: tuple[str, ...] = ()
    gender: str | None = None
    postcode: str | None = None
    most: int = 50
    exact: bool = False


@dataclass(slots=True)
class Register:
    """Everybody, in the order of the file. `superseded` maps an old number to the present one."""

    people: dict[str, Patient]
    superseded: Mapping[str, str]
    invalidated: frozenset[str]
    canaries: list[str] = field(default_factory=list)

    def patient(self, number: str) -> Patient | None:
        """The Patient of a number, or of the number that replaced it."""
        return self.people.get(self.superseded.get(number, number))

    def next_after(self, number: str) -> Patient:
        """Somebody else: the next in the file."""
        numbers = list(self.people)
        place = numbers.index(number) + 1 if number in self.people else 0
        return self.people[numbers[place % len(numbers)]]

    def search(self, criteria: Criteria) -> list[tuple[Patient, Decimal]]:
        """Everybody who fits, with their score, best first."""
        found = [(patient, score) for patient in self.people.values() if (score := _score(patient, criteria))]
        exact = [(patient, score) for patient, score in found if score == 1]
        return exact if criteria.exact else sorted(found, key=lambda match: match[1], reverse=True)


def load(folder: Path, *, canaries_of: str | None) -> Register:
    """Read the files; `canaries_of` is the ODS code to plant a canary for in each Patient, if any."""
    people: list[Patient] = msgspec.json.decode((folder / "patients.json").read_bytes())
    numbers = msgspec.json.decode((folder / "numbers.json").read_bytes(), type=_Numbers)
    register = Register({p["id"]: p for p in people}, numbers.superseded, frozenset(numbers.invalidated))
    for patient in people if canaries_of else ():
        mark = canary(str(canaries_of), "Patient", patient["id"])
        plant(patient, mark)
        register.canaries.append(mark)
    return register


def as_found(patient: Patient) -> Patient:
    """The Patient as a search tells of them: less than a retrieval, no former names, no address but home."""
    shown = {name: value for name, value in patient.items() if name not in _NOT_IN_SEARCHES}
    shown["name"] = list(_names(patient))
    if "address" in patient:
        shown["address"] = [address for address in patient["address"] if address["use"] == "home"]
    if death := [one for one in patient.get("extension", ()) if one["url"].endswith(_DEATH)]:
        shown["extension"] = death
    return shown


def _score(patient: Patient, criteria: Criteria) -> Decimal:
    """1 for a certain match, less for a partial one, 0 for none."""
    if patient["birthDate"] != criteria.birth_date or criteria.gender not in (None, patient["gender"]):
        return Decimal(0)
    if criteria.postcode is not None and criteria.postcode not in _postcodes(patient):
        return Decimal(0)
    names = [name for name in _names(patient) if _same(name["family"], criteria.family)]
    return max((_name_score(name["given"], criteria.given) for name in names), default=Decimal(0))


def _name_score(held: list[str], wanted: tuple[str, ...]) -> Decimal:
    if not all(any(_same(one, name) for one in held) for name in wanted):
        return Decimal(0)
    return Decimal(1) if not wanted or _same(held[0], wanted[0]) else PARTIAL


def _postcodes(patient: Patient) -> Iterable[str]:
    """None for a restricted person: whoever searches by a place never finds them."""
    return [plain(address["postalCode"]) for address in patient.get("address", ())]


def _names(patient: Patient) -> Iterator[dict[str, Any]]:
    return (name for name in patient["name"] if name["use"] in _NAMES_SEARCHED)


def plain(postcode: str) -> str:
    """A postcode without spaces and case."""
    return "".join(postcode.split()).upper()


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.strip().casefold()
