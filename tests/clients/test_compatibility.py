"""Five FHIR clients that EHR systems and applications use, each driving a real gateway."""

from __future__ import annotations

import json

import pytest

from tests.clients import table
from tests.clients.cases import CASES, CLIENTS, Client, signals
from tests.clients.installed import NoRegistry, install
from tests.clients.suite import Run, run

pytestmark = pytest.mark.slow
_PAIRS = [(client, case) for client in CLIENTS for case in client.cases]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    try:
        clients = install()
    except NoRegistry as error:
        pytest.skip(f"no package registry answers, so the clients can't be installed: {error}")
    return run(clients, tmp_path_factory.mktemp("clients"))


@pytest.mark.parametrize(
    ("client", "case"), _PAIRS, ids=[f"{client.registry}-{client.package}-{case}" for client, case in _PAIRS]
)
def test_a_client_sees_what_it_should(done: Run, client: Client, case: str) -> None:
    assert done.holds(client, case), json.dumps(done.seen[client.name][case])[:3000]


@pytest.mark.parametrize("client", CLIENTS, ids=[f"{client.registry}-{client.package}" for client in CLIENTS])
def test_a_missing_source_is_told_by_a_signal_that_survives(done: Run, client: Client) -> None:
    """The tag survives in all of them: it is what the guides name first."""
    assert signals(done.seen[client.name]["partial"], done.world)["tag"]


def test_no_client_hammers_a_gateway_that_refuses(done: Run) -> None:
    """npm @medplum/core tries three times by itself on 429 and 503, and once on the others."""
    seen = done.seen["npm `@medplum/core` 4.5.2"]
    tries = {case: seen[case]["tries"] for case in ("forbidden", "not-found", "too-many", "unavailable")}
    assert tries == {"forbidden": 1, "not-found": 1, "too-many": 3, "unavailable": 3}


def test_the_recorded_results_are_these(done: Run) -> None:
    """Otherwise: python -m tests.clients.table"""
    assert done.results() == table.load()


def test_the_suite_asks_every_case_of_somebody() -> None:
    assert {case for client in CLIENTS for case in client.cases} == {case.id for case in CASES}
