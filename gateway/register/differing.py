"""Where organisations differ in who the patient is: said in words in every answer that shows the patient's details.

GP Connect obliges whoever shows a record to compare family name, given name, gender and birth date with their own copy
and to show any difference: the number may be on another person's record at one of the sources. The register's word is
what the others are held against; without one they are held against each other. Made of what is shown, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from connectors.sdk.model import Item, Section
from gateway.compared import OF_PATIENTS, UNREADABLE, Read, folded
from gateway.manifest import Difference

_COMPARED: Final[Mapping[str, Read]] = {
    "family name": OF_PATIENTS["name.family"],
    "given name": OF_PATIENTS["name.given"],
    "gender": OF_PATIENTS["gender"],
    "birth date": OF_PATIENTS["birthDate"],
}


def differing(items: Iterable[Item], names: Mapping[str, str], register: str | None) -> tuple[Difference, ...]:
    """The differences between the sources' Patients. `names` are the organisations' by ODS code.

    What a source doesn't say contradicts nobody; letter case and spacing make no difference.
    """
    patients = sorted(
        (item for item in items if item.section is Section.DEMOGRAPHICS),
        key=lambda item: (item.source != register, item.source),
    )
    found = []
    for element, read in _COMPARED.items():
        said = [(item, value) for item in patients if (value := _said(read, item))]
        values = _against_the_first(said) if said and said[0][0].source == register else said
        if len({folded(value) for _, value in values}) > 1:
            found.append(
                Difference(element, tuple((names.get(one.source, one.source), value) for one, value in values))
            )
    return tuple(found)


def _against_the_first(said: list[tuple[Item, str]]) -> list[tuple[Item, str]]:
    """The first, and those that say another thing."""
    first = said[0]
    return [first, *(other for other in said[1:] if folded(other[1]) != folded(first[1]))]


def _said(read: Read, item: Item) -> str:
    try:
        return read(item.resource)
    except UNREADABLE:
        return ""
