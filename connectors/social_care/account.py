"""One Answer as it grows: its items, its gaps, and what became of every resource that came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from connectors.sdk import shape
from connectors.sdk.bundle import Entry
from connectors.sdk.model import SECTION_OF_TYPE, Answer, Gap, Item, Outcome, Section, Traced
from connectors.social_care.identity import RELATIVE, Identity
from connectors.social_care.kept import HeldBack, Mapped

INCLUDES: Final = frozenset(
    {
        *("Encounter:participant", "Encounter:location", "Encounter:service-provider"),
        *("Appointment:practitioner", "Appointment:location", "CareTeam:participant"),
    }
)
"""The contract: workers, teams and places come with each case and contact that names them, unasked."""

_SOMEBODY_ELSE: Final = "speaks of another person: handed as it came to the check of whose it is"
_ASTRAY: Final = "speaks of another person, and of what wasn't asked for here: goes no further"
_RELATIVE: Final = "about somebody else (family or carer): never carried over"
_NOT_IN_CONTRACT: Final = "a type that the contract doesn't name here: never asked for"
_REMARK: Final = "the facade's remark about its own answer"
_TWO_VERSIONS: Final = "it came in two versions under one id: which one holds isn't known"
_CONTAINED: Final = "contained in another resource, which the contract doesn't know: never carried over"
_NO_SHAPE: Final = "its shape isn't R4's: held back"

Map = Callable[[Entry], Mapped]


class Account:
    """Collects what one Ask came to. Each resource is accounted for once."""

    def __init__(self, source: str, identity: Identity) -> None:
        self.answer = Answer(source, Outcome.ANSWERED, includes=INCLUDES)
        self._identity = identity
        self._details: list[str] = []
        self._carried: dict[str, list[Entry]] = {}

    def gap(self, section: Section, gap: Gap, detail: str) -> None:
        """A section that isn't whole. The first gap of a section stays; every detail is told."""
        self.answer.gaps.setdefault(section, gap)
        self._details.append(detail)

    def take(self, entry: Entry, section: Section, mapping: Map | None) -> None:
        """Carry one resource over, or say why not. `section` is the one that isn't whole where it can't be."""
        key = _key(entry)
        before = self._carried.setdefault(key, [])
        if any(other.resource == entry.resource for other in before):
            return  # both searches bring the same workers and teams
        if self._identity.is_somebody_else(entry):
            self._set_apart(entry, section, asked_for=mapping is not None)
            return
        self._trace_contained(entry, key)
        if mapping is None:
            self._trace(key, reason=_why_not(entry))
            return
        before.append(entry)
        try:
            mapped = mapping(entry)
            shape.check(mapped.resource)
        except HeldBack as error:
            self.hold_back(key, section, str(error))
        except shape.BrokenShape:
            self.hold_back(key, section, "what R4 demands of it is missing")
        else:
            self._carry(key, mapped)

    def hold_back(self, key: str, section: Section, why: str) -> None:
        """One resource that can't be shown truthfully leaves its section with a gap."""
        self._trace(key, reason=f"held back: {why}")
        self.gap(section, Gap.HELD_BACK, f"{key.partition('/')[0]}: held back: {why}")

    def hold_back_versions(self, entries: Sequence[Entry], kind: str, section: Section) -> list[Entry]:
        """The entries without those of `kind` that came twice under one id with different content."""
        first: dict[str, Entry] = {}
        twice: set[str] = set()
        for entry in entries:
            key = _key(entry)
            if first.setdefault(key, entry).resource != entry.resource and key.startswith(f"{kind}/"):
                twice.add(key)
        for key in sorted(twice):
            self.hold_back(key, section, _TWO_VERSIONS)
        return [entry for entry in entries if _key(entry) not in twice]

    def unreadable(self, kinds: Iterable[str]) -> None:
        """Resources of broken shape, whose ids can't be relied on. Their gap is the search's own."""
        for place, kind in enumerate(kinds, start=1):
            self._trace(f"{kind}/(unreadable {place})", reason=_NO_SHAPE)

    def closed(self, calls: int) -> Answer:
        """The Answer."""
        answer = self.answer
        answer.calls = calls
        # What one search wasn't asked for, the other may have brought where it belongs.
        known = {trace.key for trace in answer.traced if trace.became}
        answer.traced = [trace for trace in answer.traced if trace.became or trace.key not in known]
        answer.detail = "; ".join(dict.fromkeys(detail for detail in self._details if detail))
        if answer.gaps:
            answer.outcome = Outcome.PARTIAL
            answer.told = "answered in part"
        return answer

    def _carry(self, key: str, mapped: Mapped) -> None:
        resource = {name: value for name, value in mapped.resource.items() if value != {}}  # an empty meta isn't R4
        kind = str(resource["resourceType"])
        item = Item(self.answer.source, resource, SECTION_OF_TYPE.get(kind), str(resource["id"]))
        self.answer.items.append(item)
        self._trace(key, item.key, reason=mapped.told)

    def _set_apart(self, entry: Entry, section: Section, *, asked_for: bool) -> None:
        """Hand it to the guard, without a section, so that it is dropped even where the guard should find nothing.

        What belongs to a section that this answer isn't about goes no further: nobody asked for that section here.
        """
        kind = str(entry.resource["resourceType"])
        handed = asked_for or SECTION_OF_TYPE.get(kind, Section.DEMOGRAPHICS) is Section.DEMOGRAPHICS
        if handed:
            self.answer.items.append(Item(self.answer.source, entry.resource, None, str(entry.resource.get("id", ""))))
        self._trace(_key(entry), reason=_SOMEBODY_ELSE if handed else _ASTRAY)
        self.gap(section, Gap.IDENTITY_ALARM, f"{kind}: speaks of another person")

    def _trace(self, key: str, *became: str, reason: str = "") -> None:
        self.answer.traced.append(Traced(key, became, reason))

    def _trace_contained(self, entry: Entry, key: str) -> None:
        contained = entry.resource.get("contained")
        for place, part in enumerate(contained if isinstance(contained, list) else (), start=1):
            local = part.get("id") if isinstance(part, dict) else None
            self._trace(f"{key}#{local or place}", reason=_CONTAINED)


def _key(entry: Entry) -> str:
    return f"{entry.resource['resourceType']}/{entry.resource.get('id', '')}"


def _why_not(entry: Entry) -> str:
    kind = entry.resource["resourceType"]
    if kind == RELATIVE:
        return _RELATIVE
    return _REMARK if kind == "OperationOutcome" else _NOT_IN_CONTRACT
