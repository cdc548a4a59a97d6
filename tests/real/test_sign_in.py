"""Signing in at Keycloak, with the realm that compose.yaml imports: what its tokens open, and when they stop."""

from __future__ import annotations

import time

import httpx2
import pytest

from gateway.demo.people import PEOPLE, DemoPerson
from tests.real.conftest import World
from tests.real.signing_in import claims_of, header_of

GRACE = "9990000409"
ALLERGIES, OBSERVATIONS = "/fhir/R4/AllergyIntolerance", "/fhir/R4/Observation"
_NEW_KEY_SECONDS = 45


def test_tokens_are_as_the_gateway_wants_them(world: World) -> None:
    client = world.signed_in("hospital-doctor", scope="openid profile user/*.rs")
    header, claims = header_of(client.token), claims_of(client.token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims["aud"] == "connect-care"
    assert claims["cnf"].keys() == {"jkt"}
    assert claims["exp"] - claims["iat"] <= 300
    assert claims["acr"] == "AAL1"
    assert {"sid", "auth_time", "jti", "sub", "azp"} <= claims.keys()


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role)
def test_every_role_signs_in_and_may_what_its_role_may(world: World, person: DemoPerson) -> None:
    client = world.signed_in(person.role)
    assert client.get("/fhir/R4/metadata").status_code == 200
    asked = client.agree(GRACE)
    gives_care = person.role not in ("privacy-officer", "commissioner")
    assert asked.status_code == (201 if gives_care else 403), asked.text


def test_a_record_opens_once_the_patient_agrees(world: World) -> None:
    nurse = world.signed_in("nurse")
    assert nurse.get(ALLERGIES, patient=GRACE).status_code in (200, 403)
    assert nurse.agree(GRACE).status_code == 201
    answer = nurse.get(ALLERGIES, patient=GRACE)
    assert answer.status_code == 200
    assert answer.json()["entry"]


def test_scopes_narrow_what_the_application_reads(world: World) -> None:
    client = world.signed_in("hospital-doctor", scope="openid profile user/AllergyIntolerance.rs")
    assert client.agree(GRACE).status_code == 201
    assert client.get(ALLERGIES, patient=GRACE).status_code == 200
    assert client.get(OBSERVATIONS, patient=GRACE).status_code == 403


def test_a_bound_token_is_worth_nothing_without_its_key(world: World) -> None:
    client = world.signed_in("hospital-doctor")
    url = f"{world.gateway.base}/fhir/R4/metadata"
    stolen = {"Authorization": f"Bearer {client.token}"}
    assert httpx2.get(f"{world.gateway.base}{ALLERGIES}", headers=stolen, trust_env=False).status_code == 401
    thief = world.signed_in("nurse").application
    with_another_key = thief.headers("GET", url, client.token)
    assert httpx2.get(url, headers=with_another_key, trust_env=False).status_code == 401


def test_signing_out_at_keycloak_ends_the_token_at_the_gateway(world: World) -> None:
    client, other = world.signed_in("hospital-doctor"), world.signed_in("nurse")
    assert client.agree(GRACE).status_code == 201
    assert client.get(ALLERGIES, patient=GRACE).status_code == 200
    client.person.sign_out(client.application, str(client.signed["id_token"]))
    refused = client.get(ALLERGIES, patient=GRACE)
    assert refused.status_code == 401, refused.text
    assert other.agree(GRACE).status_code == 201, "the others stay signed in"


def test_an_administrator_ends_every_session_of_somebody(world: World) -> None:
    here, there = world.signed_in("hospital-doctor"), world.signed_in("hospital-doctor")
    assert all(one.agree(GRACE).status_code == 201 for one in (here, there))
    world.keycloak.end_sessions("hospital-doctor")
    assert [one.get(ALLERGIES, patient=GRACE).status_code for one in (here, there)] == [401, 401]
    time.sleep(1.1)  # what was issued in the second of the end counts as issued before it
    assert world.signed_in("hospital-doctor").agree(GRACE).status_code == 201


def test_a_new_signing_key_is_accepted_within_half_a_minute(world: World) -> None:
    before = world.signed_in("nurse")
    old = world.keycloak.key_ids()
    world.keycloak.rotate()
    assert set(old) < set(world.keycloak.key_ids())
    after = world.signed_in("nurse")
    assert header_of(after.token)["kid"] not in old
    until = time.monotonic() + _NEW_KEY_SECONDS
    while (answer := after.get("/fhir/R4/metadata")).status_code == 401 and time.monotonic() < until:
        time.sleep(1)
    assert after.agree(GRACE).status_code == 201, answer.text
    assert before.agree(GRACE).status_code == 201, "its key is still published"
