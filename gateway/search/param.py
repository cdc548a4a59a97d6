"""One search parameter, and what one resource type offers of them: what `gateway.search.table` is written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

R4: Final = "http://hl7.org/fhir/SearchParameter/"


class Kind(StrEnum):
    """How a parameter's value is read; the words are those of FHIR's search-param-type."""

    TOKEN = "token"  # noqa: S105 - FHIR's name for a coded value
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Param:
    """One search parameter of one type.

    `paths` are the elements looked at, choice types spelt out (`effectiveDateTime`). `system` is the code system that
    FHIR binds to an element of type `code`, which itself carries none. `medicine`: a reference to a Medication is
    followed to that Medication's `code`.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    definition: str
    says: str
    system: str = ""
    medicine: bool = False

    @property
    def own(self) -> bool:
        """True where the meaning is this server's, not R4's."""
        return not self.definition


@dataclass(frozen=True, slots=True)
class Offer:
    """What one resource type can be searched by, besides its patient."""

    patient_definition: str
    patient_path: str
    params: Mapping[str, Param]

    @property
    def sorts(self) -> tuple[str, ...]:
        """The names that `_sort` takes."""
        return (*(name for name in ("date", "code", "status") if name in self.params), "_lastUpdated", "_id")


LAST_UPDATED: Final = Param(
    "_lastUpdated", Kind.DATE, ("meta.lastUpdated",), R4 + "Resource-lastUpdated", "When its source last changed it"
)


def token(name: str, path: str, defined: str, says: str, system: str = "") -> Param:
    """A coded parameter. `path`: elements, separated by spaces; `defined`: R4's SearchParameter, "" for our own."""
    return Param(name, Kind.TOKEN, tuple(path.split()), defined and R4 + defined, says, system)


def date(name: str, path: str, defined: str, says: str) -> Param:
    """A parameter of dates, given as `token` is."""
    return Param(name, Kind.DATE, tuple(path.split()), defined and R4 + defined, says)


def medicine(says: str) -> Param:
    """Which medicine, whether it is coded in place or by reference."""
    paths = ("medicationCodeableConcept", "medicationReference")
    return Param("code", Kind.TOKEN, paths, R4 + "clinical-code", says, medicine=True)


def offer(*params: Param, patient: str = "clinical-patient", path: str = "subject") -> Offer:
    """What a type offers; `path` is the element that names the patient."""
    return Offer(R4 + patient, path, MappingProxyType({param.name: param for param in params}))
