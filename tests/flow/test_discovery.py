"""Where a client learns how to sign in, before it has a token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.caller.settings import IssuerSettings
from tests.flow.stack import AUDIENCE, ISSUER, Stack, running, told

SMART = ("/fhir/R4/.well-known/smart-configuration", "/.well-known/smart-configuration")
RESOURCE = "/.well-known/oauth-protected-resource"
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
DEMO: dict[str, Any] = {
    "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ("ES256",), "allow_insecure_loopback": True,
}  # fmt: skip


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("discovery")) as stack:
        yield stack


@pytest.mark.parametrize("path", SMART)
async def test_the_smart_configuration_says_what_the_issuer_says(demo: Stack, path: str) -> None:
    answer = await demo.client.get(path, headers={"Accept": "application/fhir+xml"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    said = answer.json()
    assert (said["issuer"], said["jwks_uri"]) == (ISSUER, f"{ISSUER}/jwks")
    assert said["authorization_endpoint"] == f"{ISSUER}/authorize"
    assert said["token_endpoint"] == f"{ISSUER}/token"
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["grant_types_supported"][0] == "authorization_code"
    assert said["capabilities"] == [
        "client-public",
        "launch-standalone",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
        "sso-openid-connect",
    ]


async def test_the_capability_statement_says_it_too(demo: Stack) -> None:
    for who in (None, "gp"):
        headers = demo.headers(who) if who else {}
        statement = (await demo.client.get("/fhir/R4/metadata", headers=headers)).json()
        (extension,) = statement["rest"][0]["security"]["extension"]
        assert extension["url"] == OAUTH_URIS
        assert {one["url"]: one["valueUri"] for one in extension["extension"]} == {
            "authorize": f"{ISSUER}/authorize",
            "token": f"{ISSUER}/token",
        }


@pytest.mark.parametrize(
    ("path", "resource"),
    [(RESOURCE, "http://127.0.0.1:8000"), (f"{RESOURCE}/fhir/R4", "http://127.0.0.1:8000/fhir/R4")],
)
async def test_the_protected_resource_describes_itself(demo: Stack, path: str, resource: str) -> None:
    said = (await demo.client.get(path)).json()
    assert said["resource"] == resource
    assert said["authorization_servers"] == [ISSUER]
    assert said["bearer_methods_supported"] == ["header"]
    assert said["dpop_signing_alg_values_supported"] == ["ES256", "PS256", "Ed25519", "EdDSA"]
    assert (said["dpop_bound_access_tokens_required"], said["tls_client_certificate_bound_access_tokens"]) == (
        False,
        False,
    )
    assert {"user/Patient.rs", "patient/Observation.rs"} <= set(said["scopes_supported"])


async def test_the_challenge_leads_there(demo: Stack) -> None:
    answer = await demo.client.get("/fhir/R4/Observation?patient=9990000409")
    challenge = answer.headers["WWW-Authenticate"]
    address = challenge.split('resource_metadata="')[1].split('"')[0]
    assert address == f"http://127.0.0.1:8000{RESOURCE}/fhir/R4"
    assert (await demo.client.get(address)).json()["resource"] == "http://127.0.0.1:8000/fhir/R4"


async def test_another_path_is_no_resource_of_ours(demo: Stack) -> None:
    for path in (f"{RESOURCE}/fhir", f"{RESOURCE}/fhir/R4/Patient", f"{RESOURCE}/audit"):
        answer = await demo.client.get(path)
        assert answer.status_code == 404
        assert "/fhir/R4" in told(answer)


async def test_several_issuers_one_is_named_and_all_are_listed(tmp_path: Path) -> None:
    supplier = {**DEMO, "issuer": "http://127.0.0.1:9/ehr", "claims": "ehr-assertion", "organisations": ("RJ2",)}
    second = {**DEMO, "issuer": "http://127.0.0.1:9/second"}
    first = {**DEMO, "smart_capabilities": ("context-ehr-patient", "launch-ehr")}
    issuers = tuple(IssuerSettings(**each) for each in (supplier, first, second))
    async with running(
        tmp_path,
        issuers=issuers,
        sender_constraint="required",
        public_url="http://127.0.0.1:8000/connect-care/",
    ) as stack:
        said = (await stack.client.get(SMART[0])).json()
        assert said["issuer"] == ISSUER
        assert {"context-ehr-patient", "launch-ehr"} <= set(said["capabilities"])
        resource = (await stack.client.get(f"{RESOURCE}/connect-care/fhir/R4")).json()
        assert resource["resource"] == "http://127.0.0.1:8000/connect-care/fhir/R4"
        assert resource["authorization_servers"] == [ISSUER, "http://127.0.0.1:9/second"]
        assert resource["dpop_bound_access_tokens_required"] is True
        refused = await stack.get("/fhir/R4/Patient/9990000409")
        assert refused.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token", algs=')
        assert "Bearer" not in refused.headers["WWW-Authenticate"]
        assert f'"http://127.0.0.1:8000{RESOURCE}/connect-care/fhir/R4"' in refused.headers["WWW-Authenticate"]


async def test_without_a_sign_in_of_ours_there_is_none_to_name(tmp_path: Path) -> None:
    supplier = IssuerSettings(**DEMO | {"claims": "ehr-assertion", "organisations": ("RJ2",)})
    async with running(tmp_path, issuers=(supplier,)) as stack:
        answer = await stack.client.get(SMART[0])
        assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")
        assert "authorization_servers" not in (await stack.client.get(RESOURCE)).json()
        statement = (await stack.client.get("/fhir/R4/metadata")).json()
        assert "extension" not in statement["rest"][0]["security"]


async def test_while_the_issuer_cannot_be_reached_the_client_is_asked_to_wait(tmp_path: Path) -> None:
    unreachable = IssuerSettings(**DEMO | {"issuer": "http://127.0.0.1:9/nobody"})
    async with running(tmp_path, issuers=(unreachable,), sign_ins=()) as stack:
        answer = await stack.client.get(SMART[0])
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert (await stack.client.get("/fhir/R4/metadata")).status_code == 200
