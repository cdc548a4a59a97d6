"""Labels: from codes, from security labels, from the kind of source; and how they spread."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk.model import Item, Section
from connectors.sdk.organisations import OrganisationType
from gateway.policy.decide import Policy
from gateway.policy.files import PolicyProblem
from gateway.policy.labels import LabelTables
from gateway.policy.r4 import elements
from gateway.policy.spread import GATHERS, IS_THE_SAME, TELLS_OF
from tests.policies.build import HIV, PSYCHOSIS, SCT, SOURCES, code, item, ref, resolver

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def labels_of(policy: Policy, *items: Item) -> dict[str, set[str]]:
    policy.labels.label(items, SOURCES, resolver(items))
    return {each.sealed_id: set(each.labels) for each in items}


@pytest.mark.parametrize(
    ("system", "value", "label"),
    [
        (SCT, HIV, "HIV"),
        (SCT, "387001004", "HIV"),
        ("https://dmd.nhs.uk", "387001004", "HIV"),
        ("urn:oid:2.16.840.1.113883.6.96", HIV, "HIV"),
        ("http://loinc.org", "20447-9", "HIV"),
        ("http://hl7.org/fhir/sid/icd-10", "B20", "HIV"),
        ("http://hl7.org/fhir/sid/icd-10", "B20.7", "HIV"),
        ("http://hl7.org/fhir/sid/icd-10", "B207", "HIV"),
        ("http://read.info/ctv3", "A788.", "HIV"),
        (SCT, "76272004", "STD"),
        (SCT, "93461009", "SEX"),
        (SCT, "52637005", "ASSISTED-FERTILISATION"),
        (SCT, "57797005", "TERMINATION"),
        (SCT, "387286002", "SUD"),
        (SCT, "706893006", "SDV"),
        (SCT, "387568001", "PSY"),
        (SCT, "89301000000108", "MH"),
        (SCT, "58756001", "GDIS"),
    ],
)
def test_a_code_of_the_tables_labels(policy: Policy, system: str, value: str, label: str) -> None:
    assert labels_of(policy, item("Observation", "o", code=code(value, system=system))) == {"o": {label}}


@pytest.mark.parametrize(
    ("system", "value"), [(SCT, "195967001"), ("http://loinc.org", HIV), ("http://hl7.org/fhir/sid/icd-10", "J45.9")]
)
def test_another_code_does_not(policy: Policy, system: str, value: str) -> None:
    assert labels_of(policy, item("Condition", "c", code=code(value, system=system))) == {"c": set()}


@pytest.mark.parametrize(
    ("system", "value", "labels"),
    [
        (CONFIDENTIALITY, "N", set()),
        (CONFIDENTIALITY, "U", set()),
        (CONFIDENTIALITY, "R", {"RESTRICTED"}),
        (CONFIDENTIALITY, "V", {"RESTRICTED"}),
        ("http://hl7.org/fhir/v3/Confidentiality", "R", {"RESTRICTED"}),
        (CONFIDENTIALITY, "MADE-UP", {"RESTRICTED"}),
        (ACT_CODE, "HIV", {"HIV"}),
        (ACT_CODE, "ETH", {"SUD"}),
        (ACT_CODE, "GENDER", {"SEX"}),
        (ACT_CODE, "GDIS", {"GDIS"}),
        (ACT_CODE, "CELEB", {"RESTRICTED"}),
        ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED", set()),
        ("https://example.org/own-labels", "N", {"RESTRICTED"}),
        ("", "N", {"RESTRICTED"}),
    ],
)
def test_a_sources_security_label(policy: Policy, system: str, value: str, labels: set[str]) -> None:
    meta = {"security": [{"system": system, "code": value}] if system else [{"code": value}]}
    assert labels_of(policy, item("Observation", "o", meta=meta)) == {"o": labels}


def test_a_security_label_of_a_contained_resource_counts(policy: Policy) -> None:
    contained = [{"resourceType": "Observation", "id": "c", "meta": {"security": [{"code": "X"}]}}]
    assert labels_of(policy, item("DiagnosticReport", "r", contained=contained)) == {"r": {"RESTRICTED"}}


def test_a_contact_with_a_mental_health_trust_is_labelled_by_its_source(policy: Policy) -> None:
    contact, team = item("Encounter", "e", "RV5"), item("CareTeam", "t", "RV5")
    assert labels_of(policy, contact, team) == {"e": {"MH"}, "t": set()}


def test_in_a_mixed_trust_every_contact_is_labelled_by_the_kind_of_trust(policy: Policy) -> None:
    district_nursing = item("Encounter", "d", "RPG", serviceType=code("931801000000101"))
    community_team = item("Encounter", "m", "RPG", serviceType=code("89301000000108"))
    assert labels_of(policy, district_nursing, community_team) == {"d": {"MH"}, "m": {"MH"}}


def test_an_item_that_was_not_examined_stops_the_record(policy: Policy) -> None:
    unexamined = item("Observation", "o")
    unexamined.findings = None
    with pytest.raises(ValueError, match="not examined"):
        labels_of(policy, unexamined)


def test_labels_of_an_earlier_pass_do_not_linger(policy: Policy) -> None:
    plain = item("Observation", "o")
    plain.labels = frozenset({"HIV"})
    assert labels_of(policy, plain) == {"o": set()}


def _condition() -> Item:
    return item("Condition", "hiv", code=code(HIV))


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        ("Encounter", {"reasonReference": [ref("Condition", "hiv")]}),
        ("Encounter", {"diagnosis": [{"condition": ref("Condition", "hiv")}]}),
        ("Appointment", {"reasonReference": [ref("Condition", "hiv")]}),
        ("Appointment", {"supportingInformation": [ref("Condition", "hiv")]}),
        ("MedicationRequest", {"reasonReference": [ref("Condition", "hiv")], "medicationCodeableConcept": code("1")}),
        ("MedicationStatement", {"reasonReference": [ref("Condition", "hiv")], "medicationCodeableConcept": code("1")}),
        ("CareTeam", {"reasonReference": [ref("Condition", "hiv")]}),
        ("Condition", {"evidence": [{"detail": [ref("Condition", "hiv")]}]}),
        ("Condition", {"stage": [{"assessment": [ref("Condition", "hiv")]}]}),
        ("Immunization", {"reasonReference": [ref("Condition", "hiv")]}),
        ("Immunization", {"reaction": [{"detail": ref("Condition", "hiv")}]}),
        ("Observation", {"focus": [ref("Condition", "hiv")]}),
    ],
)
def test_what_tells_of_a_labelled_item_is_labelled(policy: Policy, kind: str, elements: dict[str, object]) -> None:
    labelled = labels_of(policy, item(kind, "teller", **elements), _condition())
    assert labelled == {"teller": {"HIV"}, "hiv": {"HIV"}}


@pytest.mark.parametrize(
    ("kind", "element", "target"),
    [
        ("Observation", "encounter", "Encounter"),
        ("Condition", "encounter", "Encounter"),
        ("Encounter", "partOf", "Encounter"),
        ("AllergyIntolerance", "recorder", "Practitioner"),
        ("Observation", "performer", "Organization"),
    ],
)
def test_a_reference_that_can_simply_go_spreads_nothing(policy: Policy, kind: str, element: str, target: str) -> None:
    labelled = item(target, "target", type=[code(HIV)], qualification=[{"code": code(HIV)}])
    assert labels_of(policy, item(kind, "x", **{element: ref(target, "target")}), labelled)["x"] == set()


def test_the_medicine_takes_the_label_of_its_medication(policy: Policy) -> None:
    tablets = item("Medication", "m", code=code("387001004"))
    request = item("MedicationRequest", "r", medicationReference=ref("Medication", "m"))
    assert labels_of(policy, request, tablets) == {"r": {"HIV"}, "m": {"HIV"}}


def test_an_ingredient_labels_the_medication_and_the_request(policy: Policy) -> None:
    ingredient = item("Medication", "i", code=code("387001004"))
    tablets = item("Medication", "m", ingredient=[{"itemReference": ref("Medication", "i")}])
    request = item("MedicationRequest", "r", medicationReference=ref("Medication", "m"))
    assert labels_of(policy, request, tablets, ingredient) == {"r": {"HIV"}, "m": {"HIV"}, "i": {"HIV"}}


def test_a_contact_at_a_labelled_place_is_labelled(policy: Policy) -> None:
    clinic = item("Location", "gum", type=[code("830039004")])
    room = item("Location", "room", partOf=ref("Location", "gum"))
    visit = item("Encounter", "e", location=[{"location": ref("Location", "room")}])
    assert labels_of(policy, visit, room, clinic)["e"] == {"STD"}


def test_a_contact_with_a_labelled_party_is_labelled_but_not_what_the_party_recorded(policy: Policy) -> None:
    psychiatrist = item("PractitionerRole", "p", specialty=[code("394587001")])
    visit = item("Encounter", "e", participant=[{"individual": ref("PractitionerRole", "p")}])
    allergy = item("AllergyIntolerance", "a", recorder=ref("PractitionerRole", "p"))
    assert labels_of(policy, visit, allergy, psychiatrist) == {"e": {"PSY"}, "a": set(), "p": {"PSY"}}


def test_the_report_of_a_labelled_result_is_labelled_but_not_its_other_results(policy: Policy) -> None:
    report = item("DiagnosticReport", "r", result=[ref("Observation", "viral"), ref("Observation", "hb")])
    viral = item("Observation", "viral", code=code("20447-9", system="http://loinc.org"))
    labelled = labels_of(policy, report, viral, item("Observation", "hb"))
    assert labelled == {"r": {"HIV"}, "viral": {"HIV"}, "hb": set()}


def test_the_results_of_a_labelled_report_are_labelled(policy: Policy) -> None:
    report = item(
        "DiagnosticReport", "r", code=code("75622-1", system="http://loinc.org"), result=[ref("Observation", "p")]
    )
    panel = item("Observation", "p", hasMember=[ref("Observation", "o")])
    assert labels_of(policy, report, panel, item("Observation", "o")) == {"r": {"HIV"}, "p": {"HIV"}, "o": {"HIV"}}


@pytest.mark.parametrize("element", ["hasMember", "derivedFrom"])
def test_panels_and_members_label_each_other(policy: Policy, element: str) -> None:
    member = item("Observation", "m", code=code(HIV))
    assert labels_of(policy, item("Observation", "p", **{element: [ref("Observation", "m")]}), member)["p"] == {"HIV"}
    panel = item("Observation", "p", code=code(HIV), **{element: [ref("Observation", "m")]})
    assert labels_of(policy, panel, item("Observation", "m"))["m"] == {"HIV"}


def test_an_appointment_and_its_attendance_are_the_same_contact(policy: Policy) -> None:
    visit = item("Encounter", "e", appointment=[ref("Appointment", "a")], reasonReference=[ref("Condition", "hiv")])
    assert labels_of(policy, visit, item("Appointment", "a"), _condition())["a"] == {"HIV"}
    booked = item("Appointment", "a", reasonReference=[ref("Condition", "hiv")])
    assert labels_of(policy, item("Encounter", "e", appointment=[ref("Appointment", "a")]), booked, _condition())["e"]


def test_an_order_and_the_plan_it_is_based_on_are_the_same_medicine(policy: Policy) -> None:
    plan = item("MedicationRequest", "plan", intent="plan", reasonReference=[ref("Condition", "hiv")])
    order = item("MedicationRequest", "order", basedOn=[ref("MedicationRequest", "plan")])
    statement = item("MedicationStatement", "s", basedOn=[ref("MedicationRequest", "order")])
    labelled = labels_of(policy, statement, order, plan, _condition())
    assert labelled == {key: {"HIV"} for key in ("s", "order", "plan", "hiv")}


def test_a_restriction_on_one_sources_demographics_holds_for_all(policy: Policy) -> None:
    restricted = item("Patient", "a", meta={"security": [{"system": CONFIDENTIALITY, "code": "R"}]})
    booked = item("Appointment", "o", participant=[{"actor": ref("Patient", "a"), "status": "accepted"}])
    labelled = labels_of(policy, restricted, item("Patient", "b", "G85005"), booked)
    assert labelled == {"a": {"RESTRICTED"}, "b": {"RESTRICTED"}, "o": set()}


@pytest.mark.parametrize(
    ("missing", "reason", "restricted"),
    [
        (set(), ref("Condition", "gone"), False),
        (set(), {"reference": "urn:uuid:1"}, False),
        ({Section.PROBLEMS}, ref("Condition", "gone"), True),
        ({Section.PROBLEMS}, ref("Condition", "here"), False),
        ({Section.PROBLEMS}, {"reference": "urn:uuid:1"}, True),
        ({Section.PROBLEMS}, {"reference": "#within"}, False),
        ({Section.RESULTS}, ref("Condition", "gone"), False),
        ({Section.RESULTS}, ref("Practitioner", "gone"), False),
        ({Section.RESULTS}, {"reference": "urn:uuid:1"}, True),
        (set(Section), ref("Condition", "gone"), True),
    ],
)
def test_what_tells_of_something_in_a_section_that_did_not_come_is_restricted(
    policy: Policy, missing: set[Section], reason: dict[str, str], restricted: bool
) -> None:
    """It may be the reason that its source marks as sensitive."""
    visit = item("Encounter", "e", "RJ2", reasonReference=[ref("Condition", "here"), reason])
    record = [visit, item("Condition", "here", "RJ2"), item("Encounter", "other", "RJ2")]
    policy.labels.label(record, SOURCES, resolver(record), {"RJ2": set(Section) - missing})
    assert [set(each.labels) for each in record] == [{"RESTRICTED"} if restricted else set(), set(), set()]


def test_of_a_source_that_says_nothing_of_its_sections_none_is_taken_to_be_whole(policy: Policy) -> None:
    visit = item("Encounter", "e", "RJ2", reasonReference=[ref("Condition", "gone")])
    policy.labels.label([visit], SOURCES, resolver([visit]), {})
    assert visit.labels == {"RESTRICTED"}


def test_a_restriction_for_what_did_not_come_stands_beside_the_other_labels(policy: Policy) -> None:
    visit = item("Encounter", "e", "RV5", reasonReference=[ref("Condition", "gone")])
    policy.labels.label([visit], SOURCES, resolver([visit]), {"RV5": set()})
    assert visit.labels == {"MH", "RESTRICTED"}


def test_circles_end(policy: Policy) -> None:
    one = item("Observation", "1", code=code(HIV), hasMember=[ref("Observation", "2")])
    two = item("Observation", "2", code=code(PSYCHOSIS), hasMember=[ref("Observation", "1")])
    assert labels_of(policy, one, two) == {"1": {"HIV", "PSY"}, "2": {"HIV", "PSY"}}


def test_every_spreading_element_is_one_of_r4() -> None:
    for table in (TELLS_OF, GATHERS, IS_THE_SAME):
        for kind, paths in table.items():
            for path in paths:
                model: str | None = kind
                for step in path.split("."):
                    assert model is not None
                    element = elements(model)[step]
                    model = element.model
                assert element.model == "Reference", f"{kind}.{path}"


def test_loaded_says_which_sets_are_in_force(policies: Path) -> None:
    tables = LabelTables.load(policies)
    hiv = next(each for each in tables.loaded() if each.name == "hiv")
    assert str(hiv) == f"hiv 2026.1: {hiv.count} codes labelled HIV (hiv.yaml)"
    assert sum(each.count for each in tables.loaded()) > 400


def test_a_full_set_loads_from_csv_and_from_yaml(policies: Path, tmp_path: Path) -> None:
    full = tmp_path / "refset.csv"
    full.write_text("system,code,label\nhttp://snomed.info/sct,123456789,STD\n")
    more = tmp_path / "more.yaml"
    more.write_text(
        'name: more\nversion: "1"\nowner: us\nlabel: GENETIC-TEST\ntitle: T\nwhy: w\ncodes:\n  sys:\n    "1": a test\n'
    )
    tables = LabelTables.load(policies, [full, more])
    assert tables.own(item("Condition", "c", code=code("123456789")), OrganisationType.ACUTE_TRUST) == {"STD"}
    assert tables.own(item("Condition", "c", code=code("1", system="sys")), OrganisationType.COUNCIL) == {
        "GENETIC-TEST"
    }
    assert [(each.name, each.labels, each.count) for each in tables.loaded()][-2:] == [
        ("refset", ("STD",), 1),
        ("more", ("GENETIC-TEST",), 1),
    ]


def test_a_label_that_the_rules_do_not_know_stops_start_up(policies: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text('name: m\nversion: "1"\nowner: us\nlabel: NEW\ntitle: T\nwhy: w\ncodes:\n  sys:\n    "1": a test\n')
    with pytest.raises(PolicyProblem, match="doesn't know the label NEW"):
        Policy.load(policies, [more])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("code,label\n1,HIV\n", "system,code,label"),
        ("system,code,label\n", "no codes"),
        ("system,code,label\nsys,1,MADE-UP\n", "line 2"),
        ("system,code,label\nsys,,HIV\n", "line 2"),
        ('system,code,label\n"sys,1,HIV\n', "not CSV"),
        ('"system"x,code,label\nsys,1,HIV\n', "not CSV"),
    ],
)
def test_a_wrong_csv_stops_start_up(policies: Path, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "refset.csv"
    file.write_text(text)
    with pytest.raises(PolicyProblem, match=says):
        LabelTables.load(policies, [file])


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("labels/hiv.yaml", '"86406008"', "86406008", "needs quotes"),
        ("labels/psychiatry.yaml", "label: PSY", "label: HIV", "titled"),
        ("labels/hiv.yaml", "owner: ", "owners: ", "must hold"),
        ("labels/hiv.yaml", 'version: "2026.1"', "version: 2026.1", "must be text"),
        ("labels/hiv.yaml", "codes:\n", "codes: []\nx:\n", "must hold"),
        ("labels/hiv.yaml", "name: hiv", "name: [", "not YAML"),
        ("labels/hiv.yaml", "name: hiv", "name: \x06", "not YAML"),
        ("labels/hiv.yaml", "name: hiv", "name: 2026-02-30", "not YAML"),
        ("labels/hiv.yaml", "name: hiv", "name: !!int x", "not YAML"),
        ("labels/hiv.yaml", "name: hiv", "name: " + "[" * 1_000, "not YAML"),
        ("labels/hiv.yaml", "name: hiv", 'name: "\\Uffffffff"', "not YAML"),
        ("security-labels.yaml", "V: RESTRICTED", "V: SECRET", "has no table"),
        ("security-labels.yaml", "neutral: [U, L, M, N]", "neutral: U", "neutral must be a list"),
        ("source-labels.yaml", "mental-health-trust", "asylum", "asylum"),
        ("source-labels.yaml", "labels: [MH]", "labels: [MADNESS]", "has no table"),
        ("source-labels.yaml", "sections: [contacts]", "sections: [notes]", "notes"),
    ],
)
def test_a_wrong_table_stops_start_up(policies: Path, tmp_path: Path, file: str, old: str, new: str, says: str) -> None:
    changed = tmp_path / "policies"
    shutil.copytree(policies, changed)
    path = changed / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PolicyProblem, match=says) as caught:
        LabelTables.load(changed)
    assert str(path) in str(caught.value)


SOURCE_LABELS = """owner: o
version: "1"
sources:
  - source-type: council
    sections: {sections}
    labels: {labels}
    why: because
"""


SECURITY_LABELS = """owner: o
version: "1"
title: Restricted
systems:
  - uris: {uris}
    neutral: {neutral}
    labels: {labels}
"""
HIV_TABLE = """name: hiv
version: "1"
owner: o
label: HIV
title: About HIV
why: because
codes: {codes}
"""


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("labels/hiv.yaml", HIV_TABLE.format(codes="7"), "codes must hold keys and values"),
        ("labels/hiv.yaml", HIV_TABLE.format(codes="{http://x: 7}"), "http://x must hold keys and values"),
        ("security-labels.yaml", SECURITY_LABELS.format(uris="7", neutral="[U]", labels="{}"), "uris must be a list"),
        ("security-labels.yaml", SECURITY_LABELS.format(uris="[u]", neutral="7", labels="{}"), "neutral must be a"),
        ("security-labels.yaml", SECURITY_LABELS.format(uris="[u]", neutral="[U]", labels="7"), "labels must hold"),
        (
            "security-labels.yaml",
            SECURITY_LABELS.format(uris="[u]", neutral="[U]", labels="{}\n    more: 1"),
            ": each system must hold labels, neutral, uris; found labels, more,",
        ),
        (
            "source-labels.yaml",
            SOURCE_LABELS.format(sections="[contacts]", labels="[MH]\n    more: 1"),
            ": each source must hold labels, sections, source-type, why; found labels, more,",
        ),
        ("source-labels.yaml", 'owner: o\nversion: "1"\nsources: 7\n', "sources must be a list"),
        ("source-labels.yaml", SOURCE_LABELS.format(sections="7", labels="[MH]"), "sections must be a list"),
        ("source-labels.yaml", SOURCE_LABELS.format(sections="[contacts]", labels="7"), "labels must be a list"),
        ("security-labels.yaml", 'owner: o\nversion: "1"\ntitle: Restricted\nsystems: 7\n', "systems must be a list"),
    ],
)
def test_what_is_no_list_or_mapping_is_named(policies: Path, tmp_path: Path, file: str, text: str, says: str) -> None:
    changed = tmp_path / "policies"
    shutil.copytree(policies, changed)
    (changed / file).write_text(text)
    with pytest.raises(PolicyProblem, match=says):
        LabelTables.load(changed)
