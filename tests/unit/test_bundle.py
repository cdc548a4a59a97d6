"""The searchset, and how complete it says it is, three ways; and refusals as OperationOutcomes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from connectors.sdk.model import Gap, Outcome, Section, SourceWarning
from gateway.api.bundle import ALLERGIES_TAG, SOURCES_TAG, issues, searchset, source_sentence, sources_header, to_json
from gateway.api.outcome import operation_outcome
from gateway.errors import BadRequest, GatewayError, NoPermission
from gateway.manifest import AllergyState, Manifest, ManifestLine
from gateway.search.page import Link, Page
from gateway.search.parse import parse
from gateway.search.query import Query

PATIENT = "9990000018"
GP, TRUST, COUNCIL = "South Lewisham Group Practice", "Lewisham and Greenwich NHS Trust", "London Borough of Lewisham"
ASKED = frozenset({Section.ALLERGIES, Section.MEDICINES})
TIMED_OUT = ManifestLine(
    "RJ2", TRUST, Outcome.TIMED_OUT, dict.fromkeys(sorted(ASKED), Gap.TIMED_OUT), told="did not answer in time"
)
NO_RECORD = ManifestLine("709", COUNCIL, Outcome.NO_RECORD)
ANSWERED = ManifestLine("G85005", GP, Outcome.ANSWERED)
MANIFEST = Manifest((ANSWERED, TIMED_OUT), ASKED, AllergyState.UNAVAILABLE, ("Results are never shown to this role.",))
BUNDLE_ID = UUID("9f3c1f4e-0000-4000-8000-000000000001")


@dataclass
class Shown:
    resource: dict[str, Any]


OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"text": "Potassium"},
    "effectiveDateTime": "2024-01-02T03:04:05.120+00:00",
    "valueQuantity": {"value": Decimal("4.50"), "unit": "mmol/L"},
    "referenceRange": [{"low": {"value": Decimal("0.10")}}],
    "note": [{"text": "é “quoted”"}],
}


def built(*pairs: tuple[str, str], manifest: Manifest = MANIFEST) -> bytes:
    query = parse("Observation", [("patient", PATIENT), *pairs])
    assert isinstance(query, Query)
    items = () if query.summary == "count" else (Shown(OBSERVATION),)
    page = Page(query, items, 7, (Link("self", "https://c.example/fhir/R4/Observation?_cursor=x"),))
    support = Shown({"resourceType": "Practitioner", "id": "p"})
    moment = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    return searchset(page, manifest, [support], public_base="https://c.example/", moment=moment, bundle_id=BUNDLE_ID)


def test_it_is_a_valid_bundle_with_every_digit_and_the_sources_order() -> None:
    body = built()
    Bundle.model_validate(json.loads(body))
    for digits in (b'"value":4.50,', b'"value":0.10}', b'"2024-01-02T03:04:05.120+00:00"', "é “quoted”".encode()):
        assert digits in body
    bundle = json.loads(body)
    assert list(bundle["entry"][0]["resource"]) == list(OBSERVATION)
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["match", "include", "outcome"]
    assert bundle["entry"][0]["fullUrl"] == "https://c.example/fhir/R4/Observation/o1"
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == 3
    assert (bundle["total"], bundle["type"], bundle["timestamp"]) == (7, "searchset", "2026-05-01T12:00:00.123Z")
    assert built() == body


def test_matches_are_shaped_and_what_they_refer_to_is_not() -> None:
    entries = json.loads(built(("_elements", "value")))["entry"]
    assert list(entries[0]["resource"]) == ["resourceType", "id", "meta", "status", "code", "valueQuantity"]
    assert entries[1]["resource"] == {"resourceType": "Practitioner", "id": "p"}


def test_a_count_alone_still_says_how_complete_it_is() -> None:
    bundle = json.loads(built(("_summary", "count")))
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["outcome"]
    assert bundle["total"] == 7


def test_every_source_is_accounted_for_three_ways() -> None:
    bundle = json.loads(built())
    outcome = bundle["entry"][-1]["resource"]
    OperationOutcome.model_validate(outcome)
    named = [issue["details"]["coding"][0]["code"] for issue in outcome["issue"] if "coding" in issue["details"]]
    tags = {tag["code"] for tag in bundle["meta"]["tag"] if tag["system"] == SOURCES_TAG}
    assert named == ["G85005", "RJ2"]
    assert tags == {"G85005=answered", "RJ2=timed-out;missing=allergies+medicines"}
    assert sources_header(MANIFEST) == "G85005=answered, RJ2=timed-out;missing=allergies+medicines"
    assert {"system": ALLERGIES_TAG, "code": "unavailable"} in bundle["meta"]["tag"]


def test_the_issues_in_words() -> None:
    found = [(one["severity"], one["code"], one["details"]["text"]) for one in issues(MANIFEST)]
    assert found == [
        ("information", "informational", f"{GP} answered."),
        ("warning", "timeout", f"{TRUST} did not answer in time: allergies, medicines are missing from this answer."),
        (
            "warning",
            "incomplete",
            f"Allergies unavailable: the allergies of {TRUST} could not be read. "
            "This does not mean that there are none.",
        ),
        ("information", "informational", "Results are never shown to this role."),
    ]


@pytest.mark.parametrize(
    ("line", "words", "severity", "code"),
    [
        (
            ManifestLine("709", COUNCIL, Outcome.NO_RECORD),
            "has no record of this patient.",
            "information",
            "informational",
        ),
        (
            ManifestLine("709", COUNCIL, Outcome.WITHHELD_BY_SOURCE, {Section.CARE_TEAM: Gap.WITHHELD_BY_SOURCE}),
            "withholds this record: care team is missing from this answer.",
            "warning",
            "suppressed",
        ),
        (
            ManifestLine(
                "709",
                COUNCIL,
                Outcome.PARTIAL,
                {Section.CONTACTS: Gap.FAILED, Section.RESULTS: Gap.HELD_BACK, Section.MEDICINES: Gap.FAILED},
                told="answered in part.",
            ),
            "answered in part: medicines, contacts are missing from this answer (could not be fetched); results may be "
            "incomplete (the organisation holds something back, or it could not be shown safely).",
            "warning",
            "incomplete",
        ),
        (
            ManifestLine("709", COUNCIL, Outcome.NOT_ASKED, told="holds none of what was asked for"),
            "holds none of what was asked for.",
            "information",
            "informational",
        ),
        (
            ManifestLine("709", COUNCIL, Outcome.ANSWERED, warnings=(SourceWarning(None, "x", "Not all of it."),)),
            "answered. It states: “Not all of it.”",
            "warning",
            "incomplete",
        ),
        (
            ManifestLine(
                "709",
                COUNCIL,
                Outcome.NOT_ASKED,
                {Section.CONTACTS: Gap.NOT_ASKED},
                told="is too busy to be asked now",
            ),
            "is too busy to be asked now: contacts are missing from this answer.",
            "warning",
            "incomplete",
        ),
        (
            ManifestLine(
                "709",
                COUNCIL,
                Outcome.ANSWERED,
                {Section.MEDICINES: Gap.HELD_BACK},
                (SourceWarning(Section.MEDICINES, "confidential-items", "Items excluded as confidential."),),
            ),
            "answered: medicines may be incomplete (the organisation holds something back, or it could not be shown "
            "safely). It states: “Items excluded as confidential.”",
            "warning",
            "incomplete",
        ),
    ],
)
def test_a_source_in_words(line: ManifestLine, words: str, severity: str, code: str) -> None:
    assert source_sentence(line) == f"{COUNCIL} {words}"
    (issue,) = issues(Manifest((line,), ASKED))
    assert (issue["severity"], issue["code"]) == (severity, code)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("gap", Gap)
def test_no_gap_is_ever_mere_information(outcome: Outcome, gap: Gap) -> None:
    (issue,) = issues(Manifest((ManifestLine("709", COUNCIL, outcome, {Section.RESULTS: gap}),), ASKED))
    assert issue["severity"] == "warning"
    assert "results" in issue["details"]["text"]


def test_a_source_that_holds_none_of_it_is_accounted_for_too() -> None:
    holds_none = ManifestLine("709", COUNCIL, Outcome.NOT_ASKED, told="holds none of what was asked for")
    manifest = Manifest((holds_none, ANSWERED), ASKED, AllergyState.NONE_KNOWN)
    assert sources_header(manifest) == "709=not-asked, G85005=answered"
    bundle = json.loads(built(manifest=manifest))
    assert {"system": SOURCES_TAG, "code": "709=not-asked", "display": COUNCIL} in bundle["meta"]["tag"]
    assert {issue["severity"] for issue in issues(manifest)} == {"information"}


def test_a_sources_own_warning_is_a_gap_in_every_telling() -> None:
    warns = ManifestLine("G85005", GP, Outcome.ANSWERED, warnings=(SourceWarning(Section.ALLERGIES, "x", "Not all."),))
    manifest = Manifest((warns,), ASKED, AllergyState.UNAVAILABLE)
    assert sources_header(manifest) == "G85005=answered;missing=allergies"
    found = [(one["severity"], one["code"]) for one in issues(manifest)]
    assert found == [("warning", "incomplete"), ("warning", "incomplete")]
    assert allergy_words(AllergyState.UNAVAILABLE, warns)[0].startswith(f"Allergies unavailable: the allergies of {GP}")
    of_all = ManifestLine("G85005", GP, Outcome.ANSWERED, warnings=(SourceWarning(None, "x", "Not all."),))
    assert sources_header(Manifest((of_all,), ASKED)) == "G85005=answered;missing=allergies+medicines"


def test_where_kinds_of_allergy_are_never_shown_no_absence_is_told_without_saying_so() -> None:
    def words(state: AllergyState) -> str:
        found = issues(Manifest((ANSWERED,), ASKED, state, ("HIV is never shown.",), allergies_limited=True))
        assert found[-1]["details"]["text"] == "HIV is never shown."
        return str(found[-2]["details"]["text"])

    assert words(AllergyState.NONE_KNOWN) == (
        "No known allergies among what may be shown to you: a source states so, and none is missing. "
        "Kinds that are never shown are named below."
    )
    assert words(AllergyState.NOT_RECORDED) == (
        "Allergies not recorded among what may be shown to you: no organisation holds a statement. "
        "This does not mean that there are none. Kinds that are never shown are named below."
    )
    assert words(AllergyState.KNOWN) == "Known allergies: at least one is recorded."


def test_what_the_gateway_made_has_a_name_and_no_address() -> None:
    query = parse("Observation", [("patient", PATIENT)])
    assert isinstance(query, Query)
    linkage = {"resourceType": "Linkage", "id": "0" * 32, "item": [{"type": "source", "resource": {"display": "x"}}]}
    body = searchset(
        Page(query, (), 0, ()),
        MANIFEST,
        authored=[linkage, {**linkage, "id": "1" * 32}],
        public_base="https://c.example/",
        moment=datetime(2026, 5, 1, tzinfo=UTC),
        bundle_id=BUNDLE_ID,
    )
    bundle = json.loads(body)
    Bundle.model_validate(bundle)
    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["include", "include", "outcome"]
    names = [UUID(entry["fullUrl"].removeprefix("urn:uuid:")) for entry in bundle["entry"]]
    assert len(set(names)) == 3


def allergy_words(state: AllergyState | None, *lines: ManifestLine, asked: frozenset[Section] = ASKED) -> list[str]:
    found = issues(Manifest(lines or (ANSWERED,), asked, state))
    return [issue["details"]["text"] for issue in found if "llergies" in issue["details"]["text"].split(":")[0]]


def test_the_four_mandated_states_begin_with_their_exact_words() -> None:
    assert allergy_words(AllergyState.KNOWN) == ["Known allergies: at least one is recorded."]
    assert allergy_words(AllergyState.NONE_KNOWN)[0].startswith("No known allergies: ")
    assert allergy_words(AllergyState.NOT_RECORDED)[0].startswith("Allergies not recorded: ")
    assert allergy_words(AllergyState.UNAVAILABLE)[0].startswith("Allergies unavailable: ")
    (known,) = allergy_words(AllergyState.KNOWN, TIMED_OUT)
    assert known.endswith(f"There may be more: {TRUST} can't be read as complete.")


def test_allergies_are_told_only_where_they_were_asked_for() -> None:
    assert allergy_words(None) == []
    assert allergy_words(AllergyState.KNOWN, asked=frozenset({Section.RESULTS})) == []


def test_an_outcome_is_never_without_an_issue() -> None:
    nobody = Manifest((), frozenset())
    assert sources_header(nobody) == ""
    OperationOutcome.model_validate({"resourceType": "OperationOutcome", "issue": issues(nobody)})
    Bundle.model_validate(json.loads(built(manifest=nobody)))


def test_decimals_travel_digit_for_digit() -> None:
    sent = b'{"resourceType":"Observation","a":0.10,"b":4.50,"c":1E+2,"d":-0.0,"e":123456789012345678901234567890.10}'
    read = msgspec.json.Decoder(float_hook=Decimal).decode(sent)
    assert to_json(read) == sent


class TestOutcome:
    def test_a_refusal(self) -> None:
        error = NoPermission("Ask the patient.", rule="permission.none", detail="operator's own words")
        outcome = json.loads(operation_outcome(error, "req-1"))
        assert outcome == {
            "resourceType": "OperationOutcome",
            "issue": [
                {
                    "severity": "error",
                    "code": "suppressed",
                    "details": {"text": "Ask the patient."},
                    "diagnostics": "Request req-1",
                }
            ],
        }

    def test_where_it_lies(self) -> None:
        error = BadRequest("No.", rule="x", expression="http.code:not")
        assert json.loads(operation_outcome(error, ""))["issue"][0]["expression"] == ["http.code:not"]

    @pytest.mark.parametrize("request_id", ["", " ", "\x00", "a\r\nb\x1b", "é", "x" * 1000, "\ud800"])
    def test_no_request_id_is_a_fault(self, request_id: str) -> None:
        issue = json.loads(operation_outcome(GatewayError("Sorry.", rule="x"), request_id))["issue"][0]
        assert issue["code"] == "exception"
        assert len(issue.get("diagnostics", "")) <= 140
        assert issue.get("diagnostics", "x").isprintable()
