"""`pds` asked to find a person: one match, or a refusal to guess; never a list, never somebody restricted."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from connectors.kit.faults import Mode
from connectors.pds.sandbox import create_app
from connectors.sdk.connector import Finder
from connectors.sdk.errors import Invalidated, NotUnderstood, Refused, SourceError, Unwell, WrongContent
from connectors.sdk.model import Found, PersonSought
from tests.connectors.pds_asking import Says, found_by, outcome, patient, person, registered, searchset

NOBODY = Found()


async def test_one_who_fits_is_found() -> None:
    found = await found_by(create_app(), person())
    assert found.patient is not None
    assert found.patient["id"] == "9990000409"
    assert not found.too_many


async def test_the_connector_is_a_finder() -> None:
    async with registered(create_app()) as connector:
        assert isinstance(connector, Finder)


@pytest.mark.parametrize(
    ("sought", "number"),
    [
        ({"family": " ADEBAYO ", "given": "grace"}, "9990000409"),
        ({"postcode": "se13  7ux"}, "9990000409"),
        ({"gender": "female", "postcode": "SE137UX"}, "9990000409"),
        ({"family": "Thompson", "given": "Elsie", "birth_date": "1937-02-14"}, "9990000964"),
        ({"gender": "male"}, None),
        ({"postcode": "SE1 1AA"}, None),
        ({"birth_date": "1958-03-13"}, None),
        ({"family": "Okonjo"}, None),
        ({"family": "Thompson", "given": "Maud", "birth_date": "1937-02-14"}, None),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
async def test_who_fits_and_who_does_not(sought: dict[str, str], number: str | None) -> None:
    found = await found_by(create_app(), person(**sought))  # type: ignore[arg-type]
    assert (found.patient or {}).get("id") == number
    assert not found.too_many


async def test_two_namesakes_are_not_guessed_between_and_a_postcode_decides() -> None:
    def clarke(postcode: str | None) -> PersonSought:
        return person("Clarke", "David", "1966-10-03", postcode=postcode)

    assert await found_by(create_app(), clarke(None)) == Found(too_many=True)
    for postcode, number in (("SE6 4UU", "9990007039"), ("SE10 8XF", "9990007047")):
        found = await found_by(create_app(), clarke(postcode))
        assert found.patient is not None
        assert found.patient["id"] == number


@pytest.mark.parametrize("postcode", [None, "SE13 7UX"])
async def test_the_restricted_person_looks_like_nobody(postcode: str | None) -> None:
    assert await found_by(create_app(), person("Rahman", "Nadia", "1990-02-17", postcode=postcode)) == NOBODY


@pytest.mark.parametrize("security", ["R", "V", "NEVERHEARD", None])
async def test_whoever_is_not_marked_unrestricted_is_not_found(security: str | None) -> None:
    assert await found_by(Says(searchset(patient(security=security)))) == NOBODY


async def test_what_is_asked_is_encoded_and_only_one_match_is_let_come() -> None:
    says = Says(searchset())
    async with registered(says) as connector:
        await connector.find(person("O'Neill & Söhne=#", "Zoë Ann", gender="female", postcode="se13 7ux"))
    assert says.calls[0]["path"] == "/fhir/Patient"
    assert parse_qsl(says.calls[0]["query"]) == [
        ("family", "O'Neill & Söhne=#"),
        ("given", "Zoë Ann"),
        ("birthdate", "eq1958-03-12"),
        ("gender", "female"),
        ("address-postalcode", "SE137UX"),
        ("_max-results", "1"),
    ]
    assert says.calls[0]["nhsd-session-urid"]


@pytest.mark.parametrize(
    "sought",
    [
        {"family": "Ad*"},
        {"given": "Gr*ce"},
        {"family": ""},
        {"given": "  "},
        {"family": "-"},
        {"family": "A" * 36},
        {"given": "Gra\nce"},
        {"given": "\ud800abc"},
        {"birth_date": "1958"},
        {"birth_date": "19580312"},
        {"birth_date": "1958-02-30"},
        {"birth_date": "ge1958-03-12"},
        {"birth_date": "1958-03-12&family=x"},
        {"gender": "women"},
        {"postcode": "SE*"},
        {"postcode": "SE13"},
        {"postcode": ""},
    ],
)
async def test_what_cannot_be_searched_by_is_refused_before_anybody_is_asked(sought: dict[str, str]) -> None:
    says = Says(searchset())
    with pytest.raises(ValueError, match=r"must|exist") as raised:
        await found_by(says, person(**sought))  # type: ignore[arg-type]
    assert isinstance(raised.value, NotUnderstood)
    assert says.calls == []
    assert not any(value in str(raised.value) for value in sought.values() if len(value) > 2)


@pytest.mark.parametrize(
    ("body", "too_many"),
    [
        (outcome("TOO_MANY_MATCHES", "multiple-matches"), True),
        (searchset(patient(), patient("9990000751")), True),
        (searchset(patient(), patient("9990000751", security="R")), True),
        (searchset(patient(), total=2), True),
        (searchset(), False),
        ({"resourceType": "Bundle", "type": "searchset", "total": 0}, False),
        ({"resourceType": "Bundle", "type": "searchset"}, False),
        (searchset(patient(), score=0.9317), False),
        (searchset(patient(), score=0.99999), False),
        (searchset(patient(), score=1.5), False),
        (searchset(patient(), score="1"), False),
        (searchset(patient(), score=True), False),
    ],
)
async def test_several_and_none_and_one_in_part(body: dict[str, Any], too_many: bool) -> None:
    assert await found_by(Says(body)) == Found(too_many=too_many)


@pytest.mark.parametrize("score", [1, 1.0])
async def test_a_certain_match_is_one(score: Any) -> None:
    assert (await found_by(Says(searchset(patient(), score=score)))).patient == patient()


def named(family: str, *given: str) -> dict[str, Any]:
    return patient(name=[{"family": family, "given": list(given)}])


@pytest.mark.parametrize(
    ("held", "sought"),
    [
        (named("attisón", "Pauline"), ("ATTISON", "Pauline")),
        (named("Wałęsa", "Łucja"), ("Walesa", "Lucja")),
        (named("O’NEILL", "MARY-JANE"), ("O'Neill", "Mary Jane")),
        (named("Smith", "John Paul", "James"), ("Smith", "John James")),
        (named("ADEBAYO", "Grace"), ("Adebayo", "Grace")),
    ],
)
async def test_a_name_agrees_in_other_letters(held: dict[str, Any], sought: tuple[str, str]) -> None:
    assert (await found_by(Says(searchset(held)), person(*sought))).patient == held


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (searchset(patient(birthDate="1958-03-13")), WrongContent),
        (searchset(patient(birthDate=None)), WrongContent),
        (searchset(named("Adeyemi", "Grace")), WrongContent),
        (searchset(named("Adebayo", "Gloria")), WrongContent),
        (searchset(patient(name=[])), WrongContent),
        (searchset(patient(identifier=[])), WrongContent),
        (searchset(patient(id="9990000751")), WrongContent),
        (searchset(patient(), score=None), WrongContent),
        ({**searchset(patient()), "entry": [{"resource": patient()}]}, WrongContent),
        (searchset(total=1), WrongContent),
        (searchset(patient(), total=0), WrongContent),
        (searchset(patient(name="x")), WrongContent),
        (
            searchset(patient(), link=[{"relation": "next", "url": "http://register.test/fhir/Patient?p=2"}]),
            WrongContent,
        ),
        (searchset({**outcome("X"), "id": "o"}), WrongContent),
        (patient(), WrongContent),
        (outcome("X", "not-supported"), NotUnderstood),
        (outcome("INVALIDATED_RESOURCE"), Invalidated),
        (searchset(patient(security="REDACTED")), Invalidated),
    ],
)
async def test_an_answer_that_cannot_be_believed_finds_nobody(body: dict[str, Any], error: type[SourceError]) -> None:
    with pytest.raises(error) as raised:
        await found_by(Says(body))
    assert not any(word in f"{raised.value!r}" for word in ("Adebayo", "Grace", "1958", "9990000"))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, outcome("INVALID_SEARCH_DATA", "value"), NotUnderstood),
        (403, outcome("INVALID_VALUE", "value"), Refused),
        (408, outcome("UNABLE_TO_CALL_SERVICE"), Unwell),
        (503, b"", Unwell),
    ],
)
async def test_a_search_that_fails_is_no_empty_one(status: int, body: Any, error: type[SourceError]) -> None:
    with pytest.raises(error):
        await found_by(Says(body, status))


@pytest.mark.parametrize("mode", [Mode.LYING, Mode.LYING_QUIETLY])
async def test_a_register_that_lies_finds_nobody(mode: Mode) -> None:
    sandbox = create_app()
    sandbox.switch.mode = mode
    with pytest.raises(WrongContent):
        await found_by(sandbox)
