"""Both contracts say what the app does: every door is in one of them, sorted, and nothing else is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway.api.docs import router as docs
from gateway.app import create_app
from gateway.contracts.answers import MEANS
from gateway.contracts.examples import read_examples, with_examples
from gateway.contracts.fhir import OPERATION_PARAMS, fhir_contract
from gateway.contracts.parameters import schema_of
from gateway.contracts.published import FHIR, OWN, as_text
from gateway.search.supporting import READABLE
from gateway.search.table import OFFERED, SHOWN_TYPES, search_names
from gateway.settings import load_settings
from tests.contract.drift import PUBLISHED, faults, made_now
from tests.flow.stack import ISSUER, Stack, running

Json = dict[str, Any]
PAGES = (
    "/docs", "/launch", "/viewer", "/cds-services", "/back-channel-logout", "/.well-known", "/fhir/R4/.well-known",
    "/sign-in", "/sign-out", "/static", "/patients", "/office", "/my", "/status", "/session",
)  # fmt: skip
"""What is for a browser, or described by a standard of its own that clients read before any contract."""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return made_now()


@pytest.fixture(scope="module")
def own(made: dict[str, str]) -> Json:
    return json.loads(made[OWN])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def fhir(made: dict[str, str]) -> Json:
    return json.loads(made[FHIR])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def app() -> FastAPI:
    issuer = {"issuer": ISSUER, "audience": "x", "algorithms": ["ES256"], "allow_insecure_loopback": True}
    given = {"public_url": "http://127.0.0.1:8000", "data_dir": Path(), "key_file": Path("x"), "issuers": [issuer]}
    return create_app(load_settings(None, profile="demo", **given))


def doors(routes: list[Any]) -> Iterator[tuple[str, str]]:
    """(method, template) of every route; HEAD is answered wherever GET is."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from doors(route.original_router.routes)
        elif isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted(route.methods - {"HEAD"}))


def told(document: Json) -> set[tuple[str, str]]:
    """(method, path) of every operation, with every parameter of the path alike."""
    return {
        (method.upper(), re.sub(r"\{[^}]*\}", "{}", path))
        for path, methods in document["paths"].items()
        for method in methods
    }


def expanded(template: str) -> set[str]:
    """The paths that a template stands for, as the contract writes them."""
    names = READABLE if "{resource_type}" in template else ("",)
    found = {template.replace("{resource_type}", name) for name in (*names, "AuditEvent", "Consent")}
    return {re.sub(r"\{[^}]*\}", "{}", each) for each in found}


def test_every_door_is_in_a_contract_and_every_path_is_a_door(app: FastAPI, own: Json, fhir: Json) -> None:
    promised = told(own) | told(fhir)
    opened: set[tuple[str, str]] = set()
    for method, template in doors(app.routes):
        if template == "/" or template.startswith(PAGES):
            continue
        here = {(method, path) for path in expanded(template)} & promised
        assert here, f"{method} {template} is in no contract"
        opened |= here
    assert promised - opened == set()


def test_the_published_contracts_are_what_the_code_makes(made: dict[str, str]) -> None:
    assert faults(PUBLISHED, made) == []


def test_a_contract_that_drifts_or_breaks_is_told(tmp_path: Path, made: dict[str, str]) -> None:
    (tmp_path / "released").mkdir()
    assert sum("make openapi" in fault for fault in faults(tmp_path, made)) == 2
    assert "released" in faults(tmp_path, made)[-1]
    more = json.loads(made[FHIR])
    more["paths"]["/fhir/R4/Gone"] = {"get": {"responses": {}}}
    for name, text in made.items():
        (tmp_path / name).write_text(text)
        (tmp_path / "released" / name).write_text(as_text(more) if name == FHIR else text)
    [fault] = faults(tmp_path, made)
    assert "fhir-r4.json: /fhir/R4/Gone: the path is gone" in fault


@pytest.mark.parametrize("name", [OWN, FHIR])
def test_a_contract_is_sorted_and_every_reference_leads_somewhere(made: dict[str, str], name: str) -> None:
    document = json.loads(made[name])
    assert made[name] == as_text(document)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', made[name])):
        at = document
        for step in reference.split("/"):
            at = at[step]
    ids = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("resource_type", SHOWN_TYPES)
def test_a_search_lists_what_the_parser_takes(fhir: Json, resource_type: str) -> None:
    listed = {each["name"] for each in fhir["paths"][f"/fhir/R4/{resource_type}"]["get"]["parameters"]}
    body = fhir["paths"][f"/fhir/R4/{resource_type}/_search"]["post"]["requestBody"]
    [form] = body["content"].values()
    assert set(form["schema"]["properties"]) == listed
    missing = set(search_names(resource_type)) - listed
    assert missing <= {"_include"}, "a type that refers to nothing has nothing to include"
    if resource_type in OFFERED:
        assert listed <= set(search_names(resource_type))


async def test_what_an_operation_lists_is_taken_and_the_rest_isnt(stack: Stack) -> None:
    values = {"_type": "Patient", "_count": "1", "_format": "json", "_since": "2020", "start": "2020", "end": "2021"}
    for operation, names in OPERATION_PARAMS.items():
        for name in names:
            answer = await stack.get(f"/fhir/R4/Patient/9990009996/${operation}?{name}={values.get(name, 'x')}")
            assert "isn't offered" not in answer.text, (operation, name)
        answer = await stack.get(f"/fhir/R4/Patient/9990009996/${operation}?nonsense=1")
        assert (answer.status_code, "isn't offered" in answer.text) == (400, True)


def test_every_refusal_is_an_outcome(own: Json, fhir: Json) -> None:
    for document in (own, fhir):
        assert set(document["components"]["responses"]) == {f"Refused{status}" for status in MEANS}
        for answer in document["components"]["responses"].values():
            [media] = answer["content"].values()
            assert media["schema"] == {"$ref": "#/components/schemas/OperationOutcome"}
        for path, methods in document["paths"].items():
            for operation in methods.values():
                signed_in = bool(operation.get("security"))
                assert ({"401", "429"} <= set(operation["responses"])) == signed_in or path.endswith("/metadata")


def test_an_operation_of_which_nothing_is_known_cannot_be_published() -> None:
    resource = {"type": "Patient", "operation": [{"name": "guess", "definition": "x"}]}
    with pytest.raises(KeyError, match="guess"):
        fhir_contract({"rest": [{"mode": "server", "resource": [resource]}]}, "0.1.0")


def test_an_example_of_what_no_contract_promises_is_refused(own: Json, fhir: Json) -> None:
    [example] = [one for one in read_examples() if one.name == "read-allergy"]
    documents = {OWN: own, FHIR: fhir}
    del documents[FHIR]["paths"]["/fhir/R4/AllergyIntolerance/{id}"]["get"]["responses"]["200"]
    with pytest.raises(KeyError, match="200"):
        with_examples(documents, [example])


def test_a_schema_says_what_a_parameter_takes() -> None:
    assert schema_of("_count", "special") == {"type": "integer", "minimum": 0, "maximum": 1000}
    assert re.match(schema_of("date", "date")["pattern"], "ge2026-01-02")
    assert schema_of("code", "token")["minLength"] == 1


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> Any:
    async with running(tmp_path_factory.mktemp("contracts"), canaries=False) as stack:
        yield stack


async def test_the_documents_come_from_here_alone(stack: Stack) -> None:
    index = await stack.client.get("/docs")
    pages = re.findall(r'href="(/docs/[^"]+)"', index.text)
    assert pages == ["/docs/connect-care", "/docs/fhir-r4"]
    for page in pages:
        answer = await stack.client.get(page)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy + answer.text.lower().replace("doctype html", "")
        assert "<script>" not in answer.text, "the policy would refuse it"
        for address in re.findall(r'(?:src|href|data-url)="([^"]+)"', answer.text):
            assert (await stack.client.get(address)).status_code == 200, address


async def test_the_documents_are_the_gateways_own_contracts(stack: Stack) -> None:
    for name in (OWN, FHIR):
        served = (await stack.client.get(f"/docs/contracts/{name}")).json()
        published = json.loads((PUBLISHED / name).read_text())
        assert set(served["paths"]) <= set(published["paths"])
    assert "/fhir/R4/Patient/{id}/$everything" in served["paths"]
    assert "9990000409" in json.dumps(served), "with their examples"


@pytest.mark.parametrize("path", ["/docs/nothing", "/docs/assets/nothing.js", "/docs/contracts/nothing.json"])
async def test_there_is_nothing_else_at_docs(stack: Stack, path: str) -> None:
    answer = await stack.client.get(path)
    assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")


def test_a_page_of_docs_is_in_no_contract(own: Json) -> None:
    assert not [path for path in own["paths"] if path.startswith(docs.prefix)]
