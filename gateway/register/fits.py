"""Is the person whom the register found the one who was asked for? What is shown of them is who they are.

The register's word is no more enough here than a source's is in the guard: somebody's NHS number would open the way to
somebody else's record.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from connectors.sdk.bundle import examine
from connectors.sdk.errors import SourceError
from connectors.sdk.model import NHS_NUMBER_SYSTEM, ODS_SYSTEM, Resource
from connectors.sdk.nhs_number import is_nhs_number, same_number
from gateway.compared import UNREADABLE
from gateway.merge import SOURCE_URI
from gateway.policy.outline import SUBSETTED
from gateway.register.said import is_restricted
from gateway.register.whereabouts import identity

if TYPE_CHECKING:
    from connectors.sdk.organisations import Organisation
    from gateway.search.person import Person

_BETWEEN_NAMES: Final = re.compile(r"[\s\u2010-\u2015-]+")
_NOT_LETTER: Final = re.compile(r"[\W\d_]+")
_WITHOUT_STROKE: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
"""Letters that Unicode doesn't take for an accented plain one."""
_PAST_NAMES: Final = frozenset({"old", "maiden", "anonymous"})


class Misfit(Exception):
    """What came isn't one Patient who fits. The text names the fault and no person."""


def fitting(patient: Resource, person: Person, register: Organisation) -> Resource | None:
    """The Patient reduced to who they are, with the NHS number as id; None where their details are restricted.

    Raises Misfit for one without exactly one valid NHS number, with another birth date, gender or name than was asked
    for, or in a shape that can't be read.
    """
    try:
        number = _number_of(patient)
        names = [name for name in patient.get("name", ()) if _is_named(name, person)]
        if patient.get("birthDate") != person.birth_date or not names:
            raise Misfit("another name or birth date")
        if person.gender is not None and patient.get("gender") != person.gender:
            raise Misfit("another gender")
        return None if is_restricted(patient) else _shown(patient, number, names, register)
    except (*UNREADABLE, SourceError) as error:
        raise Misfit(f"unreadable: {type(error).__name__}") from error


def _number_of(patient: Resource) -> str:
    if patient.get("resourceType") != "Patient":
        raise Misfit("not a Patient")
    own = {str(one.get("value")) for one in patient.get("identifier", ()) if one.get("system") == NHS_NUMBER_SYSTEM}
    number = next(iter(own)) if len(own) == 1 else ""
    findings, _ = examine(patient)
    if not is_nhs_number(number) or not all(same_number(other, number) for other in findings.nhs_numbers):
        raise Misfit("not one NHS number")
    if patient.get("id", number) != number:
        raise Misfit("an id that is another number")
    return number


def _is_named(name: dict[str, Any], person: Person) -> bool:
    """True where this is the name that was asked for, whatever its accents, letter case and punctuation; of several
    given names those that were asked for are among them, whole: a first letter names nobody."""
    given = [part for part in name.get("given", ()) if part]
    names = {_letters(word) for part in given for word in (part, *_BETWEEN_NAMES.split(part))}
    sought = {_letters(word) for word in _BETWEEN_NAMES.split(person.given)} - {""}
    return _letters(name.get("family", "")) == _letters(person.family) and (
        sought <= names or _letters(person.given) in (*names, _letters("".join(given)))
    )


def _letters(text: str) -> str:
    return _NOT_LETTER.sub("", unicodedata.normalize("NFKD", text.casefold()).translate(_WITHOUT_STROKE))


def _shown(patient: Resource, number: str, fits: list[dict[str, Any]], register: Organisation) -> Resource:
    """Names that are of the past stay only where they are what was asked for."""
    left = identity(patient)
    current = [name for name in patient.get("name", ()) if name.get("use") not in _PAST_NAMES or name in fits]
    left["name"] = identity({"name": current})["name"]
    left.pop("link", None)
    tag = {"system": ODS_SYSTEM, "code": register.ods, "display": register.name}
    left["meta"] = {"source": SOURCE_URI + register.ods, "tag": [tag, dict(SUBSETTED)]}
    return {
        "resourceType": "Patient",
        "id": number,
        **{k: v for k, v in left.items() if k not in ("id", "resourceType")},
    }
