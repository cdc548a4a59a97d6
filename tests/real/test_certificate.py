"""The EHR's tokens at Keycloak and at the gateway: bound to the certificate that it showed the proxy, worth nothing
with another."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from deploy import make_secrets
from tests.real.conftest import World
from tests.real.signing_in import CertifiedApplication, claims_of

GRACE = "9990000409"


def ehr(world: World, folder: Path) -> CertifiedApplication:
    """An EHR with a certificate of its own in the name that the realm knows."""
    make_secrets.make(folder / "secrets", folder / ".env")
    der = ssl.PEM_cert_to_DER_cert((folder / "secrets" / "client" / "ehr.crt").read_text())
    return CertifiedApplication(world.keycloak.issuer, "connect-care-ehr", certificate=der)


def test_a_certificate_signs_the_ehr_in_and_binds_its_tokens(world: World, tmp_path: Path) -> None:
    application = ehr(world, tmp_path / "ehr")
    client = world.signed_in("hospital-doctor", application)
    assert claims_of(client.token)["cnf"].keys() == {"x5t#S256"}
    assert client.agree(GRACE).status_code == 201
    assert client.get("/fhir/R4/AllergyIntolerance", patient=GRACE).json()["entry"]
    client.application = ehr(world, tmp_path / "another")
    assert client.get("/fhir/R4/AllergyIntolerance", patient=GRACE).status_code == 401


def test_without_its_certificate_the_ehr_gets_no_token(world: World) -> None:
    with pytest.raises(AssertionError, match=r"unauthorized_client|invalid_client"):
        world.signed_in("hospital-doctor", CertifiedApplication(world.keycloak.issuer, "connect-care-ehr"))
