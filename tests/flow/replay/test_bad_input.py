"""`connector replay` says what is wrong with what it was given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import connectors
from connectors.sdk.model import NHS_NUMBER_SYSTEM
from gateway.connector_commands import replay as replaying
from tests.flow.replay.asking import EVERYTHING, MANIFEST, NHS, collection, r4, refused


@pytest.mark.parametrize("payload", [b"", b"<html>Penicillin</html>", b"[]", b'{"entry":[]}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_fhir(saved: Callable[..., Path], payload: bytes) -> None:
    for name in ("fhir_r4", "gp_connect", "pds", "social_care"):
        told = refused(name, saved(payload), "--nhs-number", NHS)
        assert "is not FHIR in JSON" in told
        assert "Penicillin" not in told


def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "can't be read (No such file" in refused("fhir_r4", tmp_path / "none.json")
    assert "can't be read (Is a directory" in refused("fhir_r4", tmp_path)
    (tmp_path / "large").write_bytes(b"x" * 11)
    monkeypatch.setattr(replaying, "_MOST_BYTES", 10)
    assert "larger than any answer" in refused("fhir_r4", tmp_path / "large")


def test_a_payload_of_another_kind(saved: Callable[..., Path]) -> None:
    one = saved(r4("Observation", "o"))
    for name, why in (
        ("gp_connect", "of another kind"),
        ("social_care", "not a Bundle"),
        ("fhir_r4", "not a FHIR Bundle"),
    ):
        assert why in refused(name, one, "--nhs-number", NHS)
    assert "hold no Patient" in refused(
        "fhir_r4", saved(collection(r4("Observation", "o"), kind="searchset")), "--nhs-number", NHS
    )


def test_whose_record_it_is(saved: Callable[..., Path]) -> None:
    masked = r4("Patient", "p1", identifier=[{"system": NHS_NUMBER_SYSTEM, "value": "1234567890"}])
    assert "has a valid NHS number" in refused("fhir_r4", saved(collection(masked)))
    file = saved(collection(*EVERYTHING))
    assert "carry several NHS numbers" in refused("fhir_r4", file)
    assert "check digit is wrong" in refused("fhir_r4", file, "--nhs-number", "9990000408")
    assert "ten digits" in refused("fhir_r4", file, "--nhs-number", "12")


def test_a_connector_that_is_not_there_or_can_not_be_replayed(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    file = saved(collection(r4("Patient", "p1")))
    assert "Use one of:" in refused("nothing", file)
    losing("pass", with_replay=False)
    assert "Write connectors/losing/replay.py" in refused("losing", file)


def test_a_role_that_is_not_there_or_sees_nothing(saved: Callable[..., Path]) -> None:
    file = saved(collection(r4("Patient", "p1")))
    assert "--as must be a role" in refused("fhir_r4", file, "--as", "surgeon")
    assert "no organisation that takes part" in refused("fhir_r4", file, "--as", "gp@NOPE")
    assert "no organisation that takes part" in refused("fhir_r4", file, "--as", "gp@")
    assert "Nobody is gp in a acute-trust" in refused("fhir_r4", file, "--as", "gp@RJ2")
    for role in ("commissioner", "privacy-officer"):
        assert "open" in refused("fhir_r4", file, "--as", role)
    assert "has no entry with connector: pds" in refused("pds", file, "--ods", "RJ2")
    assert "has no entry with connector: pds" in refused("pds", file, "--ods", "NOPE")


def test_an_entry_that_can_not_be_used(saved: Callable[..., Path], tmp_path: Path) -> None:
    trust = {"ods": "RVY", "name": "A trust", "type": "acute-trust", "stage": "live", "connector": "fhir_r4"}
    practice = {"ods": "G85005", "name": "B", "type": "gp-practice", "stage": "live", "connector": "gp_connect"}
    of_all = {"address": "https://x.example", "sections": ["results"]}
    file = tmp_path / "organisations.yaml"
    council = {"ods": "709", "name": "C", "type": "council", "stage": "live"}
    file.write_text(json.dumps({"organisations": [{**trust, **of_all}, {**practice, **of_all}, council]}))
    person = saved(collection(r4("Patient", "p1")))
    options = ("--organisations", file)
    nothing = refused("fhir_r4", person, "--ods", "RVY", *options, "--as", "social-worker")
    assert "social-worker sees nothing of what RVY offers" in nothing
    assert "G85005" in refused("gp_connect", person, "--ods", "G85005", *options)
    file.write_text("organisations: []")
    assert "organisations.yaml" in refused("fhir_r4", person, *options)


def test_a_manifest_that_describes_nobody(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing("pass")
    manifest = Path(str(connectors.__path__[-1])) / "losing" / "manifest.yaml"
    manifest.write_text(json.dumps({**MANIFEST, "kit": {"ods": "much too long"}}))
    assert "describes no organisation" in refused("losing", saved(collection(r4("Patient", "p1"))))
