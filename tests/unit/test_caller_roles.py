"""The table of job roles: complete, checked against the national list, and strict about what is wrong in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.caller.roles import load_job_roles
from tests.callers import JOB_ROLES
from tests.quick import every

NAMED: Final = re.compile(r"\{code: (R\d{4}), name: ([^,}]+)")
TRUSTS: Final = {type_ for type_ in OrganisationType if type_.endswith("-trust")}
EXPECTED: Final = {
    Role.GP: ("R0260 R0270 R6200 R6300", {OrganisationType.GP_PRACTICE}),
    Role.HOSPITAL_DOCTOR: (
        "R0050 R0070 R0080 R0090 R0110 R0140 R0150 R0160 R0170 R0180 R0190 R0200 R1981",
        TRUSTS,
    ),
    Role.NURSE: ("R0600 R0610 R0620 R8002", TRUSTS | {OrganisationType.GP_PRACTICE}),
    Role.DISTRICT_NURSE: ("R0690 R0700", TRUSTS - {OrganisationType.MENTAL_HEALTH_TRUST}),
    Role.OCCUPATIONAL_THERAPIST: ("R0950 R0960 R0970 R0980 R8003 R9550", TRUSTS | {OrganisationType.COUNCIL}),
    Role.SOCIAL_WORKER: ("R1330 R1340 R8014 R9520 R9570 R9590 R9605", TRUSTS | {OrganisationType.COUNCIL}),
    Role.PRIVACY_OFFICER: ("R0001 R5105", TRUSTS | {OrganisationType.GP_PRACTICE, OrganisationType.COUNCIL}),
}


@pytest.mark.parametrize("role", EXPECTED)
def test_each_code_means_its_role_in_just_these_types_of_organisation(role: Role) -> None:
    job_roles = load_job_roles(JOB_ROLES)
    codes, types = EXPECTED[role]
    for code in codes.split():
        assert job_roles.knows(code)
        found = {type_ for type_ in OrganisationType if job_roles.role_of(code, type_) is role}
        assert found == types, code


def test_general_codes_are_told_apart_by_the_type_of_organisation() -> None:
    job_roles = load_job_roles(JOB_ROLES)
    r8000 = {type_: job_roles.role_of("R8000", type_) for type_ in OrganisationType}
    r8001 = {type_: job_roles.role_of("R8001", type_) for type_ in OrganisationType}
    assert r8000 == dict.fromkeys(TRUSTS, Role.HOSPITAL_DOCTOR) | {
        OrganisationType.GP_PRACTICE: Role.GP,
        OrganisationType.COUNCIL: None,
        OrganisationType.COMMISSIONER: Role.COMMISSIONER,
        OrganisationType.NATIONAL_SERVICE: None,
    }
    community = {OrganisationType.COMMUNITY_TRUST, OrganisationType.MENTAL_HEALTH_AND_COMMUNITY_TRUST}
    assert {type_ for type_, role in r8001.items() if role is Role.DISTRICT_NURSE} == community
    assert {type_ for type_, role in r8001.items() if role is Role.NURSE} == TRUSTS - community | {
        OrganisationType.GP_PRACTICE
    }


def test_the_table_holds_no_code_but_these() -> None:
    expected = {code for codes, _ in EXPECTED.values() for code in codes.split()} | {"R8000", "R8001"}
    assert {code for code, _, _ in load_job_roles(JOB_ROLES)} == expected


def test_everybody_in_a_commissioning_organisation_is_a_commissioner_and_nobody_else_is() -> None:
    job_roles = load_job_roles(JOB_ROLES)
    assert job_roles.role_of("R9999", OrganisationType.COMMISSIONER) is Role.COMMISSIONER
    assert job_roles.role_of("R0001", OrganisationType.COMMISSIONER) is Role.COMMISSIONER
    assert not [row for row in job_roles if row[2] is Role.COMMISSIONER]
    assert not job_roles.knows("R9999")


def test_every_code_and_name_is_in_the_national_list(shared_data: Path) -> None:
    source = shared_data / "cis2" / "CodeSystem-CareConnect-SDSJobRoleName-1.xml"
    fhir = "{http://hl7.org/fhir}"
    national = {
        str(concept.find(f"{fhir}code").get("value")): str(concept.find(f"{fhir}display").get("value"))  # type: ignore[union-attr]
        for concept in ElementTree.parse(source).iter(f"{fhir}concept")
    }
    ours = NAMED.findall(JOB_ROLES.read_text())
    assert {code for code, _ in ours} == {code for code, _, _ in load_job_roles(JOB_ROLES)}
    assert {code: national.get(code) for code, _ in ours} == dict(ours)


GOOD: Final = """owner: somebody
source: somewhere
roles:
  gp:
    why: a reason
    acts-in: [gp-practice]
    job-roles:
      - {code: R0260, name: A}
      - {code: R8000, name: B}
  hospital-doctor:
    why: a reason
    acts-in: [acute-trust, community-trust]
    job-roles:
      - {code: R8000, name: B, acts-in: [acute-trust]}
"""
LAST_CODE: Final = "\n      - {code: R8000, name: B, acts-in: [acute-trust]}"
ANY_GP: Final = "  commissioner:\n    why: a reason\n    acts-in: [gp-practice]\n    job-roles: any\n"
WRONG: Final[dict[str, tuple[str, int, str]]] = {
    "an unknown role": (GOOD.replace("  gp:", "  general-practitioner:"), 4, "there is no role general-practitioner"),
    "patients, who are nobody's staff": (GOOD.replace("  gp:", "  patient:"), 4, "there is no role patient of staff"),
    "an unknown type of organisation": (GOOD.replace("[gp-practice]", "[surgery]"), 6, "acts-in"),
    "no type of organisation": (GOOD.replace("[gp-practice]", "[]"), 6, "acts-in"),
    "an unknown key": (GOOD.replace("{code: R0260,", "{code: R0260, organisation: x,"), 8, "organisation"),
    "an unknown key of a role": (
        GOOD.replace("    why: a reason", "    why: a reason\n    activities: []", 1),
        6,
        "activities",
    ),
    "no reason": (GOOD.replace("    why: a reason\n", "", 1), 4, "why"),
    "a code of another form": (GOOD.replace("R0260", "S0260"), 8, "code"),
    "no codes": (GOOD.replace(LAST_CODE, " []"), 13, "job-roles"),
    "codes that are a word": (
        GOOD.replace("\n      - {code: R8000, name: B, acts-in: [acute-trust]}", " all"),
        13,
        "job-roles",
    ),
    "a code twice in one role": (GOOD.replace("R0260", "R8000"), 9, "R8000 in a gp-practice is gp here, and gp before"),
    "a code of two roles": (
        GOOD.replace("acute-trust, community-trust", "gp-practice").replace(", acts-in: [acute-trust]", ""),
        14,
        "R8000 in a gp-practice is hospital-doctor here, and gp before",
    ),
    "a type named twice": (GOOD.replace("[gp-practice]", "[gp-practice, gp-practice]"), 8, "R0260"),
    "a code wider than its role": (GOOD.replace("acts-in: [acute-trust]}", "acts-in: [council]}"), 14, "acts where"),
    "everybody, and somebody before": (GOOD + ANY_GP, 15, "everybody in a gp-practice is commissioner here, and gp"),
    "everybody, and somebody after": (
        GOOD.replace("roles:\n", f"roles:\n{ANY_GP}", 1),
        12,
        "R0260 in a gp-practice is gp here, and commissioner before",
    ),
    "everybody twice": (
        GOOD.replace("gp-practice", "council") + ANY_GP + ANY_GP.replace("commissioner", "nurse"),
        19,
        "everybody in a gp-practice is nurse here, and commissioner before",
    ),
    "a role twice": (GOOD + GOOD.partition("roles:\n")[2], 15, "not YAML"),
    "not YAML": ("roles: [", 1, "not YAML"),
    "no character": ("roles: \x06", 1, "not YAML"),
    "too deep": ("roles: " + "[" * 3_000, 1, "not YAML"),
    "no date": ("owner: x\nroles: 2026-02-30", 2, "a date that doesn't exist"),
    "another key": (GOOD + "version: 1\n", 1, "owner, source and roles"),
    "no owner": (GOOD.replace("owner: somebody\n", ""), 1, "owner, source and roles"),
    "a list": ("- gp\n", 1, "owner, source and roles"),
    "no role": ("owner: a\nsource: b\nroles: {}\n", 1, "no role is listed"),
    "a role without an entry": (GOOD.partition("    why")[0], 4, "gp"),
}


def test_the_example_that_the_wrong_ones_are_made_from_is_good(tmp_path: Path) -> None:
    path = tmp_path / "job-roles.yaml"
    path.write_text(GOOD)
    job_roles = load_job_roles(path)
    assert job_roles.role_of("R8000", OrganisationType.ACUTE_TRUST) is Role.HOSPITAL_DOCTOR
    assert job_roles.role_of("R8000", OrganisationType.COMMUNITY_TRUST) is None


@pytest.mark.parametrize("name", every(6, WRONG))
def test_a_wrong_table_stops_start_up_with_file_line_and_remedy(name: str, tmp_path: Path) -> None:
    text, line, said = WRONG[name]
    path = tmp_path / "job-roles.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as wrong:
        load_job_roles(path)
    assert str(wrong.value).startswith(f"{path}:{line}: "), str(wrong.value)
    assert said in str(wrong.value)
    assert str(wrong.value).endswith(".")


def test_a_missing_table_stops_start_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        load_job_roles(tmp_path / "absent.yaml")
