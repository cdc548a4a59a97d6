"""All resources of one Bundle: each is translated, or its reason is written down. Nothing that came can raise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from connectors.gp_connect.stu3 import cardinality, lists
from connectors.gp_connect.stu3.ids import id_of, lifted_to, tell_apart
from connectors.gp_connect.stu3.model import ListStatement, Translated
from connectors.gp_connect.stu3.reasons import LEFT_OUT, REASON_OF_TYPE, UNKNOWN_ELEMENTS, Reason
from connectors.gp_connect.stu3.resources import TABLES
from connectors.gp_connect.stu3.tidy import NotStu3, Tidier
from connectors.sdk import shape
from connectors.sdk.model import SECTION_OF_TYPE, Resource, Section, Traced
from connectors.sdk.number import as_it_is

_SHORT_OF: Final[Mapping[str, Section]] = {
    **SECTION_OF_TYPE,
    "Medication": Section.MEDICINES,
    "Specimen": Section.RESULTS,
}
"""The section that is short of a resource which can't be read: a medicine without its Medication has no name."""

# What reading a resource of a shape that nobody foresaw raises; NotStu3 and BrokenShape are ValueErrors.
_UNREADABLE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def translate(resources: Iterable[Resource]) -> Translated:
    """R4 resources for the STU3 ones of a collection Bundle, and an account of every one of them.

    Takes dicts decoded with `Decimal` for numbers with a fraction, in any order, and leaves them as they are. Raises
    nothing for what a source sent: what can't be read is `Reason.BROKEN` and counted in `Translated.broken`.
    """
    sent = list(resources)
    translation = _Translation(_by_uuid(sent))
    for place, resource in enumerate(sent, start=1):
        translation.take(resource, place)
    tell_apart(translation.done, translation.made, _SHORT_OF)
    return translation.done


def prepare() -> None:
    """Make all that the first translation would otherwise wait for: the element tables of STU3 and of R4."""
    cardinality.prepare(TABLES)
    shape.prepare()


@dataclass(slots=True)
class _Lifted:
    """A contained resource on its way to be one of its own: how it was called, and how it will be."""

    key: str
    target: str
    source: Resource


class _Translation:
    def __init__(self, by_uuid: Mapping[str, str]) -> None:
        self.done = Translated()
        self._by_uuid = by_uuid
        self.made: dict[str, list[Resource]] = {}

    def take(self, resource: Any, place: int) -> None:
        """Translate one resource. `place` tells those without an id apart."""
        key = _key(resource, place)
        kind = _kind(resource)
        left_out: Counter[str] = Counter()
        try:
            if kind is None:
                raise NotStu3("no resource, or one without a type")
            if kind == "List":
                self._take_list(key, resource, left_out)
            elif kind in TABLES:
                self._take_one(key, resource, left_out)
            else:
                self._not_carried(key, resource, _reason(resource))
        except _UNREADABLE:
            self._broken(key, resource)
        else:
            self.done.left_out.update(left_out)

    def _take_one(self, key: str, source: Resource, left_out: Counter[str]) -> None:
        became = self._add(self._r4(source, self._by_uuid, left_out))
        self._trace(key, became, reason=_said_of(left_out))
        for part_key, part in _contained(key, source):
            if _kind(part) in TABLES:
                self._trace(part_key, became)
            else:
                self._other_part(part_key, part)

    def _take_list(self, key: str, source: Resource, left_out: Counter[str]) -> None:
        stated = {name: value for name, value in source.items() if name in lists.READ}
        statement = lists.read(self._tidied(stated, {}, left_out))
        parts = list(_contained(key, source))
        lifted = [_Lifted(name, lifted_to(source, part), part) for name, part in parts if _kind(part) in TABLES]
        self.done.lists.append(statement)
        self._trace(key, reason=Reason.ARRANGEMENT if statement.is_arrangement else Reason.LIST)
        for name, part in parts:
            if _kind(part) not in TABLES:
                self._other_part(name, part)
        self._lift(lifted, statement, left_out)

    def _lift(self, lifted: Sequence[_Lifted], statement: ListStatement, left_out: Counter[str]) -> None:
        """Contained resources of a List become resources of their own, and refer to one another as such."""
        moved = {**self._by_uuid, **_by_local_id(lifted)}
        for one in lifted:
            kind, _, new_id = one.target.partition("/")
            source = one.source | {"id": new_id}
            if kind == "AllergyIntolerance" and statement.ended_allergies:
                # A status that is there stands, whatever the List is called: nothing plays an allergy down.
                source["clinicalStatus"] = source.get("clinicalStatus") or "resolved"
            own: Counter[str] = Counter()
            try:
                became = self._add(self._r4(source, moved, own))
            except _UNREADABLE:
                self._broken(one.key, one.source)
            else:
                self._trace(one.key, became, reason=_said_of(own))
                left_out.update(own)

    def _r4(self, source: Resource, moved: Mapping[str, str], left_out: Counter[str]) -> Resource:
        """Raises one of `_UNREADABLE`. A contained resource that can't be read takes what holds it with it."""
        r4 = TABLES[source["resourceType"]].apply(self._tidied(source, moved, left_out), left_out)
        r4["id"] = id_of(source)
        parts = [part for _, part in _contained("", source) if _kind(part) in TABLES]
        if any("contained" in part for part in parts):
            raise NotStu3("a contained resource contains another")
        if parts:
            r4["contained"] = [self._r4(part, moved, left_out) for part in parts]
        return _of_r4(r4, left_out)

    def _tidied(self, source: Resource, moved: Mapping[str, str], left_out: Counter[str]) -> Resource:
        alone = {name: value for name, value in source.items() if name != "contained"}
        # Tidied first: what is nested absurdly is refused before anything else walks it.
        return cardinality.fitted(Tidier(moved, left_out).resource(alone), source["resourceType"])

    def _add(self, r4: Resource) -> str:
        """The key of what is in the output now. The same resource twice is one; two versions of it both stay."""
        key = f"{r4['resourceType']}/{r4['id']}"
        made = self.made.setdefault(key, [])
        if r4 not in made:
            made.append(r4)
            self.done.resources.append(r4)
        return key

    def _trace(self, key: str, *became: str, reason: str = "") -> None:
        self.done.traced.append(Traced(key, became, reason))

    def _not_carried(self, key: str, resource: Any, reason: Reason) -> None:
        self._trace(key, reason=reason)
        for part_key, _ in _contained(key, resource):
            self._trace(part_key, reason=reason)

    def _other_part(self, key: str, part: Any) -> None:
        """A contained resource of a type that isn't translated, or of none that can be told."""
        if _kind(part) is None:
            self._broken(key, part)
        else:
            self._not_carried(key, part, _reason(part))

    def _broken(self, key: str, resource: Any) -> None:
        kind = _kind(resource)
        if kind is None or kind == "List":
            self.done.broken[None] += 1
        elif kind in _SHORT_OF:
            self.done.broken[_SHORT_OF[kind]] += 1
        self._not_carried(key, resource, Reason.BROKEN)


def _of_r4(r4: Resource, left_out: Counter[str]) -> Resource:
    """The resource with the elements that R4 has, the others counted. Raises shape.BrokenShape where it isn't R4."""
    kind = r4["resourceType"]
    known: Resource = msgspec.convert(r4, shape.type_for(kind), dec_hook=as_it_is)
    shape.check(known)
    lost = list(_lost(kind, r4, known))
    if any(path.endswith(".modifierExtension") for path in lost):
        raise NotStu3("a modifier that R4 has no place for")
    left_out.update(lost)
    return known


def _said_of(left_out: Counter[str]) -> str:
    """What the account says beside what a resource became; empty where nothing unforeseen was left out."""
    return UNKNOWN_ELEMENTS if left_out.keys() - LEFT_OUT.keys() else ""


def _lost(path: str, before: Any, after: Any) -> Iterator[str]:
    """The paths of what is in one and not in the other."""
    if isinstance(before, list):
        for one, other in zip(before, after, strict=True):
            yield from _lost(path, one, other)
    elif isinstance(before, dict) and before != after:
        for name, value in before.items():
            if name in after:
                yield from _lost(f"{path}.{name}", value, after[name])
            else:
                yield f"{path}.{name}"


def _by_uuid(sent: Iterable[Any]) -> dict[str, str]:
    """The relative reference for each `urn:uuid:` that can mean only one of the resources."""
    named: dict[str, set[str]] = {}
    for resource in sent:
        kind = _kind(resource)
        if kind is not None and isinstance(resource.get("id"), str):
            named.setdefault(f"urn:uuid:{resource['id'].lower()}", set()).add(f"{kind}/{resource['id']}")
    return {uuid: keys.pop() for uuid, keys in named.items() if len(keys) == 1}


def _by_local_id(lifted: Iterable[_Lifted]) -> dict[str, str]:
    """The reference for each `#id` that can mean only one of what a List contained."""
    named: dict[str, set[str]] = {}
    for one in lifted:
        if isinstance(one.source.get("id"), str):
            named.setdefault(f"#{one.source['id']}", set()).add(one.target)
    return {local: targets.pop() for local, targets in named.items() if len(targets) == 1}


def _kind(resource: Any) -> str | None:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) and kind else None


def _reason(resource: Any) -> Reason:
    return REASON_OF_TYPE.get(_kind(resource) or "", Reason.OTHER)


def _key(resource: Any, place: int) -> str:
    """How the source refers to it; `List/?3` for the third that came, where it has no id."""
    sent_id = resource.get("id") if isinstance(resource, dict) else None
    return f"{_kind(resource) or '?'}/{sent_id if isinstance(sent_id, str) and sent_id else f'?{place}'}"


def _contained(key: str, resource: Any) -> Iterator[tuple[str, Any]]:
    """What it contains, with the source's own name for each. What is contained in that is for FHIR to forbid."""
    parts = resource.get("contained") if isinstance(resource, dict) else None
    for place, part in enumerate(parts if isinstance(parts, list) else [parts] if parts else [], start=1):
        sent_id = part.get("id") if isinstance(part, dict) else None
        yield f"{key}#{sent_id if isinstance(sent_id, str) and sent_id else f'?{place}'}", part
