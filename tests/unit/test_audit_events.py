"""What an event says of its row, and what it leaves in the journal."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.nhs_number import is_nhs_number
from gateway.audit.events.ids import event_id, seq_of
from gateway.audit.events.pattern import action_of, outcome_of, profile_of
from gateway.audit.events.render import Events
from gateway.audit.row import Kind
from gateway.sealed import Sealer, Unsealable
from gateway.store.interface import Kept
from tests.events import DIGEST, EVERY, GP, PATIENT, PREFIX, SEALER, released

EVENTS = Events(SEALER, "https://gateway.example/", "log.example")


def event_of(name: str) -> dict[str, Any]:
    return EVENTS.of(Kept(7, EVERY[name]))


def agent_of(event: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [a for a in event["agent"] if any(c["code"] == code for c in a["type"]["coding"])]
    return found  # type: ignore[no-any-return]


def entity_of(event: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [e for e in event["entity"] if e["type"]["code"] == code]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "profile", "action", "outcome"),
    [
        ("everything", "PatientQuery", "E", "0"),
        ("search", "PatientQuery", "E", "0"),
        ("own door", "PatientQuery", "E", "0"),
        ("found", "PatientQuery", "E", "0"),
        ("found nobody", "Query", "E", "0"),
        ("read", "PatientRead", "R", "0"),
        ("read patient", "PatientRead", "R", "0"),
        ("best interests", "PrivacyDisclosure.Source", "R", "0"),
        ("best interests read", "PrivacyDisclosure.Source", "R", "0"),
        ("disclosure", "PrivacyDisclosure.Source", "R", "0"),
        ("granted", "AuthZconsent", "E", "0"),
        ("extended", "AuthZconsent", "E", "0"),
        ("opts in", "AuthZconsent", "E", "0"),
        ("opts out", "AuthZconsent", "E", "8"),
        ("withdrawn", "AuthZconsent", "E", "8"),
        ("opted out", "AuthZconsent", "E", "8"),
        ("no permission", "AuthZconsent", "E", "8"),
        ("consent of somebody half known", None, "E", "8"),
        ("by role", None, "E", "8"),
        ("token", None, "E", "8"),
        ("bad request", None, "E", "4"),
        ("not found", None, "R", "4"),
        ("fault", None, "E", "8"),
        ("intent", None, "E", "0"),
        ("sought", None, "E", "0"),
        ("audit read", None, "R", "0"),
        ("case", None, "C", "0"),
        ("case moved", None, "U", "0"),
        ("erased", None, "D", "0"),
        ("tried", None, "E", "0"),
    ],
)
def test_each_kind_of_row_has_its_pattern(name: str, profile: str | None, action: str, outcome: str) -> None:
    row, event = EVERY[name], event_of(name)
    claimed = profile_of(row)
    assert (claimed.rpartition("IHE.BasicAudit.")[2] if claimed else None) == profile
    assert (event["action"], event["outcome"]) == (action, outcome) == (action_of(row), outcome_of(row))
    assert ("outcomeDesc" in event) == (outcome != "0")


def test_in_a_query_the_client_is_the_source_and_in_a_read_the_destination() -> None:
    query, read = event_of("everything"), event_of("read")
    assert agent_of(query, "110153")["who"] == agent_of(read, "110152")["who"] == {"identifier": {"value": "viewer"}}
    assert agent_of(query, "110152")["who"] == agent_of(read, "110153")["who"] == query["source"]["observer"]


def test_the_person_is_named_as_the_token_named_them_and_the_token_by_its_id() -> None:
    person = agent_of(event_of("everything"), "IRCP")
    assert person["who"]["identifier"] == {"system": GP.issuer, "value": GP.user_id}
    assert (person["name"], person["requestor"]) == ("Asha Rahman", True)
    assert person["policy"] == ["urn:ietf:params:oauth:jti:9f3b%201%7Cx"]
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert person["role"][0]["coding"][0]["code"] == "R0260"
    assert [extension["url"].rpartition("/")[2] for extension in person["extension"]] == [
        "ihe-assuranceLevel",
        "ihe-otherId",
    ]
    assert agent_of(event_of("everything"), "PROV")["who"]["identifier"]["value"] == "G85005"


def test_the_question_is_the_route_and_the_sections_and_never_the_patient() -> None:
    query = entity_of(event_of("everything"), "2")
    assert base64.b64decode(query["query"]).decode() == query["description"]
    assert query["description"] == "GET /fhir/R4/Patient/{patient}/$everything sections=medicines,results"
    assert entity_of(event_of("everything"), "1")["what"]["identifier"]["value"] == PATIENT


def test_a_resource_that_was_read_is_named_by_its_sealed_id() -> None:
    what = entity_of(event_of("read"), "2")["what"]
    assert what["reference"] == f"https://gateway.example/fhir/R4/Observation/{PREFIX}.{DIGEST}"
    assert entity_of(event_of("read of two"), "2")["what"] == {"type": "Observation", "display": "2 resources"}
    assert entity_of(event_of("not found"), "2")["what"] == {"type": "Observation", "display": "not shown"}
    assert "reference" not in entity_of(event_of("read patient"), "2")["what"]


def test_a_disclosure_says_who_received_and_on_what_basis() -> None:
    lawful, unasked = event_of("disclosure"), event_of("best interests")
    assert agent_of(lawful, "110152")["who"] == {"display": "Coroner"}
    assert [c["code"] for c in lawful["purposeOfEvent"][0]["coding"]] == ["HLEGAL", "court-order"]
    assert {"type": "legal reference", "valueString": "KB-2026-001"} in entity_of(lawful, "row")["detail"]
    assert agent_of(unasked, "110152")["who"] == {"identifier": {"value": "viewer"}}
    assert [c["code"] for p in unasked["purposeOfEvent"] for c in p["coding"]] == [
        "TREAT",
        "BTG",
        "best-interests",
        "unconscious",
    ]
    assert {"type": "cases", "valueString": "c-1"} in entity_of(unasked, "row")["detail"]


def test_a_decision_names_the_consent_and_carries_the_request_id_where_the_profile_leaves_room() -> None:
    granted, none = event_of("granted"), event_of("no permission")
    consent = entity_of(granted, "Consent")
    assert consent["what"]["identifier"]["value"] == EVERY["granted"].permission
    assert {"type": "X-Request-Id", "valueString": "req-1"} in consent["detail"]
    assert entity_of(none, "Consent")["what"]["display"] == "The patient's say: permission.none"
    assert entity_of(event_of("opts out"), "Consent")["what"]["identifier"]["value"] == "choice-1"


def test_the_request_id_is_an_entity_of_its_own_where_there_is_one() -> None:
    assert entity_of(event_of("everything"), "XrequestId")["what"]["identifier"]["value"] == "req-1"
    assert "XrequestId" not in json.dumps(event_of("no request id"))


@pytest.mark.parametrize("name", EVERY)
def test_what_was_kept_back_what_was_typed_and_the_token_stay_in_the_journal(name: str) -> None:
    text = json.dumps(event_of(name))
    for kept in ("label.sensitive", "label.mental-health", "what was typed", "wrong-patient", "question abc"):
        assert kept not in text
    assert EVERY[name].sealed_patient is None or text.count(PATIENT) <= 2
    assert PATIENT not in json.dumps([event_of(name)["id"], event_of(name).get("outcomeDesc")])


def test_an_event_is_the_same_each_time_and_of_one_log_alone() -> None:
    elsewhere = Events(SEALER, "https://gateway.example/", "log.elsewhere")
    kept = Kept(7, released())
    assert EVENTS.of(kept) == EVENTS.of(kept)
    assert EVENTS.of(kept)["id"] != elsewhere.of(kept)["id"]
    assert elsewhere.seq_of(EVENTS.id_of(7)) is None


def test_a_row_that_another_key_sealed_has_no_event() -> None:
    with pytest.raises(Unsealable):
        Events(Sealer(bytes([1] * 32)), "https://gateway.example/", "log.example").of(Kept(1, released()))


def test_a_row_of_a_person_without_name_or_role_still_says_who_it_can() -> None:
    row = released(who=msgspec.structs.replace(GP, name="", job_role_code="", organisation_name="", client_id=""))
    event = EVENTS.of(Kept(1, row))
    person = agent_of(event, "IRCP")
    assert "name" not in person
    assert person["role"] == [{"text": "gp"}]
    assert agent_of(event, "110150")["who"] == {"display": "unknown"}
    assert event["meta"]["profile"] == [profile_of(row)]


@given(st.integers(min_value=1, max_value=2**48 - 1), st.text(max_size=20))
def test_an_id_leads_back_to_its_row(seq: int, origin: str) -> None:
    made = event_id(origin, seq)
    assert seq_of(origin, made) == seq
    assert made[14] == "8"
    assert seq_of(origin + "x", made) is None


@pytest.mark.parametrize("wrong", ["", "7", "x" * 36, "{{{0}}}", "0" * 32])
def test_what_is_no_id_of_ours_leads_nowhere(wrong: str) -> None:
    assert seq_of("log.example", wrong.format(event_id("log.example", 7))) is None
    assert seq_of("log.example", event_id("log.example", 10).upper()) is None


@pytest.mark.parametrize("seq", [0, -1, 2**48])
def test_no_row_has_such_a_number(seq: int) -> None:
    with pytest.raises(ValueError, match="row's number"):
        event_id("log.example", seq)


def test_the_rows_that_are_tried_are_synthetic() -> None:
    assert is_nhs_number(PATIENT)
    assert PATIENT.startswith("999")
    assert Kind.RELEASE in {row.kind for row in EVERY.values()}
