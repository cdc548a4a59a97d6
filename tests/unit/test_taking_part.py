"""Production shows nobody whose connector has not earned it; one practice of a list is tried before any is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.connector import Connector, connect
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import Grade
from connectors.sdk.organisations import Organisation, load_organisations
from gateway import taking_part
from gateway.settings import Settings, SettingsError, load_settings
from gateway.sources import NotAsked
from gateway.taking_part import connected, load_register

TRUST = {
    "ods": "RJ2",
    "name": "A trust",
    "type": "acute-trust",
    "stage": "live",
    "connector": "fhir_r4",
    "address": "https://rj2.example/fhir",
    "sections": ["results"],
}
LISTED = {"practices": "list.csv", **{key: TRUST[key] for key in ("stage", "connector", "address", "sections")}}
REGISTER = TRUST | {"ods": "X26", "type": "national-service"}
ROWS = "ods,name,stage\nG85005,South Lewisham,\nG85004,Jenner,\n"


def settings(tmp_path: Path, *entries: dict[str, Any], rows: str = ROWS, **more: Any) -> Settings:
    (tmp_path / "list.csv").write_text(rows)
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": entries}))
    issuer = {"issuer": "https://login.example", "audience": "connect-care", "algorithms": ["ES256"]}
    return load_settings(
        None,
        public_url="https://connectcare.example",
        data_dir=tmp_path / "data",
        key_file=tmp_path / "key",
        checkpoint_key=tmp_path / "checkpoint.key",
        issuers=[issuer],
        organisations_file=file,
        **more,
    )


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Grade]:
    """The grades that evidence has earned, by ODS code; its folders."""
    grades: dict[str, Grade] = {}
    connector = tmp_path / "connector"
    (connector / "evidence").mkdir(parents=True)

    def grade_of(name: str, ods: str | None = None) -> Grade:
        assert name == "fhir_r4"
        return grades.get(str(ods), Grade.BRONZE)

    monkeypatch.setattr(taking_part, "grade_of", grade_of)
    monkeypatch.setattr(taking_part, "folder_of", lambda name: connector)
    return grades


@pytest.mark.parametrize(
    ("grade", "starts"),
    [(Grade.NONE, False), (Grade.BRONZE, False), (Grade.SILVER, True), (Grade.GOLD, True)],
)
def test_who_is_live_needs_a_connector_of_silver(
    tmp_path: Path, evidence: dict[str, Grade], grade: Grade, starts: bool
) -> None:
    evidence["RJ2"] = grade
    if starts:
        assert load_register(settings(tmp_path, TRUST)).get("RJ2")
        return
    with pytest.raises(
        SettingsError, match=r"RJ2 is live, but its connector fhir_r4 has not earned silver there\. Run"
    ):
        load_register(settings(tmp_path, TRUST))


@pytest.mark.parametrize("stage", ["planned", "shadow", "suspended"])
def test_who_is_not_shown_needs_no_grade(tmp_path: Path, evidence: dict[str, Grade], stage: str) -> None:
    assert load_register(settings(tmp_path, TRUST | {"stage": stage})).get("RJ2")


def test_who_holds_nothing_needs_no_grade(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    commissioner = {"ods": "08L", "name": "A CCG", "type": "commissioner", "stage": "live"}
    staff_only = {"practices": "list.csv", "stage": "live"}
    assert load_register(settings(tmp_path, commissioner, staff_only)).get("08L")


def test_the_demo_needs_no_grade(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    assert load_register(settings(tmp_path, TRUST, LISTED, profile="demo")).get("RJ2")


def test_one_practice_speaks_for_its_list(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    folder = tmp_path / "connector" / "evidence"
    evidence |= {"G85004": Grade.SILVER, "G99999": Grade.GOLD}
    with pytest.raises(SettingsError, match=r"list\.csv is live, but its connector fhir_r4 has not earned silver"):
        load_register(settings(tmp_path, LISTED))
    (folder / "G99999").mkdir()  # of another list
    (folder / "G85005").mkdir()  # bronze
    with pytest.raises(SettingsError, match="has not earned silver"):
        load_register(settings(tmp_path, LISTED))
    (folder / "G85004").mkdir()
    assert load_register(settings(tmp_path, LISTED)).get("G85005")


def test_a_list_of_which_one_practice_is_live_needs_silver(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    joining = LISTED | {"stage": "shadow"}
    assert load_register(settings(tmp_path, joining)).get("G85005")
    with pytest.raises(SettingsError, match="has not earned silver"):
        load_register(settings(tmp_path, joining, rows=ROWS.replace("Jenner,", "Jenner,live")))


def test_a_connector_without_a_manifest_has_no_grade_to_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str, ods: str | None = None) -> Grade:
        raise LookupError(f"There is no connector {name}.")

    monkeypatch.setattr(taking_part, "grade_of", nowhere)
    monkeypatch.setattr(taking_part, "folder_of", nowhere)
    for entry in (TRUST, LISTED):
        with pytest.raises(ConfigurationError, match="There is no connector fhir_r4"):
            load_register(settings(tmp_path, entry))


@pytest.mark.parametrize("address", ["sandbox", "http://gp.example/fhir"])
@pytest.mark.parametrize("stage", ["live", "shadow", "planned"])
def test_production_asks_no_stand_ins_of_practices(tmp_path: Path, address: str, stage: str) -> None:
    with pytest.raises(SettingsError, match=r"list\.csv is a sandbox or has a plain HTTP address"):
        load_register(settings(tmp_path, LISTED | {"address": address, "stage": stage}))


class Builds:
    """Builds connectors, and remembers for whom."""

    def __init__(self) -> None:
        self.of: list[str] = []

    def __call__(self, organisation: Organisation) -> Connector:
        self.of.append(organisation.ods)
        return connect(organisation)


async def test_of_each_list_one_practice_is_connected_at_once_and_the_rest_when_asked(tmp_path: Path) -> None:
    rows = "ods,name\n" + "".join(f"Y{n:05},Practice {n}\n" for n in range(7000))
    others = [TRUST | {"ods": "RPG", "stage": "shadow"}, TRUST | {"ods": "RV5", "stage": "suspended"}]
    given = settings(tmp_path, TRUST, *others, LISTED, REGISTER, rows=rows, profile="demo")
    builds = Builds()
    fan_out = await connected(load_organisations(given.organisations_file), given, builds)
    assert builds.of == ["Y00000", "RJ2", "X26", "RPG"]
    assert set(fan_out.states) == {"RJ2", "X26", "RPG"}
    with fan_out.sources.hold("Y06999") as state:
        assert state.is_idle is False
    assert builds.of[4:] == ["Y06999"]
    for stranger in ("Z99999", "RV5"):
        with pytest.raises(NotAsked), fan_out.sources.hold(stranger):
            pass
    for state in fan_out.states.values():
        await state.connector.aclose()


@pytest.mark.parametrize(
    ("entry", "rows", "tried"),
    [
        (LISTED, ROWS, ["G85005"]),
        (LISTED, ROWS.replace("South Lewisham,", "South Lewisham,planned"), ["G85004"]),
        (LISTED | {"stage": "shadow"}, ROWS, ["G85005"]),
        (LISTED | {"stage": "planned"}, ROWS, []),
        (LISTED | {"stage": "suspended"}, ROWS, []),
        ({"practices": "list.csv", "stage": "live"}, ROWS, []),
    ],
)
async def test_a_practice_is_tried_where_one_takes_part(
    tmp_path: Path, entry: dict[str, Any], rows: str, tried: list[str]
) -> None:
    given = settings(tmp_path, entry, rows=rows, profile="demo")
    builds = Builds()
    await connected(load_organisations(given.organisations_file), given, builds)
    assert builds.of == tried


async def test_a_secret_of_practices_that_cannot_be_read_stops_start_up(tmp_path: Path) -> None:
    secret = {"auth": {"scheme": "header", "name": "X-Key", "value_file": "/nowhere"}}
    given = settings(tmp_path, LISTED | {"settings": secret}, profile="demo")
    with pytest.raises(ConfigurationError, match=r"G85005.*/nowhere can't be read"):
        await connected(load_organisations(given.organisations_file), given, connect)


async def test_in_a_demo_the_practice_that_is_tried_has_a_stand_in(tmp_path: Path) -> None:
    addresses = {"G85004": "http://127.0.0.1:4000/fhir"}
    given = settings(tmp_path, LISTED | {"address": "sandbox"}, profile="demo", addresses=addresses)
    builds = Builds()
    await connected(load_register(given), given, builds)
    assert builds.of == ["G85004"]
