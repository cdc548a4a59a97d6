"""Which names of the register's Patient are the ones that were asked for."""

from __future__ import annotations

import pytest

from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.register.fits import Misfit, fitting
from gateway.search.person import Person
from tests.unit.pipeline import TAKING_PART, TRUST

NUMBER = "9990000409"


def shown(held: list[str], sought: str) -> bool:
    patient = {
        "resourceType": "Patient",
        "id": NUMBER,
        "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": NUMBER}],
        "name": [{"family": "O'Neil", "given": held}],
        "birthDate": "1958-03-12",
    }
    organisation = TAKING_PART.get(TRUST)
    assert organisation is not None
    try:
        return fitting(patient, Person("Oneil", sought, "1958-03-12"), organisation) is not None
    except Misfit:
        return False


@pytest.mark.parametrize(
    ("held", "sought"),
    [
        (["Grace"], "GRACE"),
        (["Grace", "Ngozi"], "Ngozi"),
        (["Grace", "Ngozi"], "Ngozi Grace"),
        (["Mary-Ann"], "Mary Ann"),
        (["Mary-Ann", "Louise"], "Maryann"),
        (["Mary", "Ann"], "Maryann"),
        (["Maryann"], "Mary-Ann"),
        (["Łucja"], "Lucja"),
        (["D'Arcy"], "Darcy"),
        (["A"], "a"),
    ],
)
def test_a_name_fits_whatever_its_writing(held: list[str], sought: str) -> None:
    assert shown(held, sought)


@pytest.mark.parametrize("sought", ["G", "Gr", "race", "Gracen", "Grace Joy", "aceNgo"])
def test_part_of_a_name_fits_nobody(sought: str) -> None:
    assert not shown(["Grace", "Ngozi"], sought)
