"""From a client's parameters to a person who is sought by name: nobody's NHS number is known yet.

The rules are those of the national service's exact search (PDS, `GET /Patient`), without its wildcards, ranges and
fuzzy matching: these are for those who trace people, and would make this a way to browse the population.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import BadRequest, GatewayError, NotSupported
from gateway.search.pairs import pairs_of
from gateway.search.parse import RawPairs, once
from gateway.search.query import Pairs
from gateway.search.refuse import wrong
from gateway.search.table import NHS_NUMBER_PARAMS, PERSON_PARAMS, PERSON_REQUIRED
from gateway.search.terms import exact_date

_ONLY_HERE: Final = frozenset(PERSON_PARAMS) - {"birthdate"}
_TAKEN: Final = (*PERSON_PARAMS, "_format")
_LONGEST_NAME: Final = 35
"""Characters: the national service keeps no more of a name."""
_NOT_IN_NAMES: Final = re.compile(r"[*?,|\\$%_\d]")
_GENDERS: Final = ("male", "female", "other", "unknown")
_POSTCODE: Final = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?) ?([0-9][A-Z]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """Who is sought. None of it is for a log, a row or a repr.

    `birth_date` is a whole FHIR date; `postcode` is in capitals with one space. `pairs` are the client's, for the self
    link.
    """

    family: str = field(repr=False)
    given: str = field(repr=False)
    birth_date: str = field(repr=False)
    gender: str | None = field(default=None, repr=False)
    postcode: str | None = field(default=None, repr=False)
    pairs: Pairs = field(default=(), repr=False)

    @property
    def could_add(self) -> tuple[str, ...]:
        """The parameters that would tell one person from another, and aren't given."""
        given = {"gender": self.gender, "address-postalcode": self.postcode}
        return tuple(name for name, value in given.items() if value is None)

    @property
    def question(self) -> str:
        """The same for the same question, whatever the letter case: to be fingerprinted, never kept."""
        parts = (self.family, self.given, self.birth_date, self.gender or "", self.postcode or "")
        return "\n".join(" ".join(part.casefold().split()) for part in parts)


def seeks_person(query: bytes, form: bytes = b"") -> bool:
    """True where a search of Patient speaks of a name or another detail, in whatever spelling: it's no look-up by
    number then. What can't be read is refused elsewhere."""
    try:
        names = [re.split("[:.]", name)[0] for name, _ in pairs_of(query, form)]
    except GatewayError:
        return False
    return not _ONLY_HERE.isdisjoint(names)


def parse_person(pairs: RawPairs) -> Person:
    """Raises NotSupported for a parameter that isn't offered here, BadRequest for one that is missing or wrong."""
    if any(name in NHS_NUMBER_PARAMS for name, _ in pairs):
        raise NotSupported(
            "A patient is found by NHS number, or by family, given and birthdate: not by both at once. Where the NHS "
            "number is known, search by identifier alone.",
            rule="search.person-or-number",
        )
    given = once(pairs, "A person is sought by", _TAKEN)
    _require_all(given)
    gender = given.get("gender")
    if gender is not None and gender not in _GENDERS:
        raise wrong("gender", f"takes {', '.join(_GENDERS)}.")
    return Person(
        family=_name("family", given["family"]),
        given=_name("given", given["given"]),
        birth_date=exact_date(given["birthdate"]),
        gender=gender,
        postcode=_postcode(given["address-postalcode"]) if "address-postalcode" in given else None,
        pairs=tuple((name, value) for name, value in given.items() if name != "_format"),
    )


def _require_all(given: Mapping[str, str]) -> None:
    missing = [name for name in PERSON_REQUIRED if name not in given]
    if missing:
        told = (
            f"To find a person, {', '.join(PERSON_REQUIRED)} are required; gender and address-postalcode may be added. "
            f"Missing: {', '.join(missing)}."
        )
        raise BadRequest(told, rule="search.person-incomplete", expression=f"http.{missing[0]}")


def _name(parameter: str, value: str) -> str:
    """A whole name, exactly. Raises BadRequest."""
    if "*" in value:
        raise wrong(parameter, "takes the whole name: part of a name and a star isn't offered.")
    if (
        _NOT_IN_NAMES.search(value)
        or not value.isprintable()  # soft hyphens, marks of direction, no-break spaces: nobody sees what was asked
        or not any(map(str.isalpha, value))
        or len(value) > _LONGEST_NAME
    ):
        raise wrong(parameter, f"takes one name of at most {_LONGEST_NAME} letters, as it is written.")
    return value


def _postcode(value: str) -> str:
    found = _POSTCODE.fullmatch(" ".join(value.upper().split()))
    if not found:
        raise wrong("address-postalcode", "takes a whole postcode, such as SE13 6LH.")
    return f"{found[1]} {found[2]}"
