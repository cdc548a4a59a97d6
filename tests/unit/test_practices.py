"""Practice lists: thousands of practices behind one entry, read once, made when somebody asks."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType, Stage, load_organisations

ENTRY = """\
organisations:
  - practices: lists/lewisham.csv
    name: GP practices of Lewisham
    stage: live
    joined: 2026-11-02
    connector: fhir_r4
    address: https://gp.test/{ods}/R4
    sections: [demographics, allergies]
    budget: 1.5
    settings:
      patient_by: identifier
"""
REGISTER = """\
  - ods: X26
    name: The register
    type: national-service
    stage: live
    connector: fhir_r4
    address: https://register.test/R4
    sections: [demographics]
"""
LIST = "ods,name\nG85005,South Lewisham\nG85004,Jenner\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    return tmp_path / "organisations.yaml"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ODS codes of organisations that are made, as they are."""
    codes: list[str] = []
    construct = Organisation.model_construct

    def counting(**values: Any) -> Organisation:
        codes.append(values["ods"])
        return construct(**values)

    monkeypatch.setattr(Organisation, "model_construct", counting)
    return codes


def load(file: Path, rows: str = LIST, entry: str = ENTRY, **addresses: str) -> Organisations:
    (file.parent / "lists" / "lewisham.csv").write_text(rows, encoding="utf-8")
    file.write_text(entry, encoding="utf-8")
    return load_organisations(file, addresses=addresses)


def fault(file: Path, rows: str = LIST, entry: str = ENTRY) -> tuple[str, int, str]:
    """File, line and sentence with which this stops start-up; the sentence ends with a remedy."""
    with pytest.raises(ConfigurationError) as caught:
        load(file, rows, entry)
    found = re.fullmatch(r".*?([^/]+):(\d+): (.+?\. [A-Z].+\.)", str(caught.value), re.DOTALL)
    assert found, str(caught.value)
    return found[1], int(found[2]), found[3]


def many(count: int) -> str:
    return "ods,name\n" + "".join(f"Y{n:05},Practice {n}\n" for n in range(count))


# ---- what is well ----


def test_a_practice_is_the_entry_with_its_own_code_and_name(file: Path) -> None:
    register = load(file)
    practice = register.get("G85004")
    assert practice == Organisation(
        ods="G85004",
        name="Jenner",
        type=OrganisationType.GP_PRACTICE,
        stage=Stage.LIVE,
        joined=date(2026, 11, 2),
        connector="fhir_r4",
        address="https://gp.test/G85004/R4",
        sections=frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES}),
        budget=1.5,
        settings={"patient_by": "identifier"},
    )
    assert (practice.is_shown, practice.takes_part) == (True, True)
    assert register.get("G85999") is None
    assert register.type_of("G85004") is OrganisationType.GP_PRACTICE
    with pytest.raises(KeyError):
        register.type_of("G85999")


def test_a_group_is_one_entry_beside_those_that_are_listed(file: Path) -> None:
    register = load(file, entry=ENTRY + REGISTER)
    (group,) = register.groups()
    assert (group.name, len(group), list(group)) == ("GP practices of Lewisham", 2, ["G85005", "G85004"])
    assert [entry.ods for entry in register.listed()] == ["X26"]
    assert [entry.ods for entry in register.sources()] == ["X26"]
    assert register.group_of("G85004") is group
    assert register.group_of("X26") is None
    assert [one.ods for one in register.practices_of(group)] == ["G85005", "G85004"]
    assert load(file, entry=ENTRY.replace("    name: GP practices of Lewisham\n", "")).groups()[0].name.endswith(".csv")


def test_a_row_may_have_a_stage_and_a_date_of_its_own(file: Path) -> None:
    rows = "ods,name,joined,stage\nG85005,South Lewisham,,\nG85004,Jenner,2026-12-01,shadow\nG85023,LMC,,planned\n"
    register = load(file, rows)
    found = {one.ods: (one.stage, one.joined) for one in register.practices_of(register.groups()[0])}
    assert found == {
        "G85005": (Stage.LIVE, date(2026, 11, 2)),
        "G85004": (Stage.SHADOW, date(2026, 12, 1)),
        "G85023": (Stage.PLANNED, date(2026, 11, 2)),
    }
    assert register.groups()[0].stages == {Stage.LIVE, Stage.SHADOW, Stage.PLANNED}


@pytest.mark.parametrize(
    "rows", ["\ufeff" + LIST, LIST.replace("\n", "\r\n"), LIST + "\n", 'ods,name\nG85005,"A, B"\n']
)
def test_lists_come_from_spreadsheets(file: Path, rows: str) -> None:
    register = load(file, rows)
    assert register.get("G85005") is not None


def test_practices_without_a_system_are_counted_and_never_asked(file: Path) -> None:
    entry = "organisations:\n  - {practices: lists/lewisham.csv, stage: live}\n"
    register = load(file, many(50), entry)
    practice = register.get("Y00007")
    assert practice is not None
    assert (practice.takes_part, practice.holds_records) == (True, False)
    assert list(register.practices_of(register.groups()[0])) == []


def test_in_a_demo_a_practice_without_a_stand_in_has_no_system(file: Path) -> None:
    entry = ENTRY.replace("https://gp.test/{ods}/R4", "sandbox")
    register = load(file, entry=entry, G85005="http://127.0.0.1:4000/fhir", RJ2="http://127.0.0.1:1/fhir")
    stood_in, absent = register.get("G85005"), register.get("G85004")
    assert stood_in is not None
    assert absent is not None
    assert (stood_in.address, stood_in.is_shown) == ("http://127.0.0.1:4000/fhir", True)
    assert (absent.address, absent.takes_part, absent.is_shown) == (None, True, False)
    assert load(file, entry=entry).get("G85004").address == "sandbox"  # type: ignore[union-attr]


# ---- scale ----


def test_of_thousands_of_practices_only_those_are_made_that_somebody_asks_for(file: Path, made: list[str]) -> None:
    register = load(file, many(7000), ENTRY + REGISTER)
    assert made == []
    assert len(register.groups()[0]) == 7000
    assert register.get("Y06999") is not None
    register.sources(), register.shadows(), register.listed(), register.register()
    assert register.type_of("Y00001") is OrganisationType.GP_PRACTICE
    assert register.groups()[0].stages == {Stage.LIVE}
    assert made == ["Y06999"]


def test_seventy_real_practices_are_a_list(file: Path, shared_data: Path) -> None:
    with (shared_data / "ods" / "lewisham-greenwich-practices-epraccur-2019.csv").open(encoding="utf-8") as source:
        known = [(row["ods_code"], row["name"].strip()) for row in csv.DictReader(source)]
    rows = "ods,name\n" + "".join(f'{ods},"{name}"\n' for ods, name in known)
    register = load(file, rows, ENTRY + REGISTER)
    assert len(register.groups()[0]) == len(known) == 70
    assert {ods: register.get(ods).name for ods, _ in known} == dict(known)  # type: ignore[union-attr]


@pytest.mark.parametrize(("count", "starts"), [(20, True), (21, False), (7000, False)])
def test_without_a_register_only_a_handful_may_all_be_asked(file: Path, count: int, starts: bool) -> None:
    if starts:
        assert len(load(file, many(count)).groups()[0]) == count
        return
    name, line, said = fault(file, many(count))
    assert (name, line) == ("organisations.yaml", 2)
    assert said == (
        f"{count} practices of GP practices of Lewisham, and nobody says which of them a patient is registered with. "
        "Name a register: a live entry of type national-service with connector pds."
    )


@pytest.mark.parametrize("stage", ["planned", "shadow", "suspended"])
def test_a_register_that_is_not_live_is_none(file: Path, stage: str) -> None:
    assert load(file, many(20), ENTRY + REGISTER).register() is not None
    not_now = ENTRY + REGISTER.replace("stage: live", f"stage: {stage}")
    assert load(file, many(20), not_now).register() is None
    if stage == "suspended":  # then no practice is asked, and the gateway runs on
        assert load(file, many(21), not_now).register() is None
    else:
        assert fault(file, many(21), not_now)[1] == 2


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ("", 1, "the header is not ods,name. Begin with ods,name; stage and joined may follow."),
        ("ods;name\nG85005;x\n", 1, "the header is not ods,name"),
        ("name,ods\nx,G85005\n", 1, "the header is not ods,name"),
        ("ods,name,postcode\nG85005,x,SE6\n", 1, "the header is not ods,name"),
        ("ods,name,stage,stage\nG85005,x,,\n", 1, "the header is not ods,name"),
        ("ods,name\n", 1, "no practice is listed. List at least one"),
        ("ods,name\nG85005\n", 2, "1 columns under a header of 2. Mend the row."),
        ("ods,name\nG85005,x,live\n", 2, "3 columns under a header of 2"),
        ("ods,name\ng85005,x\n", 2, "'g85005' is no ODS code. Give 2 to 6 capital letters and digits."),
        ("ods,name\nG85005 ,x\n", 2, "'G85005 ' is no ODS code"),
        ("ods,name\n,x\n", 2, "'' is no ODS code"),
        ("ods,name\nG85００5,x\n", 2, "is no ODS code"),
        ("ods,name\nG85005,\n", 2, "the name of G85005 is empty or not plain text. Give its name on one line."),
        ("ods,name\nG85005, x\n", 2, "the name of G85005 is empty or not plain text"),
        ('ods,name\nG85005,"a\nb"\n', 3, "the name of G85005 is empty or not plain text"),
        (f"ods,name\nG85005,{'x' * 201}\n", 2, "the name of G85005 is empty or not plain text"),
        ("ods,name\nG85005,x\n\nG85005,y\n", 4, "ODS code G85005 stands twice. Keep one entry for each organisation."),
        (
            "ods,name,stage\nG85005,x,\nG85004,y,alive\n",
            3,
            "G85004 has no stage 'alive'. Leave it empty, or use one of:",
        ),
        ("ods,name,joined\nG85005,x,soon\n", 2, "G85005 joined on 'soon', which is no date. Write it as 2026-11-02."),
        ("ods,name,joined\nG85005,x,2026-02-30\n", 2, "G85005 joined on '2026-02-30', which is no date"),
        ("ods,name,joined\nG85005,x,20261102\n", 2, "G85005 joined on '20261102', which is no date"),
        ('ods,name\nG85005,"x"y\n', 2, "not CSV: "),
        ('ods,name\nG85005,"x\n', 2, "not CSV: "),
    ],
)
def test_what_is_wrong_with_a_list_is_named_with_its_line(file: Path, rows: str, line: int, says: str) -> None:
    name, at, said = fault(file, rows)
    assert (name, at, says in said) == ("lewisham.csv", line, True), said


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("stage: live", "stage: sandbox", 4, "stage: Input should be 'planned', 'shadow', 'live' or 'suspended'"),
        ("    name: GP", "    ods: G85005\n    name: GP", 3, "unknown key ods. Remove it"),
        ("    name: GP practices of Lewisham\n", "    type: acute-trust\n", 3, "type: Input should be"),
        ("    address: https://gp.test/{ods}/R4\n", "", 2, "lists/lewisham.csv has a connector but no address."),
        ("https://gp.test/{ods}/R4", "gp.test", 7, "the address of lists/lewisham.csv must be a whole http or https"),
        ("    sections: [demographics, allergies]\n", "", 2, "lists/lewisham.csv offers no sections."),
        ("    connector: fhir_r4\n", "", 2, "lists/lewisham.csv has address, sections or settings but no connector."),
        ("connector: fhir_r4", "connector: nothing", 6, "the connector nothing does not exist"),
        ("patient_by: identifier", "patient_by: magic", 11, "settings.patient_by: Input should be 'identifier'"),
        ("practices: lists/lewisham.csv", "practices: [a]", 2, "practices is not text. Put it in quotes."),
    ],
)
def test_what_is_wrong_with_the_entry_is_named_with_its_line(
    file: Path, old: str, new: str, line: int, says: str
) -> None:
    assert old in ENTRY
    name, at, said = fault(file, entry=ENTRY.replace(old, new, 1))
    assert (name, at, says in said) == ("organisations.yaml", line, True), said


def test_a_list_that_is_not_there_or_not_utf8_is_named(file: Path) -> None:
    file.write_text(ENTRY)
    with pytest.raises(ConfigurationError, match=r"lists/lewisham.csv: can't be read"):
        load_organisations(file)
    (file.parent / "lists" / "lewisham.csv").write_bytes(b"ods,name\nG85005,Caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"lewisham.csv:2: not UTF-8\. Save the file as UTF-8\."):
        load_organisations(file)


def test_nobody_stands_in_a_list_and_by_himself_or_in_two_lists(file: Path) -> None:
    listed = REGISTER.replace("X26", "G85004").replace("national-service", "gp-practice")
    assert fault(file, entry=ENTRY + listed) == (
        "organisations.yaml",
        12,
        "ODS code G85004 stands twice. Keep one entry for each organisation.",
    )
    before = "organisations:\n" + listed + ENTRY.removeprefix("organisations:\n")
    assert fault(file, entry=before)[:2] == ("lewisham.csv", 3)
    (file.parent / "lists" / "greenwich.csv").write_text("ods,name\nG83021,Vanbrugh\nG85005,South Lewisham\n")
    second = ENTRY.removeprefix("organisations:\n").replace("lewisham.csv", "greenwich.csv")
    assert fault(file, entry=ENTRY + second)[:2] == ("greenwich.csv", 3)
