"""From parameters to a person who is sought."""

from __future__ import annotations

import pytest

from gateway.errors import BadRequest, NotSupported
from gateway.search.person import Person, parse_person, seeks_person

WHO = [("family", "O'Brien-Łukasz"), ("given", "Zoë Mae"), ("birthdate", "eq1958-03-12")]


@pytest.mark.parametrize(
    ("query", "seeks"),
    [
        (b"family=A", True),
        (b"family%3Aexact=A", True),
        (b"given.x=A", True),
        (b"identifier=x&gender=male", True),
        (b"address-postalcode=A", True),
        (b"birthdate=1958-03-12", False),
        (b"identifier=x|1&birthdate=1958-03-12", False),
        (b"name=A", False),
        (b"&&family=A", False),
        (b"", False),
    ],
)
def test_what_is_a_search_for_a_person(query: bytes, seeks: bool) -> None:
    assert seeks_person(query) is seeks
    assert seeks_person(b"", query) is seeks


def test_a_person_is_read() -> None:
    person = parse_person([*WHO, ("gender", "other"), ("address-postalcode", "se13  6lh"), ("_format", "json")])
    assert (person.family, person.given, person.birth_date) == ("O'Brien-Łukasz", "Zoë Mae", "1958-03-12")
    assert (person.gender, person.postcode, person.could_add) == ("other", "SE13 6LH", ())
    assert [name for name, _ in person.pairs] == ["family", "given", "birthdate", "gender", "address-postalcode"]
    assert repr(person) == "Person()"


def test_the_same_question_is_the_same_whatever_its_case() -> None:
    one, other = Person("Adebayo", "Grace", "1958-03-12"), Person("ADEBAYO ", " grace", "1958-03-12")
    assert one.question == other.question
    assert one.question != Person("Adebayo", "Grace", "1958-03-12", "female").question
    assert Person("A", "B C", "1958-03-12").question != Person("A B", "C", "1958-03-12").question
    assert one.could_add == ("gender", "address-postalcode")


@pytest.mark.parametrize(
    "name", ["x" * 36, "--", "A1", "a_b", "a%b", "a\\b", "a|b", "A?", "A\u00adb", "A\u00a0b", "A\u200db", "A\u202e"]
)
def test_a_name_is_a_name(name: str) -> None:
    with pytest.raises(BadRequest, match="one name"):
        parse_person([("family", name), *WHO[1:]])


@pytest.mark.parametrize("postcode", ["SE1", "SE13 6L", "12345", "SE13*", "SE13 6LHX"])
def test_a_postcode_is_whole(postcode: str) -> None:
    with pytest.raises(BadRequest, match="whole postcode"):
        parse_person([*WHO, ("address-postalcode", postcode)])


@pytest.mark.parametrize("name", ["_count", "_elements", "name", "telecom", "_sort"])
def test_nothing_else_is_offered(name: str) -> None:
    with pytest.raises(NotSupported):
        parse_person([*WHO, (name, "1")])
