"""The summary's words: why a section is empty, and what a row says of an entry that isn't as anybody foresaw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.model import Gap, Item, Outcome, Section, SourceWarning
from gateway.manifest import AllergyState, Manifest, ManifestLine
from gateway.summary.absence import Limits, Standing, Why, standing_of, statements_of_none
from gateway.summary.narrative import narrative
from gateway.summary.sections import PARTS, REQUIRED, divided
from gateway.summary.values import choice, concept, digits, when
from gateway.summary.words import Row, row_of

PROBLEMS = Section.PROBLEMS
OPEN = Limits()
SNOMED = "http://snomed.info/sct"


def line(source: str = "RJ2", gap: Gap | None = None, outcome: Outcome = Outcome.ANSWERED, **more: Any) -> ManifestLine:
    return ManifestLine(source, f"Trust {source}", outcome, {PROBLEMS: gap} if gap else {}, **more)


def manifest(*lines: ManifestLine, asked_of: Iterable[str] | None = None, **more: Any) -> Manifest:
    sources = [each.source for each in lines] if asked_of is None else list(asked_of)
    everything = frozenset(Section)
    return Manifest(lines, everything, asked_of=dict.fromkeys(sources, everything), **more)


def standing(found: Manifest, limits: Limits = OPEN, *, stated: bool = False) -> Standing:
    return standing_of(PROBLEMS, found, limits, stated=stated)


def item(kind: str, section: Section | None = None, source: str = "RJ2", **body: Any) -> Item:
    return Item(source, {"resourceType": kind, **body}, section, "1")


def coded(code: str, system: str = SNOMED) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@pytest.mark.parametrize(
    ("lines", "expected", "said"),
    [
        ([line()], Why.NOTHING_RECORDED, "Asked, and answered whole: Trust RJ2."),
        ([line(outcome=Outcome.NO_RECORD)], Why.NOTHING_RECORDED, "Trust RJ2 (has no record of this patient)."),
        ([line(gap=Gap.TIMED_OUT)], Why.UNAVAILABLE, "Could not be read: Trust RJ2."),
        ([line(gap=Gap.HELD_BACK)], Why.UNAVAILABLE, "Could not be read"),
        ([line(gap=Gap.IDENTITY_ALARM)], Why.UNAVAILABLE, "Could not be read"),
        ([line(gap=Gap.WITHHELD_BY_SOURCE)], Why.WITHHELD, "Withheld by Trust RJ2."),
        ([line(gap=Gap.NOT_ASKED)], Why.NOT_ASKED, "Not asked: Trust RJ2. There may be more"),
        ([line("A"), line("B", Gap.TIMED_OUT)], Why.UNAVAILABLE, "answered whole: Trust A."),
        ([line("A"), line("B", Gap.WITHHELD_BY_SOURCE)], Why.WITHHELD, "answered whole: Trust A."),
        ([line("A"), line("B", Gap.NOT_ASKED)], Why.NOT_ASKED, "answered whole: Trust A."),
        ([line("A", Gap.FAILED), line("B", Gap.WITHHELD_BY_SOURCE)], Why.UNAVAILABLE, "Withheld by Trust B."),
        ([line("A", Gap.NOT_ASKED), line("B", Gap.WITHHELD_BY_SOURCE)], Why.WITHHELD, "Not asked: Trust A"),
        (
            [line("A", Gap.FAILED, speaks_for="the GP practice")],
            Why.UNAVAILABLE,
            "Could not be read: the GP practice.",
        ),
        (
            [line(warnings=(SourceWarning(PROBLEMS, "confidential-items", "Some items are confidential."),))],
            Why.WITHHELD,
            "Trust RJ2 states: “Some items are confidential.”",
        ),
        ([line(warnings=(SourceWarning(Section.RESULTS, "x", "y"),))], Why.NOTHING_RECORDED, "answered whole"),
    ],
)
def test_each_reason_has_its_own_code_and_words(lines: list[ManifestLine], expected: Why, said: str) -> None:
    found = standing(manifest(*lines))
    assert found.why is expected
    assert said in " ".join(found.sentences)
    assert len({why.value for why in Why}) == len(Why)


def test_a_section_that_nobody_holds_was_not_asked_for() -> None:
    found = standing(manifest(line(outcome=Outcome.NOT_ASKED), asked_of=()))
    assert found.why is Why.NOT_ASKED
    assert "no organisation that takes part" in found.sentences[0]
    assert standing_of(None, manifest(line()), OPEN, stated=False).why is Why.NOT_ASKED


def test_what_is_withheld_from_the_caller_says_nothing_of_any_source() -> None:
    found = standing_of(
        PROBLEMS,
        Manifest((line(gap=Gap.TIMED_OUT),), frozenset({Section.RESULTS})),
        Limits(told="never shown to a social worker."),
        stated=False,
    )
    assert (found.why, found.sentences) == (Why.WITHHELD, ("Withheld: never shown to a social worker.",))
    partly = standing(manifest(line()), Limits(partly="your application's token lets it read X only in part."))
    assert partly.why is Why.WITHHELD


def test_only_nothing_recorded_has_a_code_of_our_own() -> None:
    for why in Why:
        [coding] = Standing(why, ()).as_reason()["coding"]
        own = "connect-care.example" in coding["system"]
        assert own is (why is Why.NOTHING_RECORDED)
        assert coding["code"] == why.value


@pytest.mark.parametrize(
    ("section", "body"),
    [
        (PROBLEMS, {"code": coded("160245001")}),
        (Section.MEDICINES, {"medicationCodeableConcept": coded("787481004")}),
        (Section.IMMUNISATIONS, {"vaccineCode": coded("787482006")}),
        (PROBLEMS, {"code": coded("no-known-problems", "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips")}),
    ],
)
def test_none_is_stated_by_a_code_alone_and_by_every_item(section: Section, body: Mapping[str, Any]) -> None:
    kind = {PROBLEMS: "Condition", Section.MEDICINES: "MedicationStatement"}.get(section, "Immunization")
    none, some = item(kind, section, **body), item(kind, section, code=coded("44054006"))
    found = manifest(line())
    assert statements_of_none(section, [none], found, OPEN) == [none]
    assert statements_of_none(section, [none, some], found, OPEN) == []
    assert statements_of_none(section, [], found, OPEN) == []
    assert statements_of_none(section, [none], found, Limits(partly="in part")) == []
    lacking = Manifest((ManifestLine("A", "A", Outcome.PARTIAL, {section: Gap.FAILED}),), frozenset(Section))
    assert statements_of_none(section, [none], lacking, OPEN) == []
    assert standing_of(section, found, OPEN, stated=True).why is Why.NONE_KNOWN


@pytest.mark.parametrize(
    "taken_back",
    [
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"clinicalStatus": {"coding": [{"code": "inactive"}]}},
        {"status": "entered-in-error"},
        {"doNotPerform": True},
    ],
)
def test_a_statement_that_was_taken_back_states_nothing(taken_back: dict[str, Any]) -> None:
    none = item("Condition", PROBLEMS, code=coded("160245001"))
    assert statements_of_none(PROBLEMS, [none], manifest(line()), OPEN) == [none]
    none.resource |= taken_back
    assert statements_of_none(PROBLEMS, [none], manifest(line()), OPEN) == []


def test_of_allergies_the_manifest_decides() -> None:
    none = item("AllergyIntolerance", Section.ALLERGIES, code=coded("716186003"))
    for state, expected in ((AllergyState.NONE_KNOWN, [none]), (AllergyState.NOT_RECORDED, [])):
        found = manifest(line(), allergies=state)
        assert statements_of_none(Section.ALLERGIES, [none], found, OPEN) == expected


def test_the_required_sections_are_there_and_each_item_is_in_one() -> None:
    codes = [part.code for part in PARTS]
    assert set(codes) >= REQUIRED
    assert len(set(codes)) == len(codes)
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    vital = item("Observation", Section.RESULTS, category=[coded("vital-signs", category)])
    other = item("Observation", Section.RESULTS, category=[coded("vital-signs", "urn:else")])
    odd = item("Observation", Section.RESULTS, category={"coding": 5})
    report = item("DiagnosticReport", Section.RESULTS, category=[coded("vital-signs", category)])
    place = item("Location")
    found = divided([vital, other, odd, report, place])
    assert found["8716-3"] == [vital]
    assert found["30954-2"] == [other, odd, report]
    assert sum(map(len, found.values())) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.10"), "0.10"),
        (Decimal("4.50"), "4.50"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("1.0E+2"), "1.0E+2"),
        (5, "5"),
        (True, "yes"),
        (None, ""),
    ],
)
def test_numbers_keep_their_digits(value: object, text: str) -> None:
    assert digits(value) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ({"valueQuantity": {"value": Decimal("0.10"), "comparator": "<", "unit": "mg/L"}}, "<0.10 mg/L"),
        ({"valueCodeableConcept": {"coding": [{"display": "Positive"}, {"code": "x"}]}}, "Positive, x"),
        ({"valueString": "as told"}, "as told"),
        ({"valueBoolean": False}, "no"),
        ({"valueInteger": 0}, "0"),
        ({"valueRange": {"low": {"value": 1}, "high": {"value": 2, "unit": "g"}}}, "1 to 2 g"),
        ({"valueRange": {"low": {"value": 1}}}, "at least 1"),
        ({"valueRange": {"high": {"value": 1}}}, "at most 1"),
        ({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, "1 / 128"),
        ({"valueSampledData": {"origin": {"value": 0}}}, "a series of measurements, origin 0 (see the entry)"),
        ({"valueTime": "08:00"}, "08:00"),
        ({"valueDateTime": "2026-01-02"}, "2026-01-02"),
        ({"valuePeriod": {"start": "2026", "end": "2027"}}, "from 2026 to 2027"),
        ({"valuePeriod": {"end": "2027"}}, "to 2027"),
        ({"valueTiming": {"event": ["2026-01-02"], "code": {"text": "once"}}}, "2026-01-02, once"),
        ({"valueAge": {"value": 7, "unit": "a"}}, "7 a"),
        ({}, ""),
    ],
)
def test_every_type_of_value_is_put_into_words(found: dict[str, Any], text: str) -> None:
    assert choice(found, "value") == text


def test_times_and_concepts_that_are_not_there_are_nothing() -> None:
    assert (when(None), when([]), concept(None), concept({}), concept({"text": "said"})) == ("", "", "", "", "said")


def nothing(_: str) -> None:
    return None


def test_what_changes_the_meaning_is_in_the_row() -> None:
    refuted = item(
        "AllergyIntolerance",
        Section.ALLERGIES,
        code={"text": "Penicillin"},
        verificationStatus=coded("refuted"),
        onsetAge={"value": 4, "unit": "years"},
        reaction=[{"manifestation": [{"text": "Rash"}], "severity": "mild", "substance": {"text": "amoxicillin"}}],
    )
    row = row_of(refuted, {"RJ2": "The Trust"}, nothing)
    assert (row.what, row.held_by) == ("Penicillin", "The Trust")
    assert "Verification: refuted" in row.details
    assert "Reaction: Rash, mild, to amoxicillin" in row.details
    assert "Onset: 4 years" in row.details
    never = item("MedicationRequest", Section.MEDICINES, doNotPerform=True, status="active", intent="order")
    assert row_of(never, {}, nothing) == Row(
        "Not named in what may be shown", "", "NOT TO BE GIVEN; Intent: order; Status: active", "RJ2"
    )
    absent = item("Observation", Section.RESULTS, code={"text": "Sodium"}, dataAbsentReason={"text": "haemolysed"})
    assert "no value: haemolysed" in row_of(absent, {}, nothing).details
    ranged = item(
        "Observation",
        Section.RESULTS,
        component=[{"code": {"text": "Systolic"}, "valueQuantity": {"value": 120, "unit": "mmHg"}}],
        referenceRange=[{"low": {"value": Decimal("3.50")}, "high": {"value": Decimal("5.30")}, "text": "adult"}],
    )
    assert "Systolic: 120 mmHg" in row_of(ranged, {}, nothing).details
    assert "reference range 3.50 to 5.30 adult" in row_of(ranged, {}, nothing).details


def test_a_medicine_is_named_by_what_it_refers_to() -> None:
    medication = {"resourceType": "Medication", "id": "m", "code": {"text": "Warfarin 1mg"}}
    shown = {"Medication/x.m": medication}
    link = {"reference": "Medication/x.m", "display": "a medicine"}
    by_reference = item("MedicationStatement", Section.MEDICINES, medicationReference=link)
    assert row_of(by_reference, {}, shown.get).what == "Warfarin 1mg"
    assert row_of(by_reference, {}, nothing).what == "a medicine"
    contained = item(
        "MedicationRequest", Section.MEDICINES, contained=[medication], medicationReference={"reference": "#m"}
    )
    assert row_of(contained, {}, nothing).what == "Warfarin 1mg"


def test_what_can_not_be_read_sends_the_reader_to_the_entry() -> None:
    odd = [item("Condition", PROBLEMS, code={"coding": 7}), item("Observation", Section.RESULTS, component=[1])]
    for each in (*odd, item("Device")):
        row = row_of(each, {}, nothing)
        assert row.what == each.type
        assert "see the entry" in row.details


HOSTILE = ('<script>alert("1")</script>', "a & b < c", "]]>", "\x00\x0b\ud800", "&#x0;", "</td></table></div>")


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_source_wrote_is_text(text: str) -> None:
    made = narrative([text], [Row(text, text, text, text)])
    assert "<script" not in made["div"]
    made["div"].encode()
    read = ElementTree.fromstring(made["div"])  # well-formed, by a parser that isn't lenient
    assert {each.tag.rpartition("}")[2] for each in read.iter()} <= {
        *("div", "p", "table", "thead", "tbody", "tr", "th", "td")
    }


@settings(max_examples=25)
@given(st.text())
def test_any_text_leaves_the_narrative_well_formed(text: str) -> None:
    read = ElementTree.fromstring(narrative(["x"], [Row(text, "", text, "y")])["div"])
    assert len(list(read.iter("{http://www.w3.org/1999/xhtml}td"))) == 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["coding", "text", "code", "start", "value", "low", "reference"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=25)
@given(st.sampled_from([part for part in PARTS if part.section]), st.data())
def test_no_shape_of_a_resource_costs_anybody_the_summary(part: Any, data: st.DataObject) -> None:
    kinds = {Section.ALLERGIES: "AllergyIntolerance", PROBLEMS: "Condition", Section.CONTACTS: "Encounter"}
    kinds |= {Section.RESULTS: "Observation", Section.MEDICINES: "MedicationRequest", Section.CARE_TEAM: "CareTeam"}
    names = [
        "code",
        "category",
        "status",
        "note",
        "reaction",
        "period",
        "participant",
        "component",
        "medicationReference",
    ]
    body = data.draw(st.dictionaries(st.sampled_from(names), json_values))
    one = item(kinds.get(part.section, "Immunization"), part.section, **body)
    assert row_of(one, {}, nothing).what
    divided([one])
    statements_of_none(part.section, [one], manifest(line(), allergies=AllergyState.NONE_KNOWN), OPEN)
