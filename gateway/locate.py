"""Step 5: which organisations may hold something, and which sections this role may see at all.

What the role can never see is never asked for: it can't leak from an answer that was not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.sdk.model import Answer, Ask, AskedBy, Gap, Outcome, Section
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType, Stage
from gateway.caller.model import Caller

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
HOLDS_NONE: Final = "holds none of what was asked for"
_PATIENT: Final = frozenset({Section.DEMOGRAPHICS})


@dataclass(frozen=True, slots=True)
class Look:
    """What one request wants to see of one patient.

    `door` is the route's template, for the audit. `source` is the one organisation whose item is read by id.
    `birth_date` is the second fact that must agree with what the sources hold.
    """

    nhs_number: str
    door: str
    request_id: str
    sections: frozenset[Section]
    source: str | None = None
    birth_date: str | None = None


class Locator:
    """Knows who takes part. `deadline` is the seconds that the whole fan-out may take."""

    def __init__(self, organisations: Organisations, deadline: float) -> None:
        self._organisations = organisations
        self._deadline = deadline

    def locate(self, caller: Caller, look: Look, may_see: frozenset[Section], now: float) -> dict[str, Ask]:
        """One Ask for each organisation that can help. `now` is the event loop's time.

        Where the role may see none of the sections, every organisation is asked for the Patient alone: an unknown
        patient is an error whoever asks, and an answer must account for every source.
        """
        wanted = with_labelling(look.sections) & may_see or may_see & {Section.DEMOGRAPHICS}
        return {
            organisation.ods: Ask(
                nhs_number=look.nhs_number,
                sections=sections,
                asked_by=_asked_by(caller),
                deadline=now + min(self._deadline, organisation.budget),
                request_id=look.request_id,
            )
            for organisation in sorted(self._organisations.sources(), key=lambda entry: entry.ods)
            if (sections := _asked_of(organisation, look, wanted))
        }

    def not_asked(self, look: Look, may_see: frozenset[Section], asks: Mapping[str, Ask]) -> list[Answer]:
        """An Answer for each organisation that takes part and isn't asked: every source is accounted for.

        One that is suspended leaves a gap in what it would have been asked for; one that holds none of it doesn't.
        """
        wanted = look.sections & may_see
        answers = []
        for organisation in self._organisations:
            if organisation.ods in asks or not organisation.holds_records:
                continue
            if organisation.stage is Stage.SUSPENDED and look.source in (None, organisation.ods):
                gaps = dict.fromkeys(sorted(wanted & organisation.sections), Gap.NOT_ASKED)
                answers.append(Answer(organisation.ods, Outcome.NOT_ASKED, gaps=gaps, told=SUSPENDED))
            elif organisation.takes_part and look.source is None:
                answers.append(Answer(organisation.ods, Outcome.NOT_ASKED, told=HOLDS_NONE))
        return answers


def _asked_of(organisation: Organisation, look: Look, wanted: frozenset[Section]) -> frozenset[Section]:
    """The sections that this organisation is asked for, with the Patient that proves whose they are; or none."""
    offered = wanted & organisation.sections
    if look.source not in (None, organisation.ods):
        # A look at one source's allergies needs the others': "no known allergies" is never shown without them.
        offered &= look.sections & {Section.ALLERGIES}
    # Whichever the door, it's the same Patient that carries the record, and the same practice that is the patient's.
    if offered or wanted == _PATIENT or (wanted and organisation.type is OrganisationType.GP_PRACTICE):
        return offered | _PATIENT
    return frozenset()


def with_labelling(sections: frozenset[Section]) -> frozenset[Section]:
    """The sections, and those that may label what is in them."""
    grown = sections.union(*(_TOLD_BY.get(section, frozenset()) for section in sections))
    return grown if grown == sections else with_labelling(grown)


def _asked_by(caller: Caller) -> AskedBy:
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
