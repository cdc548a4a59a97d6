"""Who is asked, for what, until when."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisations, OrganisationType, Stage
from gateway.caller.model import Caller, Role
from gateway.locate import Locator, Look, with_labelling
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    PRACTICE,
    PRACTICE_2,
    TAKING_PART,
    TRUST,
    organisation,
    organisations,
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


def asked(
    *sections: Section, may_see: frozenset[Section] = EVERYTHING, entries: Organisations = TAKING_PART, **more: Any
) -> dict[str, frozenset[Section]]:
    look = Look(NHS, "GET /x", "r", frozenset(sections), **more)
    asks = Locator(entries, 2.0).locate(CALLER, look, may_see, now=100.0)
    return {source: ask.sections for source, ask in asks.items()}


def test_everybody_is_asked_for_what_they_offer_in_order_of_code() -> None:
    found = asked(*Section)
    assert list(found) == [COUNCIL, PRACTICE_2, PRACTICE, TRUST]
    assert found[COUNCIL] == {Section.DEMOGRAPHICS, Section.CONTACTS, Section.CARE_TEAM}
    assert found[TRUST] == EVERYTHING


def test_an_ask_says_who_asks_for_whom_and_until_when() -> None:
    slow, quick = organisation("RJ2", budget=30), organisation("RPG", budget=0.5)
    look = Look(NHS, "GET /x", "request-7", EVERYTHING)
    asks = Locator(organisations(slow, quick), 2.0).locate(CALLER, look, EVERYTHING, now=100.0)
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
    assert list(asked(*Section, entries=entries)) == (["RPG"] if stage in (Stage.LIVE, Stage.SANDBOX) else [])


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
