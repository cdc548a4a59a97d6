"""What a gateway consists of is listed, and comes under licences that somebody read."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from cyclonedx.output.json import JsonV1Dot6

from deploy import sbom
from deploy.components import ROOT, Component, components, locked_crates, locked_packages, read_licences, refused
from tests.vendored import VERSION

REVIEWED = read_licences()
PACKAGES = locked_packages((ROOT / "requirements.lock").read_text())
CRATES = {name for name, _, _ in locked_crates((ROOT / "kernel" / "crates.lock").read_text())}


def declared(name: str) -> str | None:
    """What the installed package's metadata say; None where it isn't installed here."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [line.rpartition("::")[2].strip() for line in said.get_all("Classifier", []) if "License ::" in line]
    text = (said.get("License") or "").partition("\n")[0].strip()
    return said.get("License-Expression") or text or "; ".join(classifiers)


def test_each_locked_part_has_been_reviewed_and_nothing_else() -> None:
    assert PACKAGES.keys() == REVIEWED.packages.keys()
    assert REVIEWED.crates.keys() == CRATES
    assert [(one.name, one.version) for one in REVIEWED.vendored] == [("nhsuk-frontend", VERSION)]


def test_the_packages_declare_what_was_read() -> None:
    installed = {name: said for name in PACKAGES if (said := declared(name)) is not None}
    assert len(installed) > 60
    assert installed == {name: REVIEWED.packages[name].declared for name in installed}


def test_no_part_is_under_a_licence_that_a_gateway_may_not_have() -> None:
    found = components(REVIEWED)
    assert not refused(found, REVIEWED.allowed)
    assert not any(word in one.licence for one in found for word in ("AGPL", "GPL-2", "SSPL", "BUSL"))
    assert {one.name for one in found if "GPL" in one.licence} == {"psycopg", "psycopg-binary"}


def test_a_part_under_the_gpl_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    licences = replace(REVIEWED, vendored=(Component("npm", "copyleft", "1.0", "GPL-3.0-only"),))
    monkeypatch.setattr(sbom, "read_licences", lambda: licences)
    assert sbom.main(str(tmp_path / "bill.json")) == 1
    assert capsys.readouterr().out == "copyleft: GPL-3.0-only\n"
    assert not (tmp_path / "bill.json").exists()


def test_a_part_that_nobody_reviewed_is_told_by_name() -> None:
    fewer = {name: each for name, each in REVIEWED.packages.items() if name != "aiohttp"}
    with pytest.raises(KeyError, match="aiohttp"):
        components(replace(REVIEWED, packages=fewer))


def test_a_package_for_no_machine_of_ours_is_no_part() -> None:
    markers = {"one==1.0": "", "two==2.0": " ; sys_platform == 'emscripten'", "three==3": " ; sys_platform == 'win32'"}
    lock = "".join(f"{name}{marker} \\\n    --hash=sha256:00\n" for name, marker in markers.items())
    assert locked_packages(lock) == {"one": "1.0", "three": "3"}


def test_the_bill_lists_every_part_with_version_licence_and_address(tmp_path: Path) -> None:
    file = tmp_path / "sbom" / "bill.json"
    assert sbom.main(str(file)) == 0
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "connect-care"
    listed = {one["purl"]: one for one in bill["components"]}
    assert len(listed) == len(PACKAGES) + len(CRATES) + 1
    assert f"pkg:pypi/cryptography@{PACKAGES['cryptography']}" in listed
    assert f"pkg:npm/nhsuk-frontend@{VERSION}" in listed
    assert all(one["licenses"] for one in listed.values())
    assert listed["pkg:pypi/psycopg@" + PACKAGES["psycopg"]]["licenses"][0]["license"]["id"] == "LGPL-3.0-only"
    crate = next(one for purl, one in listed.items() if purl.startswith("pkg:cargo/pyo3@"))
    assert len(crate["hashes"][0]["content"]) == 64
    assert "://" not in json.dumps(bill["components"])


def test_the_same_parts_make_the_same_bill() -> None:
    found = components(REVIEWED)
    one, other = (json.loads(JsonV1Dot6(sbom.bill(found, "1.2.3")).output_as_string()) for _ in range(2))
    for made in (one, other):
        made["metadata"].pop("timestamp")
    assert one == other
