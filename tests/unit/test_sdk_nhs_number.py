"""NHS numbers: ten digits, the last of them a check digit."""

from __future__ import annotations

import pytest

from connectors.sdk.nhs_number import is_nhs_number, means_nhs_number, parse_nhs_number, same_number


@pytest.mark.parametrize("number", ["9990000018", "9990000409", "9434765919", "9876543210"])
def test_a_right_number_passes_and_every_wrong_last_digit_fails(number: str) -> None:
    right = [digit for digit in "0123456789" if is_nhs_number(number[:9] + digit)]
    assert right == [number[9]]


def test_a_check_digit_of_ten_is_never_issued() -> None:
    refused = [
        start for start in range(999000000, 999000100) if not any(is_nhs_number(f"{start}{d}") for d in range(10))
    ]
    assert len(refused) == 9


@pytest.mark.parametrize(
    "text", ["", "999000001", "99900000180", "999000001x", "٩٩٩٠٠٠٠٠١٨", "0000000000", "1111111111", " 9990000018"]
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_nhs_number(text)


@pytest.mark.parametrize(
    "text", ["9990000018", "999 000 0018", "999-000-0018", " 999–000 0018 ", "9 9 9 0 0 0 0 0 1 8"]
)
def test_people_write_it_with_spaces_and_dashes(text: str) -> None:
    assert parse_nhs_number(text) == "9990000018"
    assert same_number(text, "9990000018")


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "ten digits"), ("999 000", "ten digits"), ("999.000.0018", "ten digits"), ("9990000019", "check digit")],
)
def test_a_wrong_number_says_what_is_wrong_and_does_not_repeat_it(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        parse_nhs_number(text)
    assert "999" not in str(caught.value)


def test_a_system_that_means_nhs_numbers_is_known_however_it_is_spelled() -> None:
    for system in (
        "https://fhir.nhs.uk/Id/nhs-number",
        "http://fhir.nhs.net/Id/NHS-Number/",
        "urn:oid:2.16.840.1.113883.2.1.4.1",
    ):
        assert means_nhs_number(system)
    for system in ("", "https://fhir.nhs.uk/Id/ods-organization-code", "urn:oid:2.16.840.1.113883.2.1.4.2"):
        assert not means_nhs_number(system)
