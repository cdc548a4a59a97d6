"""Step 5: which organisations may hold something, and which sections this role may see at all.

What the role can never see is never asked for: it can't leak from an answer that was not made. Where a national
register takes part it is asked with everybody else, and of the GP practices only the one that it names, once it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from connectors.sdk.model import Answer, Ask, AskedBy, Gap, Outcome, Section
from connectors.sdk.organisations import Entry, Organisation, Organisations, OrganisationType, Stage
from gateway.caller.model import Caller
from gateway.errors import GatewayError
from gateway.register.said import said_by

_TOLD_BY: Final[Mapping[Section, frozenset[Section]]] = {
    Section.CONTACTS: frozenset({Section.PROBLEMS}),
    Section.MEDICINES: frozenset({Section.PROBLEMS}),
    Section.CARE_TEAM: frozenset({Section.PROBLEMS}),
    Section.IMMUNISATIONS: frozenset({Section.PROBLEMS}),
    Section.PROBLEMS: frozenset({Section.RESULTS}),
}
"""Sections whose sensitivity labels spread into another (the contact whose reason is a labelled condition). They are
asked for together, so that an item is judged alike whichever search it is seen through."""

SUSPENDED: Final = "is suspended from Connect Care and is not asked"
JOINING: Final = "is joining Connect Care: what it holds is not shown yet"
HOLDS_NONE: Final = "holds none of what was asked for"
_PATIENT: Final = frozenset({Section.DEMOGRAPHICS})
_PRACTICE: Final = OrganisationType.GP_PRACTICE
_TELLS_WHERE: Final = frozenset({Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM, Section.ALLERGIES})
"""Sections of which a single item may tell where the patient lives or is registered: a home visit, the team of a
neighbourhood; with an allergy the practice is named, since it is asked what it holds against it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one request wants to see of one patient.

    `door` is the route's template, for the audit. `source` is the one organisation whose item is read by id.
    `birth_date` is the second fact that must agree with what the sources hold. `barred` is why this caller, in their
    role and with their token, is never shown anything of what is asked for: raised once the look is in the journal.
    `until` is when the sources must have answered (the event loop's time), where an answer is wanted sooner than a
    record is usually waited for.
    """

    nhs_number: str
    door: str
    request_id: str
    sections: frozenset[Section]
    source: str | None = None
    birth_date: str | None = None
    barred: GatewayError | None = None
    until: float | None = None


@dataclass(slots=True)
class Located:
    """Who is asked for one look: `asks` at once, and the registered practice once the register has named it.

    `asks` then holds the practice's Ask too: the later steps need every Ask that was made. `of_practices` are the
    sections that a practice would be asked for. `practice` is the registered one, where it has an entry; None until
    the register has answered.
    """

    organisations: Organisations
    look: Look
    wanted: frozenset[Section]
    asked_by: AskedBy
    deadline: float
    register: str | None
    of_practices: frozenset[Section]
    asks: dict[str, Ask] = field(default_factory=dict)
    practice: Organisation | None = None

    def type_of(self, source: str) -> OrganisationType:
        """What kind of organisation a source is."""
        return self.organisations.type_of(source)

    def follow(self, answer: Answer) -> Mapping[str, Ask]:
        """The Ask of the registered practice, where this is the register's Answer and names one that is shown.

        A patient who is labelled as restricted is never located: no practice is asked.
        """
        said = said_by(answer, self.look.nhs_number) if answer.source == self.register else None
        if said is None or said.restricted or len(said.practices) != 1:
            return {}
        self.practice = self.organisations.get(next(iter(said.practices)))
        if self.practice is None or not self.practice.is_shown or self.practice.type is not _PRACTICE:
            return {}
        made = self._ask_of(self.practice, asyncio.get_running_loop().time())
        self.asks.update(made)
        return made

    def not_asked(self) -> list[Answer]:
        """An Answer for each organisation that takes part and isn't asked: every source is accounted for.

        One that is suspended leaves a gap in what it would have been asked for; one that holds none of it, or is only
        joining, doesn't. Of practices only the registered one counts, where a register says which that is, and there
        is a GP record behind it: also while it is joining that record is missing.
        """
        others = (one for one in self._others() if one.holds_records and one.ods not in self.asks)
        return [answer for one in others if (answer := self._unasked(one)) is not None]

    def ask_at_once(self, organisations: Iterable[Organisation], now: float) -> None:
        """Make the Asks that wait for nobody's answer. `now` is the event loop's time."""
        for organisation in organisations:
            self.asks.update(self._ask_of(organisation, now))

    def _ask_of(self, organisation: Organisation, now: float) -> dict[str, Ask]:
        sections = _asked_of(organisation, self.look, self.wanted, self.register)
        if not sections:
            return {}
        ask = Ask(
            nhs_number=self.look.nhs_number,
            sections=sections,
            asked_by=self.asked_by,
            deadline=min(self.deadline, now + organisation.budget),
            request_id=self.look.request_id,
            hurried=self.look.until is not None,
        )
        return {organisation.ods: ask}

    def _unasked(self, organisation: Organisation) -> Answer | None:
        if not self._is_accounted(organisation):
            return None
        told = {Stage.SUSPENDED: SUSPENDED, Stage.SHADOW: JOINING, Stage.LIVE: HOLDS_NONE}.get(organisation.stage)
        if told is None or (told == HOLDS_NONE and self.look.source is not None):
            return None
        lacks = told == SUSPENDED or (told == JOINING and organisation is self.practice)
        missing = self.look.sections & self.wanted & organisation.sections if lacks else ()
        gaps = dict.fromkeys(sorted(missing), Gap.NOT_ASKED)
        return Answer(organisation.ods, Outcome.NOT_ASKED, gaps=gaps, told=told)

    def _is_accounted(self, organisation: Organisation) -> bool:
        """A look at one source tells of that one, and always of the register, on which so much depends; of one in
        shadow where it's asked, since the journal must hold that; and a look at an allergy of everybody who could
        contradict it."""
        look = self.look
        if (
            look.source is None
            or Section.ALLERGIES in look.sections
            or organisation.ods in (look.source, self.register)
        ):
            return True
        return organisation.is_shadowed and bool(_asked_of(organisation, look, self.wanted, self.register))

    def _others(self) -> Iterator[Organisation]:
        if self.register is None:
            yield from self.organisations.listed()
            yield from _practices_in_groups(self.organisations)
            return
        yield from (one for one in self.organisations.listed() if one.type is not _PRACTICE)
        if self.practice is not None and self.practice.type is _PRACTICE:
            yield self.practice


class Locator:
    """Knows who takes part. `deadline` is the seconds that the whole fan-out may take.

    A register that is suspended is one that doesn't answer: who trusts it to say which practice to ask, and whose
    whereabouts to hold back, must not fall back to asking every practice about everybody.
    """

    def __init__(self, organisations: Organisations, deadline: float) -> None:
        self._organisations = organisations
        self._deadline = deadline
        self.register = organisations.register() or _suspended_register(organisations)
        self._of_practices = _offered_by_practices(organisations)

    def locate(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> Located:
        """One Ask for each organisation that can help. `now` is the event loop's time.

        Where the role may see none of the sections, every organisation is asked for the Patient alone: an unknown
        patient is an error whoever asks, and an answer must account for every source.
        """
        located = self._located(caller, look, may_see, now)
        located.ask_at_once(self._at_once(), now)
        return located

    def _located(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> Located:
        wanted = with_labelling(look.sections) & may_see or may_see & _PATIENT
        return Located(
            self._organisations,
            look,
            wanted,
            asked_by(caller),
            min(now + self._deadline, look.until or now + self._deadline),
            self.register.ods if self.register else None,
            _offered(self._of_practices, look, wanted, is_source=False),
        )

    def in_shadow(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> Located:
        """What those in shadow would be asked if they were live. Practices are among them only where no register says
        which one holds the record."""
        located = self._located(caller, look, may_see, now)
        shadows = self._organisations.shadows()
        if self.register is None:
            shadows += [one for one in _practices_in_groups(self._organisations) if one.is_shadowed]
        else:
            shadows = [one for one in shadows if one.type is not _PRACTICE]
        located.ask_at_once(sorted(shadows, key=lambda one: one.ods), now)
        return located

    def _at_once(self) -> list[Organisation]:
        """In order of ODS code. Practices are among them only where no register says which one to ask."""
        sources = self._organisations.sources()
        if self.register is None:
            sources += [one for one in _practices_in_groups(self._organisations) if one.is_shown]
        else:
            sources = [one for one in sources if one.type is not _PRACTICE]
        return sorted(sources, key=lambda one: one.ods)


def _suspended_register(organisations: Organisations) -> Organisation | None:
    services = (one for one in organisations.listed() if one.type is OrganisationType.NATIONAL_SERVICE)
    return next((one for one in services if one.stage is Stage.SUSPENDED and one.holds_records), None)


def _practices_in_groups(organisations: Organisations) -> Iterator[Organisation]:
    """Every practice of every group: for where there is no register, and so only a handful of them."""
    for group in organisations.groups():
        yield from organisations.practices_of(group)


def _offered_by_practices(organisations: Organisations) -> frozenset[Section]:
    """What some practice offers; where none has an entry, a practice may hold anything."""
    entries: list[Entry] = [one for one in organisations.listed() if one.type is _PRACTICE]
    entries += [group.entry for group in organisations.groups()]
    return frozenset[Section]().union(*(entry.sections for entry in entries)) or frozenset(Section)


def _asked_of(
    organisation: Organisation, look: Look, wanted: frozenset[Section], register: str | None
) -> frozenset[Section]:
    """The sections that this organisation is asked for, with the Patient that proves whose they are; or none."""
    offered = _offered(organisation.sections, look, wanted, is_source=look.source == organisation.ods)
    if offered or wanted == _PATIENT or (wanted and _says_who(organisation, look, wanted, register)):
        return offered | _PATIENT
    return frozenset()


def _offered(
    sections: frozenset[Section], look: Look, wanted: frozenset[Section], *, is_source: bool
) -> frozenset[Section]:
    offered = wanted & sections
    if look.source is not None and not is_source:
        # A look at one source's allergies needs the others': "no known allergies" is never shown without them.
        offered &= look.sections & {Section.ALLERGIES}
    return offered


def _says_who(organisation: Organisation, look: Look, wanted: frozenset[Section], register: str | None) -> bool:
    """Whichever the door, the same practice is the patient's, and the same restriction holds.

    Without a register each practice says itself who is registered with it. With one, that is the register's word; but
    any source may label its Patient as restricted, and that must be known wherever whereabouts could be shown: in
    every search, since whatever the practice answers has its name on it.
    """
    if register is None:
        return organisation.type is _PRACTICE
    return organisation.ods == register or look.source is None or not wanted.isdisjoint(_TELLS_WHERE)


def with_labelling(sections: frozenset[Section]) -> frozenset[Section]:
    """The sections, and those that may label what is in them."""
    grown = sections.union(*(_TOLD_BY.get(section, frozenset()) for section in sections))
    return grown if grown == sections else with_labelling(grown)


def asked_by(caller: Caller) -> AskedBy:
    """The caller, as sources are told of them."""
    return AskedBy(
        user_id=caller.user_id,
        name=caller.name,
        role_profile_id=caller.role_profile_id,
        job_role_code=caller.job_role_code,
        role=caller.role,
        organisation=caller.organisation,
        organisation_name=caller.organisation_name,
        purpose=caller.purpose,
    )
