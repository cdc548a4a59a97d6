"""What a source sends is read whole or not at all: no doubled key, no depth, no number and no encoding fools it."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.sdk.bundle import MAX_DEPTH, MAX_ENTRIES, MAX_RESOURCE_BYTES, examine, read_bundle, read_resource
from connectors.sdk.errors import SourceError, TooMuch, WrongContent
from connectors.sdk.model import NHS_NUMBER_SYSTEM
from connectors.sdk.shape import BrokenShape
from tests.unit.readers import each_reader  # noqa: F401 (autouse: both readers)

MIB = 1024 * 1024
encode = msgspec.json.Encoder(decimal_format="number").encode

OBSERVATION = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}], "text": "Haemoglobin: blood"},
    "subject": {"reference": "Patient/p1"},
    "valueQuantity": {"value": 13, "unit": "g/L"},
    "contained": [{"resourceType": "Patient", "id": "c1", "gender": "female"}],
}


def bundle(*resources: object, **more: object) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{n}", "resource": found} for n, found in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}).encode()


def observation(inside: str) -> bytes:
    """An Observation with more JSON text at its end."""
    return json.dumps(OBSERVATION).encode()[:-1] + b"," + inside.encode() + b"}"


def with_value(number: str) -> bytes:
    return observation('"component":[{"code":{},"valueQuantity":{"value":' + number + "}}]")


def read_with(number: str) -> Any:
    return read_resource(with_value(number))[0]["component"][0]["valueQuantity"]["value"]


# ---- what is well ----


def test_a_page_is_read() -> None:
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-31"}
    body = json.dumps(
        {
            "resourceType": "Bundle",
            "id": "b",
            "meta": {"lastUpdated": "2026-11-22T10:00:00.123Z"},
            "type": "searchset",
            "timestamp": "2026-11-22T10:00:00Z",
            "total": 7,
            "link": [{"relation": "self", "url": "http://s/x?patient=1"}, {"relation": "next", "url": "http://s/y"}],
            "entry": [
                {"fullUrl": "http://s/Patient/p1", "resource": patient, "search": {"mode": "include", "score": 0.5}},
                {"resource": OBSERVATION},
            ],
        }
    ).encode()
    page = read_bundle(body)
    assert [entry.resource for entry in page.entries] == [patient, OBSERVATION]
    assert [(entry.full_url, entry.mode) for entry in page.entries] == [
        ("http://s/Patient/p1", "include"),
        (None, "match"),
    ]
    assert (page.total, page.next, page.self_link) == (7, "http://s/y", "http://s/x?patient=1")
    assert not page.held_back


@pytest.mark.parametrize("body", [b'{"resourceType":"Bundle"}', bundle(), b' {\n"resourceType" : "Bundle" }\n '])
def test_an_empty_page_is_a_page(body: bytes) -> None:
    page = read_bundle(body)
    assert (page.entries, page.total, page.next, page.self_link) == ([], None, None, None)


def test_elements_that_r4_does_not_know_are_carried_along() -> None:
    unknown = {**OBSERVATION, "animal": {"species": ["a:b", {"deep": Decimal("4.50")}]}}
    found, findings = read_resource(encode(unknown))
    assert found == unknown
    assert findings.references == [{"reference": "Patient/p1"}]
    assert read_bundle(bundle(OBSERVATION, unheard={"of": ["x:y"]})).entries[0].resource == OBSERVATION


def test_the_walk_finds_what_later_steps_need() -> None:
    resource_ = {
        **OBSERVATION,
        "meta": {"security": [{"system": "s", "code": "R"}]},
        "subject": {"reference": "Patient/p1", "identifier": {"system": NHS_NUMBER_SYSTEM, "value": "9990000018"}},
        "contained": [{"resourceType": "Patient", "id": "c1", "meta": {"security": [{"code": "V"}, "rubbish"]}}],
        "performer": [{"type": "Patient", "display": "Somebody: else"}],
    }
    findings, colons = examine(resource_)
    assert findings.logical == resource_["performer"]
    assert [found["reference"] for found in findings.references] == ["Patient/p1"]
    assert ("http://loinc.org", "718-7") in findings.codings
    assert findings.nhs_numbers == {"9990000018"}
    assert findings.security == [("s", "R"), ("", "V")]
    assert colons == json.dumps(resource_).count(":")


# ---- doubled keys ----

ONE = json.dumps(OBSERVATION)


def holding(entry: str) -> str:
    return '{"resourceType":"Bundle","total":1,"entry":[' + entry + "]}"


DOUBLED = {
    "envelope": '{"resourceType":"Bundle","total":1,"total":2}',
    "envelope-type": '{"resourceType":"Parameters","resourceType":"Bundle"}',
    "envelope-entry": holding("").replace("[]", '[],"entry":[{"resource":' + ONE + "}]"),
    "envelope-unknown": '{"resourceType":"Bundle","x":1,"x":2}',
    "envelope-meta": '{"resourceType":"Bundle","meta":{"id":"a","id":"b"}}',
    "envelope-escaped": '{"resourceType":"Bundle","total":1,"t\\u006ftal":2}',
    "link": '{"resourceType":"Bundle","link":[{"relation":"next","url":"a","url":"b"}]}',
    "entry": holding('{"fullUrl":"a","fullUrl":"b","resource":' + ONE + "}"),
    "entry-resource": holding('{"resource":' + ONE + ',"resource":' + ONE + "}"),
    "entry-search": holding('{"search":{"mode":"match","mode":"outcome"},"resource":' + ONE + "}"),
    # A dropped colon made up for by an escaped one: the sum comes out right, the keys don't.
    "balanced": '{"resourceType":"Bundle","total":1,"total":2,"id":"\\u003a"}',
    "balanced-upper-case": '{"resourceType":"Bundle","total":1,"total":2,"id":"\\u003A"}',
    "balanced-in-a-resource": holding(
        '{"fullUrl":"a","fullUrl":"b","resource":' + observation('"language":"\\u003a"').decode() + "}"
    ),
}
INSIDE = {
    "resource": '"id":"o1","id":"o2"',
    "escaped": '"\\u0069d":"o2"',
    "nested": '"method":{"text":"a","text":"b"}',
    "deep": '"component":[{"code":{"coding":[{"code":"a","code":"b"}]}}]',
    "in-a-list": '"category":[{"text":"x"},{"text":"a","text":"b"}]',
    "extension": '"extension":[{"url":"u","valueString":"a","valueString":"b"}]',
    "sibling": '"_status":{"id":"a","id":"b"}',
    "unknown": '"animal":{"a":1,"a":2}',
    "same-value": '"language":"en","language":"en"',
    "empty-key": '"animal":{"":1,"":2}',
    "balanced": '"method":{"text":"a","text":"b"},"language":"\\u003a"',
    "balanced-key": '"method":{"text":"a","text":"b"},"a\\u003Ab":1',
    "type": '"resourceType":"Patient"',
}


@pytest.mark.parametrize("body", DOUBLED.values(), ids=DOUBLED)
def test_a_doubled_key_around_the_resources_refuses_the_whole(body: str) -> None:
    json.loads(body)
    with pytest.raises(WrongContent):
        read_bundle(body.encode())


@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_a_doubled_key_in_a_resource_refuses_the_whole(inside: str) -> None:
    raw = observation(inside)
    json.loads(raw)
    with pytest.raises((WrongContent, BrokenShape)):
        read_resource(raw)
    page = b'{"resourceType":"Bundle","entry":[{"resource":' + raw + b"}]}"
    with pytest.raises(WrongContent):
        read_bundle(page)


def test_a_doubled_key_in_a_contained_resource_refuses_the_whole() -> None:
    raw = json.dumps(OBSERVATION).replace('"id": "c1"', '"id": "c1", "id": "c2"').encode()
    with pytest.raises(WrongContent):
        read_resource(raw)


@pytest.mark.parametrize(
    "inside",
    [
        '"language":"a\\u003ab"',
        '"method":{"text":"\\\\u003a"}',
        '"animal":{"a\\u003ab":1}',
        '"method":{"text":"::\\":"}',
    ],
)
def test_an_escaped_colon_alone_is_innocent(inside: str) -> None:
    raw = observation(inside)
    assert read_resource(raw)[0] == json.loads(raw)


keys = st.sampled_from(["id", "text", "a", "a:b", ":", "é", '"', "\\", "status"])
texts = st.sampled_from(["", ":", "::", "a:b", '":"', "\\u003a", "\\", "é:", "{", "}"])
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def spell(value: object, doubling: Iterator[bool], escaping: Iterator[bool]) -> tuple[str, bool]:
    """JSON text of a tree in which some keys are said twice, and some colons escaped; and whether any was doubled."""
    if isinstance(value, list):
        parts = [spell(item, doubling, escaping) for item in value]
        return "[" + ",".join(text for text, _ in parts) + "]", any(doubled for _, doubled in parts)
    if isinstance(value, dict):
        members, any_doubled = [], False
        for key, item in value.items():
            text, doubled = spell(item, doubling, escaping)
            name, _ = spell(key, doubling, escaping)
            again = next(doubling)
            members += [f"{name}:{text}"] * (2 if again else 1)
            any_doubled |= doubled or again
        return "{" + ",".join(members) + "}", any_doubled
    text = json.dumps(value)
    return (text.replace(":", "\\u003a") if isinstance(value, str) and next(escaping) else text), False


@given(trees, st.lists(st.booleans(), min_size=40, max_size=40), st.lists(st.booleans(), min_size=80, max_size=80))
@example({"a": 1}, [True] * 40, [False] * 80)
def test_whatever_the_tree_a_doubled_key_is_found_and_nothing_else(
    tree: object, doubling: list[bool], escaping: list[bool]
) -> None:
    text, doubled = spell(tree, iter(doubling * 9), iter(escaping * 9))
    raw = observation(f'"animal":{text}')
    if doubled:
        with pytest.raises(WrongContent):
            read_resource(raw)
    else:
        assert read_resource(raw)[0] == json.loads(raw)


# ---- bounds ----


def nest(depth: int, shell: str) -> str:
    start, end = {"list": ("[", "]"), "dict": ('{"a":', "}")}[shell]
    return start * depth + "1" + end * depth


@pytest.mark.parametrize("shell", ["list", "dict"])
@pytest.mark.parametrize("place", ["animal", "_status"])
def test_depth_is_counted_to_the_level(shell: str, place: str) -> None:
    before, after, around = ("", "", 1) if place == "animal" else ('{"extension":[{"url":"u","x":', "}]}", 4)

    def reaching(depth: int) -> bytes:
        return observation(f'"{place}":{before}{nest(depth - around, shell)}{after}')

    read_resource(reaching(MAX_DEPTH))
    with pytest.raises(TooMuch):
        read_resource(reaching(MAX_DEPTH + 1))


@pytest.mark.parametrize("shell", ["list", "dict"])
@pytest.mark.parametrize("depth", [500, 990, 5_000, 100_000])
@pytest.mark.parametrize("wrap", ["%s", '{"resourceType":"Bundle","x":%s}', '{"resourceType":"Bundle","link":%s}'])
def test_whatever_lies_deep_never_gets_out_of_the_reader(shell: str, depth: int, wrap: str) -> None:
    raw = wrap.replace("%s", nest(depth, shell)).encode()
    with contextlib.suppress(SourceError):  # what R4 doesn't know around the resources is not carried along
        assert read_bundle(raw).entries == []
    for deep in (raw, observation(f'"animal":{nest(depth, shell)}')):
        with pytest.raises((SourceError, BrokenShape)):
            read_resource(deep)


def test_every_depth_around_the_interpreters_own_limit_is_ours_to_refuse() -> None:
    """One step further than what a first look could bear, a second look must not break either."""
    limit = sys.getrecursionlimit()
    for depth in range(limit - 120, limit + 20):
        for shell in ("list", "dict"):
            deep = nest(depth, shell)
            for inside in (f'"animal":{deep}', f'"_status":{{"extension":[{{"url":"u","x":{deep}}}]}}'):
                with pytest.raises((TooMuch, WrongContent)):
                    read_resource(observation(inside))
            with contextlib.suppress(SourceError):
                assert read_bundle(f'{{"resourceType":"Bundle","x":{deep}}}'.encode()).entries == []


def test_one_entry_too_many_refuses_the_whole() -> None:
    def page(count: int) -> bytes:
        return b'{"resourceType":"Bundle","entry":[' + b",".join([b"{}"] * count) + b"]}"

    assert read_bundle(page(MAX_ENTRIES)).held_back.total() == MAX_ENTRIES
    with pytest.raises(TooMuch):
        read_bundle(page(MAX_ENTRIES + 1))
    with pytest.raises(TooMuch):
        read_bundle(page(3), max_entries=2)


def test_a_resource_over_its_cap_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(TooMuch):
        read_resource(observation('"animal":"%s"' % ("a" * MAX_RESOURCE_BYTES)))


@pytest.mark.parametrize("crowd", [b"{},", b"0,", b"[],", b'"",', b"[{}],"])
def test_a_crowd_of_values_costs_no_more_than_it_weighs(crowd: bytes) -> None:
    body = b'{"resourceType":"Bundle","entry":[' + crowd * (24 * MIB // len(crowd)) + b"{}]}"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((TooMuch, WrongContent)):
        read_bundle(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


# ---- what isn't a Bundle ----


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"Bundle"',
        b"{}",
        b'{"resourceType":"OperationOutcome","issue":[]}',
        b'{"resourceType":"bundle"}',
        b'{"resourceType":null}',
        b'{"resourceType":["Bundle"]}',
        b'{"resourceType":"Bundle"',
        b'{"resourceType":"Bundle"}}',
        b'{"resourceType":"Bundle"}{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle",}',
        b"{'resourceType':'Bundle'}",
        b'{"resourceType":"Bundle"} // with love',
        b'\xef\xbb\xbf{"resourceType":"Bundle"}',
        '{"resourceType":"Bundle"}'.encode("utf-16"),
        '{"resourceType":"Bundle"}'.encode("utf-32"),
        b'{"resourceType":"Bundle","id":"\xff"}',
        b'{"resourceType":"Bundle","id":"\xc0\xaf"}',
        b'{"resourceType":"Bundle","id":"\xed\xa0\x80"}',
        b'{"resourceType":"Bundle","id":"\\ud800"}',
        b'{"resourceType":"Bundle","id":"\\udc00\\ud800"}',
        b'{"resourceType":"Bundle","id":"a\nb"}',
        b'{"resourceType":"Bundle","id":"\\x41"}',
        b'{"resourceType":"Bundle","total":-1}',
        b'{"resourceType":"Bundle","total":1.0}',
        b'{"resourceType":"Bundle","total":1.5}',
        b'{"resourceType":"Bundle","total":1e999}',
        b'{"resourceType":"Bundle","total":NaN}',
        b'{"resourceType":"Bundle","total":Infinity}',
        b'{"resourceType":"Bundle","total":"7"}',
        b'{"resourceType":"Bundle","total":true}',
        b'{"resourceType":"Bundle","total":null}',
        b'{"resourceType":"Bundle","meta":1e99999999999999999999}',
        b'{"resourceType":"Bundle","meta":%s}' % (b"9" * 5000),
        b'{"resourceType":"Bundle","link":{"relation":"next","url":"x"}}',
        b'{"resourceType":"Bundle","link":[null]}',
        b'{"resourceType":"Bundle","link":["next"]}',
        b'{"resourceType":"Bundle","link":[{"relation":"next"}]}',
        b'{"resourceType":"Bundle","link":[{"relation":"next","url":""}]}',
        b'{"resourceType":"Bundle","link":[{"relation":"next","url":7}]}',
        b'{"resourceType":"Bundle","link":[{"url":"x"}]}',
        b'{"resourceType":"Bundle","link":[{"relation":"next","url":"x"},{"relation":"next","url":"y"}]}',
        b'{"resourceType":"Bundle","entry":null}',
        b'{"resourceType":"Bundle","entry":{}}',
        b'{"resourceType":"Bundle","entry":[null]}',
        b'{"resourceType":"Bundle","entry":[[]]}',
        b'{"resourceType":"Bundle","entry":["x"]}',
        b'{"resourceType":"Bundle","entry":[7]}',
        b'{"resourceType":"Bundle","entry":[{"fullUrl":7}]}',
        b'{"resourceType":"Bundle","entry":[{"search":"match"}]}',
        b'{"resourceType":"Bundle","entry":[{"search":[]}]}',
        b'{"resourceType":"Bundle","entry":[{"search":{"mode":7}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":null}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":[]}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":"x"}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{"id":"x"}}]}',
        b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":7}}]}',
    ],
)
def test_what_is_not_a_bundle_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(WrongContent) as caught:
        read_bundle(body)
    assert str(caught.value).isascii()


def test_an_entry_without_a_resource_is_counted_as_held_back() -> None:
    page = read_bundle(b'{"resourceType":"Bundle","entry":[{"fullUrl":"x"},{}]}')
    assert page.entries == []
    assert page.held_back.total() == 2


def test_a_resource_of_broken_shape_is_held_back_and_the_others_stay() -> None:
    page = read_bundle(bundle({"resourceType": "Observation", "id": "x"}, OBSERVATION, {**OBSERVATION, "id": ""}))
    assert [entry.resource for entry in page.entries] == [OBSERVATION]
    assert page.held_back == {"Observation": 2}


def test_a_contained_resource_of_broken_shape_holds_its_container_back() -> None:
    broken = {**OBSERVATION, "contained": [{"resourceType": "Patient", "id": "c1", "gender": 7}]}
    assert read_bundle(bundle(broken)).held_back == {"Observation": 1}


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\\ud800", b"\\q", b"\n"])
@pytest.mark.parametrize("kind", [b"Observation", b"Basic"])
def test_text_that_is_none_refuses_the_whole_wherever_it_stands(wrong: bytes, kind: bytes) -> None:
    for inside in (b'"language":"%s"', b'"%s":1', b'"animal":["%s"]'):
        raw = observation("@").replace(b"@", inside % wrong).replace(b'"Observation"', b'"%s"' % kind, 1)
        for read, body in ((read_resource, raw), (read_bundle, holding('{"resource":@}').encode().replace(b"@", raw))):
            with pytest.raises(WrongContent):
                read(body)


# ---- numbers ----


@pytest.mark.parametrize(
    "text",
    [
        *("0.10", "4.50", "0.0", "-0.0", "1.000", "0.000001", "123456789.123456789", "100000000000000000000.0"),
        *("0", "7", "-7", "100000000000000000000", "0." + "1" * 60, "-12345678901234567890.0123456789"),
    ],
)
def test_a_decimal_keeps_every_digit(text: str) -> None:
    value = read_with(text)
    assert not isinstance(value, float)
    assert encode(value) == text.encode()
    patient = {"resourceType": "Patient", "id": "p", "extension": [{"url": "u", "valueDecimal": value}]}
    assert encode(read_resource(encode(patient))[0]) == encode(patient)


@pytest.mark.parametrize(
    ("sent", "leaves"),
    [
        *(
            ("1E2", "1E+2"),
            ("1e-7", "1E-7"),
            ("0.0000001", "1E-7"),
            ("1.50e3", "1.50E+3"),
            ("1e0", "1"),
            ("-1e5", "-1E+5"),
        ),
        *(("1.0e+5", "1.0E+5"), ("1e400", "1E+400"), ("-0", "0")),
    ],
)
def test_an_exponent_keeps_its_value_and_its_digits(sent: str, leaves: str) -> None:
    value = read_with(sent)
    assert encode(value) == leaves.encode()
    assert Decimal(sent) == Decimal(leaves)
    assert Decimal(sent).as_tuple().digits == Decimal(leaves).as_tuple().digits


@pytest.mark.parametrize(
    "text",
    [
        *("1e999", "1e-999", "1e401", "1e99999999999999999999", "0." + "1" * 64, "9" * 5000, "9" * 70 + ".0"),
        *("NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "0x10", "1_000", "1e", "--1"),
        *('"4.50"', '"NaN"', "true", "null", "{}", "[]"),
    ],
)
def test_what_is_no_measurement_is_refused(text: str) -> None:
    with pytest.raises((WrongContent, BrokenShape)):
        read_with(text)
    pages = (holding('{"resource":' + with_value(text).decode() + "}"), '{"resourceType":"Bundle","meta":' + text + "}")
    for page in pages:
        try:
            assert read_bundle(page.encode()).entries == []
        except SourceError:
            continue


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,6})?", fullmatch=True).filter(lambda text: text != "-0"))
def test_any_plain_decimal_leaves_as_it_came(text: str) -> None:
    assert encode(read_with(text)) == text.encode()


# ---- nothing else comes out ----


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_ours(body: bytes) -> None:
    with pytest.raises(SourceError):
        read_bundle(body)
    with pytest.raises(SourceError):
        read_resource(body)


WHOLE = bundle(OBSERVATION, {**OBSERVATION, "id": "o2"}, total=2, link=[{"relation": "self", "url": "http://s/x"}])


@given(st.data())
def test_any_change_of_a_byte_raises_nothing_but_ours(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(WHOLE) - 1))
    sort = data.draw(st.sampled_from(["cut", "flip", "drop", "insert"]))
    byte = bytes([data.draw(st.sampled_from(list(b'{}[]",:\\0e-.\x00\xff/tn')))])
    body = {
        "cut": WHOLE[:place],
        "flip": WHOLE[:place] + byte + WHOLE[place + 1 :],
        "drop": WHOLE[:place] + WHOLE[place + 1 :],
        "insert": WHOLE[:place] + byte + WHOLE[place:],
    }[sort]
    try:
        page = read_bundle(body)
    except SourceError:
        return
    encode([entry.resource for entry in page.entries])


# ---- speed ----


def test_one_resource_that_does_not_add_up_makes_up_for_no_other() -> None:
    unheard = {**OBSERVATION, "id": "unheard", "unheard": {"a": 1, "b": 2}}
    broken = {"resourceType": "Observation", "id": "broken", "unheard": {"a": 1}}
    page = read_bundle(bundle(OBSERVATION, unheard, broken))
    assert [entry.resource for entry in page.entries] == [OBSERVATION, unheard]
    assert page.held_back == {"Observation": 1}
    doubled = json.dumps(OBSERVATION).replace("{", '{"id":"twice",', 1).encode()
    body = bundle(OBSERVATION, unheard, broken).replace(json.dumps(OBSERVATION).encode(), doubled)
    assert doubled in body
    with pytest.raises(WrongContent, match="twice"):
        read_bundle(body)
