"""Who is asked, for what, until when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.sdk.model import Answer, Gap, Outcome, Section
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType, Stage
from gateway.caller.model import Caller, Role
from gateway.locate import HOLDS_NONE, JOINING, SUSPENDED, Located, Locator, Look, with_labelling
from tests.leaping import BACKEND
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    PRACTICE,
    PRACTICE_2,
    TAKING_PART,
    TRUST,
    answered,
    organisation,
    organisations,
    patient,
    registered_at,
)

GP_PRACTICE = OrganisationType.GP_PRACTICE
CALLER = Caller(
    issuer="https://issuer.example",
    user_id="u1",
    name="Dr A",
    role_profile_id="555",
    job_role_code="S8000:G8000:R8000",
    role=Role.GP,
    organisation=PRACTICE,
    organisation_name="South Lewisham",
    organisation_type=GP_PRACTICE,
    client_id="client",
)
DEMOGRAPHICS = frozenset({Section.DEMOGRAPHICS})
SOCIAL_WORKER = frozenset(
    {Section.DEMOGRAPHICS, Section.ALLERGIES, Section.MEDICINES, Section.CONTACTS, Section.CARE_TEAM}
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


def asked(
    *sections: Section, may_see: frozenset[Section] = EVERYTHING, entries: Organisations = TAKING_PART, **more: Any
) -> dict[str, frozenset[Section]]:
    look = Look(NHS, "GET /x", "r", frozenset(sections), **more)
    asks = Locator(entries, 2.0).locate(CALLER, look, may_see, now=100.0).asks
    return {source: ask.sections for source, ask in asks.items()}


def test_everybody_is_asked_for_what_they_offer_in_order_of_code() -> None:
    found = asked(*Section)
    assert list(found) == [COUNCIL, PRACTICE_2, PRACTICE, TRUST]
    assert found[COUNCIL] == {Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM}
    assert found[TRUST] == EVERYTHING


def test_an_ask_says_who_asks_for_whom_and_until_when() -> None:
    slow, quick = organisation("RJ2", budget=30), organisation("RPG", budget=0.5)
    look = Look(NHS, "GET /x", "request-7", EVERYTHING)
    asks = Locator(organisations(slow, quick), 2.0).locate(CALLER, look, EVERYTHING, now=100.0).asks
    assert (asks["RJ2"].deadline, asks["RPG"].deadline) == (102.0, 100.5)
    ask = asks["RJ2"]
    assert (ask.nhs_number, ask.request_id) == (NHS, "request-7")
    by = ask.asked_by
    assert (by.user_id, by.name, by.role_profile_id, by.job_role_code) == ("u1", "Dr A", "555", "S8000:G8000:R8000")
    assert (by.role, by.organisation, by.organisation_name, by.purpose) == ("gp", PRACTICE, "South Lewisham", "TREAT")


@pytest.mark.parametrize("section", list(Section))
def test_what_a_role_may_not_see_is_never_asked_for(section: Section) -> None:
    for sections in asked(section, may_see=SOCIAL_WORKER).values():
        assert sections <= SOCIAL_WORKER
    for sections in asked(*Section, may_see=SOCIAL_WORKER).values():
        assert sections <= SOCIAL_WORKER


def test_a_role_that_may_see_nothing_asks_nobody() -> None:
    assert asked(*Section, may_see=frozenset()) == {}


def test_a_look_at_what_the_role_never_sees_asks_for_the_patient_alone() -> None:
    """So that the patient is known or unknown, and every source accounted for, as at every other door."""
    assert asked(Section.RESULTS, may_see=SOCIAL_WORKER) == dict.fromkeys(
        (COUNCIL, PRACTICE_2, PRACTICE, TRUST), DEMOGRAPHICS
    )


def test_who_offers_nothing_that_is_wanted_is_not_asked() -> None:
    assert COUNCIL not in asked(Section.RESULTS)
    assert COUNCIL in asked(Section.CONTACTS)


def test_everybody_is_asked_who_the_patient_is() -> None:
    nothing_much = organisation("RPG", sections=[Section.CARE_TEAM])
    assert asked(Section.DEMOGRAPHICS, entries=organisations(nothing_much)) == {"RPG": DEMOGRAPHICS}


@pytest.mark.parametrize("stage", list(Stage))
def test_only_who_takes_part_and_has_a_system_is_asked(stage: Stage) -> None:
    entries = organisations(
        organisation("RPG", stage=stage),
        organisation("08L", connector=None, address=None, sections=[]),
    )
    assert list(asked(*Section, entries=entries)) == (["RPG"] if stage is Stage.LIVE else [])


@pytest.mark.parametrize(
    ("sections", "labelled_by"),
    [
        ({Section.CONTACTS}, {Section.PROBLEMS, Section.RESULTS}),
        ({Section.MEDICINES}, {Section.PROBLEMS, Section.RESULTS}),
        ({Section.PROBLEMS}, {Section.RESULTS}),
        ({Section.ALLERGIES}, set()),
        ({Section.RESULTS}, set()),
        ({Section.DEMOGRAPHICS}, set()),
        (set(), set()),
        (set(Section), set()),
    ],
)
def test_what_labels_a_section_is_asked_for_with_it(sections: set[Section], labelled_by: set[Section]) -> None:
    assert with_labelling(frozenset(sections)) == sections | labelled_by
    assert with_labelling(with_labelling(frozenset(sections))) == with_labelling(frozenset(sections))


def test_a_read_by_id_asks_its_source_and_the_practices_whose_patient_it_is() -> None:
    found = asked(Section.RESULTS, source=TRUST)
    assert found == {
        TRUST: {Section.RESULTS, Section.DEMOGRAPHICS},
        PRACTICE: DEMOGRAPHICS,
        PRACTICE_2: DEMOGRAPHICS,
    }


def test_an_allergy_is_never_read_without_the_others() -> None:
    found = asked(Section.ALLERGIES, source=TRUST)
    assert found == dict.fromkeys((TRUST, PRACTICE, PRACTICE_2), frozenset({Section.ALLERGIES, Section.DEMOGRAPHICS}))


def test_a_patient_is_read_beside_the_others() -> None:
    """Which Patient carries the record depends on who else holds one."""
    assert asked(Section.DEMOGRAPHICS, source=TRUST).keys() == {COUNCIL, PRACTICE_2, PRACTICE, TRUST}


def test_a_read_from_who_no_longer_takes_part_finds_nobody_there() -> None:
    assert "RPG" not in asked(Section.RESULTS, source="RPG")
    assert asked(Section.RESULTS, source="RPG", entries=organisations(organisation(TRUST))) == {}


# --- With a register -------------------------------------------------------------------------------------------------

REGISTER = "X26"


def with_register(*entries: Organisation, stage: Stage = Stage.LIVE) -> Organisations:
    register = organisation(REGISTER, OrganisationType.NATIONAL_SERVICE, [Section.DEMOGRAPHICS], stage=stage)
    return organisations(*(entries or TAKING_PART.listed()), register)


def located(*sections: Section, entries: Organisations | None = None, **more: Any) -> Located:
    look = Look(NHS, "GET /x", "r", frozenset(sections or Section), **more)
    return Locator(entries or with_register(), 2.0).locate(CALLER, look, EVERYTHING, asyncio.get_running_loop().time())


def said(*practices: str, **more: Any) -> Answer:
    return answered(REGISTER, patient(**registered_at(*practices), **more))


async def test_practices_wait_for_the_registers_word() -> None:
    found = located()
    assert list(found.asks) == [COUNCIL, TRUST, REGISTER]
    assert found.asks[REGISTER].sections == DEMOGRAPHICS
    assert found.follow(answered(TRUST, patient(**registered_at(PRACTICE)))) == {}
    (practice,) = found.follow(said(PRACTICE)).items()
    assert practice == (PRACTICE, found.asks[PRACTICE])
    assert practice[1].sections == EVERYTHING
    assert practice[1].deadline <= found.deadline
    assert (found.practice and found.practice.ods) == PRACTICE


async def test_the_practice_has_its_own_budget_within_the_one_deadline() -> None:
    entries = with_register(organisation(PRACTICE, GP_PRACTICE, budget=0.5))
    found = located(entries=entries)
    await asyncio.sleep(0.05)
    now = asyncio.get_running_loop().time()
    (ask,) = found.follow(said(PRACTICE)).values()
    assert now + 0.45 < ask.deadline <= now + 0.55
    patient_one = located(entries=with_register(organisation(PRACTICE, GP_PRACTICE, budget=30)))
    (ask,) = patient_one.follow(said(PRACTICE)).values()
    assert ask.deadline == patient_one.deadline


@pytest.mark.parametrize(
    "answer",
    [
        said(),
        said(PRACTICE, PRACTICE_2),
        said("Y99999"),
        said(TRUST),
        said(PRACTICE, meta={"security": [{"system": "x", "code": "R"}]}),
        answered(REGISTER, patient(generalPractitioner="of no shape")),
        answered(REGISTER, patient(**registered_at(PRACTICE)), patient("p2", **registered_at(PRACTICE))),
        answered(REGISTER, patient(number="9990000026", **registered_at(PRACTICE))),
        Answer(REGISTER, Outcome.TIMED_OUT),
    ],
)
async def test_without_one_registered_practice_none_is_asked(answer: Answer) -> None:
    found = located()
    assert found.follow(answer) == {}
    assert not {PRACTICE, PRACTICE_2} & found.asks.keys()


async def test_a_registration_counts_while_it_lasts() -> None:
    def until(end: str) -> Answer:
        named = registered_at(PRACTICE)
        named["generalPractitioner"][0]["identifier"]["period"] = {"start": "2001-01-01", "end": end}
        return answered(REGISTER, patient(**named))

    assert located().follow(until("2999-01-01"))
    assert located().follow(until("2999"))
    assert not located().follow(until("2020-01-01"))
    assert not located().follow(until("2020-01"))
    assert not located().follow(until("2020-01-01T10:00:00Z"))
    to_come = registered_at(PRACTICE)
    to_come["generalPractitioner"][0]["identifier"]["period"] = {"start": "2999-01-01"}
    assert not located().follow(answered(REGISTER, patient(**to_come)))


async def test_a_read_by_id_asks_its_source_and_the_register() -> None:
    assert located(Section.RESULTS, source=TRUST).asks.keys() == {TRUST, REGISTER}
    of_practice = located(Section.RESULTS, source=PRACTICE)
    assert of_practice.asks.keys() == {REGISTER}
    assert of_practice.follow(said(PRACTICE_2)) == {}
    (ask,) = located(Section.RESULTS, source=PRACTICE).follow(said(PRACTICE)).values()
    assert ask.sections == {Section.RESULTS, Section.DEMOGRAPHICS}


@pytest.mark.parametrize(
    ("section", "source"),
    [
        (Section.CONTACTS, TRUST),
        (Section.CARE_TEAM, TRUST),
        (Section.ALLERGIES, TRUST),
        (Section.ALLERGIES, None),
        (Section.RESULTS, None),
    ],
)
async def test_where_whereabouts_may_show_everybody_is_asked_whether_they_are_restricted(
    section: Section, source: str | None
) -> None:
    found = located(section, source=source)
    assert found.asks.keys() == {TRUST, COUNCIL, REGISTER}
    assert found.asks[COUNCIL].sections == DEMOGRAPHICS
    (ask,) = found.follow(said(PRACTICE)).values()
    assert ask.sections == DEMOGRAPHICS | ({section} & {Section.ALLERGIES, Section.RESULTS})


async def test_only_the_registered_practice_is_accounted_for() -> None:
    found = located(Section.RESULTS)
    found.follow(said(PRACTICE))
    assert found.asks.keys() == {TRUST, COUNCIL, REGISTER, PRACTICE}
    assert found.not_asked() == []


@pytest.mark.parametrize(
    ("stage", "told", "has_gap"),
    [(Stage.SUSPENDED, SUSPENDED, True), (Stage.SHADOW, JOINING, True), (Stage.PLANNED, None, False)],
)
async def test_a_registered_practice_of_another_stage(stage: Stage, told: str | None, has_gap: bool) -> None:
    entries = with_register(organisation(PRACTICE, GP_PRACTICE, stage=stage), organisation(TRUST))
    found = located(Section.ALLERGIES, entries=entries)
    assert found.follow(said(PRACTICE)) == {}
    answers = {answer.source: answer for answer in found.not_asked()}
    if told is None:
        assert not answers
    else:
        assert answers[PRACTICE].told == told
        assert answers[PRACTICE].gaps == ({Section.ALLERGIES: Gap.NOT_ASKED} if has_gap else {})


async def test_who_is_joining_is_told_without_a_gap() -> None:
    entries = organisations(organisation(TRUST), organisation("RPG", stage=Stage.SHADOW))
    (answer,) = located(entries=entries).not_asked()
    assert (answer.source, answer.told, answer.gaps) == ("RPG", JOINING, {})
    assert located(Section.RESULTS, entries=entries, source=TRUST).not_asked() == []


async def test_who_holds_none_of_it_is_told_so_but_not_beside_a_read_by_id() -> None:
    entries = organisations(organisation(TRUST), organisation(COUNCIL, sections=[Section.CARE_TEAM]))
    (answer,) = located(Section.RESULTS, entries=entries).not_asked()
    assert (answer.source, answer.told) == (COUNCIL, HOLDS_NONE)
    assert located(Section.RESULTS, entries=entries, source=TRUST).not_asked() == []


async def test_a_read_of_an_allergy_tells_of_whoever_could_contradict_it() -> None:
    entries = organisations(organisation(TRUST), organisation("RPG", stage=Stage.SUSPENDED))
    (answer,) = located(Section.ALLERGIES, entries=entries, source=TRUST).not_asked()
    assert (answer.source, answer.gaps) == ("RPG", {Section.ALLERGIES: Gap.NOT_ASKED})


async def test_a_register_that_is_suspended_is_accounted_for_at_every_door() -> None:
    entries = with_register(stage=Stage.SUSPENDED)
    for source in (None, TRUST):
        found = located(Section.RESULTS, entries=entries, source=source)
        assert found.register == REGISTER
        assert not {PRACTICE, PRACTICE_2, REGISTER} & found.asks.keys()
        assert REGISTER in {answer.source for answer in found.not_asked()}


@pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.SHADOW])
async def test_a_register_that_does_not_take_part_yet_changes_nothing(stage: Stage) -> None:
    found = located(entries=with_register(stage=stage))
    assert found.register is None
    assert {PRACTICE, PRACTICE_2} <= found.asks.keys()


async def test_what_a_practice_would_be_asked_for() -> None:
    assert located().of_practices == EVERYTHING
    assert located(Section.RESULTS, source=TRUST).of_practices == set()
    assert located(Section.ALLERGIES, source=TRUST).of_practices == {Section.ALLERGIES}
    some = with_register(organisation(PRACTICE, GP_PRACTICE, [Section.ALLERGIES, Section.RESULTS]))
    assert located(entries=some).of_practices == {Section.ALLERGIES, Section.RESULTS}
    assert located(entries=with_register(organisation(TRUST))).of_practices == EVERYTHING


async def test_those_in_shadow_are_asked_what_they_would_be() -> None:
    shadows = (organisation("RPG", stage=Stage.SHADOW), organisation(PRACTICE, GP_PRACTICE, stage=Stage.SHADOW))
    look = Look(NHS, "GET /x", "r", EVERYTHING)
    without = Locator(organisations(*shadows), 2.0).in_shadow(CALLER, look, EVERYTHING, 100.0)
    assert without.asks.keys() == {"RPG", PRACTICE}
    assert Locator(with_register(*shadows), 2.0).in_shadow(CALLER, look, EVERYTHING, 100.0).asks.keys() == {"RPG"}
