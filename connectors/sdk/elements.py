"""What a release of FHIR says of each element: its type, how often it may be there, what it may refer to.

The tables are data (`elements_r4b.json`; GP Connect has STU3's beside its translation), made by `make elements` from
the models of `fhir.resources` and held against them by a test. They are read rather than the models, because pydantic
classes through which no resource is ever passed cost every worker 12 MB (docs/decisions/0027-elements.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

Elements = Mapping[str, "Element"]


class Element(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One element of a resource or data type. A primitive's `_sibling` has none of its own: see `has_sibling`.

    `type` is FHIR's name, or a model's for what only stands inside one type ("ObservationComponent"); `choice` is the
    common name ("value" of `valueQuantity`); `targets` the resource types that a Reference may lead to, empty for any.
    """

    type: str
    many: bool = False
    required: bool = False
    choice: str = ""
    choice_required: bool = False
    targets: tuple[str, ...] = ()
    summary: bool = False

    @property
    def is_primitive(self) -> bool:
        return self.type[0].islower()

    def has_sibling(self, name: str) -> bool:
        """Whether an `_element` may stand beside this one, which is called `name`: ids have none."""
        return self.is_primitive and name != "id"


class Model(msgspec.Struct, frozen=True, omit_defaults=True):
    """One type as the file has it: its own elements, after those of its base."""

    base: str = ""
    elements: dict[str, Element] = {}


class Release:
    """The types of one release of FHIR, each read from its table when it is first asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: dict[str, Elements] = {}

    @cached_property
    def _raw(self) -> dict[str, msgspec.Raw]:
        return msgspec.json.decode(self._file.read_bytes(), type=dict[str, msgspec.Raw])

    def __contains__(self, model: str) -> bool:
        return model in self._raw

    def elements(self, model: str) -> Elements:
        """The elements of a resource or data type by their JSON names, in the release's order, without `_siblings`;
        empty for a type that the release doesn't have."""
        if model not in self._raw:
            return _NOTHING
        if model not in self._read:
            table = msgspec.json.decode(self._raw[model], type=Model)
            inherited = self.elements(table.base) if table.base else {}
            self._read[model] = MappingProxyType({**inherited, **table.elements})
        return self._read[model]


_NOTHING: Final[Elements] = MappingProxyType({})
R4: Final = Release(Path(__file__).with_name("elements_r4b.json"))
