"""Every circumstance in which somebody may look at an item, each once for all that the rules can't tell apart.

There are some ten million: role, type of organisation, purpose, basis, scope, own practice, section, type of source,
and sets of at most two labels. Words that can change places in all the rules of both policies and leave them as they
were are one class, and one word speaks for its class; a field that no rule looks at has one value for all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import comb
from typing import Any, Final

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import PURPOSE, LawfulBasis, Terms
from gateway.policy.model import Circumstances
from gateway.policy.tabled import Body, TabledPolicy, classes, mentioned, texts_in

MOST_LABELS: Final = 2
MOST_NAMED: Final = 3
OTHER_PURPOSE: Final = "any other"
FIELDS: Final = (
    "role",
    "organisation",
    "purpose",
    "basis",
    "scope",
    "own practice",
    "section",
    "source",
    "labels",
)
NO_BASIS: Final = "no permission"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a field, for all that are decided alike. `told` are their names, `count` how many there are."""

    value: Any
    told: tuple[str, ...]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Point:
    """One case: what the policies are asked, how it is told field by field (in the order of FIELDS), and for how many
    circumstances it stands."""

    circumstances: Circumstances
    told: tuple[str, ...]
    count: int


class Space:
    """The circumstances that two policies can tell apart between them."""

    def __init__(self, old: TabledPolicy, new: TabledPolicy) -> None:
        self._bodies: list[Body] = [*old.bodies.values(), *new.bodies.values()]
        self._fields = frozenset[str]().union(*map(mentioned, self._bodies))
        self.roles = self._cells("role", "Role", tuple(Role))
        self.labels = self._label_sets(sorted(old.labels.vocabulary | new.labels.vocabulary))
        self.places = list(self._places())
        self.own_practice = self._flags()

    def points(self) -> Iterator[Point]:
        """What may be looked at on a permission, or without one."""
        bases = [Cell(None, (NO_BASIS,)), *self._cells("basis", "Basis", tuple(Basis))]
        yield from self._points(self._purposes(), bases, self._cells("scope", "Scope", tuple(Scope)), None)

    def disclosures(self, terms: Terms, bases: Sequence[LawfulBasis]) -> Iterator[Point]:
        """What may be disclosed under one named policy."""
        cells = [Cell(basis, (basis.value,)) for basis in bases]
        yield from self._points([Cell(PURPOSE, (PURPOSE,))], cells, [Cell(Scope.STANDARD, ("",))], terms)

    def _points(
        self, purposes: Sequence[Cell], bases: Sequence[Cell], scopes: Sequence[Cell], terms: Terms | None
    ) -> Iterator[Point]:
        sections = [Cell(section, (section.value,)) for section in Section]
        axes = (self.roles, self.places, purposes, bases, scopes, self.own_practice, sections, self.labels)
        for cells in product(*axes):
            role, place, purpose, basis, scope, own, section, labels = cells
            organisation, source = place.value
            circumstances = Circumstances(
                role=role.value,
                organisation_type=organisation,
                purpose=purpose.value,
                basis=basis.value,
                scope=scope.value,
                own_practice=own.value,
                section=section.value,
                source_type=source,
                labels=labels.value,
                disclosure=terms,
            )
            where, come_from = place.told
            names = [", ".join(cell.told) for cell in (role, purpose, basis, scope, own, section, labels)]
            told = (names[0], where, *names[1:6], come_from, names[6])
            yield Point(circumstances, told, _count(cells))

    def _cells(self, field: str, kind: str, words: Sequence[Hashable]) -> list[Cell]:
        """A field that holds one word: a cell for each class; one for all where no rule looks at it."""
        if field not in self._fields:
            return [Cell(words[0], tuple(map(str, words)), len(words))]
        by_name = {str(word): word for word in words}
        return [Cell(by_name[each[0]], tuple(each), len(each)) for each in classes(list(by_name), kind, self._bodies)]

    def _purposes(self) -> list[Cell]:
        """Those that care has, that of disclosures, any that a rule speaks of, and one for all the others."""
        if "purpose" not in self._fields:
            return [Cell("TREAT", ("any",))]
        known = {"TREAT", "ETREAT", PURPOSE} | texts_in(self._bodies)
        cells = [Cell(each[0], tuple(each), len(each)) for each in classes(sorted(known), "", self._bodies)]
        return [*cells, Cell(OTHER_PURPOSE, (OTHER_PURPOSE,))]

    def _flags(self) -> list[Cell]:
        if "own_practice" not in self._fields:
            return [Cell(False, ("no", "yes"), 2)]
        return [Cell(False, ("no",)), Cell(True, ("yes",))]

    def _places(self) -> Iterator[Cell]:
        """Type of organisation and type of source together, for a rule may compare the two: of each class one word, and
        a second one for "another of the same class"."""
        kinds = tuple(kind.value for kind in OrganisationType)
        found = classes(kinds, "OrganisationType", self._bodies)
        if "source_type" not in self._fields:
            for each in found if "organisation_type" in self._fields else [list(kinds)]:
                value = (OrganisationType(each[0]), OrganisationType(each[0]))
                yield Cell(value, (", ".join(each), ""), len(each) * len(kinds))
            return
        for here, there in product(found, found):
            places, sources = ", ".join(here), ", ".join(there)
            one, other = OrganisationType(here[0]), OrganisationType(there[0])
            if here is not there:
                yield Cell((one, other), (places, sources), len(here) * len(there))
                continue
            yield Cell((one, one), (places, "the caller's own type" if len(here) > 1 else sources), len(here))
            if len(here) > 1:
                another = (one, OrganisationType(here[1]))
                yield Cell(another, (places, f"another of {sources}"), len(here) * (len(here) - 1))

    def _label_sets(self, labels: Sequence[str]) -> list[Cell]:
        """No label, one, or two: for each choice of classes the first words of each."""
        if "labels" not in self._fields:
            size = sum(comb(len(labels), number) for number in range(MOST_LABELS + 1))
            return [Cell(frozenset(), ("any",), size)]
        found = classes(labels, "Label", self._bodies)
        cells = [Cell(frozenset(), ("none",))]
        for number in range(1, MOST_LABELS + 1):
            for chosen in combinations_with_replacement(range(len(found)), number):
                cells += _labelled(found, chosen)
        return cells


def _labelled(found: Sequence[Sequence[str]], chosen: Sequence[int]) -> list[Cell]:
    wanted = {place: chosen.count(place) for place in chosen}
    if any(count > len(found[place]) for place, count in wanted.items()):
        return []
    words = frozenset(word for place, count in wanted.items() for word in found[place][:count])
    told = " and ".join(_of_class(found[place], count) for place, count in wanted.items())
    size = 1
    for place, count in wanted.items():
        size *= comb(len(found[place]), count)
    return [Cell(words, (told,), size)]


def _of_class(words: Sequence[str], count: int) -> str:
    if len(words) == count:
        return " and ".join(words)
    named = "/".join(words) if len(words) <= MOST_NAMED else f"{words[0]} and {len(words) - 1} like it"
    return f"{'one' if count == 1 else 'two'} of {named}"


def _count(cells: Sequence[Cell]) -> int:
    size = 1
    for cell in cells:
        size *= cell.count
    return size
