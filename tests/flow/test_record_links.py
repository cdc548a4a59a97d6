"""The record by problem and by contact, over the whole way: what its sources link, and nothing of what is hidden."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from copy import deepcopy
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from connectors.sdk.bundle import examine
from connectors.sdk.model import NHS_NUMBER_SYSTEM, SECTION_OF_TYPE, Answer, Ask, Item, Outcome, Resource
from gateway.sealed import new_master_key
from tests.flow.stack import GRACE, Stack, running
from tests.flow.test_record_page import BORN, seen, whole_of
from tests.flow.visitor import opened, text_of

_SNOMED = "http://snomed.info/sct"
_HIV, _ASTHMA = "86406008", "195967001"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("links"), canaries=False) as made:
        yield made


def by(page: str, way: str) -> str:
    """The record by problem or by contact, as it is read; "" where there is no such view."""
    whole = whole_of(page)
    _, began, rest = whole.partition(f'aria-labelledby="by-{way}"')
    return text_of(rest.partition("</section>")[0]) if began else ""


async def test_a_problem_has_what_two_organisations_link_to_it(stack: Stack) -> None:
    problem = by(await seen(stack, GRACE), "problem")
    assert "Diabetes mellitus type 2 , 11-Jun-2018: medicines 2, results 2, contacts 3" in problem
    diabetes = problem[problem.index("contacts 3") :].partition("Essential hypertension")[2]
    own = diabetes[diabetes.index("Medicines 2") :]
    assert own.count("Metformin 500mg tablets") == 2
    assert "DOSE 1.0 g – Oral route – twice a day" in own
    assert "What is recorded differs" in own
    assert "Diabetes clinic, yearly review" in own


async def test_a_contact_has_what_was_recorded_in_it(stack: Stack) -> None:
    contact = by(await seen(stack, GRACE), "contact")
    admission = contact[contact.rindex("Hospital admission , from 19-Aug-2026") :]
    assert "Medicines 2 Furosemide 40mg tablets" in admission
    assert "DOSE 10 mg – Oral route – once a day" in admission
    assert "Problems 1 Hyponatremia" in admission


async def test_who_may_have_more_is_named_there_too(stack: Stack) -> None:
    """A problem with no results beside it doesn't mean that there are none while somebody's are missing."""
    assert "May be incomplete" not in by(await seen(stack, GRACE), "problem")
    stack.make("RPG", "broken")
    try:
        page = await seen(stack, GRACE)
    finally:
        stack.make("RPG", "well")
    for way in ("problem", "contact"):
        assert "May be incomplete: Oxleas NHS Foundation Trust. What they hold may be linked" in by(page, way)


async def test_looking_by_something_asks_nobody_and_needs_no_script(stack: Stack) -> None:
    page = await seen(stack, GRACE)
    for way in ("kind", "problem", "contact"):
        assert f'type="radio" name="cc-by" id="cc-by-{way}"' in page
    whole = whole_of(page)
    assert len(re.findall(r'id="w\d+"', whole)) == len(set(re.findall(r'id="(w\d+)"', whole)))
    assert all(f'id="{target}"' in whole for target in re.findall(r'href="#([\w-]+)"', whole))


class Given:
    """A source that holds just these resources of Grace's."""

    def __init__(self, *resources: Resource, ods: str = "RJ2") -> None:
        self._resources = resources
        self._ods = ods

    async def ask(self, ask: Ask) -> Answer:
        return Answer(self._ods, Outcome.ANSWERED, [self._item(deepcopy(resource)) for resource in self._resources])

    async def aclose(self) -> None:
        """Nothing to close."""

    def _item(self, resource: Resource) -> Item:
        kind = resource["resourceType"]
        return Item(self._ods, resource, SECTION_OF_TYPE[kind], resource["id"], findings=examine(resource)[0])


def given(kind: str, name: str, code: str = "", **more: Any) -> Resource:
    coded = {"text": name, **({"coding": [{"system": _SNOMED, "code": code, "display": name}]} if code else {})}
    about = {"id": name.replace(" ", "-"), "subject": {"reference": "Patient/1"}}
    return {"resourceType": kind, **about, "code": coded, **more}


PATIENT = {
    "resourceType": "Patient", "id": "1", "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": GRACE}],
    "birthDate": BORN[GRACE], "name": [{"family": "Adebayo", "given": ["Grace"]}],
}  # fmt: skip
HIV = given("Condition", "secret problem", _HIV)
VISIT = given(
    "Encounter", "secret visit", status="finished", type=[{"text": "secret visit"}], period={"start": "2026-05-01"},
    reasonReference=[{"reference": "Condition/secret-problem"}], **{"class": {"code": "AMB"}},
)  # fmt: skip
FLOW = given("Observation", "peak flow", status="final", valueString="410", effectiveDateTime="2026-05-01",
             encounter={"reference": "Encounter/secret-visit"})  # fmt: skip
ASTHMA = given("Condition", "asthma", _ASTHMA)
SALBUTAMOL = {
    **given("MedicationStatement", "salbutamol", status="active", medicationCodeableConcept={"text": "salbutamol"}),
    "reasonReference": [{"reference": "Condition/asthma"}],
}
del VISIT["code"], SALBUTAMOL["code"]


def in_a_folder_of_its_own(folder: Path) -> Path:
    """All worlds have one key: sealed ids, by which rows of one date are ordered, are the same in each."""
    folder.mkdir()
    key = folder.parent / "master.key"
    if not key.exists():
        new_master_key(key)
    copy(key, folder / "master.key")
    return folder


async def page_of(folder: Path, *resources: Resource, answer: str = "yes") -> str:
    """What a hospital doctor reads of a world in which that trust holds these."""
    world = running(in_a_folder_of_its_own(folder), canaries=False, instead={"RJ2": Given(PATIENT, *resources)})
    async with world as stack, opened(stack, GRACE, BORN[GRACE], "hospital-doctor") as visitor:
        await visitor.says(answer)
        return (await visitor.view()).text


async def test_a_link_to_what_is_hidden_is_no_link_and_leaves_no_trace(tmp_path: Path) -> None:
    hidden = await page_of(tmp_path / "hidden", HIV, VISIT, FLOW, ASTHMA, SALBUTAMOL)
    absent = await page_of(tmp_path / "absent", FLOW, ASTHMA, SALBUTAMOL)
    one, other = (whole_of(page).partition("<h1")[2] for page in (hidden, absent))
    assert text_of(one) == text_of(other)
    assert re.findall(r'class="[^"]*"', one) == re.findall(r'class="[^"]*"', other)
    assert "secret" not in hidden
    assert "peak flow" in whole_of(hidden)
    assert "peak flow" not in by(hidden, "contact")
    assert re.search("[Aa]sthma[^:]*: medicines 1", by(hidden, "problem"))


async def test_the_same_link_is_there_for_who_may_see_both(tmp_path: Path) -> None:
    shown = await page_of(tmp_path / "shown", HIV, VISIT, FLOW, answer="yes-and-sensitive")
    assert "secret visit , from 01-May-2026: results 1, problems 1" in by(shown, "contact")
    assert re.search("Results 1 peak flow (final )?410", by(shown, "contact"))
