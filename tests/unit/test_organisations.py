"""The register of organisations: whatever is wrong with it stops start-up with file, line and remedy."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from connectors.fhir_r4.settings import Search, Settings
from connectors.sdk.auth import (
    BackendServices,
    ClientCertificate,
    ClientCredentials,
    NoAuth,
    StaticHeader,
    TlsSettings,
)
from connectors.sdk.connector import available, connect
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.model import Section
from connectors.sdk.organisations import Organisation, Organisations, OrganisationType, Stage, load_organisations

PROJECT = Path(__file__).resolve().parents[2]

TRUST = """\
organisations:
  - ods: RJ2
    name: Lewisham and Greenwich NHS Trust
    type: acute-trust
    stage: live
    joined: 2026-11-02
    connector: fhir_r4
    address: https://fhir.trust.test/R4
    sections: [demographics, allergies]
    budget: 1.5
    settings:
      patient_by: identifier
      auth:
        scheme: header
        name: X-Key
        value_file: key.txt
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "organisations.yaml"


def load(file: Path, text: str, **addresses: str) -> Organisations:
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return load_organisations(file, addresses=addresses)


def fault(file: Path, text: str) -> tuple[int, str]:
    """The line and the sentence with which this text stops start-up; the sentence ends with a remedy."""
    with pytest.raises(ConfigurationError) as caught:
        load(file, text)
    found = re.fullmatch(rf"{re.escape(str(file))}:(\d+): (.+?)\. ([A-Z].+\.)", str(caught.value), re.DOTALL)
    assert found, str(caught.value)
    return int(found[1]), f"{found[2]}. {found[3]}"


def swapped(old: str, new: str) -> str:
    assert old in TRUST
    return TRUST.replace(old, new, 1)


# ---- what is well ----


def test_an_organisation_is_read(file: Path) -> None:
    register = load(file, TRUST)
    trust = register.get("RJ2")
    assert trust is not None
    assert (trust.name, trust.type, trust.stage) == (
        "Lewisham and Greenwich NHS Trust",
        OrganisationType.ACUTE_TRUST,
        Stage.LIVE,
    )
    assert (trust.joined, trust.budget) == (date(2026, 11, 2), 1.5)
    assert trust.sections == {Section.DEMOGRAPHICS, Section.ALLERGIES}
    assert trust.settings["auth"]["name"] == "X-Key"
    assert register.get("XXX") is None
    assert [entry.ods for entry in register.listed()] == ["RJ2"]


@pytest.mark.parametrize(
    ("stage", "takes_part", "shown", "shadowed"),
    [
        ("live", True, True, False),
        ("shadow", True, False, True),
        ("planned", False, False, False),
        ("suspended", False, False, False),
    ],
)
def test_a_stage_says_who_is_asked_and_shown(
    file: Path, stage: str, takes_part: bool, shown: bool, shadowed: bool
) -> None:
    register = load(file, swapped("stage: live", f"stage: {stage}"))
    (entry,) = register.listed()
    assert (entry.takes_part, entry.is_shown, entry.is_shadowed) == (takes_part, shown, shadowed)
    assert [entry.ods for entry in register.sources()] == ["RJ2"] * shown
    assert [entry.ods for entry in register.shadows()] == ["RJ2"] * shadowed


def test_an_organisation_may_take_part_and_hold_nothing(file: Path) -> None:
    register = load(file, "organisations:\n  - {ods: 08L, name: Lewisham CCG, type: commissioner, stage: live}\n")
    assert register.sources() == []
    assert [entry.takes_part for entry in register.listed()] == [True]


def test_a_demo_gives_sandboxes_their_addresses(file: Path) -> None:
    sandbox = swapped("https://fhir.trust.test/R4", "sandbox")
    assert load(file, sandbox).sources()[0].address == "sandbox"
    given = load(file, sandbox, RJ2="http://127.0.0.1:4000/fhir", XXX="http://127.0.0.1:1")
    assert given.sources()[0].address == "http://127.0.0.1:4000/fhir"


def test_the_register_of_the_project_is_the_leaflets_eight() -> None:
    register = load_organisations(PROJECT / "connectors" / "organisations.yaml")
    stages = {entry.ods: (entry.type.value, entry.stage.value) for entry in register.listed()}
    assert stages == {
        "RJ2": ("acute-trust", "live"),
        "08L": ("commissioner", "live"),
        "08A": ("commissioner", "live"),
        "709": ("council", "shadow"),
        "703": ("council", "shadow"),
        "RPG": ("mental-health-and-community-trust", "shadow"),
        "X26": ("national-service", "live"),
    }
    assert [group.stages for group in register.groups()] == [{Stage.LIVE}] * 2
    entries = [*register.listed(), *(group.entry for group in register.groups())]
    assert all(entry.joined for entry in entries)
    assert {entry.connector for entry in entries if entry.holds_records} <= set(available())
    assert all(not register.get(ods).holds_records for ods in ("08L", "08A"))  # type: ignore[union-attr]
    later = [entry.joined for entry in register.shadows()]
    assert min(day for day in later if day) > max(entry.joined for entry in register.sources() if entry.joined)


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("name: L", "nome: L", 3, "unknown key nome. Remove it, or correct its spelling."),
        ("    budget: 1.5\n", "    budget: 1.5\n    colour: red\n", 11, "unknown key colour. Remove it"),
        ("    stage: live\n", "", 2, "stage is missing. Add it."),
        ("    name: Lewisham and Greenwich NHS Trust\n", "", 2, "name is missing. Add it."),
        ("ods: RJ2", "ods: rj2", 2, "ods: String should match pattern"),
        ("ods: RJ2", "ods: 709", 2, "ods is not text. Put it in quotes."),
        ("type: acute-trust", "type: hospital", 4, "type: Input should be 'gp-practice'"),
        ("stage: live", "stage: alive", 5, "stage: Input should be 'planned'"),
        ("joined: 2026-11-02", "joined: soon", 6, "joined: Input should be a valid date"),
        ("connector: fhir_r4", "connector: fhir_r5", 7, "the connector fhir_r5 does not exist; use one of: fhir_r4"),
        ("connector: fhir_r4", "connector: sdk", 7, "the connector sdk does not exist"),
        ("connector: fhir_r4", "connector: ../evil", 7, "connector: String should match pattern"),
        ("    address: https://fhir.trust.test/R4\n", "", 2, "RJ2 has a connector but no address. Give the address"),
        ("https://fhir.trust.test/R4", "fhir.trust.test", 8, "the address of RJ2 must be a whole http or https URL"),
        ("https://fhir", "https://u:p@fhir", 8, "the address of RJ2 must not hold a user name or password; use auth"),
        ("test/R4", "test/R4?x=1", 8, "the address of RJ2 must not hold a query or fragment"),
        ("stage: live", "stage: sandbox", 5, "stage: Input should be 'planned', 'shadow', 'live' or 'suspended'"),
        ("https://fhir.trust.test/R4", "https://fhir.trust.test/{ods}", 8, "the address of RJ2 may not hold {ods}"),
        ("[demographics, allergies]", "[demographics, alergies]", 9, "sections.1: Input should be 'demographics'"),
        ("[demographics, allergies]", "all", 9, "sections: Input should be a valid frozenset"),
        ("    sections: [demographics, allergies]\n", "", 2, "RJ2 offers no sections. List some of: demographics,"),
        ("budget: 1.5", "budget: 0", 10, "budget: Input should be greater than 0"),
        ("budget: 1.5", "budget: 31", 10, "budget: Input should be less than or equal to 30"),
        ("patient_by: identifier", "patient_by: magic", 12, "settings.patient_by: Input should be 'identifier'"),
        ("patient_by: identifier", "patience_by: identifier", 12, "unknown key settings.patience_by. Remove it"),
        ("        scheme: header\n", "", 13, "settings.auth: Unable to extract tag using discriminator 'scheme'"),
        ("scheme: header", "scheme: heather", 13, "settings.auth: Input tag 'heather' found using 'scheme'"),
        ("value_file: key.txt", "value: 1234", 16, "unknown key settings.auth.header.value. Remove it"),
        ("        value_file: key.txt\n", "", 13, "settings.auth.header.value_file is missing. Add it."),
        ("name: X-Key", "name: X Key", 15, "settings.auth.header.name: String should match pattern"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(file: Path, old: str, new: str, line: int, says: str) -> None:
    at, said = fault(file, swapped(old, new))
    assert (at, says in said) == (line, True), said


@pytest.mark.parametrize(
    ("settings", "line", "says"),
    [
        ("searches: {allergies: [{type: AllergyIntolerance, pacient: x}]}", 12, "searches.allergies.0.pacient"),
        (
            "searches:\n        allergies:\n          - type: Observation",
            12,
            "Observation belongs to the section results",
        ),
        ("searches:\n        allergies:\n          - type: Basic", 14, "Basic serves no section; use one of Allergy"),
        ("searches: {allergies: []}", 12, "allergies has no search and would look empty"),
        ("searches: {alergies: []}", 12, "searches.alergies"),
        (
            "searches: {results: [{type: Observation, params: {_count: '5'}}]}",
            12,
            "_count is set by the connector itself",
        ),
        ("headers: {Authorization: Bearer x}", 12, "belongs under auth, with its value in a file"),
        ('headers: {X-A: "a\\r\\nX-Evil: 1"}', 12, "settings.headers.X-A"),
        ("headers: {X A: a}", 12, "settings.headers.X A"),
        ("page_size: 0", 12, "settings.page_size: Input should be greater than or equal to 1"),
        ("max_pages: 1.5", 12, "settings.max_pages: Input should be a valid integer"),
        ("tls: {ca: x}", 12, "unknown key settings.tls.ca"),
    ],
)
def test_what_is_wrong_with_the_connectors_own_settings_too(file: Path, settings: str, line: int, says: str) -> None:
    at, said = fault(file, TRUST[: TRUST.index("      patient_by")] + f"      {settings}\n")
    assert (at, says in said) == (line, True), said


def test_settings_that_are_missing_altogether_are_the_connectors_defaults(file: Path) -> None:
    assert load(file, TRUST[: TRUST.index("    settings:")]).sources()[0].settings == {}


@pytest.mark.parametrize("key", ["address: https://x.test", "sections: [allergies]", "settings: {a: 1}"])
def test_without_a_connector_there_is_nothing_to_set(file: Path, key: str) -> None:
    at, said = fault(
        file, f"organisations:\n  - ods: 08L\n    name: X\n    type: council\n    stage: live\n    {key}\n"
    )
    assert (at, said) == (2, "08L has address, sections or settings but no connector. Name its connector.")


def test_an_organisation_stands_once(file: Path) -> None:
    again = TRUST + TRUST.removeprefix("organisations:\n")
    assert fault(file, again) == (17, "ODS code RJ2 stands twice. Keep one entry for each organisation.")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file must hold one key, organisations"),
        ("- ods: RJ2", 1, "the file must hold one key, organisations"),
        ("organisation: []", 1, "the file must hold one key, organisations"),
        ("organisations: []\nmore: []", 1, "the file must hold one key, organisations"),
        ("organisations: []", 1, "no organisation is listed. List at least one"),
        ("organisations:", 1, "no organisation is listed"),
        ("organisations: {RJ2: x}", 1, "no organisation is listed"),
        ("organisations:\n  - RJ2", 2, "an entry is not a mapping. Start it with - ods: CODE."),
        ("organisations:\n  - ods: RJ2\n    ods: RJ3", 3, "not YAML: found duplicate key"),
        ("organisations:\n  - ods: [RJ2", 2, "not YAML: "),
        ("organisations:\n\t- ods: RJ2", 2, "not YAML: "),
        ("organisations:\n  - ods: *nobody", 2, "not YAML: found undefined alias"),
        ("organisations:\n  - ods: RJ2\n   name: x", 3, "not YAML: "),
        ("organisations:\n  - ods: \x07", 1, "not YAML: it holds a character that YAML doesn't allow. Remove it."),
    ],
)
def test_a_file_that_is_no_register_is_refused(file: Path, text: str, line: int, says: str) -> None:
    at, said = fault(file, text)
    assert (at, says in said) == (line, True), said


def test_a_file_that_is_not_utf8_names_its_line(file: Path) -> None:
    file.write_bytes(b"organisations:\n  - ods: RJ2\n    name: Caf\xe9\n")
    with pytest.raises(ConfigurationError, match=rf"{re.escape(str(file))}:3: not UTF-8\. Save the file as UTF-8\."):
        load_organisations(file)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    for path in (file, file.parent):
        with pytest.raises(ConfigurationError, match=rf"{re.escape(str(path))}: can't be read"):
            load_organisations(path)


# ---- what shows only when the connector is built ----


def organisation(**more: object) -> Organisation:
    given = {"ods": "RJ2", "name": "x", "type": "acute-trust", "stage": "live", "connector": "fhir_r4"}
    return Organisation.model_validate({**given, "address": "https://x.test", "sections": ["allergies"], **more})


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"connector": None}, "names no connector. Use one of: fhir_r4"),
        ({"connector": "nothing"}, "the connector nothing does not exist; use one of: fhir_r4"),
        (
            {"settings": {"page_size": 0}},
            "settings.page_size: Input should be greater than or equal to 1. See connectors/",
        ),
        ({"settings": {"auth": {"scheme": "header", "name": "X", "value_file": "/nowhere"}}}, "/nowhere can't be read"),
        ({"settings": {"auth": {"scheme": "client-certificate"}}}, "needs tls.certificate_file and tls.key_file. Add"),
        ({"address": "sandbox"}, "must be a whole http or https URL"),
        ({"address": None}, "must be a whole http or https URL"),
    ],
)
def test_a_connector_that_cannot_be_built_names_file_and_organisation(more: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(organisation(**more), file="my.yaml")
    assert str(caught.value).startswith("my.yaml: RJ2")
    assert says in str(caught.value)


async def test_a_connector_is_built() -> None:
    await connect(organisation()).aclose()


def test_only_folders_with_a_connector_are_available() -> None:
    assert "fhir_r4" in available()
    assert not {"sdk", "kit", "template", "__pycache__"}.intersection(available())


# ---- what the README shows ----


def shown() -> list[str]:
    text = (PROJECT / "connectors" / "fhir_r4" / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)


def test_every_entry_that_the_readme_shows_is_accepted(file: Path) -> None:
    assert len(shown()) == 6
    for text in shown():
        assert len(load(file, text).sources()) == 1


def test_the_readme_shows_every_setting_and_every_scheme() -> None:
    text = "".join(shown())
    names = {name for model in (Settings, Search, TlsSettings) for name in model.model_fields}
    schemes = (NoAuth, StaticHeader, ClientCredentials, BackendServices, ClientCertificate)
    names |= {name for model in schemes for name in model.model_fields}
    names |= {str(get_args(model.model_fields["scheme"].annotation)[0]) for model in schemes}
    missing = {name for name in names if not re.search(rf"\b{name}\b", text)}
    assert missing == set()
