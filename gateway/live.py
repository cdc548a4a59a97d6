"""A live look: what of a record may go out before everybody has answered.

A part never shows anything else than the same look in one answer would: an item goes out early only where nothing that
a source still to come can say would change it. So each source's own part is judged as a whole, once it's all there, and
in every way that is still open; what differs between those ways waits for the last part.

    still open                                         so, until everybody has answered
    the register's word: number, practice, restriction nothing goes out
    somebody's label that the patient is restricted    nothing goes out that this would take out or change (places,
                                                       addresses, postcodes, narratives, what refers to such), and with
                                                       a register in force nothing of the practice that it names
    whose patient it is, where no register says        nothing goes out that the practice's own staff see differently
    a source of allergies that fails                   no statement that there are no allergies, and nothing that
                                                       refers to one
    which Patient carries the record                   no Patient
    what others have of the same thing                 no same-as group, no conflict

The decision and its costs: docs/decisions/0021-live.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connectors.sdk.model import Answer, Item, Section
from connectors.sdk.organisations import OrganisationType
from gateway.allergies import is_no_known_allergy
from gateway.guard import Guarded
from gateway.manifest import Manifest, ManifestLine
from gateway.register.standing import Hold, Standing
from gateway.shown import Part, Rendered, Shown

if TYPE_CHECKING:
    from gateway.looking import Looking
    from gateway.merge import Merger, Record
    from gateway.view import Judged, View

_THE_PRACTICE = "the GP practice"


@dataclass(frozen=True, slots=True)
class Early:
    """A part before the last, and the record of the sources in it, before anything is hidden, with every Patient that
    came until now: whoever looks is compared with each."""

    part: Part
    record: Record


class Live:
    """What of one look has come, and what has gone out. `guarded` is all that came, as the guard left it."""

    def __init__(self, merger: Merger, view: View, looking: Looking) -> None:
        self._merger = merger
        self._view = view
        self._looking = looking
        self.guarded = Guarded([])
        self.has_more = False
        self._new: list[Answer] = []
        self._sealed: dict[str, list[Item]] = {}
        self._untold: tuple[ManifestLine, ...] = ()
        self._sent: set[str] = set()
        self._number = 1

    def take(self, guarded: Guarded) -> None:
        """Answers have come."""
        for answer in guarded.answers:
            self._sealed[answer.source] = self._merger.sealed(answer, self._looking.look.nhs_number)
        self.guarded.answers += guarded.answers
        self.guarded.alarms += guarded.alarms
        self._new += guarded.answers

    def early(self, standing: Standing | None, waiting: Collection[str]) -> Early | None:
        """What came since the last part and is settled; None where that is nothing. `standing` is the register's word,
        None before it has come; `waiting` are the sources still to come. Everything that came is looked at once: what
        isn't settled by then waits for the last part. `has_more` says that something that came wasn't looked at yet."""
        self.has_more = False
        if standing is None or standing.hold is not None or not self._is_the_patient():
            return None
        answers = self._next()
        if not answers:
            return None
        self.has_more = bool(self._new)
        ways = _Ways(self._merger, self._view, self._looking, answers, self._sealed, standing)
        record, items = ways.settled()
        self._untold += ways.lines(record)
        if not items:
            return None
        others = {*waiting, *(one.source for one in self._new)}
        part = Part(self._shown(items), self._number, False, frozenset(self._sent), self._names(others))
        return Early(part, replace(record, items=[*record.items, *ways.patients_of_others()]))

    def _next(self) -> list[Answer]:
        """Whose part comes now: all that came; of the first part no more than it takes to show something, so that the
        first source isn't kept waiting for what the second one's part takes."""
        told = [one for one in self._new if self._may_be_told(one.source)]
        until = len(told)
        if self._number == 1:
            until = next((place for place, one in enumerate(told, 1) if self._brings_anything(one)), until)
        self._new = told[until:]
        return told[:until]

    def _brings_anything(self, answer: Answer) -> bool:
        return any(item.section not in (None, Section.DEMOGRAPHICS) for item in self._sealed[answer.source])

    def released(self, rendered: Rendered) -> None:
        """The part that was made last has gone out."""
        self._sent.update(reference_of(item) for item in rendered.items)
        self._untold = ()
        self._number += 1

    def whole(self, guarded: Guarded, standing: Standing) -> Record:
        """The record of everybody."""
        look = self._looking.look
        asks = self._looking.located.asks
        return self._merger.join(guarded, self._sealed, asks, look.nhs_number, look.sections, standing)

    def last(self, shown: Shown) -> Part:
        """The part that closes the look, of what is shown of the whole record."""
        return Part(shown, self._number, True, frozenset(self._sent))

    def _is_the_patient(self) -> bool:
        """As `gateway.known.require_patient` will ask of the whole: one Patient with the birth date is enough."""
        wanted = self._looking.look.birth_date
        sealed = (item for source, items in self._sealed.items() if self._may_be_told(source) for item in items)
        patients = (item.resource for item in sealed if item.section is Section.DEMOGRAPHICS)
        return any(wanted is None or patient.get("birthDate") == wanted for patient in patients)

    def _may_be_told(self, source: str) -> bool:
        """Not the practice that the register names, which nobody shows of a patient who turns out to be restricted."""
        located = self._looking.located
        return located.register is None or located.type_of(source) is not OrganisationType.GP_PRACTICE

    def _shown(self, items: list[Item]) -> Shown:
        looking, policy = self._looking, self._view.policy
        lines = tuple(line for line in self._untold if line.source != looking.located.register)
        asked = self._view.asked(looking.look.sections, looking.caller, looking.authority)
        asks = looking.located.asks
        manifest = Manifest(lines, asked, asked_of={line.source: asks[line.source].sections & asked for line in lines})
        return Shown(looking.caller, looking.look, items, [], manifest, {}, {}, policy.hash, looking.authority)

    def _names(self, waiting: Collection[str]) -> tuple[str, ...]:
        """Of whom more is to come. The practice that a register names has no name before the last part."""
        located = self._looking.located
        practice = located.practice.ods if located.register and located.practice else ""
        others = (located.organisations.get(ods) for ods in sorted(waiting) if ods != practice)
        return (*(one.name for one in others if one), *([_THE_PRACTICE] if practice in located.asks else []))


class _Ways:
    """Some sources' answers, judged in every way that is still open."""

    def __init__(
        self,
        merger: Merger,
        view: View,
        looking: Looking,
        answers: Sequence[Answer],
        sealed: Mapping[str, Sequence[Item]],
        standing: Standing,
    ) -> None:
        self._merger = merger
        self._view = view
        self._looking = looking
        self._answers = answers
        self._sealed = sealed
        self._standing = standing

    def settled(self) -> tuple[Record, list[Item]]:
        """The record as it is if nobody says anything more, and what of it is the same in every way."""
        record = self._joined()
        items = self._left(record)
        for other in self._others(record):
            found = {reference_of(item): item.resource for item in self._left(other)}
            items = [item for item in items if found.get(reference_of(item)) == item.resource]
        return record, [item for item in items if item.section is not Section.DEMOGRAPHICS]

    def lines(self, record: Record) -> tuple[ManifestLine, ...]:
        """What these sources said; where ways differ, as it's told where most is missing."""
        told = [self._lines(record, practice) for practice in self._practices()]
        return tuple(max(each, key=lambda line: len(line.gaps)) for each in zip(*told, strict=True))

    def _others(self, record: Record) -> Iterable[Record]:
        """The caller's own practice, where that may be the patient's and would see anything otherwise; and a restricted
        patient with no statement that there are no allergies: these only ever take away, so that what stays the same
        with both does so with either."""
        for practice in self._practices()[1:]:
            other = replace(record, registered_practice=practice)
            if self._view.may_differ(record, other, self._looking.caller, self._looking.authority):
                yield other
        yield self._restricted(record)

    def _practices(self) -> list[str | None]:
        """The practices that may turn out to be the patient's, as far as that matters to this caller."""
        if self._standing.register is not None:
            return [self._standing.practice]
        return [None, self._looking.caller.organisation]

    def _joined(self) -> Record:
        """Made of copies: the whole record will be made of the same items. Every way is made of this one: nothing that
        a view does to an item lasts but its labels, which come of the items alone, and what a restricted patient
        loses."""
        look, asks = self._looking.look, self._looking.located.asks
        copies = {answer.source: [_copied(item) for item in self._sealed[answer.source]] for answer in self._answers}
        guarded = Guarded(list(self._answers))
        record = self._merger.join(guarded, copies, asks, look.nhs_number, look.sections, self._standing)
        return replace(record, registered_practice=self._practices()[0])

    def _restricted(self, record: Record) -> Record:
        """Nobody vouches for the practice of a restricted patient (`register.standing`)."""
        items = [item.with_resource(item.resource) for item in record.items if not _denies(item)]
        index = {reference_of(item): item for item in items}
        standing = replace(self._standing, hold=Hold.SENSITIVE)
        items += self.patients_of_others()
        return replace(record, items=items, index=index, registered_practice=None, standing=standing)

    def patients_of_others(self) -> list[Item]:
        """The Patients that came with earlier parts: the address and the practice that they gave away are looked for in
        every source's texts."""
        now = {answer.source for answer in self._answers}
        came = (item for source, items in self._sealed.items() if source not in now for item in items)
        return [_copied(item) for item in came if item.section is Section.DEMOGRAPHICS]

    def _left(self, record: Record) -> list[Item]:
        return self._view.left(record, self._judged(record), self._looking.caller, self._looking.look).items

    def _lines(self, record: Record, practice: str | None) -> tuple[ManifestLine, ...]:
        return self._view.lines(record, self._judged(replace(record, registered_practice=practice)))

    def _judged(self, record: Record) -> Judged:
        return self._view.judged(record, self._looking.caller, self._looking.authority)


def reference_of(item: Item) -> str:
    """By what others refer to the item, and by what nothing goes out twice."""
    return f"{item.type}/{item.sealed_id}"


def _denies(item: Item) -> bool:
    return item.section is Section.ALLERGIES and is_no_known_allergy(item)


def _copied(item: Item) -> Item:
    """As it may go out early, with a resource of its own where the merge would change it: a Patient's.

    A generated narrative stays behind. It says nothing that the resource doesn't (R4, Narrative.status), and it could
    tell where the patient lives: with it, hardly anything could go out early. Any other one stays, and its item waits.
    """
    resource, text = item.resource, item.resource.get("text")
    if item.section is Section.DEMOGRAPHICS:
        resource = dict(resource)
    elif isinstance(text, dict) and text.get("status") == "generated":
        resource = {name: value for name, value in resource.items() if name != "text"}
    return item.with_resource(resource)
