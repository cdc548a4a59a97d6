"""What `social_care` brings, through guard, merge and policy: who sees what, and that a stray closes the source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.kit.faults import Mode
from connectors.sdk.model import Gap, Item, Outcome, Section
from connectors.sdk.organisations import OrganisationType
from connectors.social_care.sandbox import create_app, holdings
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.guard import Guarded, guard
from gateway.merge import Merger, Record
from gateway.policy.decide import Policy
from gateway.policy.filter import Filtered, apply
from gateway.policy.matrix import USUAL_PLACE
from gateway.policy.model import Circumstances
from tests.connectors.asking import BASE, Source
from tests.connectors.social_care_asking import (
    COUNCIL,
    GRACE,
    LEONARD,
    MIA,
    ask,
    bundle,
    case,
    facade,
    organisation,
    visit,
)
from tests.unit.pipeline import SEALER, an_ask, organisations

POLICIES = Path(__file__).resolve().parents[2] / "policies"
OTHER = {"reference": "Patient/p2"}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(POLICIES)


async def guarded(app: Any, nhs_number: str = GRACE, ods: str = "709", **settings: Any) -> Guarded:
    answer = await ask(app, nhs_number=nhs_number, ods=ods, **settings)
    asks = {ods: an_ask(COUNCIL, nhs_number=nhs_number)}
    return guard([answer], asks, lambda _: BASE)


async def merged(app: Any, nhs_number: str = GRACE, ods: str = "709") -> Record:
    checked = await guarded(app, nhs_number, ods)
    asks = {ods: an_ask(COUNCIL, nhs_number=nhs_number)}
    return Merger(SEALER, organisations(organisation(ods))).merge(checked, asks, nhs_number, COUNCIL)


def seen(record: Record, role: Role, policy: Policy) -> Filtered:
    """What a role sees of the record with the patient's ordinary agreement."""

    def resolve(reference: dict[str, Any]) -> Item | None:
        return record.index.get(reference.get("reference", ""))

    def circumstances_of(item: Item) -> Circumstances:
        assert item.section is not None
        kind = OrganisationType.COUNCIL
        place = USUAL_PLACE[role]
        agreed = (Basis.PATIENT_AGREED, Scope.STANDARD, False)
        return Circumstances(role, place, "TREAT", *agreed, item.section, kind, item.labels)

    types = {line.source: OrganisationType.COUNCIL for line in record.lines}
    policy.labels.label(record.items, types, resolve, record.whole)
    return apply(record.items, circumstances_of, policy, resolve, patient=record.nhs_number)


def of_type(filtered: Filtered, kind: str) -> list[dict[str, Any]]:
    return [item.resource for item in filtered.items if item.type == kind]


@pytest.mark.parametrize(("ods", "nhs_number"), [("709", GRACE), ("703", MIA), ("709", LEONARD)])
async def test_everything_passes_the_guard_and_is_released_as_r4(ods: str, nhs_number: str, policy: Policy) -> None:
    record = await merged(create_app(ods), nhs_number, ods)
    (line,) = record.lines
    assert (line.outcome, line.gaps, record.alarms) == (Outcome.ANSWERED, {}, [])
    filtered = seen(record, Role.GP, policy)
    assert filtered.items
    for item in filtered.items:
        get_fhir_model_class(item.type).model_validate(json.loads(msgspec.json.encode(item.resource)))
        assert item.resource["id"] == item.sealed_id
    text = msgspec.json.encode([item.resource for item in filtered.items]).decode()
    for held in holdings(ods).resources:
        assert f'"{held["resourceType"]}/{held["id"]}"' not in text  # no reference keeps the council's own ids


async def test_the_gp_sees_who_is_allocated_and_how_to_reach_them(policy: Policy) -> None:
    filtered = seen(await merged(create_app("709")), Role.GP, policy)
    by_reference = {f"{item.type}/{item.sealed_id}": item.resource for item in filtered.items}
    team = next(one for one in of_type(filtered, "CareTeam") if one["name"] == "Adult social care, Lewisham south")
    worker, allocated = [by_reference[one["member"]["reference"]] for one in team["participant"]]
    assert worker["name"][0]["family"] == "Bailey"
    assert worker["telecom"][0]["value"] == "020 7946 0711"
    assert allocated["name"] == "Adult social care, Lewisham south"
    assert team["subject"] == {"reference": f"Patient/{GRACE}"}
    assert len(of_type(filtered, "Encounter")) == 3
    (planned,) = of_type(filtered, "Appointment")
    assert {one["actor"]["reference"].partition("/")[0] for one in planned["participant"]} == {
        "Patient",
        "Practitioner",
        "Location",
    }
    assert planned["supportingInformation"][0]["display"] == "Adult social care, Lewisham south"


async def test_the_social_worker_sees_contacts_in_outline_as_valid_r4(policy: Policy) -> None:
    filtered = seen(await merged(create_app("709")), Role.SOCIAL_WORKER, policy)
    (planned,) = of_type(filtered, "Appointment")
    assert planned["start"] == "2027-03-03T10:00:53+00:00"
    assert planned["serviceType"][0]["text"] == "Six month review"
    assert "reasonCode" not in planned
    for met in (planned, *of_type(filtered, "Encounter")):
        get_fhir_model_class(met["resourceType"]).model_validate(json.loads(msgspec.json.encode(met)))


async def test_what_a_local_code_tells_is_labelled_and_hidden(policy: Policy) -> None:
    """The drug and alcohol team and the safeguarding enquiry of a man who agreed to an ordinary look."""
    record = await merged(create_app("709"), LEONARD)
    filtered = seen(record, Role.HOSPITAL_DOCTOR, policy)
    text = msgspec.json.encode([item.resource for item in filtered.items]).decode()
    for hidden in ("New Direction", "NEW PATHWAY", "Drug and alcohol", "Safeguarding", "S42"):
        assert hidden not in text
    assert [team["status"] for team in of_type(filtered, "CareTeam")] == ["inactive"]
    labels = {item.original_id: item.labels for item in record.items}
    assert labels["LAS-118940"] == frozenset({"SUD"})
    assert labels["LAS-118201"] == frozenset({"SDV"})


async def test_a_sensitive_team_labels_what_is_planned_with_it(policy: Policy) -> None:
    team_type = {"coding": [{"system": "https://709.sandbox.example/CodeSystem/team-type", "code": "SMS"}]}
    team = {"resourceType": "Organization", "id": "t1", "name": "New Direction", "type": [team_type]}
    by_team = {"serviceProvider": {"reference": "Organization/t1", "display": "New Direction"}}
    planned = visit("v1", status="planned", period={"start": "2027-03-03T10:00:53Z"}, **by_team)
    source = facade(Encounter=bundle(planned, visit("v2", **by_team), visit("v3"), team, total=3))
    record = await merged(source)
    assert {item.original_id for item in record.items if item.labels} == set()  # not labelled before policy
    filtered = seen(record, Role.HOSPITAL_DOCTOR, policy)
    assert of_type(filtered, "Appointment") == []
    assert [item.original_id for item in filtered.items if item.section is Section.CONTACTS] == ["v3"]
    assert "New Direction" not in msgspec.json.encode([item.resource for item in filtered.items]).decode()


@pytest.mark.parametrize("mode", [Mode.LYING, Mode.LYING_QUIETLY])
async def test_a_lying_facade_is_quarantined_whole(mode: Mode) -> None:
    sandbox = create_app("709")
    sandbox.switch.mode = mode
    checked = await guarded(sandbox)
    (answer,) = checked.answers
    assert (answer.outcome, answer.items) == (Outcome.FAILED, [])
    assert answer.gaps == dict.fromkeys(COUNCIL, Gap.IDENTITY_ALARM)
    assert [alarm.kind for alarm in checked.alarms] == ["wrong-patient"]


@pytest.mark.parametrize(
    "stray",
    [
        visit("v9", subject=OTHER),
        visit("v9", participant=[{"individual": OTHER}]),
        visit("v9", extension=[{"url": "urn:x", "valueReference": OTHER}]),
        case("c9", patient=OTHER),
        {"resourceType": "Basic", "id": "b1", "subject": OTHER},
    ],
)
async def test_one_sign_of_somebody_else_is_enough_even_where_the_contract_would_leave_it_out(
    stray: dict[str, Any],
) -> None:
    checked = await guarded(facade(EpisodeOfCare=bundle(case(), stray, total=1), Encounter=bundle(visit())))
    if stray["resourceType"] == "Encounter":  # not asked for among the cases: it goes no further than a gap
        assert checked.answers[0].gaps == {Section.CARE_TEAM: Gap.IDENTITY_ALARM}
        checked = await guarded(facade(case(), Encounter=bundle(visit(), stray, total=1)))
    assert checked.answers[0].items == []
    assert [alarm.kind for alarm in checked.alarms] == ["wrong-patient"]


async def test_a_person_without_a_number_is_alarmed_about() -> None:
    source: Source = facade(Patient=bundle({"resourceType": "Patient", "id": "p1", "identifier": []}))
    checked = await guarded(source)
    assert [alarm.kind for alarm in checked.alarms] == ["wrong-patient"]


async def test_a_contact_that_says_nothing_of_whom_is_dropped_alone() -> None:
    nobody = {"resourceType": "Encounter", "id": "v9", "status": "finished", "class": {"code": "AMB"}}
    checked = await guarded(facade(Encounter=bundle(visit(), nobody)))
    (answer,) = checked.answers
    assert [item.key for item in answer.items] == ["Patient/p1", "Encounter/v1"]
    assert answer.gaps == {Section.CONTACTS: Gap.HELD_BACK}


async def test_a_number_that_is_held_back_raises_no_alarm() -> None:
    checked = await guarded(create_app("709"), "9990001057")
    assert checked.alarms == []
    assert checked.answers[0].outcome is Outcome.FAILED
