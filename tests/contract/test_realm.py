"""The realm that Keycloak imports: its staff are the demo's, and its tokens say what the gateway reads."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.sdk.organisations import load_organisations
from gateway.api.logout import PATH as LOGOUT_PATH
from gateway.caller.mapping import ClaimsSettings, Preset
from gateway.caller.model import STAFF as ROLES_OF_STAFF
from gateway.caller.presets import said_by
from gateway.caller.role_profiles import read_profiles
from gateway.caller.roles import load_job_roles
from gateway.caller.scopes import read_scopes
from gateway.demo.people import PEOPLE
from gateway.launch.flow import CALLBACK
from tests.contract.deployed import ROOT, gateway_settings, realm, services

CLIENTS = {client["clientId"]: client for client in realm()["clients"]}
STAFF = {user["username"]: user for user in realm()["users"]}
SCOPES = {scope["name"]: scope for scope in realm()["clientScopes"]}
MAPPERS = {mapper["name"]: mapper for mapper in SCOPES["connect-care"]["protocolMappers"]}


def claims_of(username: str) -> dict[str, Any]:
    """What a token says of somebody, as the realm's attribute mappers make it."""
    attributes, claims = STAFF[username]["attributes"], {"sub": STAFF[username]["id"]}
    for mapper in MAPPERS.values():
        config = mapper["config"]
        if config.get("access.token.claim") == "true" and "user.attribute" in config:
            (value,) = attributes[config["user.attribute"]]
            claims[config["claim.name"]] = json.loads(value) if config["jsonType.label"] == "JSON" else value
    return claims


def test_there_is_somebody_of_every_role() -> None:
    assert set(STAFF) == {str(role) for role in ROLES_OF_STAFF}


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.role)
def test_the_gateway_reads_everybodys_role_as_the_demo_has_it(person: Any) -> None:
    said = said_by(Preset.KEYCLOAK, claims_of(person.role), "connect-care")
    (profile,) = read_profiles(said["roles"], {}, names=True)
    assert profile.id == said["selected_role"]
    assert profile.activities == set(person.activities)
    organisation = load_organisations(ROOT / "connectors" / "organisations.yaml").get(profile.organisation)
    assert organisation is not None
    assert organisation.takes_part
    roles = load_job_roles(ROOT / "policies" / "job-roles.yaml")
    assert roles.role_of(profile.job_role_code, organisation.type) == person.role
    assert (STAFF[person.role]["firstName"], STAFF[person.role]["lastName"]) == (person.given_name, person.family_name)


def test_nobody_can_write_their_own_role() -> None:
    (profile,) = realm()["components"]["org.keycloak.userprofile.UserProfileProvider"]
    declared = json.loads(profile["config"]["kc.user.profile.config"][0])
    assert "unmanagedAttributePolicy" not in declared
    assert {name for user in STAFF.values() for name in user["attributes"]} <= {
        one["name"] for one in declared["attributes"]
    }
    assert all(one["permissions"]["edit"] == ["admin"] for one in declared["attributes"])
    assert not realm()["registrationAllowed"]


def test_tokens_have_every_claim_that_the_gateway_wants() -> None:
    kinds = {mapper["protocolMapper"]: mapper["config"] for mapper in MAPPERS.values()}
    audience = gateway_settings()["issuers"][0]["audience"]
    assert kinds["oidc-audience-mapper"]["included.custom.audience"] == audience
    assert {"oidc-sub-mapper", "oidc-acr-mapper", "oidc-full-name-mapper"} <= set(kinds)
    assert kinds["oidc-usersessionmodel-note-mapper"]["claim.name"] == "auth_time"
    assert ClaimsSettings.model_validate(gateway_settings()["issuers"][0]["claims"]).preset is Preset.KEYCLOAK


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_every_client_proves_itself_and_its_tokens_are_bound(name: str) -> None:
    client, attributes = CLIENTS[name], CLIENTS[name]["attributes"]
    assert client["standardFlowEnabled"]
    assert not any(client[f"{flow}Enabled"] for flow in ("implicitFlow", "directAccessGrants", "serviceAccounts"))
    assert not client["fullScopeAllowed"]
    assert attributes["pkce.code.challenge.method"] == "S256"
    bound = {"dpop.bound.access.tokens", "tls.client.certificate.bound.access.tokens"} & attributes.keys()
    assert [attributes[one] for one in bound] == ["true"]
    assert client["publicClient"] or client["clientAuthenticatorType"] == "client-x509"
    assert "connect-care" in client["defaultClientScopes"]
    assert "secret" not in client


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_tokens_are_signed_and_typed_as_the_gateway_wants(name: str) -> None:
    attributes = CLIENTS[name]["attributes"]
    assert [attributes["access.token.signed.response.alg"]] == gateway_settings()["issuers"][0]["algorithms"]
    assert attributes["access.token.header.type.rfc9068"] == "true"
    assert realm()["accessTokenLifespan"] <= 300


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_signing_out_is_told_to_the_gateway(name: str) -> None:
    attributes = CLIENTS[name]["attributes"]
    address = re.sub(r"\$\{CONNECT_CARE_GATEWAY:[^}]+\}", "", attributes["backchannel.logout.url"])
    assert address == LOGOUT_PATH
    # Without a session's id it is about the person. Of somebody's several sessions that an administrator ends, Keycloak
    # (26.4) tells of one alone.
    assert attributes["backchannel.logout.session.required"] == "false"
    assert services()["keycloak"]["environment"]["CONNECT_CARE_GATEWAY"] == "http://gateway:8000"
    assert "gateway:8000" in gateway_settings()["allowed_hosts"]


def test_every_scope_that_is_offered_is_one_that_the_gateway_understands() -> None:
    offered = {name for client in CLIENTS.values() for name in client["optionalClientScopes"]}
    assert offered <= set(SCOPES)
    for name in offered:
        if "/" in name:
            grants = read_scopes(frozenset({name}))
            assert grants.types(), name


def test_redirects_go_to_named_places_over_tls_or_to_this_machine() -> None:
    for client in CLIENTS.values():
        for uri in client["redirectUris"]:
            assert uri.startswith(("https://", "http://127.0.0.1/")), uri
            assert "*" not in uri, uri
        assert "*" not in client["webOrigins"]
    viewer = urlsplit(CLIENTS["connect-care-viewer"]["redirectUris"][0])
    assert f"{viewer.scheme}://{viewer.netloc}" == gateway_settings()["public_url"]
    assert viewer.path == CALLBACK


def test_no_password_and_no_key_stands_in_the_realm() -> None:
    for user in STAFF.values():
        assert [one["value"] for one in user["credentials"]] == ["${CONNECT_CARE_STAFF_PASSWORD}"]
    for provider in realm()["components"]["org.keycloak.keys.KeyProvider"]:
        assert provider["providerId"].endswith("-generated")
        assert not provider["config"].keys() & {"privateKey", "secret", "certificate"}
