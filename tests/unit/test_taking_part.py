"""Production shows nobody whose connector has not earned it; one practice of a list is tried before any is asked."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.connector import Connector, connect
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import Grade
from connectors.sdk.organisations import Organisation, load_organisations
from gateway import taking_part
from gateway.reload import read_whole
from gateway.settings import Settings, SettingsError, load_settings
from gateway.sources import NotAsked
from gateway.taking_part import connected, load_register, nothing_runs, running_in

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
        audit_sink=tmp_path / "sink.jsonl",
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


TODAY = date(2026, 11, 23)
ACCEPTED = {"reason": "its test endpoint opens in December", "by": "A. Owner, CIO", "until": "2026-12-31"}


def accepting(**changed: str) -> dict[str, Any]:
    return TRUST | {"accepted_below_silver": ACCEPTED | changed}


def test_somebody_answers_for_a_connection_below_silver(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    found = load_register(settings(tmp_path, accepting()), TODAY)
    told = "fhir_r4 at RJ2 until 2026-12-31, by A. Owner, CIO: its test endpoint opens in December"
    assert taking_part.accepted(found) == [told]
    assert load_register(settings(tmp_path, accepting()), date(2026, 12, 31)).get("RJ2")
    group = LISTED | {"accepted_below_silver": ACCEPTED}
    assert taking_part.accepted(load_register(settings(tmp_path, group), TODAY)) == [told.replace("RJ2", "list.csv")]
    for silent in (TRUST, accepting() | {"stage": "shadow"}):
        assert taking_part.accepted(load_organisations(settings(tmp_path, silent).organisations_file)) == []


@pytest.mark.parametrize(
    ("changed", "day", "grade", "said"),
    [
        ({}, date(2027, 1, 1), Grade.BRONZE, r"what A\. Owner, CIO accepted ended on 2026-12-31"),
        (
            {"until": "2027-02-24"},
            TODAY,
            Grade.BRONZE,
            r"further than 92 days ahead\. Accept it until 2027-02-23",
        ),
        ({}, TODAY, Grade.NONE, "nor bronze, without which nobody can answer for it"),
    ],
)
def test_what_is_accepted_has_an_end_and_a_floor(
    tmp_path: Path, evidence: dict[str, Grade], changed: dict[str, str], day: date, grade: Grade, said: str
) -> None:
    evidence |= {"RJ2": grade, "None": grade}
    with pytest.raises(SettingsError, match=said):
        load_register(settings(tmp_path, accepting(**changed)), day)


LATER = date(2027, 1, 1)


def test_what_ended_goes_on_in_a_reload_that_leaves_it_as_it_is(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    running = running_in(load_register(settings(tmp_path, accepting()), TODAY))
    other = TRUST | {"ods": "RPG", "stage": "suspended"}
    assert load_register(settings(tmp_path, accepting(), other), LATER, running).get("RPG")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (accepting(), accepting(by="Somebody Else")),
        (accepting(), accepting(until="2026-12-30")),
        (accepting() | {"stage": "shadow"}, accepting()),
        (TRUST | {"stage": "planned"}, accepting()),
        (accepting() | {"ods": "RPG"}, accepting()),
    ],
)
def test_nothing_that_ended_is_taken_up_in_a_reload(
    tmp_path: Path, evidence: dict[str, Grade], before: dict[str, Any], now: dict[str, Any]
) -> None:
    running = running_in(load_register(settings(tmp_path, before), TODAY))
    with pytest.raises(SettingsError, match="accepted ended on 2026-12-3"):
        load_register(settings(tmp_path, now), LATER, running)


def test_the_files_are_read_whole_beside_what_runs(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    given = settings(tmp_path, accepting(until="2020-01-01"))
    running = running_in(load_register(given, date(2019, 12, 31)))
    assert read_whole(given, running).organisations.get("RJ2")
    with pytest.raises(SettingsError, match="ended on 2020-01-01"):
        read_whole(given, nothing_runs)


def test_a_reload_has_the_floor_of_a_start(tmp_path: Path, evidence: dict[str, Grade]) -> None:
    running = running_in(load_register(settings(tmp_path, accepting()), TODAY))
    evidence |= {"RJ2": Grade.NONE, "None": Grade.NONE}
    with pytest.raises(SettingsError, match="nor bronze"):
        load_register(settings(tmp_path, accepting()), LATER, running)


@pytest.mark.parametrize("left_out", ["reason", "by", "until"])
def test_an_acceptance_says_why_who_and_until_when(tmp_path: Path, left_out: str) -> None:
    half = {key: value for key, value in ACCEPTED.items() if key != left_out}
    with pytest.raises(ConfigurationError, match=rf"yaml:1: accepted_below_silver\.{left_out} is missing"):
        load_register(settings(tmp_path, TRUST | {"accepted_below_silver": half}))


def test_every_organisation_that_production_refuses_is_told_with_its_line(
    tmp_path: Path, evidence: dict[str, Grade]
) -> None:
    file = tmp_path / "organisations.yaml"
    given = settings(tmp_path, TRUST)
    loopback = {"auth": {"scheme": "client-credentials", "token_url": "http://127.0.0.1/t", "client_id": "c"}}
    loopback["auth"]["secret_file"] = "/nowhere"
    entries = [TRUST, TRUST | {"ods": "RPG", "stage": "shadow", "settings": loopback}]
    file.write_text("organisations:\n" + "".join(f"  - {json.dumps(entry)}\n" for entry in entries))
    with pytest.raises(SettingsError) as caught:
        load_register(given)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{file}:2: RJ2 is live, but its connector fhir_r4 has not earned silver there. Run")
    assert second == f"{file}:3: the token_url of RPG is plain HTTP. Give its https address."
