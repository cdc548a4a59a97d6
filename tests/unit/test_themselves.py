"""What issuers say of a caller as a private person: read where it is as the standards write it, and never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.caller.themselves import UNKNOWN, Themselves, read_themselves


def test_all_of_it() -> None:
    claims = {
        "name": "MURPHY Siobhan Ms",
        "family_name": "Murphy",
        "given_name": "Siobhan",
        "birthdate": "1992-04-05",
        "nhs_number": "999 000 0751",
        "address": {"street_address": "5 Vanbrugh Terrace", "postal_code": "SE3 7AP", "formatted": "ignored"},
    }
    read = read_themselves(claims)
    assert read == Themselves(
        family_name="Murphy",
        given_name="Siobhan",
        birth_date="1992-04-05",
        address="5 Vanbrugh Terrace",
        postcode="SE3 7AP",
        nhs_number="9990000751",
    )
    assert repr(read) == "Themselves(…)", "it may stand in a traceback"


@pytest.mark.parametrize(
    ("name", "family", "given"),
    [
        ("ASHWORTH Meera Dr", "ASHWORTH", "Meera"),
        ("DE LA CRUZ Maria Ms", "DE LA CRUZ", "Maria"),
        ("O'BRIEN Sean Mr", "O'BRIEN", "Sean"),
        ("OKAFOR-REED Samuel", "OKAFOR-REED", "Samuel"),
        ("SMITH JOHN DR", "SMITH", "JOHN"),
        ("SMITH", "SMITH", ""),
        ("Asha Rahman", "", ""),
        ("", "", ""),
        ("  ", "", ""),
        ("王小明", "", ""),
    ],
)
def test_care_identity_writes_the_family_name_in_capitals(name: str, family: str, given: str) -> None:
    read = read_themselves({"name": name})
    assert (read.family_name, read.given_name) == (family, given)


@pytest.mark.parametrize(
    "odd", [None, 7, True, [], ["x"], {}, {"x": 1}, "x" * 201, "0000-04-05", "05/04/1992", "\u0661"]
)
def test_a_claim_that_is_not_as_its_standard_has_it_counts_as_not_given(odd: Any) -> None:
    names = ("birthdate", "nhs_number", "address")
    assert read_themselves(dict.fromkeys(names, odd)) == UNKNOWN
    assert read_themselves({"address": dict.fromkeys(("street_address", "formatted", "postal_code"), odd)}) in (
        UNKNOWN,
        Themselves(address=odd, postcode=odd) if isinstance(odd, str) else UNKNOWN,
    )
    if not isinstance(odd, str):
        assert read_themselves(dict.fromkeys(("name", "family_name", "given_name"), odd)) == UNKNOWN


def test_a_wrong_nhs_number_is_nobodys() -> None:
    assert read_themselves({"nhs_number": "9990000752"}) == UNKNOWN


def test_formatted_stands_in_for_the_street() -> None:
    read = read_themselves({"address": {"formatted": "5 Vanbrugh Terrace\nLondon SE3 7AP"}})
    assert (read.address, read.postcode) == ("5 Vanbrugh Terrace\nLondon SE3 7AP", "")
