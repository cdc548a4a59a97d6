"""One record of many answers: ids, references, order, who carries it, and what each source said."""

from __future__ import annotations

import re
from copy import deepcopy
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.model import (
    ODS_SYSTEM,
    Answer,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
    SourceWarning,
)
from connectors.sdk.organisations import OrganisationType
from gateway.audit.row import Alarm
from gateway.guard import Guarded
from gateway.merge import Merger, Record, clinical_date, registered_practice, source_types
from tests.unit.pipeline import (
    COUNCIL,
    EVERYTHING,
    NHS,
    OTHER,
    PRACTICE,
    PRACTICE_2,
    SEALER,
    SNOMED,
    TAKING_PART,
    TRUST,
    address_of,
    an_item,
    answered,
    coded,
    found,
    gap_everywhere,
    guarded,
    lines,
    merged,
    organisation,
    organisations,
    patient,
    registered_at,
    resource,
    sealed,
)

BASE = address_of(TRUST)
NO_KNOWN_ALLERGY = coded((SNOMED, "716186003"))
PENICILLIN = coded((SNOMED, "91936005"))


def of_trust(*bodies: Resource, **more: Any) -> Record:
    return merged(answered(TRUST, patient(), *bodies, **more))


# --- Ids -------------------------------------------------------------------------------------------------------------


def test_ids_are_sealed_stable_and_obey_fhirs_rule() -> None:
    odd = ["1", "a" * 64, "x_y", "id with spaces", "ü", "a/b", "Observation/1", "💊", "A.B-c"]
    records = [of_trust(*(resource("Observation", one) for one in odd)) for _ in range(2)]
    ids = [body["id"] for body in found(records[0], "Observation")]
    assert ids == [body["id"] for body in found(records[1], "Observation")]
    assert len(set(ids)) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{54}", one) for one in ids)
    assert sorted(ids) == sorted(sealed(TRUST, "Observation", one).removeprefix("Observation/") for one in odd)
    assert not any(original in one for one in ids for original in odd if len(original) > 2)


def test_the_same_original_id_at_two_sources_or_types_is_two_items() -> None:
    record = merged(
        answered(
            TRUST, patient("1"), resource("Observation", "1", "Patient/1"), resource("Condition", "1", "Patient/1")
        ),
        answered(PRACTICE, patient("1"), resource("Observation", "1", "Patient/1")),
    )
    assert len(record.items) == 5
    assert len({item.sealed_id for item in record.items}) == 5
    assert len(record.index) == 5


def test_index_finds_every_item_by_its_sealed_reference() -> None:
    record = of_trust(resource("Observation", "o1"), resource("Practitioner", "d1"))
    assert record.index == {f"{item.type}/{item.sealed_id}": item for item in record.items}
    assert record.index[sealed(TRUST, "Observation", "o1")].original_id == "o1"
    assert record.index[f"Patient/{NHS}"].original_id == "p1"
    assert all(item.resource["id"] == item.sealed_id for item in record.items)


# --- Nothing dropped, nothing overwritten ----------------------------------------------------------------------------


def version(text: str, changed: str | None, **meta: Any) -> Resource:
    stamped = meta | ({"lastUpdated": changed} if changed else {})
    return resource("Observation", "o1", note=[{"text": text}], meta=stamped)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z"),
        ("2024-05-01T23:59:00+01:00", "2024-05-01T23:00:00Z"),
        ("2024-05-02T00:30:00+01:00", "2024-05-01T23:45:00Z"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.001Z"),
        ("2024-05-01T10:00:00.9Z", "2024-05-01T10:00:00.95Z"),
        (None, "1999-01-01T00:00:00Z"),
        ("yesterday", "1999-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("first_is_newer", [True, False])
def test_of_two_versions_the_newest_instant_wins(older: str | None, newer: str, first_is_newer: bool) -> None:
    pair = [version("old", older), version("new", newer)]
    record = of_trust(*(reversed(pair) if first_is_newer else pair))
    (body,) = found(record, "Observation")
    assert body["note"] == [{"text": "new"}]


@pytest.mark.parametrize("changed", [None, "2024-05-01T10:00:00Z"])
def test_of_two_versions_of_one_instant_it_is_the_same_one_whoever_came_first(changed: str | None) -> None:
    pair = [version("one", changed), version("two", changed)]
    first, second = (
        found(of_trust(*order), "Observation") for order in (deepcopy(pair), list(reversed(deepcopy(pair))))
    )
    assert first == second
    assert len(first) == 1


def test_the_same_item_by_three_searches_is_one() -> None:
    record = of_trust(*(resource("Practitioner", "d1", name=[{"family": "Grey"}]) for _ in range(3)))
    assert len(record.items) == 2


def test_nothing_but_copies_is_ever_dropped() -> None:
    same = {"code": PENICILLIN, "recordedDate": "2020-01-01"}
    record = merged(
        answered(TRUST, patient(), *(resource("AllergyIntolerance", f"a{n}", **deepcopy(same)) for n in range(5))),
        answered(
            PRACTICE, patient("q"), *(resource("AllergyIntolerance", f"a{n}", "Patient/q", **same) for n in range(5))
        ),
    )
    assert len(found(record, "AllergyIntolerance")) == 10


# --- References ------------------------------------------------------------------------------------------------------


def reference(target: str) -> dict[str, Any]:
    return {"reference": target, "display": "as the source said"}


@pytest.mark.parametrize(
    "form",
    [
        "Encounter/e1",
        "Encounter/e1/_history/4",
        f"{BASE}/Encounter/e1",
        f"{BASE}/Encounter/e1/_history/4",
        "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001",
        "http://behind-the-proxy:8080/fhir/Encounter/e1",
        "http://behind-the-proxy:8080/fhir/Encounter/e1/_history/4",
    ],
)
def test_every_form_of_a_reference_is_rewritten(form: str) -> None:
    url = form.split("/_history/")[0] if form.startswith(("urn:", "http:")) else None
    items = [
        an_item(TRUST, patient()),
        an_item(TRUST, resource("Encounter", "e1"), full_url=url),
        an_item(TRUST, resource("Observation", "o1", encounter=reference(form))),
    ]
    record = merged(Answer(TRUST, Outcome.ANSWERED, items))
    (body,) = found(record, "Observation")
    assert body["encounter"] == {"reference": sealed(TRUST, "Encounter", "e1"), "display": "as the source said"}


def test_references_are_rewritten_wherever_they_stand() -> None:
    body = resource(
        "Observation",
        "o1",
        performer=[reference("Condition/d1")],
        extension=[{"url": "x", "extension": [{"url": "y", "valueReference": reference("Condition/d1")}]}],
        _status={"extension": [{"url": "z", "valueReference": reference("Condition/d1")}]},
        contained=[
            {
                "resourceType": "Observation",
                "id": "c",
                "performer": [reference("Condition/d1")],
                "subject": reference("Patient/p1"),
            }
        ],
        note=[{"authorReference": reference("Condition/d1"), "text": "see Condition/d1"}],
        hasMember=[reference("#c")],
    )
    record = of_trust(body, resource("Condition", "d1"))
    (seen,) = found(record, "Observation")
    text = msgspec.json.encode(seen).decode()
    assert text.count(sealed(TRUST, "Condition", "d1")) == 5
    assert text.count('"Condition/d1"') == 0
    assert seen["note"][0]["text"] == "see Condition/d1"
    assert seen["subject"]["reference"] == seen["contained"][0]["subject"]["reference"] == f"Patient/{NHS}"
    assert seen["hasMember"] == [reference("#c")]
    assert seen["contained"][0]["id"] == "c"


def test_a_supporting_resource_is_followed_only_where_the_source_always_sends_it_along() -> None:
    """Brought by the encounter's participant, it would tell of that encounter if the observation's device led to it."""
    body = resource("Observation", "o1", subject=reference("Patient/p1"), performer=[reference("Practitioner/d1")])
    body["extension"] = [{"url": "https://x.example", "valueReference": {"reference": "Practitioner/d1"}}]
    record = of_trust(body, resource("Practitioner", "d1"))
    (seen,) = found(record, "Observation")
    assert seen["performer"][0]["reference"] == sealed(TRUST, "Practitioner", "d1")
    assert seen["extension"][0]["valueReference"]["reference"] == "Practitioner/d1"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "Encounter/other",
        "https://elsewhere.example/fhir/Encounter/e1",
        "urn:uuid:0",
        "Encounter/e1/",
        "encounter/e1",
        "",
    ],
)
def test_what_points_elsewhere_is_left_for_the_filter(elsewhere: str) -> None:
    record = of_trust(resource("Encounter", "e1"), resource("Observation", "o1", encounter=reference(elsewhere)))
    (body,) = found(record, "Observation")
    assert body["encounter"] == reference(elsewhere)
    assert elsewhere not in record.index


def test_a_reference_never_leads_to_another_sources_item_of_the_same_id() -> None:
    record = merged(
        answered(TRUST, patient("1"), resource("Observation", "o", "Patient/1", encounter=reference("Encounter/7"))),
        answered(PRACTICE, patient("1"), resource("Encounter", "7", "Patient/1")),
    )
    (body,) = found(record, "Observation")
    assert body["encounter"] == reference("Encounter/7")
    assert record.index.get("Encounter/7") is None


def test_an_absolute_reference_to_another_source_is_not_followed() -> None:
    there = f"{address_of(PRACTICE)}/Encounter/7"
    record = merged(
        answered(TRUST, patient(), resource("Observation", "o", encounter=reference(there))),
        answered(PRACTICE, patient("q"), resource("Encounter", "7", "Patient/q")),
    )
    (body,) = found(record, "Observation")
    assert body["encounter"] == reference(there)


def with_urls(*pairs: tuple[Resource, str]) -> Record:
    items = [an_item(TRUST, patient()), *(an_item(TRUST, body, full_url=url) for body, url in pairs)]
    return merged(Answer(TRUST, Outcome.ANSWERED, items))


def test_an_address_that_two_resources_claim_leads_to_neither() -> None:
    urn = "urn:uuid:aaaaaaaa-0000-4000-8000-000000000001"
    pointing = resource("Observation", "o", encounter=reference(urn))
    record = with_urls((resource("Encounter", "1"), urn), (resource("Encounter", "2"), urn), (pointing, "urn:uuid:3"))
    (body,) = found(record, "Observation")
    assert body["encounter"] == reference(urn)


@pytest.mark.parametrize("claimed", ["Encounter/2", f"{BASE}/Encounter/2", "http://inside/fhir/Encounter/2"])
def test_no_resource_can_claim_the_address_of_another(claimed: str) -> None:
    pointing = resource("Observation", "o", encounter=reference(claimed))
    record = with_urls((resource("Encounter", "1"), claimed), (pointing, "urn:uuid:3"))
    (body,) = found(record, "Observation")
    assert body["encounter"] == reference(claimed)


def test_two_addresses_of_one_resource_both_lead_to_it() -> None:
    """A source that makes up a new URN for each search sends the same resource under two of them."""
    copies = [(resource("Practitioner", "d1"), f"urn:uuid:{n}") for n in (1, 2)]
    pointing = resource("Observation", "o", performer=[reference("urn:uuid:1"), reference("urn:uuid:2")])
    record = with_urls(*copies, (pointing, "urn:uuid:3"))
    (body,) = found(record, "Observation")
    assert {one["reference"] for one in body["performer"]} == {sealed(TRUST, "Practitioner", "d1")}


def test_merging_twice_changes_nothing() -> None:
    """Part by part, the same answers are merged into the last part's manifest again."""
    answers = [
        answered(
            TRUST,
            patient(),
            resource("Encounter", "e"),
            resource("Observation", "o", encounter=reference("Encounter/e")),
        ),
        answered(PRACTICE, patient("q")),
    ]
    first = merged(*answers)
    before = deepcopy([item.resource for item in first.items])
    second = Merger(SEALER, TAKING_PART).merge(Guarded(answers), {}, NHS, EVERYTHING)
    assert [item.resource for item in second.items] == before


# --- What a source's resource becomes --------------------------------------------------------------------------------


def test_every_resource_says_where_it_is_from_and_only_that() -> None:
    forged = [{"system": ODS_SYSTEM, "code": PRACTICE, "display": "not me"}, {"system": "x", "code": "kept"}]
    meta = {"versionId": "7", "source": "https://inside.example", "tag": forged, "profile": ["https://uk-core"]}
    record = of_trust(resource("Observation", "o1", meta=meta), resource("Condition", "c1"))
    tag = {"system": ODS_SYSTEM, "code": TRUST, "display": f"Organisation {TRUST}"}
    source = f"https://directory.spineservices.nhs.uk/STU3/Organization/{TRUST}"
    assert found(record, "Observation")[0]["meta"] == {
        "source": source,
        "tag": [tag, {"system": "x", "code": "kept"}],
        "profile": ["https://uk-core"],
    }
    assert found(record, "Condition")[0]["meta"] == {"source": source, "tag": [tag]}


def test_digits_and_timestamps_are_not_touched() -> None:
    value = {"value": Decimal("0.10"), "comparator": "<"}
    body = resource(
        "Observation", "o1", valueQuantity=value, issued="2024-01-01T00:00:00.120+00:00", effectiveDateTime="2024-01"
    )
    (seen,) = found(of_trust(body), "Observation")
    assert (
        msgspec.json.Encoder(decimal_format="number").encode(seen["valueQuantity"])
        == b'{"value":0.10,"comparator":"<"}'
    )
    assert (seen["issued"], seen["effectiveDateTime"]) == ("2024-01-01T00:00:00.120+00:00", "2024-01")


def test_a_source_without_an_address_or_an_entry_is_still_named() -> None:
    stranger = Merger(SEALER, organisations()).merge(guarded(answered(TRUST, patient())), {}, NHS, EVERYTHING)
    assert (stranger.lines[0].name, stranger.items[0].resource["meta"]["tag"][0]["display"]) == (TRUST, TRUST)


def test_source_types_are_by_code() -> None:
    types = source_types(TAKING_PART)
    assert types[PRACTICE] is OrganisationType.GP_PRACTICE
    assert types[COUNCIL] is OrganisationType.COUNCIL


# --- Order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "date"),
    [
        ({"effectiveDateTime": "2024-05-01", "issued": "2024-06-01"}, "2024-05-01"),
        ({"effectiveInstant": "2024-05-01T00:00:00Z"}, "2024-05-01T00:00:00Z"),
        ({"effectivePeriod": {"start": "2024-05-01", "end": "2024-06-01"}}, "2024-05-01"),
        ({"period": {"end": "2024-06-01"}}, "2024-06-01"),
        ({"period": {}, "issued": "2024"}, "2024"),
        ({"period": {"start": None}}, ""),
        ({"period": {"extension": [{"url": "x"}]}}, ""),
        ({"start": "2024-05-01T10:00:00Z"}, "2024-05-01T10:00:00Z"),
        ({"authoredOn": "2024-05"}, "2024-05"),
        ({"occurrenceDateTime": "2024"}, "2024"),
        ({"occurrenceString": "last winter"}, ""),
        ({"effectiveDateTime": None, "recordedDate": "2023-01-01"}, "2023-01-01"),
        ({"onsetDateTime": "1999"}, "1999"),
        ({"dateAsserted": "2020-02-02"}, "2020-02-02"),
        ({}, ""),
    ],
)
def test_the_date_by_which_a_reader_orders_is_as_the_source_wrote_it(elements: dict[str, Any], date: str) -> None:
    assert clinical_date(an_item(TRUST, resource("Observation", "o", **elements))) == date


def test_newest_first_by_moment_and_undated_last() -> None:
    dates = [
        "2024-06-02T00:15:00+01:00", "2024-06-01T23:30:00Z", "2024-06-01T23:30:00.500Z", "2024-06", "2024",
        "2023-12-31", None, "not a date", "2024-06-01T12:00:00-11:00", "1950",
    ]  # fmt: skip
    bodies = [
        resource("Observation", f"o{n}", **({"effectiveDateTime": date} if date else {}))
        for n, date in enumerate(dates)
    ]
    seen = [body.get("effectiveDateTime") for body in found(of_trust(*bodies), "Observation")]
    assert seen[:-2] == [
        "2024-06-01T23:30:00.500Z", "2024-06-01T23:30:00Z", "2024-06-02T00:15:00+01:00", "2024-06-01T12:00:00-11:00",
        "2024-06", "2024", "2023-12-31", "1950",
    ]  # fmt: skip
    assert set(seen[-2:]) == {None, "not a date"}


def test_sections_come_in_the_order_in_which_a_reader_needs_them() -> None:
    kinds = ["Practitioner", "CareTeam", "Immunization", "Condition", "Observation", "Encounter", "MedicationRequest"]
    record = of_trust(*(resource(kind, "1") for kind in kinds), resource("AllergyIntolerance", "1", code=PENICILLIN))
    sections = [item.section for item in record.items]
    assert sections == [*Section, None]


def several_answers() -> list[Answer]:
    """Three sources with overlapping ids, copies, versions, dates of every precision and one date for all."""
    dates = ["2024-06-01", "2024-06-01", "2024-06-01T10:00:00Z", "2024", None, "bad"]
    answers = []
    for source, own in ((TRUST, "p1"), (PRACTICE, "p1"), (COUNCIL, "x")):
        bodies = [patient(own, **registered_at(PRACTICE))]
        for number, date in enumerate(dates):
            kind = "Encounter" if source == COUNCIL else "Observation"
            dated = {"period": {"start": date}} if date else {}
            bodies.append(resource(kind, str(number), f"Patient/{own}", **dated))
            bodies.append(resource(kind, str(number), f"Patient/{own}", note=[{"text": "a copy"}], **dated))
        items = [an_item(source, body, full_url=f"urn:uuid:{index % 9}") for index, body in enumerate(bodies)]
        answers.append(Answer(source, Outcome.ANSWERED, items))
    return answers


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_record_is_the_same_in_whatever_order_answers_and_items_come(data: st.DataObject) -> None:
    answers = several_answers()
    shuffled = data.draw(st.permutations(several_answers()))
    for answer in shuffled:
        answer.items = data.draw(st.permutations(answer.items))
    one, other = merged(*answers), merged(*shuffled)
    assert [item.resource for item in one.items] == [item.resource for item in other.items]
    assert [item.sealed_id for item in one.items] == [item.sealed_id for item in other.items]
    assert one.lines == other.lines
    assert one.registered_practice == other.registered_practice


def test_alarms_come_in_one_order() -> None:
    alarms = [Alarm(source=source, kind="wrong-patient", count=1) for source in (TRUST, COUNCIL, PRACTICE)]
    record = Merger(SEALER, TAKING_PART).merge(Guarded([], alarms), {}, NHS, EVERYTHING)
    assert [alarm.source for alarm in record.alarms] == [COUNCIL, PRACTICE, TRUST]


# --- The patient -----------------------------------------------------------------------------------------------------


def test_the_registered_practices_patient_carries_the_record_and_the_others_refer_to_it() -> None:
    record = merged(
        answered(TRUST, patient("1", address=[{"text": "at the trust"}])),
        answered(PRACTICE, patient("2", **registered_at(PRACTICE), address=[{"text": "at the practice"}])),
        answered(COUNCIL, patient("3")),
    )
    carrier, *others = record.patients
    assert (carrier.source, carrier.sealed_id, carrier.resource["id"]) == (PRACTICE, NHS, NHS)
    assert carrier.resource["address"] == [{"text": "at the practice"}]
    assert carrier.resource["link"] == [
        {"other": {"reference": sealed(source, "Patient", own)}, "type": "seealso"}
        for source, own in ((COUNCIL, "3"), (TRUST, "1"))
    ]
    for other in others:
        assert other.resource["link"] == [{"other": {"reference": f"Patient/{NHS}"}, "type": "refer"}]
        assert (
            other.resource["id"] == other.sealed_id == SEALER.seal_id(NHS, other.source, "Patient", other.original_id)
        )
    assert {item.resource["address"][0]["text"] for item in record.patients if "address" in item.resource} == {
        "at the trust",
        "at the practice",
    }


def test_without_a_registered_practice_the_first_by_code_carries_it() -> None:
    record = merged(answered(TRUST, patient()), answered(PRACTICE_2, patient()), answered(PRACTICE, patient()))
    assert [item.source for item in record.patients] == [PRACTICE_2, PRACTICE, TRUST]
    assert record.patients[0].sealed_id == NHS


def test_one_patient_alone_has_no_links_whatever_its_source_said() -> None:
    related = patient(link=[{"other": {"reference": "RelatedPerson/7"}, "type": "seealso"}])
    record = merged(answered(TRUST, related))
    assert "link" not in record.patients[0].resource


def test_everything_refers_to_the_one_patient() -> None:
    record = merged(
        answered(TRUST, patient("1"), resource("Condition", "c", "Patient/1")),
        answered(PRACTICE, patient("2"), resource("Condition", "c", f"{address_of(PRACTICE)}/Patient/2/_history/3")),
    )
    assert {body["subject"]["reference"] for body in found(record, "Condition")} == {f"Patient/{NHS}"}


def test_a_copy_of_the_patient_is_one_patient() -> None:
    copies = [patient(meta={"lastUpdated": f"2024-01-0{day}T00:00:00Z"}, gender=str(day)) for day in (1, 3, 2)]
    record = merged(answered(TRUST, *copies))
    assert [item.resource["gender"] for item in record.patients] == ["3"]


def practice_of(*named: tuple[str, tuple[str, ...]], asked: set[str] | None = None) -> str | None:
    items = [an_item(source, patient(**registered_at(*practices))) for source, practices in named]
    return registered_practice(items, {source for source, _ in named} if asked is None else asked)


def test_a_practice_is_the_patients_own_by_its_own_word() -> None:
    assert practice_of((PRACTICE, (PRACTICE,)), (TRUST, (PRACTICE,))) == PRACTICE
    assert practice_of((PRACTICE, (PRACTICE,)), (TRUST, (PRACTICE_2,)), (COUNCIL, ())) == PRACTICE


def test_two_practices_that_both_claim_the_patient_are_neither() -> None:
    assert practice_of((PRACTICE, (PRACTICE,)), (PRACTICE_2, (PRACTICE_2,))) is None


def test_others_word_is_not_enough_for_a_practice_that_was_asked_itself() -> None:
    """It said that it doesn't know the patient, that they are registered elsewhere, or nothing at all."""
    assert practice_of((TRUST, (PRACTICE,)), asked={TRUST, PRACTICE}) is None
    assert practice_of((TRUST, (PRACTICE,)), (PRACTICE, ()), (PRACTICE_2, ())) is None


def test_a_practice_without_a_system_is_known_by_the_others_word_where_they_agree() -> None:
    assert practice_of((TRUST, ("G83021",)), (COUNCIL, ("G83021",))) == "G83021"
    assert practice_of((TRUST, ("G83021",)), (COUNCIL, ("G83016",))) is None
    assert practice_of((TRUST, ("G83021", "G83016"))) is None
    assert practice_of((TRUST, ())) is None


def test_a_practice_is_named_by_its_ods_code_and_nothing_else() -> None:
    named = [{"reference": "Organization/1"}, {"identifier": {"system": "x", "value": PRACTICE}}, {"display": "Dr A"}]
    assert registered_practice([an_item(TRUST, patient(generalPractitioner=named))], {TRUST}) is None
    assert registered_practice([an_item(PRACTICE, patient())], {PRACTICE}) is None
    assert registered_practice([], set()) is None


def test_a_practice_that_does_not_know_the_patient_is_not_theirs() -> None:
    record = merged(answered(TRUST, patient(**registered_at(PRACTICE))), Answer(PRACTICE, Outcome.NO_RECORD))
    assert record.registered_practice is None


def test_demographics_that_differ_stay_side_by_side() -> None:
    record = merged(
        answered(TRUST, patient(birthDate="1950-01-01")), answered(PRACTICE, patient(birthDate="1951-01-01"))
    )
    assert sorted(item.resource["birthDate"] for item in record.patients) == ["1950-01-01", "1951-01-01"]


# --- No known allergies ----------------------------------------------------------------------------------------------


def allergies_of(record: Record) -> set[str]:
    return {body["code"]["coding"][0]["code"] for body in found(record, "AllergyIntolerance")}


def none_known_and_penicillin() -> Answer:
    return answered(
        TRUST,
        patient(),
        resource("AllergyIntolerance", "none", code=NO_KNOWN_ALLERGY),
        resource("AllergyIntolerance", "some", code=PENICILLIN),
        resource("Condition", "c", code=NO_KNOWN_ALLERGY),
    )


@pytest.mark.parametrize("outcome", list(Outcome))
def test_no_known_allergies_never_survives_a_source_that_is_missing(outcome: Outcome) -> None:
    gaps = gap_everywhere(Gap.FAILED) if outcome.leaves_gap else {}
    bodies = (patient("q"),) if outcome in (Outcome.ANSWERED, Outcome.PARTIAL) else ()
    other = answered(PRACTICE, *bodies, outcome=outcome, gaps=gaps)
    kept = {"91936005"} if outcome.leaves_gap else {"91936005", "716186003"}
    record = merged(none_known_and_penicillin(), other)
    assert allergies_of(record) == kept
    assert len(found(record, "Condition")) == 1


@pytest.mark.parametrize(("section", "kept"), [(Section.ALLERGIES, 1), (Section.RESULTS, 2)])
def test_a_gap_in_part_counts_where_it_is_in_the_allergies(section: Section, kept: int) -> None:
    other = answered(PRACTICE, patient("q"), outcome=Outcome.PARTIAL, gaps={section: Gap.TIMED_OUT})
    assert len(allergies_of(merged(none_known_and_penicillin(), other))) == kept


@pytest.mark.parametrize(
    ("section", "kept"),
    [(Section.ALLERGIES, 1), (None, 1), (Section.MEDICINES, 2)],
    ids=["allergies", "all", "medicines"],
)
def test_a_source_that_says_itself_that_it_holds_more_counts_as_missing(section: Section | None, kept: int) -> None:
    warning = SourceWarning(section, "confidential-items", "Items excluded due to confidentiality")
    other = answered(PRACTICE, patient("q"), warnings=[warning])
    assert len(allergies_of(merged(none_known_and_penicillin(), other))) == kept


def test_the_statement_of_the_source_that_has_the_gap_goes_too() -> None:
    answer = none_known_and_penicillin()
    answer.outcome, answer.gaps = Outcome.PARTIAL, {Section.ALLERGIES: Gap.HELD_BACK}
    assert allergies_of(merged(answer)) == {"91936005"}


# --- What each source said -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_its_line(outcome: Outcome) -> None:
    gaps = gap_everywhere(Gap.REFUSED) if outcome.leaves_gap else {}
    items = [an_item(TRUST, patient())] if outcome in (Outcome.ANSWERED, Outcome.PARTIAL) else []
    answer = Answer(TRUST, outcome, items, gaps=gaps, told="what it told", detail="for the operator")
    record = merged(answer, asked=(Section.ALLERGIES, Section.RESULTS))
    (line,) = record.lines
    assert (line.source, line.name, line.outcome) == (TRUST, f"Organisation {TRUST}", outcome)
    assert line.told == "what it told"
    missing = {Section.ALLERGIES: Gap.REFUSED, Section.RESULTS: Gap.REFUSED}
    assert line.gaps == (missing if outcome.leaves_gap else {})
    assert record.asked == {Section.ALLERGIES, Section.RESULTS}


def test_a_gap_outside_the_look_is_not_this_looks_gap() -> None:
    answer = answered(
        TRUST,
        patient(),
        outcome=Outcome.PARTIAL,
        gaps={Section.PROBLEMS: Gap.FAILED},
        told="answered in part",
        warnings=[SourceWarning(Section.PROBLEMS, "x", "y"), SourceWarning(None, "all", "z")],
    )
    (line,) = merged(answer, asked=(Section.CONTACTS,)).lines
    assert (line.outcome, line.gaps, line.told) == (Outcome.ANSWERED, {}, "")
    assert [warning.code for warning in line.warnings] == ["all"]


def test_lines_come_by_ods_code() -> None:
    record = merged(
        answered(TRUST, patient()), Answer(COUNCIL, Outcome.NO_RECORD), Answer(PRACTICE, Outcome.REFUSED, gaps={})
    )
    assert list(lines(record)) == [COUNCIL, PRACTICE, TRUST]


def test_quarantined_is_told_in_the_line_and_raised_in_the_alarm() -> None:
    record = merged(answered(TRUST, patient(number=OTHER)), answered(PRACTICE, patient()))
    line = next(line for line in record.lines if line.source == TRUST)
    assert (line.outcome, set(line.gaps.values())) == (Outcome.FAILED, {Gap.IDENTITY_ALARM})
    assert [alarm.source for alarm in record.alarms] == [TRUST]
    assert {item.source for item in record.items} == {PRACTICE}


def test_an_item_that_the_guard_did_not_examine_keeps_its_references() -> None:
    """Then the filter, which finds no item behind them, takes them out: nothing is guessed."""
    body = resource("Observation", "o", encounter=reference("Encounter/e"))
    answer = Answer(TRUST, Outcome.ANSWERED, [an_item(TRUST, patient()), an_item(TRUST, body)])
    record = Merger(SEALER, organisations(organisation(TRUST))).merge(Guarded([answer]), {}, NHS, EVERYTHING)
    assert found(record, "Observation")[0]["encounter"] == reference("Encounter/e")


def test_items_are_the_sources_own_objects() -> None:
    item: Item = an_item(TRUST, resource("Observation", "o"))
    answer = Answer(TRUST, Outcome.ANSWERED, [an_item(TRUST, patient()), item])
    assert any(one is item for one in merged(answer).items)


def test_no_source_refers_to_another_sources_item_by_its_sealed_id() -> None:
    """A client may have shown it one. It would put its own labels on the other's item, or stand beside it."""
    of_trust = sealed(TRUST, "Observation", "o1")
    record = merged(
        answered(TRUST, patient(), resource("Observation", "o1", status="final")),
        answered(COUNCIL, patient(), resource("Encounter", "e1", reasonReference=[{"reference": of_trust}])),
    )
    [encounter] = found(record, "Encounter")
    assert of_trust in record.index
    assert record.resolve(encounter["reasonReference"][0]) is None
