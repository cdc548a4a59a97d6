"""Organisations in shadow: asked, compared, and not one byte of what they hold in any answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.locate import JOINING
from tests.boundless import HURRIED
from tests.flow.stack import GRACE, MIA, ORGANISATIONS, WINSTON, Stack, outcome, resources, running

JOINING_LATER = ("RPG", "709", "703")
TYPES = ("AllergyIntolerance", "MedicationStatement", "MedicationRequest", "Encounter", "Appointment", "Observation")


def in_shadow(folder: Path) -> Path:
    """The usual world, with the three that join later in shadow."""
    text = ORGANISATIONS.read_text()
    for ods in JOINING_LATER:
        entry = text.index(f"ods: {ods}") if f"ods: {ods}" in text else text.index(f'ods: "{ods}"')
        text = text[:entry] + text[entry:].replace("stage: live", "stage: shadow", 1)
    file = folder / "organisations.yaml"
    file.write_text(text)
    return file


@pytest.fixture
async def shadowed(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path, organisations_file=in_shadow(tmp_path)) as stack:
        yield stack


async def done(stack: Stack) -> None:
    """Wait until what was asked in the background has been compared."""
    await asyncio.gather(*stack.parts.shadow._tasks)


async def seen(stack: Stack) -> dict[str, dict[str, Any]]:
    """What `GET /sources` says of each source in shadow."""
    answer = await stack.get("/sources", "privacy-officer")
    assert answer.status_code == 200, answer.text
    return {line["ods"]: line["shadow"] for line in answer.json()["sources"] if line["stage"] == "shadow"}


def calls(stack: Stack, *sources: str) -> int:
    return sum(stack.sandboxes[ods].state()["calls"]["total"] for ods in sources)


def canaries(stack: Stack) -> list[bytes]:
    return [mark.encode() for ods in JOINING_LATER for mark in stack.sandboxes[ods].canaries]


async def test_nothing_of_a_source_in_shadow_is_in_any_answer_yet_it_is_compared(shadowed: Stack) -> None:
    await shadowed.agree(GRACE)
    doors = [f"/fhir/R4/Patient/{GRACE}/$everything", f"/fhir/R4/Patient/{GRACE}"]
    doors += [f"/fhir/R4/{kind}?patient={GRACE}" for kind in TYPES]
    answers = [await shadowed.get(door) for door in doors]
    answers.append(await shadowed.post("/records", {"nhsNumber": GRACE}))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert not [mark for mark in canaries(shadowed) if mark in answer.content]
        if answer.json()["resourceType"] == "Bundle":
            tagged = {tag["code"] for r in resources(answer.json()) for tag in r.get("meta", {}).get("tag", ())}
            assert tagged.isdisjoint(JOINING_LATER)
    await done(shadowed)
    found = await seen(shadowed)
    assert found.keys() == set(JOINING_LATER)
    assert found["RPG"]["asked"] == found["RPG"]["compared"] == len(answers)
    assert found["RPG"]["outcomes"] == {"answered": len(answers)}
    assert found["RPG"]["differences"]["new"]
    assert {kind for ods in found for kind in found[ods]["alarms"]} == set()
    for ods in JOINING_LATER:
        assert calls(shadowed, ods) > 0
        assert found[ods]["faults"] == found[ods]["skipped"] == 0
    assert not [
        mark for mark in canaries(shadowed) if mark in (await shadowed.get("/sources", "privacy-officer")).content
    ]


async def test_who_gives_care_cannot_read_off_the_counts_whether_it_knows_a_patient(shadowed: Stack) -> None:
    await shadowed.agree(GRACE)
    told = []
    for _ in range(2):
        lines = (await shadowed.get("/sources")).json()["sources"]
        told.append([line for line in lines if line["stage"] == "shadow"])
        await shadowed.everything(GRACE)
        await done(shadowed)
    assert told[0] == told[1]
    assert "shadow" not in told[1][0]


async def test_the_manifest_says_that_it_is_joining_whatever_it_answers(shadowed: Stack) -> None:
    await shadowed.agree(GRACE)
    ids, headers = [], []
    for mode in ("well", "broken", "lying", "garbage", "bomb"):
        for ods in JOINING_LATER:
            shadowed.make(ods, mode)
        answer = await shadowed.everything(GRACE)
        assert answer.status_code == 200
        ids.append([resource["id"] for resource in resources(answer.json())])
        headers.append(answer.headers["Connect-Care-Sources"])
        told = outcome(answer.json())
        assert f"Oxleas NHS Foundation Trust {JOINING}." in told
        assert f"London Borough of Lewisham {JOINING}." in told
        await done(shadowed)
    assert all(one == ids[0] for one in ids)
    assert all(one == headers[0] for one in headers)
    assert all(f"{ods}=not-asked" in headers[0] for ods in JOINING_LATER)
    assert f"{JOINING_LATER[0]}=not-asked;" not in headers[0]
    found = (await seen(shadowed))["RPG"]
    assert found["asked"] == 5
    assert found["alarms"]["wrong-patient"] >= 1
    assert found["outcomes"]["failed"] >= 3


async def test_one_that_hangs_does_not_delay_the_record(tmp_path: Path) -> None:
    async with running(tmp_path, organisations_file=in_shadow(tmp_path), deadline=HURRIED) as shadowed:
        await shadowed.agree(GRACE)
        for ods in JOINING_LATER:
            shadowed.make(ods, "hung")
        answer = await shadowed.everything(GRACE)
        assert answer.status_code == 200
        under_way = list(shadowed.parts.shadow._tasks)
        assert under_way
        assert not any(task.done() for task in under_way)
        await done(shadowed)
        assert (await seen(shadowed))["RPG"]["outcomes"] == {"timed-out": 1}


async def test_a_gateway_that_stops_ends_what_hangs_in_the_background(tmp_path: Path) -> None:
    async with running(tmp_path, organisations_file=in_shadow(tmp_path)) as stack:
        await stack.agree(GRACE)
        stack.make("RPG", "hung")
        assert (await stack.everything(GRACE)).status_code == 200
        (task,) = stack.parts.shadow._tasks
    assert task.cancelled()


async def test_the_release_says_that_it_was_asked_in_shadow(shadowed: Stack) -> None:
    await shadowed.agree(GRACE)
    await shadowed.everything(GRACE)
    (row,) = [row for row in await shadowed.rows(GRACE) if row["kind"] == "release"]
    for ods in JOINING_LATER:
        assert row["sources"][ods] == {"outcome": "not-asked", "stage": "shadow", "took_ms": 0.0}
    assert "stage" not in row["sources"]["RJ2"]


async def test_a_read_by_id_asks_it_too_and_its_row_says_so(shadowed: Stack) -> None:
    await shadowed.agree(GRACE)
    found = (await shadowed.get(f"/fhir/R4/AllergyIntolerance?patient={GRACE}")).json()
    (allergy, *_) = resources(found, "AllergyIntolerance")
    answer = await shadowed.get(f"/fhir/R4/AllergyIntolerance/{allergy['id']}")
    assert answer.status_code == 200
    (row,) = [row for row in await shadowed.rows(GRACE) if row["kind"] == "release" and "{resource_id}" in row["door"]]
    shadows = {ods for ods, line in row["sources"].items() if line.get("stage") == "shadow"}
    assert shadows == {"RPG"}  # the councils hold no allergies: they would not be asked either
    assert row["sources"]["RPG"]["outcome"] == "not-asked"


async def test_what_was_read_by_id_while_it_was_live_is_gone_in_shadow(tmp_path: Path) -> None:
    async with running(tmp_path) as live:
        await live.agree(GRACE)
        bundle = (await live.everything(GRACE)).json()
        (sealed, *_) = [
            f"{r['resourceType']}/{r['id']}"
            for r in resources(bundle)
            if {"RPG"} == {tag["code"] for tag in r.get("meta", {}).get("tag", ())} and r["resourceType"] != "Patient"
        ]
        assert (await live.get(f"/fhir/R4/{sealed}")).status_code == 200
    async with running(tmp_path, organisations_file=in_shadow(tmp_path)) as shadowed:
        answer = await shadowed.get(f"/fhir/R4/{sealed}")
        assert answer.status_code == 404
        assert not [mark for mark in canaries(shadowed) if mark in answer.content]


async def test_who_may_not_look_causes_nobody_to_be_asked(shadowed: Stack) -> None:
    assert (await shadowed.everything(GRACE)).status_code == 403  # nobody has asked the patient
    await shadowed.choose(WINSTON, "opted-out")
    assert (await shadowed.everything(WINSTON)).status_code == 403
    assert (await shadowed.everything(GRACE, "commissioner")).status_code == 403
    assert shadowed.calls() == 0


async def test_it_is_asked_for_what_the_role_may_see_and_no_more(shadowed: Stack) -> None:
    await shadowed.agree(MIA, "social-worker")
    assert (await shadowed.everything(MIA, "social-worker")).status_code == 200
    await done(shadowed)
    paths = shadowed.sandboxes["RPG"].state()["calls"]["byPath"]
    assert paths
    assert not [path for path in paths if "Observation" in path or "Condition" in path]


async def test_its_own_staff_take_part_and_see_what_others_hold(shadowed: Stack) -> None:
    await shadowed.agree(GRACE, "social-worker")  # of the London Borough of Lewisham
    answer = await shadowed.everything(GRACE, "social-worker")
    assert answer.status_code == 200
    assert {tag["code"] for r in resources(answer.json()) for tag in r["meta"]["tag"]} >= {"RJ2", "G85005"}
    assert "709=not-asked" in answer.headers["Connect-Care-Sources"]


async def test_a_fault_in_it_costs_nobody_the_record(shadowed: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of our own")

    await shadowed.agree(GRACE)
    whole = [resource["id"] for resource in resources((await shadowed.everything(GRACE)).json())]
    await done(shadowed)
    for part in ("locate", "start", "_compare"):
        with monkeypatch.context() as patch:
            patch.setattr(type(shadowed.parts.shadow), part, broken)
            answer = await shadowed.everything(GRACE)
            assert answer.status_code == 200, part
            assert [resource["id"] for resource in resources(answer.json())] == whole
            await done(shadowed)


async def test_it_has_a_breaker_of_its_own(tmp_path: Path) -> None:
    file = in_shadow(tmp_path)
    async with running(tmp_path, organisations_file=file, breaker_failures=2, breaker_rest=60) as stack:
        await stack.agree(GRACE)
        stack.make("RPG", "broken")
        for _ in range(4):
            assert "RJ2=answered" in (await stack.everything(GRACE)).headers["Connect-Care-Sources"]
            await done(stack)
        answer = await stack.get("/sources")
        breakers = {line["ods"]: line["breaker"] for line in answer.json()["sources"]}
        assert (breakers["RPG"], breakers["RJ2"]) == ("open", "closed")
        assert (await seen(stack))["RPG"]["outcomes"] == {"failed": 2, "not-asked": 2}
