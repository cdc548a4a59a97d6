"""Caller and patient compared: names and addresses as people and systems write them, and as nobody should."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.caller.themselves import Themselves
from gateway.desk.addresses import same_address
from gateway.desk.names import folded, same_person, same_surname

HOSTILE: list[Any] = [
    None, "", "Adebayo", 7, True, [], {}, [None], [7], [[]], [{}], ["Adebayo"], {"family": "Adebayo"},
    [{"family": None}], [{"family": ["Adebayo"]}], [{"family": {"family": "Adebayo"}}], [{"text": 7}],
    [{"given": "Grace"}], [{"given": [None]}], [{"line": "14 Ladywell Road"}],
    [{"line": [None, {}, 7], "postalCode": 13}], [{"postalCode": ["SE13 7UX"]}],
]  # fmt: skip


def named(*families: str, **more: Any) -> dict[str, Any]:
    return {"name": [{"family": family} for family in families], **more}


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("Adebayo", "ADEBAYO"),
        ("O'Brien", "O’BRIEN"),
        ("OBrien", "O'Brien"),
        ("Müller", "MULLER"),
        ("Wałęsa", "Walesa"),
        ("Ødegård", "Odegard"),
        ("Weiß", "WEISS"),
        ("Okafor-Reed", "Okafor Reed"),
        ("Nguyễn", "Nguyen"),
        ("de la Cruz", "De La Cruz"),
        ("МУРАВЬЁВ", "Муравьёв"),
        ("İnan", "Inan"),
    ],
)
def test_the_same_surname_however_it_is_written(own: str, theirs: str) -> None:
    assert same_surname(Themselves(family_name=own), named("Somebody", theirs))
    assert same_surname(Themselves(family_name=theirs), named(own))


@pytest.mark.parametrize(
    ("own", "theirs"), [("Smith", "Smithson"), ("Okafor", "Okafor-Reed"), ("", ""), ("'-", "-"), ("", "Smith")]
)
def test_another_surname_or_none(own: str, theirs: str) -> None:
    assert not same_surname(Themselves(family_name=own), named(theirs))


def test_a_former_name_counts_and_so_does_a_name_that_is_one_text() -> None:
    caller = Themselves(family_name="Nguyen")
    assert same_surname(caller, {"name": [{"family": "Tran"}, {"use": "maiden", "family": "Nguyen"}]})
    assert same_surname(caller, {"name": [{"text": "Miss Mia Nguyễn"}]})
    assert not same_surname(caller, {"name": [{"text": "Mia Nguyen-Tran"}]})


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_and_addresses_are_nobodys(hostile: Any) -> None:
    patient = {"name": hostile, "address": hostile, "birthDate": hostile}
    caller = Themselves(
        family_name="Grace", given_name="Nobody", birth_date="1958-03-12", address="1 Nowhere Road", postcode="SE13 7UX"
    )
    assert not same_surname(caller, patient)
    assert not same_person(caller, patient)
    assert not same_address(caller, patient)


def test_absurd_names_cost_little_and_match_nobody() -> None:
    assert len(folded("\ufdfa" * 100_000)) <= 18 * 200
    assert folded("\u0301" * 500) == ""
    assert not same_surname(Themselves(family_name="x" * 150), named("x" * 10_000_000))


def test_the_same_person_has_the_same_name_and_birth_date() -> None:
    caller = Themselves(family_name="MURPHY", given_name="Siobhán", birth_date="1992-04-05")
    patient = {"name": [{"family": "Murphy", "given": ["Siobhan", "Mary"]}], "birthDate": "1992-04-05"}
    assert same_person(caller, patient)
    assert same_person(caller, {"name": [{"text": "Ms Siobhan Murphy"}], "birthDate": "1992-04-05"})
    assert not same_person(caller, patient | {"birthDate": "1992-04-06"})
    assert not same_person(caller, {"name": [{"family": "Murphy", "given": ["Mary"]}], "birthDate": "1992-04-05"})
    assert not same_person(Themselves(family_name="Murphy", given_name="Siobhan"), patient | {"birthDate": ""})
    two = {"name": [{"family": "Murphy", "given": ["Aoife"]}, {"family": "Kelly", "given": ["Siobhan"]}]}
    assert not same_person(caller, two | {"birthDate": "1992-04-05"}), "one name, not parts of two"


def living(*addresses: dict[str, Any]) -> dict[str, Any]:
    return {"address": list(addresses)}


HOME = Themselves(address="14 Ladywell Road", postcode="SE13 7UX")


@pytest.mark.parametrize(
    "address",
    [
        {"line": ["14 Ladywell Rd"], "postalCode": "se137ux"},
        {"line": ["14, LADYWELL ROAD"], "postalCode": "SE13  7UX"},
        {"line": ["14 Ladywell Road"], "postalCode": "SE13 7UX", "use": "old"},
        {"text": "14 Ladywell Road, London SE13 7UX"},
        {"line": ["", "14 Ladywell Road", "London", "SE13 7UX"]},
    ],
)
def test_the_same_address_however_it_is_written(address: dict[str, Any]) -> None:
    assert same_address(HOME, living({"line": ["1 Elsewhere"], "postalCode": "SE1 1AA"}, address))


@pytest.mark.parametrize(
    "address",
    [
        {"line": ["16 Ladywell Road"], "postalCode": "SE13 7UX"},
        {"line": ["14A Ladywell Road"], "postalCode": "SE13 7UX"},
        {"line": ["Flat 2", "14 Ladywell Road"], "postalCode": "SE13 7UX"},
        {"line": ["14 Ladywell Road"], "postalCode": "SE13 7UY"},
        {"line": ["14 Ladywell Road"]},
        {"postalCode": "SE13 7UX"},
        {"line": ["Ladywell House"], "postalCode": "SE13 7UX"},
        {"line": ["14 Ladywell Road"], "postalCode": "nonsense"},
    ],
)
def test_a_neighbour_is_not_at_the_same_address(address: dict[str, Any]) -> None:
    assert not same_address(HOME, living(address))


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("Flat 9, 120 Trafalgar Road", ["120 Trafalgar Rd", "flat 9"]),
        ("14 A Ladywell Road", ["14a Ladywell Road"]),
        ("Rose Cottage, Mill Lane", ["ROSE COTTAGE", "Mill Lane"]),
        ("St. Mary’s House\nMill Lane", ["St Mary's House"]),
    ],
)
def test_flats_letters_and_names_of_houses(own: str, theirs: list[str]) -> None:
    caller = Themselves(address=own, postcode="SE10 9UW")
    assert same_address(caller, living({"line": theirs, "postalCode": "SE10 9UW"}))


def test_no_fixed_abode_is_not_shared_and_no_address_is_no_address() -> None:
    nowhere = living({"line": ["No fixed abode"], "postalCode": "ZZ99 3VZ"})
    assert not same_address(Themselves(address="No fixed abode", postcode="ZZ99 3VZ"), nowhere)
    assert not same_address(Themselves(), living({"line": ["14 Ladywell Road"], "postalCode": "SE13 7UX"}))
    assert same_address(
        Themselves(address="14 Ladywell Road\nLondon\nSE13 7UX\nUnited Kingdom"),
        living({"line": ["14 Ladywell Road"], "postalCode": "SE13 7UX"}),
    ), "as `formatted` has it"
