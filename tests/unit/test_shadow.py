"""What is learnt of a source in shadow: counts by kind, in the background, a few at a time, and no more than that."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from connectors.sdk.errors import Unwell
from connectors.sdk.model import Answer, Ask, Section
from connectors.sdk.organisations import OrganisationType, Stage
from gateway.fan_out import FanOut
from gateway.guard import Guarded
from gateway.locate import Locator, Look
from gateway.merge import Merger, Record
from gateway.shadow.counts import differences
from gateway.shadow.watch import Shadow
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    OTHER,
    SEALER,
    SNOMED,
    TRUST,
    address_of,
    answered,
    coded,
    merged,
    organisation,
    organisations,
    patient,
    resource,
)
from tests.unit.test_locate import CALLER

LOOK = Look(NHS, "GET /x", "r", EVERYTHING)
JOINING = "RPG"
WORLD = organisations(
    organisation(TRUST),
    organisation(JOINING, OrganisationType.MENTAL_HEALTH_AND_COMMUNITY_TRUST, stage=Stage.SHADOW),
    organisation(COUNCIL, OrganisationType.COUNCIL, (Section.DEMOGRAPHICS, Section.CONTACTS), stage=Stage.SHADOW),
)
NOBODY: dict[str, Any] = {"name": [{"family": "Adebayo", "given": ["Grace"]}], "birthDate": "1950-01-01"}
Behaviour = Callable[[Ask], Awaitable[Answer]]


def medicine(id_: str, code: str = "111", dose: str = "one daily") -> dict[str, Any]:
    return resource(
        "MedicationStatement",
        id_,
        status="active",
        medicationCodeableConcept=coded((SNOMED, code)),
        dosage=[{"text": dose}],
    )


class Source:
    """A connector that does what a test says."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asks: list[Ask] = []

    async def ask(self, ask: Ask) -> Answer:
        self.asks.append(ask)
        return await self.behave(ask)

    async def aclose(self) -> None:
        """Nothing to close."""


def returning(*bodies: dict[str, Any], source: str = JOINING) -> Behaviour:
    async def behave(ask: Ask) -> Answer:
        return answered(source, *bodies)

    return behave


def raising(error: Exception) -> Behaviour:
    async def behave(ask: Ask) -> Answer:
        raise error

    return behave


async def hanging(ask: Ask) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def shadow_of(joining: Behaviour, council: Behaviour | None = None, **more: Any) -> tuple[Shadow, dict[str, Source]]:
    sources = {JOINING: Source(joining), COUNCIL: Source(council or raising(Unwell("503")))}
    merger = Merger(SEALER, WORLD)
    return Shadow(WORLD, Locator(WORLD, 0.2), FanOut(sources), merger, address_of, **more), sources


def now() -> float:
    return asyncio.get_running_loop().time()


async def looked(shadow: Shadow, record: Record | None = None) -> frozenset[str]:
    """One look, released where a record is given; waits until the shadow has done."""
    async with shadow.watching() as watch:
        watch.ask(CALLER, LOOK, EVERYTHING, now())
        if record is not None:
            watch.compare(record)
    await asyncio.gather(*shadow._tasks)
    return watch.asked


def a_record(*bodies: dict[str, Any]) -> Record:
    return merged(answered(TRUST, patient(**NOBODY), *bodies))


# ---- what is counted ----


async def test_a_look_is_counted_by_kind() -> None:
    bodies = [patient(**NOBODY), medicine("m1"), resource("Encounter", "e1"), resource("Encounter", "e2", None)]
    shadow, sources = shadow_of(returning(*bodies))
    assert await looked(shadow, a_record()) == {JOINING, COUNCIL}
    assert shadow.seen(JOINING) == {
        "asked": 1,
        "skipped": 0,
        "faults": 0,
        "compared": 1,
        "outcomes": {"partial": 1},
        "alarms": {"no-patient": 1},
        "gaps": {"contacts": 1},
        "items": {"contacts": 1, "demographics": 1, "medicines": 1},
        "differences": {"demographics": {}, "conflicting": {}, "new": {"contacts": 1, "medicines": 1}},
    }
    failed = shadow.seen(COUNCIL)
    assert (failed["outcomes"], failed["gaps"]) == ({"failed": 1}, {"contacts": 1, "demographics": 1})
    (ask,) = sources[JOINING].asks
    assert ask.sections == EVERYTHING
    assert ask.nhs_number == NHS


async def test_it_adds_up() -> None:
    shadow, _ = shadow_of(returning(patient(**NOBODY), medicine("m1")))
    for _ in range(3):
        await looked(shadow, a_record())
    seen = shadow.seen(JOINING)
    assert (seen["asked"], seen["outcomes"], seen["differences"]["new"]) == (3, {"answered": 3}, {"medicines": 3})


async def test_another_patients_data_is_an_alarm_and_nothing_else() -> None:
    shadow, _ = shadow_of(returning(patient(number=OTHER), medicine("m1")))
    await looked(shadow, a_record(medicine("m9", dose="two daily")))
    seen = shadow.seen(JOINING)
    assert (seen["outcomes"], seen["alarms"]) == ({"failed": 1}, {"wrong-patient": 2})
    assert seen["items"] == {}
    assert seen["differences"] == {"demographics": {}, "conflicting": {}, "new": {}}


async def test_one_that_was_never_asked_has_nothing_to_tell() -> None:
    shadow, _ = shadow_of(returning())
    assert shadow.seen("RV5")["asked"] == 0


# ---- what differs ----


def compared(record: Record, *bodies: dict[str, Any]) -> dict[str, dict[str, int]]:
    answer = Guarded([answered(JOINING, *bodies)])
    for item in answer.answers[0].items:
        item.labels = frozenset()
    shadow = Merger(SEALER, WORLD).merge(answer, {}, NHS, EVERYTHING)
    return {kind: dict(counts) for kind, counts in differences(record, shadow).items()}


def test_demographics_that_differ_are_named_by_element_and_by_nothing_else() -> None:
    other = patient("p9", name=[{"family": "ADEBAYO", "given": ["Graça"]}], birthDate="1950-10-01")
    assert compared(a_record(), other)["demographics"] == {"birthDate": 1, "name.given": 1}
    assert compared(a_record(), patient("p9", **NOBODY))["demographics"] == {}
    assert compared(a_record(), patient("p9"))["demographics"] == {}


def test_what_the_record_disagrees_on_by_itself_is_nobody_elses_difference() -> None:
    record = merged(
        answered("G85005", patient(**NOBODY), medicine("m1", dose="one daily")),
        answered(TRUST, patient(**{**NOBODY, "birthDate": "1951-01-01"}), medicine("m2", dose="two daily")),
    )
    silent = medicine("m3") | {"dosage": []}
    found = compared(record, patient("p9", name=NOBODY["name"]), silent)
    assert found == {"demographics": {}, "conflicting": {}, "new": {}}
    found = compared(record, patient("p9", **NOBODY), medicine("m3", dose="one daily"))
    assert found == {"demographics": {"birthDate": 1}, "conflicting": {"medicines": 1}, "new": {}}


@pytest.mark.parametrize(
    ("code", "dose", "kind"),
    [("111", "one daily", None), ("111", "TWO daily", "conflicting"), ("222", "one daily", "new")],
)
def test_an_item_agrees_conflicts_or_is_new(code: str, dose: str, kind: str | None) -> None:
    found = compared(a_record(medicine("m1")), patient(**NOBODY), medicine("m7", code, dose))
    assert {name: counts for name, counts in found.items() if counts} == ({kind: {"medicines": 1}} if kind else {})


def test_an_allergy_that_the_record_denies_conflicts() -> None:
    none_known = resource("AllergyIntolerance", "n", code=coded((SNOMED, "716186003")))
    penicillin = resource("AllergyIntolerance", "a", code=coded((SNOMED, "91936005")))
    found = compared(a_record(none_known), patient(**NOBODY), penicillin)
    assert found["conflicting"] == {"allergies": 1}


def test_items_of_one_source_that_agree_among_themselves_are_new_all_the_same() -> None:
    found = compared(a_record(), patient(**NOBODY), medicine("m1"), medicine("m2", dose="two daily"))
    assert found == {"demographics": {}, "conflicting": {}, "new": {"medicines": 2}}


# ---- it costs nobody anything ----


async def test_a_look_that_is_not_released_is_counted_and_compared_with_nothing() -> None:
    shadow, _ = shadow_of(returning(patient(**NOBODY), medicine("m1")))
    await looked(shadow)
    seen = shadow.seen(JOINING)
    assert (seen["asked"], seen["compared"], seen["differences"]["new"]) == (1, 0, {})


async def test_a_look_that_fails_is_compared_with_nothing() -> None:
    shadow, _ = shadow_of(returning(patient(**NOBODY)))

    async def failing() -> None:
        async with shadow.watching() as watch:
            watch.ask(CALLER, LOOK, EVERYTHING, now())
            raise RuntimeError("the look failed")

    with pytest.raises(RuntimeError):
        await failing()
    await asyncio.gather(*shadow._tasks)
    assert (shadow.seen(JOINING)["asked"], shadow.seen(JOINING)["compared"]) == (1, 0)


async def test_one_that_hangs_holds_up_nobody_and_ends_by_the_deadline() -> None:
    shadow, _ = shadow_of(hanging)
    before = now()
    async with shadow.watching() as watch:
        watch.ask(CALLER, LOOK, EVERYTHING, now())
        watch.compare(a_record())
    assert now() - before < 0.1
    await asyncio.gather(*shadow._tasks)
    assert shadow.seen(JOINING)["outcomes"] == {"timed-out": 1}


async def test_looks_beyond_the_bound_are_skipped_and_counted() -> None:
    shadow, sources = shadow_of(hanging, hanging, most_looks=2)
    async with shadow.watching() as first, shadow.watching() as second, shadow.watching() as third:
        for watch in (first, second, third):
            watch.ask(CALLER, LOOK, EVERYTHING, now())
    await asyncio.gather(*shadow._tasks)
    assert (first.asked, second.asked, third.asked) == ({JOINING, COUNCIL}, {JOINING, COUNCIL}, frozenset())
    assert (shadow.seen(JOINING)["asked"], shadow.seen(JOINING)["skipped"]) == (2, 1)
    assert len(sources[JOINING].asks) == 2


async def test_closing_ends_what_is_under_way() -> None:
    shadow, _ = shadow_of(hanging, hanging)
    async with shadow.watching() as watch:
        watch.ask(CALLER, LOOK, EVERYTHING, now())
        await asyncio.sleep(0)
        tasks = list(shadow._tasks)
        await shadow.aclose()
    assert tasks
    assert all(task.cancelled() for task in tasks)
    assert shadow.seen(JOINING)["asked"] == 0
    await shadow.aclose()


class Broken:
    """Stands for any part that fails."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("9990000018 in a text")


@pytest.mark.parametrize("part", ["_locator", "_fan_out", "_merger", "_address_of"])
async def test_a_fault_of_our_own_is_counted_and_told_without_its_text(
    part: str, caplog: pytest.LogCaptureFixture
) -> None:
    shadow, _ = shadow_of(returning(patient(**NOBODY), medicine("m1")))
    setattr(shadow, part, Broken())
    await looked(shadow, a_record())
    assert shadow.seen(JOINING)["faults"] == 1
    assert shadow.seen(COUNCIL)["faults"] == 1
    assert [record.message for record in caplog.records] == ["shadow.fault"]
    assert "9990000018" not in caplog.text


async def test_nothing_but_who_is_in_shadow_is_ever_asked() -> None:
    """Whatever was located, the entry's own stage decides."""
    shadow, sources = shadow_of(returning(patient(**NOBODY)))
    lived = Locator(organisations(organisation(JOINING), organisation(TRUST)), 0.2)
    asks = lived.locate(CALLER, LOOK, EVERYTHING, now()).asks
    assert shadow.start(LOOK, asks, asyncio.get_running_loop().create_future()) == {JOINING}
    await shadow.aclose()
    assert sources[COUNCIL].asks == []


# ---- one event ----


async def test_a_look_is_one_event_of_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="connect-care")
    shadow, _ = shadow_of(returning(patient(**{**NOBODY, "birthDate": "1950-10-01"}), medicine("m1")))
    await looked(shadow, a_record())
    (record,) = caplog.records
    fields = vars(record)["connect_care_fields"]
    assert record.message == "shadow.looked"
    assert fields.pop("took_ms") >= 0
    assert fields == {
        "sources": [COUNCIL, JOINING],
        "outcome": ["failed", "answered"],
        "count": 2,
        "gaps": 2,
        "alarm": [],
        "kind": ["conflicting 0", "demographics 1", "new 1"],
    }
    said = json.dumps(fields) + json.dumps(shadow.seen(JOINING))
    assert not any(secret in said for secret in (NHS, "1950", "Adebayo", "111", "one daily", "m1"))


# ---- the registered practice ----

PRACTICE = "G85005"
REGISTERED = organisations(
    organisation("X26", OrganisationType.NATIONAL_SERVICE, [Section.DEMOGRAPHICS]),
    organisation(PRACTICE, OrganisationType.GP_PRACTICE, stage=Stage.SHADOW),
    organisation("G85004", OrganisationType.GP_PRACTICE, stage=Stage.SHADOW),
)


async def test_a_fault_about_the_practice_costs_nobody_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    shadow, _ = shadow_of(returning(patient(**NOBODY)))
    async with shadow.watching() as watch:
        watch.ask(CALLER, LOOK, EVERYTHING, now())
        located = Locator(WORLD, 0.2).locate(CALLER, LOOK, EVERYTHING, now())
        located.practice = organisation(PRACTICE, OrganisationType.GP_PRACTICE, stage=Stage.SHADOW)
        monkeypatch.setattr(shadow, "start", Broken())
        assert watch.following(located)(answered(TRUST, patient())) == {}
    await asyncio.gather(*shadow._tasks)
    assert shadow.seen(PRACTICE)["faults"] == 1


async def test_of_practices_in_shadow_only_the_registered_one_is_asked_and_nothing_of_it_is_shown() -> None:
    gp = {"generalPractitioner": [{"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code"}}]}
    gp["generalPractitioner"][0]["identifier"]["value"] = PRACTICE
    sources = {
        "X26": Source(returning(patient(**NOBODY, **gp), source="X26")),
        PRACTICE: Source(returning(patient(**NOBODY), medicine("m1"), source=PRACTICE)),
        "G85004": Source(raising(AssertionError("nobody is registered here"))),
    }
    fan_out, locator = FanOut(sources), Locator(REGISTERED, 0.5)
    shadow = Shadow(REGISTERED, locator, fan_out, Merger(SEALER, REGISTERED), address_of)
    async with shadow.watching() as watch:
        located = locator.locate(CALLER, LOOK, EVERYTHING, now())
        watch.ask(CALLER, LOOK, EVERYTHING, now())
        answers = await fan_out.ask(located.asks, watch.following(located))
        assert [answer.source for answer in answers] == ["X26"]
        assert watch.asked == {PRACTICE}
        assert PRACTICE not in located.asks
    await asyncio.gather(*shadow._tasks)
    assert shadow.seen(PRACTICE)["items"] == {"demographics": 1, "medicines": 1}
    assert sources["G85004"].asks == []
