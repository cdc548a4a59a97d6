"""What the national register's word means for an answer: which practice's part counts, what is held back, what is
missing, and that nothing is released under a number that is gone.

The register (the Personal Demographics Service) is asked at once with everybody else. Its word (`said.py`) is taken
twice: as soon as it's there, to know which practice to ask; and here, after the guard, which may have thrown it out.
Where the two differ, what the practice sent isn't shown. Nothing that it says is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from connectors.sdk.errors import Invalidated, Superseded
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Gap, Item, Outcome, Section
from connectors.sdk.nhs_number import is_nhs_number
from connectors.sdk.organisations import OrganisationType, Stage
from gateway.errors import NotFound, NumberReplaced
from gateway.register.said import Said, said_by

if TYPE_CHECKING:
    from gateway.guard import Guarded
    from gateway.locate import Located


class Hold(StrEnum):
    """Why a patient's whereabouts are held back. The values are rule ids, for the audit."""

    SENSITIVE = "whereabouts.sensitive"
    UNCHECKED = "whereabouts.unchecked"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the patient's registration once everybody has answered.

    `register`: the ODS code of the register in force; None where there is none, and then nobody vouches for the
    `practice`. `hold`: why nothing may be shown that tells where the patient lives or is registered.
    """

    register: str | None = None
    practice: str | None = None
    hold: Hold | None = None


def take(guarded: Guarded, located: Located, restricts: Callable[[Item], bool]) -> Standing:
    """What the register's word means for the answers: practices that may not be shown go, what is missing is told.

    `restricts`: whether an item carries its source's own label of restriction; any source's is enough. Raises
    NumberReplaced, or NotFound where the register says that the number is nobody's: then nothing is released.
    """
    heard = _hear(guarded.answers, located, restricts)
    if heard.register is not None:
        if heard.standing.hold:
            guarded.answers = [
                one for one in guarded.answers if located.type_of(one.source) is not OrganisationType.GP_PRACTICE
            ]
        _account(heard.register, heard.said, heard.standing.hold, located, guarded.answers)
    return heard.standing


def so_far(answers: Iterable[Answer], located: Located, restricts: Callable[[Item], bool]) -> Standing | None:
    """The same before everybody has answered, and without a change to any Answer; None until the register has."""
    heard = _hear(answers, located, restricts)
    return None if located.register and heard.register is None else heard.standing


@dataclass(frozen=True, slots=True)
class _Heard:
    register: Answer | None
    said: Said | None
    standing: Standing


def _hear(answers: Iterable[Answer], located: Located, restricts: Callable[[Item], bool]) -> _Heard:
    answers = list(answers)
    register = next((answer for answer in answers if answer.source == located.register), None)
    if register is not None:
        require_number_in_force(register, located.look.nhs_number)
    said = said_by(register, located.look.nhs_number) if register is not None else None
    hold = _hold(answers, located, said, restricts)
    practice = next(iter(said.practices)) if said and len(said.practices) == 1 and not hold else None
    return _Heard(register, said, Standing(located.register, practice, hold))


def _hold(
    answers: Iterable[Answer], located: Located, said: Said | None, restricts: Callable[[Item], bool]
) -> Hold | None:
    patients = (item for answer in answers for item in answer.items if item.section is Section.DEMOGRAPHICS)
    if (said and said.restricted) or any(map(restricts, patients)):
        return Hold.SENSITIVE
    return Hold.UNCHECKED if located.register and not said else None


def require_number_in_force(register: Answer, nhs_number: str) -> None:
    """Raises NumberReplaced, or NotFound, where the register's Answer says that the number is gone."""
    if isinstance(register.error, Invalidated):
        raise NotFound(
            "The national register says that this NHS number is no longer valid: it is nobody's number now, and "
            "nothing that is held under it is shown. Ask the patient for another proof of their number, or search by "
            "family, given and birthdate.",
            rule="register.invalidated",
        )
    if isinstance(register.error, Superseded):
        current = register.error.current
        raise NumberReplaced(current if is_nhs_number(current) and current != nhs_number else "", NHS_NUMBER_SYSTEM)


def _account(
    register: Answer, said: Said | None, hold: Hold | None, located: Located, answers: Iterable[Answer]
) -> None:
    """Tell on the register's own line what became of the practice; where it wasn't asked, that is a gap."""
    if said is None:
        if register.outcome is not Outcome.NO_RECORD:
            _lacks_practice(
                register, located, f"{register.told or 'did not answer'}, so the GP practice could not be asked"
            )
        elif any(answer.items for answer in answers):
            _lacks_practice(register, located, "does not know this NHS number, so no GP practice could be asked")
    elif hold:
        _lacks_practice(register, located, "answered, and no GP practice is asked or shown for this patient")
    elif not said.practices:
        register.told = register.told or "names no GP practice for this patient"
    elif len(said.practices) > 1:
        _lacks_practice(register, located, "names more than one GP practice, so none was asked")
    else:
        _account_for_practice(register, next(iter(said.practices)), located)


def _account_for_practice(register: Answer, ods: str, located: Located) -> None:
    """One that is asked has its own line, and so has one that is suspended or joining."""
    practice = located.practice
    has_own = practice is not None and practice.type is OrganisationType.GP_PRACTICE and practice.holds_records
    if practice is None or not has_own or practice.stage is Stage.PLANNED:
        name = f"{practice.name}, {ods}" if practice else ods
        named = f"names a GP practice ({name}) that does not take part in Connect Care, so it was not asked"
        _lacks_practice(register, located, named)


def _lacks_practice(register: Answer, located: Located, told: str) -> None:
    """Every section that a practice would have been asked for is missing: never read as complete."""
    for section in sorted(located.of_practices - {Section.DEMOGRAPHICS}):
        register.gaps.setdefault(section, Gap.NOT_ASKED)
    register.told = told
    if register.gaps and register.outcome is Outcome.ANSWERED:
        register.outcome = Outcome.PARTIAL
