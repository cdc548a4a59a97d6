"""Whether caller and patient have the same name, however either is written: accents, case and hyphens aside."""

from __future__ import annotations

from typing import Any, Final
from unicodedata import combining, normalize

from connectors.sdk.model import Resource
from connectors.sdk.objects import objects_or_one
from gateway.caller.themselves import Themselves

_LONGEST: Final = 200
_NOT_DECOMPOSED: Final = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i"}
)
"""Letters that Unicode doesn't take apart into a plain one and a sign."""


def folded(text: object) -> str:
    """Letters and digits alone, in one case and without accents: `O’Brien` and `OBRIEN` are one; "" for no text."""
    if not isinstance(text, str):
        return ""
    plain = normalize("NFKD", text[:_LONGEST].casefold()).translate(_NOT_DECOMPOSED).casefold()
    return "".join(one for one in plain if one.isalnum() and not combining(one))


def same_surname(caller: Themselves, patient: Resource) -> bool:
    """Whether one of the patient's names, former ones too, has the caller's family name."""
    family = folded(caller.family_name)
    return bool(family) and any(family in _families(name) for name in _names(patient))


def same_person(caller: Themselves, patient: Resource) -> bool:
    """Whether the patient has the caller's family name, first given name and birth date."""
    given, birth_date = folded(caller.given_name), caller.birth_date
    if not (given and birth_date and patient.get("birthDate") == birth_date):
        return False
    family = folded(caller.family_name)
    return bool(family) and any(family in _families(name) and given in _givens(name) for name in _names(patient))


def _names(patient: Resource) -> list[dict[str, Any]]:
    return objects_or_one(patient.get("name"))


def _families(name: dict[str, Any]) -> set[str]:
    """The family name; where there is only the whole name as one text, each word of it could be."""
    family = folded(name.get("family"))
    return {family} if family else _words(name)


def _givens(name: dict[str, Any]) -> set[str]:
    given = name.get("given")
    first = folded(given[0]) if isinstance(given, list) and given else ""
    return {first} if first else _words(name)


def _words(name: dict[str, Any]) -> set[str]:
    text = name.get("text")
    return {folded(word) for word in text[:_LONGEST].split()} - {""} if isinstance(text, str) else set()
