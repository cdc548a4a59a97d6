"""A council's local codes in plain words, read from `codes.yaml` and the council's own table.

The code and display that the council sent always stay. Only the `text` of a concept is ours, and only for a code that a
table knows: what no table knows is shown as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.comments import CommentedMap

from connectors.sdk.file_faults import explain, plain, read_yaml, wrong
from connectors.sdk.model import Resource

SHIPPED: Final = Path(__file__).parent / "codes.yaml"
ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CLASSES: Final = {"AMB": "ambulatory", "FLD": "field", "HH": "home health", "VR": "virtual"}


class Meaning(BaseModel):
    """What one local code is called, where such a contact happens by its nature, and what it tells of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str = Field(min_length=1)
    place: Literal["AMB", "FLD", "HH", "VR"] | None = Field(default=None, alias="class")
    label: Literal["HIV", "STD", "SEX", "GDIS", "PSY", "MH", "SUD", "SDV"] | None = None


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    systems: Mapping[str, Mapping[str, Meaning]]


class Codes:
    """The meanings of local codes, by system and code."""

    def __init__(self, meanings: Mapping[tuple[str, str], Meaning]) -> None:
        self._meanings = meanings

    @classmethod
    def load(cls, *files: Path | None) -> Codes:
        """The tables of the files, later ones before earlier ones. Raises ConfigurationError with file and line."""
        meanings: dict[tuple[str, str], Meaning] = {}
        for file in files:
            if file is not None:
                meanings.update(_read(file))
        return cls(meanings)

    def worded(self, concept: Resource) -> Resource:
        """The CodeableConcept with our words as its text where a table knows its code; else the very same.

        What the council wrote beside its code stays behind our words: "nobody in" must not be lost.
        """
        meaning = next(self._of(concept), None)
        if meaning is None:
            return concept
        said = {meaning.words.casefold(), *(str(one.get("display", "")).casefold() for one in concept["coding"])}
        own = str(concept.get("text", "")).strip()
        return {**concept, "text": f"{meaning.words} ({own})" if own and own.casefold() not in said else meaning.words}

    def place(self, concepts: Iterable[Resource]) -> Resource | None:
        """The Encounter.class that these concepts mean; None where they don't say, or don't agree."""
        places = {meaning.place for concept in concepts for meaning in self._of(concept) if meaning.place}
        if len(places) != 1:
            return None
        code = places.pop()
        return {"system": ACT_CODE, "code": code, "display": _CLASSES[code]}

    def labels(self, concepts: Iterable[Resource]) -> list[Resource]:
        """The sensitivity of these concepts, as `meta.security` has it, each label once."""
        labels = {meaning.label for concept in concepts for meaning in self._of(concept) if meaning.label}
        return [{"system": ACT_CODE, "code": label} for label in sorted(labels)]

    def _of(self, concept: Resource) -> Iterator[Meaning]:
        for coding in concept.get("coding", ()):
            # A blank around a code must not cost the contact its label.
            meaning = self._meanings.get((coding.get("system", "").strip(), coding.get("code", "").strip()))
            if meaning is not None:
                yield meaning


def _read(file: Path) -> dict[tuple[str, str], Meaning]:
    document: Any = read_yaml(file)
    if not isinstance(document, CommentedMap):
        raise wrong(file, 1, "the table is not a mapping", "Begin it with systems: and see codes.yaml.")
    try:
        table = _Table.model_validate(plain(document))
    except ValidationError as error:
        raise explain(file, document, 1, error) from error
    return {(system, code): meaning for system, codes in table.systems.items() for code, meaning in codes.items()}
