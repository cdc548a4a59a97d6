"""The element tables: what `fhir.resources` says, no more and no less."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from fhir.resources import R4B, STU3

from connectors.gp_connect.stu3 import cardinality
from connectors.sdk import elements
from connectors.sdk.elements import Element, Release
from tests.elements import FILES, models, table, written

RELEASES = {R4B: elements.R4, STU3: cardinality.STU3}


@pytest.mark.parametrize("release", FILES, ids=lambda release: release.__name__.rpartition(".")[2])
def test_each_file_is_what_its_models_say_now(release: ModuleType) -> None:
    assert FILES[release].read_text(encoding="utf-8") == written(release), "run `make elements`"


@pytest.mark.parametrize("release", FILES, ids=lambda release: release.__name__.rpartition(".")[2])
def test_each_type_has_the_elements_of_its_bases_too(release: ModuleType) -> None:
    for name, model in models(release).items():
        assert dict(RELEASES[release].elements(name)) == table(model), name


def test_what_r4_says_of_an_observation() -> None:
    found = elements.R4.elements("Observation")
    assert found["status"] == Element(type="code", required=True, summary=True)
    assert found["valueQuantity"] == Element(type="Quantity", choice="value", summary=True)
    assert found["encounter"] == Element(type="Reference", targets=("Encounter",), summary=True)
    assert found["component"] == Element(type="ObservationComponent", many=True, summary=True)
    assert found["contained"].type == "Resource"
    assert elements.R4.elements("Quantity")["value"].type == "decimal"
    assert elements.R4.elements("MedicationStatement")["medicationReference"].choice_required


def test_an_id_has_no_sibling_and_other_primitives_have_one() -> None:
    found = elements.R4.elements("Patient")
    assert [name for name in ("id", "birthDate", "name") if found[name].has_sibling(name)] == ["birthDate"]


def test_a_type_that_no_release_has_is_empty_and_costs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"Thing": {"elements": {"part": {"type": "Thing", "many": true}}}}', encoding="utf-8")
    release = Release(file)
    assert [dict(release.elements(f"Foo{number}")) for number in range(3)] == [{}, {}, {}]
    assert "Foo1" not in release
    assert release._read == {}
    assert release.elements("Thing")["part"].many
