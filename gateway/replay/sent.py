"""The resources of saved payloads, each by the key that its source gives it: what an account must account for.

They are read here without any connector, so that no connector can hide what it lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from connectors.sdk.model import Resource, Traced
from connectors.sdk.nhs_number import means_nhs_number
from connectors.sdk.number import read_number
from connectors.sdk.objects import objects
from connectors.sdk.shape import BrokenShape, check

NO_TYPE: Final = "?"
_UNREADABLE: Final = "("
"""How a connector's own key begins for a resource whose id can't be relied on: `Observation/(unreadable 2)`."""

_decoder: Final = msgspec.json.Decoder(float_hook=read_number)


@dataclass(frozen=True, slots=True)
class Sent:
    """One resource of a payload. The same one sent again is counted in `times`; another version of it is another.

    `key` is the source's own relative reference; `List/?3` for the third entry, where it has no id; `List/3#a1` for a
    contained one, and then `holder` is the key of what contains it. `version` tells those under one key apart, `place`
    is where the first of them came among all that have the key.
    """

    key: str
    type: str
    resource: Resource = field(repr=False, compare=False)
    holder: str = ""
    version: int = 0
    place: int = 0
    times: int = 1

    @property
    def has_id(self) -> bool:
        """False where it goes by its place among all that came."""
        return "/?" not in self.key

    @property
    def local_id(self) -> str:
        """A contained resource's id within what contains it."""
        return self.key.partition("#")[2]


def sent_in(payloads: Iterable[bytes]) -> list[Sent]:
    """Every resource of the payloads, contained ones too, in their order. Raises ValueError for one that isn't FHIR."""
    found: dict[str, list[Sent]] = defaultdict(list)
    order: list[tuple[str, int]] = []
    instances: Counter[str] = Counter()
    for key, resource, holder in _walk(payloads):
        place, versions = instances[key], found[key]
        instances[key] += 1
        same = next((index for index, one in enumerate(versions) if one.resource == resource), None)
        if same is not None:
            versions[same] = replace(versions[same], times=versions[same].times + 1)
            continue
        order.append((key, len(versions)))
        versions.append(Sent(key, _type_of(resource), resource, holder, len(versions), place))
    return [found[key][version] for key, version in order]


def traces(sent: Sequence[Sent], traced: Sequence[Traced]) -> dict[int, Traced]:
    """By its place in `sent`, what the connector says became of each resource; those that it says nothing of are
    missing.

    Resources without an id go by their order within their type. One trace speaks for two versions of a resource only
    where it says that neither was carried over.
    """
    by_key: dict[str, list[Traced]] = defaultdict(list)
    for key, trace in zip(_by_order(one.key for one in traced), traced, strict=True):
        by_key[key].append(trace)
    found: dict[int, Traced] = {}
    times = Counter[str]()
    keys = _by_order(one.key for one in sent)
    for key, one in zip(keys, sent, strict=True):
        times[key] += one.times
    versions = Counter(keys)
    for index, (key, one) in enumerate(zip(keys, sent, strict=True)):
        said = by_key.get(key, [])
        if len(said) == times[key]:
            found[index] = said[one.place]
        elif len(said) >= versions[key] or (said and not said[-1].became):
            found[index] = said[min(one.version, len(said) - 1)]
    _add_unreadable(sent, traced, found)
    return found


def numbers_in(sent: Iterable[Sent]) -> set[str]:
    """Every NHS number that a Patient among them carries, as written."""
    return {
        str(one.get("value"))
        for patient in sent
        if patient.type == "Patient"
        for one in objects(patient.resource.get("identifier"))
        if means_nhs_number(str(one.get("system", "")))
    }


def is_broken(resource: Resource) -> bool:
    """True for a resource that isn't of R4's shape, by itself or by what it contains."""
    try:
        for part in (resource, *objects(resource.get("contained"))):
            check(part)
    except (BrokenShape, AttributeError, TypeError):
        return True
    return False


def _add_unreadable(sent: Sequence[Sent], traced: Sequence[Traced], found: dict[int, Traced]) -> None:
    """What a connector could not read it can't name: such traces are of those resources whose shape is broken."""
    for trace in traced:
        kind, _, name = trace.key.partition("/")
        if name.startswith(_UNREADABLE):
            left = (place for place, one in enumerate(sent) if place not in found and one.type == kind)
            place = next((place for place in left if is_broken(sent[place].resource)), None)
            if place is not None:
                found[place] = trace


def _walk(payloads: Iterable[bytes]) -> Iterator[tuple[str, Resource, str]]:
    """(key, resource, key of what contains it)."""
    resources = (resource for payload in payloads for resource in _resources(_read(payload)))
    for place, resource in enumerate(resources, start=1):
        key = f"{_type_of(resource)}/{_id_of(resource) or f'?{place}'}"
        yield key, resource, ""
        contained = resource.get("contained")
        for number, part in enumerate(contained if isinstance(contained, list) else (), start=1):
            if isinstance(part, dict):
                yield f"{key}#{_id_of(part) or f'?{number}'}", part, key


def _read(payload: bytes) -> Resource:
    try:
        resource = _decoder.decode(payload)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise ValueError("not a FHIR resource")
    return resource


def _resources(resource: Resource) -> Iterator[Resource]:
    """What a Bundle holds, and the Bundles in it (an answer to a batch); or the resource itself."""
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    entries = resource.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inner, dict):
            yield from _resources(inner)
        elif not (isinstance(entry, dict) and "response" in entry):
            yield {}


def _by_order(keys: Iterable[str]) -> list[str]:
    """The keys, those without an id by which of their type they are: `List/?7` and the third List that came agree.

    Of a contained resource without one, `#?2` and `#2` are both the second.
    """
    numbers: dict[str, int] = {}
    counted: Counter[str] = Counter()
    found = []
    for key in keys:
        holder, hash_, local = key.partition("#")
        kind, _, name = holder.partition("/")
        if not name or name.startswith("?"):
            if holder not in numbers:
                counted[kind] += 1
                numbers[holder] = counted[kind]
            holder = f"{kind}/?{numbers[holder]}"
        found.append(f"{holder}{hash_}{local.removeprefix('?')}")
    return found


def _type_of(resource: Resource) -> str:
    kind = resource.get("resourceType")
    return kind if isinstance(kind, str) and kind else NO_TYPE


def _id_of(resource: Resource) -> str:
    sent_id = resource.get("id")
    return sent_id if isinstance(sent_id, str) else ""
