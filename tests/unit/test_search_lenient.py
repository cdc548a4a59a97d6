"""`Prefer: handling=lenient`: what a search may go without, and what it never does; compartments; includes."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.api.prefer import is_lenient
from gateway.errors import BadRequest, NotSupported
from gateway.policy.r4 import elements
from gateway.search.lenient import may_ignore
from gateway.search.parse import parse
from gateway.search.query import Query
from gateway.search.supporting import (
    INCLUDES,
    REFERRED_FROM,
    SUPPORTING_READS,
    Include,
    include,
    includes_of,
    sections_of,
)
from gateway.search.table import OFFERED
from gateway.search.told import left_out

PATIENT, OTHER = "9990000018", "9990000026"
HIDDEN_QUESTIONS = (
    "_has", "_has:Observation:patient:code", "_filter", "_query", "_text", "_content", "_list", "encounter.date",
    "performer.name", "code:not", "code:in", "patient:missing", "patient.identifier", "subject:Patient.name",
    "_include:iterate", "_revinclude:iterate", "_id:not", "patient[]", " patient", "patient ", "co de", "_", "code|x",
)  # fmt: skip
WHOSE = (
    "subject", "Subject", "PATIENT", "_ID", "identifier", "name", "family", "birthdate", "_cursor", "link",
    "nhs-number",
)  # fmt: skip


def asked(*pairs: tuple[str, str], kind: str = "Observation") -> Query:
    query = parse(kind, [("patient", PATIENT), *pairs], lenient=True)
    assert isinstance(query, Query)
    return query


def test_unknown_plain_names_are_left_out_and_named() -> None:
    query = asked(("colour", "red"), ("code", "x|1"), ("_pretty", "true"), ("colour", "blue"), ("encounter", "e"))
    assert query.ignored == ("`colour`", "`_pretty`", "`encounter`")
    assert query.pairs == (("patient", PATIENT), ("code", "x|1"))
    assert "`colour`, `_pretty`, `encounter`" in left_out(query)
    assert left_out(asked()) == ""


@pytest.mark.parametrize("name", [*HIDDEN_QUESTIONS, *WHOSE])
def test_what_asks_for_whom_or_through_others_is_refused_all_the_same(name: str) -> None:
    assert not may_ignore(name)
    with pytest.raises(BadRequest):
        asked((name, "x"))


def test_a_search_of_patient_ignores_nothing() -> None:
    with pytest.raises(NotSupported):
        parse("Patient", [("_id", PATIENT), ("colour", "red")], lenient=True)


@pytest.mark.parametrize("pair", [("date", "yesterday"), ("code", ""), ("_count", "-1"), ("_sort", "colour")])
def test_a_value_that_can_not_be_read_is_refused_all_the_same(pair: tuple[str, str]) -> None:
    with pytest.raises(BadRequest):
        asked(pair)


def test_a_missing_patient_stays_an_error() -> None:
    with pytest.raises(BadRequest) as caught:
        parse("Observation", [("colour", "red")], lenient=True)
    assert caught.value.rule == "search.patient-required"


def test_a_name_that_could_be_a_number_is_not_repeated() -> None:
    query = asked((f"n{OTHER}", "x"))
    assert query.ignored == ("with that name",)


def test_an_include_that_is_not_listed_is_left_out_and_the_listed_stay() -> None:
    query = asked(("_include", "Observation:encounter"), ("_include", "Observation:performer"), ("_revinclude", "a:b"))
    assert query.ignored == ("`_include`", "`_revinclude`")
    assert query.includes == (INCLUDES["Observation:performer"],)
    assert query.pairs[-1] == ("_include", "Observation:performer")


@pytest.mark.parametrize(
    ("headers", "lenient"),
    [
        ([], False),
        (["handling=lenient"], True),
        (["return=minimal, handling=lenient"], True),
        (["return=minimal", "Handling = \"Lenient\" ; wait=1"], True),
        (["handling=strict, handling=lenient"], False),
        (["handling=strict", "handling=lenient"], False),
        (["handling"], False),
        (["handling=loose"], False),
        (["x-handling=lenient"], False),
    ],
)  # fmt: skip
def test_what_counts_as_asking_for_lenience(headers: list[str], lenient: bool) -> None:
    scope = {"type": "http", "headers": [(b"prefer", value.encode()) for value in headers]}
    assert is_lenient(Request(scope)) is lenient


class TestIncludes:
    def test_each_follows_what_r4_says_it_does(self) -> None:
        for one in INCLUDES.values():
            model = one.name.partition(":")[0]
            for step in one.path.split("."):
                element = elements(model)[step]
                model = element.model or ""
            assert one.targets <= element.targets & set(SUPPORTING_READS), one.name
            assert one.targets

    def test_every_searchable_type_has_some(self) -> None:
        assert all(includes_of(kind) for kind in OFFERED)
        assert includes_of("Patient") == ()

    def test_a_target_type_narrows(self) -> None:
        narrowed = include("CareTeam", "CareTeam:participant:Organization")
        assert narrowed == Include("CareTeam:participant", "participant.member", frozenset({"Organization"}))

    @pytest.mark.parametrize(
        "text",
        [
            "*", "", ":", "CareTeam", "CareTeam:", "CareTeam:*", "CareTeam:patient", "CareTeam:participant:Patient",
            "CareTeam:participant:Organization:x", "Observation:performer", "careteam:participant",
            "CareTeam: participant",
        ],
    )  # fmt: skip
    def test_anything_else_is_refused(self, text: str) -> None:
        assert include("CareTeam", text) is None
        with pytest.raises(BadRequest):
            parse("CareTeam", [("patient", PATIENT), ("_include", text)])

    def test_it_may_be_repeated_or_listed_and_nothing_else_may(self) -> None:
        both = ("MedicationRequest:medication", "MedicationRequest:requester")
        for pairs in ([("_include", one) for one in both], [("_include", ",".join(both))]):
            query = parse("MedicationRequest", [("patient", PATIENT), *pairs])
            assert isinstance(query, Query)
            assert query.includes == tuple(INCLUDES[one] for one in both)
            assert query.pairs[1:] == tuple(("_include", one) for one in both)

    def test_supporting_types_are_read_through_what_may_refer_to_them(self) -> None:
        assert set(REFERRED_FROM) == set(SUPPORTING_READS)
        assert {str(one) for one in sections_of("Medication")} == {"medicines"}
        assert {str(one) for one in sections_of("Location")} == {"contacts", "immunisations"}
        assert {str(one) for one in sections_of("Condition")} == {"problems"}


class TestCompartments:
    def test_the_address_says_whose_record_it_is(self) -> None:
        query = parse("Encounter", [("status", "finished")], patient=PATIENT)
        assert isinstance(query, Query)
        assert (query.patient, query.compartment) == (PATIENT, True)
        assert query.pairs == (("patient", PATIENT), ("status", "finished"))

    @pytest.mark.parametrize("pair", [("patient", PATIENT), ("patient", OTHER), ("_cursor", "abc"), ("colour", "red")])
    @pytest.mark.parametrize("lenient", [False, True])
    def test_no_parameter_says_it_again(self, pair: tuple[str, str], lenient: bool) -> None:
        if lenient and pair[0] == "colour":
            return
        with pytest.raises(NotSupported) as caught:
            parse("Encounter", [pair], patient=PATIENT, lenient=lenient)
        assert "can be searched by: class, type" in caught.value.told

    def test_the_id_in_the_address_must_be_an_nhs_number(self) -> None:
        with pytest.raises(BadRequest):
            parse("Encounter", [], patient="9990000019")

    @pytest.mark.parametrize("kind", SUPPORTING_READS)
    def test_supporting_types_are_not_searched(self, kind: str) -> None:
        for more in ({}, {"patient": PATIENT}, {"lenient": True}):
            with pytest.raises(NotSupported) as caught:
                parse(kind, [], **more)
            assert caught.value.rule == "search.supporting"
