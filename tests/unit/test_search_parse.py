"""Step 10, its first half: what a client may ask, and what is refused before anyone is asked."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.model import Section
from gateway.errors import BadRequest, GatewayError, NotAcceptable, NotSupported
from gateway.search.everything import parse_everything
from gateway.search.pairs import MAX_LENGTH, MAX_PARAMETERS, pairs_of
from gateway.search.parse import parse, parse_read
from gateway.search.query import Continuation, DateFilter, IdFilter, Prefix, Query, SortKey, Summary, Token, TokenFilter
from gateway.search.supporting import includes_of
from gateway.search.table import OFFERED, SHOWN_TYPES, search_names

PATIENT = "9990000018"
OTHER = "9990000026"
NHS = "https://fhir.nhs.uk/Id/nhs-number"

_NAMES = """
_has:Observation:patient:code _has:Provenance:target:agent _has _include _include:iterate _include:recurse _revinclude
_revinclude:iterate _revinclude:recurse _filter _text _content _query _list _contained _containedType _profile _tag
_security _source _type _score _at _since _pretty _graph _tags _language _in _not-in _near _maxresults _offset _page
_getpages _skip _after __proto__ _id:missing _id:not _id:in _lastUpdated:missing _sort:asc _sort:desc _count:x
patient.identifier patient.name patient.birthdate patient:Patient patient:Patient.identifier patient:identifier
patient:missing subject subject:Patient subject.identifier subject:Patient.name encounter encounter.date performer
performer.name performer:Practitioner.identifier requester requester.identifier code:not code:text code:in code:not-in
code:above code:below code:of-type code:missing code:exact code:contains code.text status:not status:missing
category:not category:text category:in date:missing date:exact date.start value-quantity value-concept combo-code
combo-value-quantity component-code identifier identifier:of-type identifier:otype based-on derived-from has-member
part-of focus specimen device method data-absent-reason code-value-quantity code-value-concept name family given
birthdate address telecom gender phone email general-practitioner organization link active deceased death-date
"""
JOINS = _NAMES.split()


def variants(name: str) -> list[str]:
    """Spellings that some parser somewhere takes for the name."""
    return [
        name,
        name.upper(),
        name.title(),
        f" {name}",
        f"{name} ",
        f"{name}\t",
        f"{name}[]",
        f"{name}\x00",
        f"${name}",
    ]


SPELLINGS = [spelling for name in JOINS for spelling in variants(name)]


def asked(resource_type: str, *pairs: tuple[str, str]) -> Query:
    found = parse(resource_type, [("patient", PATIENT), *pairs])
    assert isinstance(found, Query)
    return found


def refused(resource_type: str, *pairs: tuple[str, str]) -> GatewayError:
    with pytest.raises(BadRequest) as caught:
        parse(resource_type, pairs)
    return caught.value


def test_more_than_200_spellings_of_joins_are_refused() -> None:
    assert len(set(SPELLINGS)) > 200
    for name in SPELLINGS:
        error = refused("Observation", ("patient", PATIENT), (name, "x"))
        assert isinstance(error, NotSupported), name
        offered = "Observation:performer" if name == "_include" else "patient, code, category, status, date, _id"
        assert offered in error.told


@pytest.mark.parametrize("name", ["_has:Observation:patient:code", "_include", "_revinclude", "_filter", "code:not"])
def test_encoded_spellings_are_the_same_parameter_and_refused_alike(name: str) -> None:
    every = "".join(f"%{byte:02x}" for byte in name.encode())
    some = quote(name, safe="").replace("e", "%65")
    for spelling in (every, every.upper(), some):
        with pytest.raises(NotSupported):
            parse("Observation", pairs_of(f"patient={PATIENT}&{spelling}=x".encode()))
    twice = every.replace("%", "%25")
    with pytest.raises(NotSupported) as caught:
        parse("Observation", pairs_of(f"patient={PATIENT}&{twice}=x".encode()))
    assert "with that name" in caught.value.told


def test_an_encoded_name_that_is_offered_is_that_parameter() -> None:
    assert pairs_of(f"%70atient={PATIENT}&_sort=%2Ddate".encode()) == [("patient", PATIENT), ("_sort", "-date")]


@pytest.mark.parametrize(
    "query",
    [
        f"patient={PATIENT}&&code=1",
        f"&patient={PATIENT}",
        f"patient={PATIENT}&",
        f"patient={PATIENT}&code",
        f"patient={PATIENT}&=1",
        "=",
        f"patient={PATIENT}&code=%",
        f"patient={PATIENT}&code=%4",
        f"patient={PATIENT}&code=%zz",
        f"patient={PATIENT}&code=%ff",
        f"patient={PATIENT}&code=%c0%af",
        f"patient={PATIENT}&code=%ed%a0%80",
        f"patient={PATIENT}&code=é",
        f"patient={PATIENT} &code=1",
        f"patient={PATIENT}\r\n",
        "&".join(["code=1"] * (MAX_PARAMETERS + 1)),
        "code=" + "1" * MAX_LENGTH,
    ],
)
def test_what_two_readers_could_read_differently_is_refused(query: str) -> None:
    with pytest.raises(BadRequest):
        parse("Observation", pairs_of(query.encode()))


def test_a_semicolon_separates_nothing() -> None:
    with pytest.raises(BadRequest, match="NHS number"):
        parse("Observation", pairs_of(f"patient={PATIENT};code=1".encode()))


def test_query_and_form_are_one_list_and_a_name_in_both_is_refused() -> None:
    both = pairs_of(f"patient={PATIENT}".encode(), b"code=718-7&date=ge2024-01-01T00%3A00%2B01%3A00")
    query = parse("Observation", both)
    assert isinstance(query, Query)
    assert [type(one) for one in query.filters] == [TokenFilter, DateFilter]
    with pytest.raises(BadRequest, match="more than once"):
        parse("Observation", pairs_of(f"patient={PATIENT}".encode(), f"patient={OTHER}".encode()))
    assert pairs_of(b"") == []


def test_a_refusal_names_the_parameter_but_never_a_value_or_a_number() -> None:
    error = refused("Observation", ("patient", PATIENT), ("code:not", "secret-value"))
    assert "`code:not`" in error.told
    assert error.expression == "http.code:not"
    assert "secret-value" not in error.told
    for name in (PATIENT, "999-000-0018", "999.000.0018", "x" * 65, "<script>", "a b", "née"):
        error = refused("Observation", ("patient", PATIENT), (name, "1"))
        assert name not in error.told + error.detail + error.expression
        assert "with that name" in error.told


def test_each_kind_of_refusal_has_its_own_rule() -> None:
    assert refused("Observation", ("code:text", "x")).rule == "search.modifier"
    assert refused("Observation", ("patient.name", "x")).rule == "search.chain"
    assert refused("Observation", ("_revinclude", "x")).rule == "search.join"
    assert refused("Observation", ("colour", "x")).rule == "search.unknown-parameter"
    assert refused("Observation", ("code", "a"), ("code", "a")).rule == "search.repeated-parameter"
    assert refused("Observation").rule == "search.patient-required"
    assert refused("Basic", ("patient", PATIENT)).rule == "search.unknown-type"


@pytest.mark.parametrize("resource_type", OFFERED)
def test_every_listed_parameter_parses(resource_type: str) -> None:
    values = {
        "_count": "5",
        "_sort": "-_lastUpdated,_id",
        "_summary": "true",
        "_elements": "id",
        "_total": "accurate",
        "_totalMethod": "count",
        "_format": "json",
        "_id": "a.b",
        "_lastUpdated": "ge2024",
        "_include": includes_of(resource_type)[0],
    }
    for name in search_names(resource_type):
        if name in ("patient", "_cursor"):
            continue
        param = OFFERED[resource_type].params.get(name)
        value = values.get(name) or ("2024-05" if param and param.kind == "date" else "http://x|y")
        assert asked(resource_type, (name, value)).patient == PATIENT


@pytest.mark.parametrize("value", [PATIENT, f"Patient/{PATIENT}"])
def test_a_patient_is_ten_digits_with_or_without_the_type(value: str) -> None:
    query = parse("Encounter", [("patient", value)])
    assert isinstance(query, Query)
    assert query.patient == PATIENT
    assert query.sections == {Section.CONTACTS}
    assert PATIENT not in repr(query)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("9990000019", "check digit is wrong"),
        ("1111111111", "check digit is wrong"),
        ("999 000 0018", "ten digits"),
        ("999-000-0018", "ten digits"),
        ("Patient/Patient/9990000018", "ten digits"),
        ("patient/9990000018", "ten digits"),
        ("http://127.0.0.1/Patient/9990000018", "ten digits"),
        (f"{PATIENT},{OTHER}", "ten digits"),
        ("９９９００００018", "ten digits"),
        ("99900000180", "ten digits"),
        ("*", "ten digits"),
        ("", "no value"),
        (f"{PATIENT}\n", "white space"),
        (f" {PATIENT}", "white space"),
        ("\u2028", "control character"),
        ("x" * 5000, "too long"),
    ],
)
def test_a_patient_that_cannot_be_one_is_refused_in_words(value: str, words: str) -> None:
    error = refused("Observation", ("patient", value))
    assert words in error.told
    assert error.expression == "http.patient"
    assert not value.strip() or value not in error.told


def test_tokens() -> None:
    query = asked("Observation", ("code", r"http://loinc.org|718-7,a\,b,|C,http://x|,\\\|\$"))
    (one,) = query.filters
    assert isinstance(one, TokenFilter)
    assert one.choices == (
        Token("http://loinc.org", "718-7"),
        Token(None, "a,b"),
        Token("", "c"),
        Token("http://x", None),
        Token(None, "\\|$"),
    )


@pytest.mark.parametrize("value", ["|", "a,,b", ",", "a|b|c", "a\\", "a\\x", "a| b", ",".join("a" * 51), "a,"])
def test_tokens_that_can_be_read_two_ways_are_refused(value: str) -> None:
    assert refused("Observation", ("patient", PATIENT), ("code", value)).rule == "search.wrong-value"


def test_dates() -> None:
    (one,) = asked("Observation", ("date", "ge2024-05,2023,sa2024-01-01T00:00:00.123+01:00")).filters
    assert isinstance(one, DateFilter)
    assert [choice.prefix for choice in one.choices] == [Prefix.GE, Prefix.EQ, Prefix.SA]


@pytest.mark.parametrize(
    "value",
    [
        "24",
        "2024-13",
        "2024-00",
        "2024-02-30",
        "2024-02-01T10",
        "2024-02-01T24:00",
        "2024-02-01T10:60",
        "xx2024",
        "GE2024",
        "ge",
        "ge ge2024",
        "gege2024",
        "2024-02-01T10:00:61",
        "2024-02-01T10:00+15:00",
        "2024-02-01T10:00 01:00",
        "2024-02-01T10:00:00.1234567890Z",
        "0000",
        "today",
        "2024-2-1",
        "٢٠٢٤",
        "2024-02-01t10:00z",
        "ge2024,",
    ],
)
def test_dates_that_are_none_are_refused(value: str) -> None:
    assert refused("Observation", ("patient", PATIENT), ("date", value)).rule == "search.wrong-value"


def test_ids_counts_sorts_summaries() -> None:
    query = asked(
        "Condition",
        ("_id", "a.b,c-d"),
        ("_count", "1000"),
        ("_sort", "-date,status"),
        ("_summary", "data"),
        ("_total", "none"),
    )
    assert query.filters == (IdFilter(frozenset({"a.b", "c-d"})),)
    assert query.count == 1000
    assert query.sort == (SortKey("date", descending=True), SortKey("status"))
    assert query.summary is Summary.DATA
    assert asked("Condition", ("_count", "0")).summary is Summary.COUNT
    assert asked("Condition", ("_elements", "code,onset")).elements == ("code", "onset")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_count", "-1"),
        ("_count", "1001"),
        ("_count", "1e3"),
        ("_count", "²"),
        ("_count", "99999"),
        ("_count", " 5"),
        ("_sort", "date,-date"),
        ("_sort", "code:asc"),
        ("_sort", "--date"),
        ("_sort", "_score"),
        ("_sort", "patient.name"),
        ("_summary", "TRUE"),
        ("_summary", "all"),
        ("_elements", "code.text"),
        ("_elements", "Observation.code"),
        ("_elements", "nothing"),
        ("_elements", "code,,status"),
        ("_total", "maybe"),
        ("_totalMethod", "none"),
        ("_id", "a|b"),
        ("_id", "a/b"),
        ("_id", "x" * 65),
        ("_id", "a\\,b"),
        ("_lastUpdated", "yesterday"),
        ("_cursor", "x"),
        ("_cursor", "a+b"),
    ],
)
def test_result_parameters_that_cannot_be_read_are_refused(name: str, value: str) -> None:
    assert refused("Observation", ("patient", PATIENT), (name, value)).expression == f"http.{name}"


def test_summary_and_elements_exclude_each_other() -> None:
    assert "combined" in refused("Observation", ("patient", PATIENT), ("_summary", "true"), ("_elements", "code")).told


def test_a_search_is_bounded_as_a_whole() -> None:
    long = "x" * 3000
    assert "longer" in refused("Observation", ("patient", PATIENT), ("code", long), ("category", long)).told


def test_a_name_means_nothing_where_the_type_has_no_such_thing() -> None:
    assert refused("Immunization", ("patient", PATIENT), ("category", "x")).rule == "search.unknown-parameter"
    assert refused("CareTeam", ("patient", PATIENT), ("code", "x")).rule == "search.unknown-parameter"
    assert refused("DiagnosticReport", ("patient", PATIENT), ("authoredon", "2024")).rule == "search.unknown-parameter"


@pytest.mark.parametrize("value", ["json", "application/json", "application/fhir+json", "application/fhir json"])
def test_json_formats(value: str) -> None:
    assert asked("Observation", ("_format", value)).pairs == (("patient", PATIENT),)


@pytest.mark.parametrize(
    "value", ["xml", "application/fhir+xml", "text/html", "ttl", "application/fhir+json;fhirVersion=3.0"]
)
def test_other_formats_are_not_acceptable(value: str) -> None:
    with pytest.raises(NotAcceptable):
        parse("Observation", [("patient", PATIENT), ("_format", value)])


class TestPatient:
    def test_by_identifier_and_birth_date(self) -> None:
        query = parse("Patient", [("identifier", f"{NHS}|{PATIENT}"), ("birthdate", "eq1961-03-12")])
        assert isinstance(query, Query)
        assert (query.patient, query.birth_date) == (PATIENT, "1961-03-12")
        assert query.filters == ()  # any source's Patient may agree, and the one that carries the record is found
        assert query.sections == {Section.DEMOGRAPHICS}

    def test_by_id(self) -> None:
        query = parse("Patient", [("_id", PATIENT), ("identifier", f"{NHS}|{PATIENT}")])
        assert isinstance(query, Query)
        assert query.filters == (IdFilter(frozenset({PATIENT})),)

    @pytest.mark.parametrize(
        "pairs",
        [
            [],
            [("birthdate", "1961-03-12")],
            [("identifier", PATIENT)],
            [("identifier", f"|{PATIENT}")],
            [("identifier", f"{NHS}|")],
            [("identifier", f"{NHS}|{PATIENT},{NHS}|{OTHER}")],
            [("identifier", f"https://hospital.example/mrn|{PATIENT}")],
            [("identifier", f"{NHS}|9990000019")],
            [("identifier", f"{NHS}|{PATIENT}"), ("_id", OTHER)],
            [("_id", f"{PATIENT},{OTHER}")],
            [("_id", PATIENT), ("birthdate", "1961")],
            [("_id", PATIENT), ("birthdate", "ge1961-03-12")],
            [("_id", PATIENT), ("birthdate", "1961-02-30")],
            [("_id", PATIENT), ("family", "Smith")],
            [("_id", PATIENT), ("_sort", "_id")],
            [("_id", PATIENT), ("_lastUpdated", "2024")],
            [("patient", PATIENT)],
        ],
    )
    def test_anything_else_is_refused(self, pairs: list[tuple[str, str]]) -> None:
        error = refused("Patient", *pairs)
        assert PATIENT not in error.told
        assert OTHER not in error.told


class TestEverything:
    def test_types_and_count(self) -> None:
        query = parse_everything(PATIENT, [("_type", "Observation,Encounter"), ("_count", "10")])
        assert isinstance(query, Query)
        assert query.sections == {Section.RESULTS, Section.CONTACTS}
        assert query.wants("Encounter")
        assert not query.wants("Condition")

    def test_all_by_default(self) -> None:
        query = parse_everything(PATIENT, [])
        assert isinstance(query, Query)
        assert query.sections == frozenset(Section)
        assert all(query.wants(resource_type) for resource_type in SHOWN_TYPES)
        assert not query.wants("Medication")

    @pytest.mark.parametrize(
        "pair",
        [
            ("_since", "soon"),
            ("start", "ge2024"),
            ("end", "2024-13"),
            ("_type", "Basic"),
            ("_type", "Medication"),
            ("_type", "observation"),
            ("_elements", "id"),
            ("_summary", "true"),
            ("patient", PATIENT),
            ("_type:not", "Observation"),
            ("code", "x"),
        ],
    )
    def test_anything_else_is_refused(self, pair: tuple[str, str]) -> None:
        with pytest.raises(BadRequest):
            parse_everything(PATIENT, [pair])

    def test_the_path_must_be_an_nhs_number(self) -> None:
        with pytest.raises(BadRequest, match="check digit"):
            parse_everything("9990000019", [])


class TestRead:
    def test_summary_or_elements(self) -> None:
        assert parse_read("Observation", [("_summary", "text")]).summary is Summary.TEXT
        assert parse_read("Patient", [("_elements", "name,deceased"), ("_format", "json")]).elements == (
            "name",
            "deceased",
        )
        assert parse_read("Patient", []).elements == ()

    @pytest.mark.parametrize(
        "pair", [("_summary", "count"), ("_count", "1"), ("patient", PATIENT), ("_pretty", "true")]
    )
    def test_anything_else_is_refused(self, pair: tuple[str, str]) -> None:
        with pytest.raises(BadRequest):
            parse_read("Observation", [pair])


def test_a_cursor_stands_alone() -> None:
    assert parse("Observation", [("_cursor", "abc"), ("_format", "json")]) == Continuation("Observation", "abc")
    found = parse_everything(PATIENT, [("_cursor", "abc")])
    assert found == Continuation("Patient", "abc", everything=True, patient=PATIENT)
    assert PATIENT not in repr(found)
    for name, value in (("patient", PATIENT), ("code", "x"), ("_count", "0")):
        assert "combined" in refused("Observation", ("_cursor", "abc"), (name, value)).told


def test_a_page_size_may_stand_beside_a_cursor() -> None:
    """npm @medplum/core adds `_count=1000` to each next link that has no `_count`."""
    found = parse("Observation", [("_cursor", "abc"), ("_count", "1000")])
    assert found == Continuation("Observation", "abc", count=1000)
    found = parse_everything(PATIENT, [("_cursor", "abc"), ("_count", "5")])
    assert found == Continuation("Patient", "abc", everything=True, patient=PATIENT, count=5)
    assert "_count" in refused("Observation", ("_cursor", "abc"), ("_count", "many")).told


names = st.sampled_from([*search_names("Observation"), *search_names("Patient"), *JOINS]) | st.text(max_size=20)
texts = st.sampled_from([PATIENT, "2024", "ge2024-01-01", "a|b", "-date", "code", "10", "true"]) | st.text(max_size=40)


@given(st.sampled_from([*SHOWN_TYPES, "Basic", ""]), st.lists(st.tuples(names, texts), max_size=5), st.booleans())
@settings(max_examples=400, deadline=None)
def test_only_gateway_errors_ever_come_out(resource_type: str, pairs: list[tuple[str, str]], patient: bool) -> None:
    pairs = [("patient", PATIENT), *pairs] if patient else pairs
    for reader in (parse, parse_read):
        try:
            reader(resource_type, pairs)
        except GatewayError as error:
            assert PATIENT not in error.told + error.detail  # noqa: PT017 - most examples raise, some don't


@given(st.binary(max_size=60), st.binary(max_size=60))
@settings(max_examples=400, deadline=None)
def test_no_bytes_are_a_fault(query: bytes, form: bytes) -> None:
    try:
        pairs = pairs_of(query, form)
    except GatewayError as error:
        assert error.status == 400  # noqa: PT017 - most examples raise, some don't
    else:
        assert all(name is not None for name, _ in pairs)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.text(max_size=9)), max_size=8))
def test_what_is_encoded_comes_back(pairs: list[tuple[str, str]]) -> None:
    encoded = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert pairs_of(encoded.encode()) == pairs
