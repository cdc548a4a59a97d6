"""The tables are those of the recorded results; the locks name exact versions, digests, and no host."""

from __future__ import annotations

import json
import re

import pytest

from tests.clients import table
from tests.clients.cases import CASES, CLIENTS
from tests.clients.installed import HERE

RESULTS = table.load()


def test_the_documents_hold_these_tables() -> None:
    """Otherwise: python -m tests.clients.table"""
    written = table.documents(RESULTS)
    assert len(written) > 1
    for document, text in written.items():
        assert document.read_text() == text, document.name


def test_no_client_fails_a_case() -> None:
    assert RESULTS.keys() == {client.name for client in CLIENTS}
    for client in CLIENTS:
        cases = RESULTS[client.name]["cases"]
        assert cases.keys() == {case.id for case in CASES}
        assert {case for case, state in cases.items() if state == "cannot"} == client.cannot.keys()
        assert "failed" not in cases.values()


def test_a_failure_is_shown_as_one() -> None:
    failing = json.loads(json.dumps(RESULTS))
    failing[CLIENTS[0].name]["cases"]["search"] = "failed"
    assert "| Search | **no** | yes |" in table.compatibility(failing)
    failing[CLIENTS[0].name]["signals"]["tag"] = False
    assert f"| {CLIENTS[0].name} | yes | – |" in table.surviving(failing)


def test_a_document_without_a_place_for_its_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        table.placed("# A document", "compatibility", "| |")


def test_the_npm_lock_is_whole_and_names_no_host() -> None:
    text = (HERE / "package-lock.json").read_text()
    assert not re.search(r"https?://|\"resolved\": \"(?!unused/)", text)
    packages = json.loads(text)["packages"]
    linked = [name for name, said in packages.items() if said.get("link") or name.startswith("unused/")]
    assert len(linked) == 2
    assert all(
        said["integrity"].startswith("sha512-") for name, said in packages.items() if name and name not in linked
    )


def test_each_client_is_locked_at_the_version_that_the_table_names() -> None:
    npm = json.loads((HERE / "package-lock.json").read_text())["packages"]
    pypi = (HERE / "python.lock").read_text()
    for client in CLIENTS:
        if client.registry == "npm":
            assert npm[f"node_modules/{client.package}"]["version"] == client.version
        else:
            assert f"\n{client.package}=={client.version} " in f"\n{pypi}"


@pytest.mark.parametrize("lock", ["python.lock", "node.lock"])
def test_the_python_locks_carry_digests_and_name_no_host(lock: str) -> None:
    text = (HERE / lock).read_text()
    assert not re.search(r"https?://|--index-url|--find-links", text)
    assert len(re.findall(r"^[a-z]", text, re.MULTILINE)) <= text.count("--hash=sha256:")
