"""Keycloak and HAPI as released, and a gateway between them: `make test-real`, and only when asked for.

Nothing here is even collected by the other suites: it fetches some 300 MB, once, and takes minutes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.fhir_r4.sandbox.load import load
from tests.processes import Gateway, free_port, organisation
from tests.real import hapi, keycloak, maven
from tests.real.client import Client
from tests.real.signing_in import Application, Person

TRUST = "RJ2"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: runs in `make test-real` only: Keycloak and HAPI, fetched by Maven")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    asked = re.search(r"\breal\b", str(config.option.markexpr)) and "not real" not in config.option.markexpr
    return None if asked or collection_path.is_dir() else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)


@dataclass(frozen=True)
class World:
    """One gateway whose people sign in at Keycloak and whose trust is HAPI."""

    gateway: Gateway
    keycloak: keycloak.Keycloak
    hapi: hapi.Hapi

    def signed_in(self, username: str, application: Application | None = None, **asked: str) -> Client:
        """A client of the gateway, with the token of somebody who just signed in at Keycloak."""
        application = application or Application(self.keycloak.issuer)
        person = Person(username, keycloak.PASSWORD)
        return Client(self.gateway.base, application, person, person.sign_in(application, **asked))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Skips, with the reason, where there is no Maven or it can't have the artifacts."""
    if reason := maven.lacking():
        pytest.skip(reason)
    folder, port = tmp_path_factory.mktemp("real"), free_port()
    maven.KEPT.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            with ThreadPoolExecutor(2) as pool:  # each takes half a minute to start
                starting = pool.submit(stack.enter_context, hapi.running(folder))
                provider = stack.enter_context(keycloak.running(folder, f"http://127.0.0.1:{port}"))
                trust = starting.result()
        except maven.NotHad as error:
            pytest.skip(f"Maven can't have it: {error}")
        assert asyncio.run(load(TRUST, trust.base)) > 200
        gateway = Gateway(folder, provider.issuer, [_trust(trust), *_employers()], _settings(provider), port=port)
        gateway.configure()
        gateway.start()
        stack.callback(gateway.stop)
        yield World(gateway, provider, trust)


def _trust(trust: hapi.Hapi) -> dict[str, Any]:
    return organisation(TRUST, "acute-trust", trust.base, patient_by="identifier")


def _employers() -> list[dict[str, Any]]:
    """Where the rest of the realm's staff work: organisations that take part, and hold nothing here."""
    types = {
        "G85005": "gp-practice",
        "RPG": "mental-health-and-community-trust",
        "709": "council",
        "08L": "commissioner",
    }
    return [{"ods": ods, "name": f"Organisation {ods}", "type": kind, "stage": "live"} for ods, kind in types.items()]


def _settings(provider: keycloak.Keycloak) -> dict[str, Any]:
    issuer = {
        "issuer": provider.issuer,
        "audience": "connect-care",
        "algorithms": ["ES256"],
        "claims": "keycloak",
        "logout_audience": ["connect-care-viewer", "connect-care-ae", "connect-care-ehr"],
        "allow_insecure_loopback": True,
    }
    return {"issuers": [issuer], "sender_constraint": "required", "certificate_proxies": ["127.0.0.1"]}
