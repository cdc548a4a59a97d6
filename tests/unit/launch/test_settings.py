"""A registered system that is written wrongly stops start-up with a sentence that says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey
from pydantic import ValidationError

from connectors.sdk.http import Httpx2Transport, Limits
from gateway.launch.ehr import Ehr
from gateway.launch.settings import (
    ContextSettings,
    EhrSettings,
    HookSettings,
    PatientSignInSettings,
    SessionTimes,
    SignInSettings,
    fault_of,
)

EHR: dict[str, Any] = {
    "name": "EHR", "fhir_base": "https://ehr.example/fhir", "issuer": "https://ehr.example/auth", "client_id": "viewer",
    "counts_as": "https://issuer.example", "organisations": ["RJ2"],
}  # fmt: skip
CONTEXT = {name: EHR[name] for name in ("name", "issuer", "counts_as", "organisations")}
PATIENTS = {"name": "NHS login", "tag": "nhs-login", "issuer": "https://patients.example", "client_id": "viewer"}
ISSUERS = frozenset({"https://issuer.example"})
STAFF = {"name": "S", "tag": "staff", "issuer": "https://issuer.example", "client_id": "c"}


def test_a_right_entry_is_right() -> None:
    entries = [
        EhrSettings(**EHR),
        ContextSettings(**CONTEXT),
        HookSettings(**CONTEXT),
        PatientSignInSettings(**PATIENTS),
    ]
    assert fault_of(entries, ISSUERS, is_demo=False) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"fhir_base": "http://ehr.example/fhir"},
        {"fhir_base": "https://ehr.example/fhir?x=1"},
        {"issuer": "http://ehr.example/auth"},
        {"issuer": "http://127.0.0.1:7/auth"},
        {"organisations": []},
        {"organisations": ["lower"]},
        {"scope": "openid fhirUser"},
        {"scope": "launch"},
        {"kid": "1"},
        {"key_file": "key.pem"},
        {"users": "anybody"},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"something": "else"},
    ],
)
def test_a_wrong_entry_stops_start_up(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EhrSettings(**{**EHR, **wrong})


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([EhrSettings(**{**EHR, "counts_as": "https://other.example"})], "counts_as"),
        ([EhrSettings(**{**EHR, "allow_insecure_loopback": True})], "demo"),
        ([EhrSettings(**EHR), EhrSettings(**EHR)], "same fhir_base"),
        ([HookSettings(**CONTEXT), HookSettings(**CONTEXT)], "same issuer"),
        ([EhrSettings(**EHR), HookSettings(**{**CONTEXT, "jwks_uri": "https://ehr.example/k"})], "other keys"),
        ([PatientSignInSettings(**{**PATIENTS, "tag": "staff"}), SignInSettings(**STAFF)], "same tag"),
        ([PatientSignInSettings(**{**PATIENTS, "issuer": "https://issuer.example"})], "another than staff's"),
        ([EhrSettings(**EHR), PatientSignInSettings(**{**PATIENTS, "issuer": EHR["issuer"]})], "another than staff's"),
        ([PatientSignInSettings(**{**PATIENTS, "issuer": EHR["issuer"]}), HookSettings(**CONTEXT)], "another than"),
        ([PatientSignInSettings(**PATIENTS), PatientSignInSettings(**{**PATIENTS, "tag": "other"})], "same issuer"),
        ([PatientSignInSettings(**{**PATIENTS, "allow_insecure_loopback": True})], "demo"),
    ],
)
def test_entries_that_do_not_fit_together_stop_it_too(entries: list[Any], told: str) -> None:
    assert told in fault_of(entries, ISSUERS, is_demo=False)


def test_an_idle_time_longer_than_the_session_is_refused() -> None:
    with pytest.raises(ValidationError, match="idle is longer"):
        SessionTimes(idle=30, longest=20)


def test_a_key_file_is_tried_at_start_up(tmp_path: Path) -> None:
    transport = Httpx2Transport(Limits())
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    for file, told in ((tmp_path / "absent.pem", "can't be read"), (wrong, "isn't a private key for ES384")):
        with pytest.raises(ValueError, match=told):
            Ehr(EhrSettings(**EHR, key_file=file, kid="k"), transport)


def test_a_patients_provider_proves_who_they_are() -> None:
    right = PatientSignInSettings(**PATIENTS)
    assert (right.proofing, right.youngest, right.algorithms[0]) == ("P9", 13, "RS512")
    assert fault_of([right, SignInSettings(**STAFF)], ISSUERS, is_demo=False) == ""
    for wrong in ({"proofing": "P5"}, {"proofing": "P0"}, {"proofing": ""}, {"youngest": -1}, {"scope": "profile"}):
        with pytest.raises(ValidationError):
            PatientSignInSettings(**{**PATIENTS, **wrong})
