"""SMART discovery as the Inferno SMART App Launch suite tests it, with the numbers of the requirements that it cites.

Source: smart-app-launch-test-kit, STU 2.2 discovery group: "FHIR server makes SMART configuration available from
well-known endpoint" and "Well-known configuration contains required fields" (hl7.fhir.uv.smart-app-launch_2.2.0). Its
two optional tests demand cross-origin access for any origin: this server answers only the origins of its settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.flow.stack import Stack, running

ORIGIN: Final = "https://app.example"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("discovery"), cors_origins=(ORIGIN,)) as stack:
        yield stack


@pytest.fixture(scope="module")
async def configuration(server: Stack) -> dict[str, Any]:
    answer = await server.client.get("/fhir/R4/.well-known/smart-configuration", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("requirement", "name", "kind"),
    [
        ("@373", "authorization_endpoint", str),
        ("@381", "token_endpoint", str),
        ("@382", "capabilities", list),
        ("@383", "grant_types_supported", list),
        ("@384", "code_challenge_methods_supported", list),
    ],
)
async def test_a_required_field_is_there(
    configuration: dict[str, Any], requirement: str, name: str, kind: type
) -> None:
    assert configuration.get(name), requirement
    assert isinstance(configuration[name], kind), requirement


async def test_the_fields_hold_what_they_must(configuration: dict[str, Any]) -> None:
    assert "authorization_code" in configuration["grant_types_supported"], "@385"
    assert "S256" in configuration["code_challenge_methods_supported"], "@393"
    assert "plain" not in configuration["code_challenge_methods_supported"], "@394"
    assert all(isinstance(one, str) for one in configuration["capabilities"])
    assert "sso-openid-connect" in configuration["capabilities"]
    assert isinstance(configuration["issuer"], str)
    assert isinstance(configuration["jwks_uri"], str)


@pytest.mark.parametrize("path", ["/fhir/R4/.well-known/smart-configuration", "/fhir/R4/metadata"])
async def test_an_application_of_a_configured_origin_may_read_it_in_its_browser(server: Stack, path: str) -> None:
    answer = await server.client.get(path, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.headers.get("access-control-allow-origin")) == (200, ORIGIN)
    stranger = await server.client.get(path, headers={"Origin": "https://stranger.example"})
    assert "access-control-allow-origin" not in stranger.headers
