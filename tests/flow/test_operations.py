"""What a door says of itself, what a row says of a door, and how a gateway ends."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

import gateway.lifetime
from gateway.errors import AuditUnavailable
from gateway.settings import Settings
from gateway.store.interface import StoreUnusable
from tests.flow.stack import GRACE, Stack, outcome, resources, running, told

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
METADATA = "/fhir/R4/metadata"
XML = {"Accept": "application/fhir+xml"}


@pytest.mark.parametrize("query", ["", "?_format=json", "?mode=full", "?mode=full&_format=application/fhir%2Bjson"])
async def test_metadata_takes_what_clients_send(stack: Stack, query: str) -> None:
    assert (await stack.client.get(METADATA + query)).json()["resourceType"] == "CapabilityStatement"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?foo=1", 400),
        ("?_summary=true", 400),
        ("?mode=terminology", 400),
        ("?mode=full&mode=full", 400),
        ("?_format=json&_format=json", 400),
        ("?", 200),
        ("?mode", 400),
        ("?_format=xml", 406),
    ],
)
async def test_metadata_takes_nothing_else(stack: Stack, query: str, status: int) -> None:
    answer = await stack.client.get(METADATA + query)
    assert answer.status_code == status
    known = await stack.get(METADATA + query)
    found = await stack.post("/audit/_search", {"requestId": known.headers["X-Request-ID"]}, "privacy-officer")
    assert [row["status"] for row in found.json()["rows"]] == [status] * (status != 200)
    assert status == 200 or len(told(answer)) > 10


async def test_no_other_origin_is_let_in_and_the_statement_says_so(stack: Stack) -> None:
    asked = await stack.client.options(METADATA, headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in asked.headers
    security = (await stack.client.get(METADATA)).json()["rest"][0]["security"]
    assert security["cors"] is False
    assert [coding["code"] for service in security["service"] for coding in service["coding"]] == ["OAuth"]


async def test_a_reads_row_names_the_type_and_never_the_id(stack: Stack) -> None:
    await stack.agree(GRACE)
    found = (await stack.get(f"/fhir/R4/AllergyIntolerance?patient={GRACE}")).json()
    (sealed, *_) = [resource["id"] for resource in resources(found, "AllergyIntolerance")]
    assert (await stack.get(f"/fhir/R4/AllergyIntolerance/{sealed}")).status_code == 200
    assert (await stack.get(f"/fhir/R4/Patient/{GRACE}")).status_code == 200
    doors = {row["door"] for row in await stack.rows(GRACE) if row["kind"] == "release"}
    assert doors == {
        "GET /fhir/R4/AllergyIntolerance",
        "GET /fhir/R4/AllergyIntolerance/{resource_id}",
        "GET /fhir/R4/Patient/{resource_id}",
    }


async def test_a_row_repeats_no_type_that_a_client_made_up(stack: Stack) -> None:
    answer = await stack.get("/fhir/R4/Graceadebayo/17")
    assert answer.status_code == 404
    found = await stack.post("/audit/_search", {"requestId": answer.headers["X-Request-ID"]}, "privacy-officer")
    assert [row["door"] for row in found.json()["rows"]] == ["GET /fhir/R4/{resource_type}/{resource_id}"]


async def test_a_search_whose_form_is_refused_names_its_type(stack: Stack) -> None:
    answer = await stack.post("/fhir/R4/Observation/_search", {"patient": GRACE})
    assert answer.status_code == 415
    found = await stack.post("/audit/_search", {"requestId": answer.headers["X-Request-ID"]}, "privacy-officer")
    assert [row["door"] for row in found.json()["rows"]] == ["POST /fhir/R4/Observation/_search"]


@pytest.mark.parametrize(
    ("form", "accept", "status"),
    [
        ("&_format=json", "application/fhir+xml", 200),
        ("&_format=application%2Ffhir%2Bjson", "text/html", 200),
        ("&_format=xml", "application/fhir+json", 406),
        ("", "application/fhir+xml", 406),
        ("", "application/fhir+json", 200),
        ("&_format=%", "application/fhir+json", 400),
    ],
)
async def test_a_format_in_the_form_beats_the_accept_header(stack: Stack, form: str, accept: str, status: int) -> None:
    await stack.agree(GRACE)
    answer = await stack.client.post(
        "/fhir/R4/AllergyIntolerance/_search",
        content=f"patient={GRACE}{form}",
        headers=stack.headers("gp") | FORM | {"Accept": accept},
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+json")


async def test_a_format_in_both_form_and_address_is_given_twice(stack: Stack) -> None:
    answer = await stack.client.post(
        "/fhir/R4/AllergyIntolerance/_search?_format=json",
        content=f"patient={GRACE}&_format=json",
        headers=stack.headers("gp") | FORM,
    )
    assert answer.status_code == 400
    assert "more than once" in told(answer)
    assert stack.calls() == 0


async def test_a_record_is_not_sent_to_who_takes_no_json(stack: Stack) -> None:
    await stack.agree(GRACE)
    answer = await stack.client.post("/records", json={"nhsNumber": GRACE}, headers=stack.headers("gp") | XML)
    assert answer.status_code == 406
    assert "JSON" in told(answer)
    assert stack.calls() == 0
    found = await stack.post("/audit/_search", {"requestId": answer.headers["X-Request-ID"]}, "privacy-officer")
    assert [(row["kind"], row["status"]) for row in found.json()["rows"]] == [("refusal", 406)]
    as_json = {"Accept": "application/json"}
    answer = await stack.client.post("/records", json={"nhsNumber": GRACE}, headers=stack.headers("gp") | as_json)
    assert answer.status_code == 200
    assert outcome(answer.json())


def register(tmp_path: Path, *stages: str) -> Path:
    """Trusts with these stages, beside the practice of the demo's GP."""
    practice = {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"}
    trust = {"name": "A trust", "type": "acute-trust", "connector": "fhir_r4", "sections": ["results"]}
    officer = {"ods": "RJ2", "address": "http://rj2.sandbox/fhir", "stage": "live", **trust}
    others = [
        {"ods": f"RX{n}", "stage": stage, "address": f"https://rx{n}.example/fhir", **trust}
        for n, stage in enumerate(stages)
    ]
    file = tmp_path / "organisations.yaml"
    file.write_text(json.dumps({"organisations": [practice, officer, *others]}))
    return file


async def test_a_suspended_source_is_listed_as_what_it_is(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"organisations_file": register(tmp_path, "suspended", "planned"), "addresses": {}}
    async with running(tmp_path, **settings) as stack:
        answer = await stack.get("/sources")
        assert answer.status_code == 200, answer.text
        listed = {source["ods"]: source for source in answer.json()["sources"]}
        assert list(listed) == ["RJ2", "RX0"]
        assert (listed["RJ2"]["stage"], listed["RJ2"]["breaker"]) == ("live", "closed")
        assert listed["RX0"] == {
            "ods": "RX0",
            "name": "A trust",
            "type": "acute-trust",
            "stage": "suspended",
            "joined": None,
            "sections": ["results"],
            "breaker": None,
            "lastOutcome": None,
            "lastSuccess": None,
            "typicalMilliseconds": None,
            "lastQuarantine": None,
            "unwellSections": None,
        }


class Ends:
    """How connectors end: some raise, one is cancelled, one hangs; those that close are counted."""

    def __init__(self) -> None:
        self.closed = 0

    async def well(self) -> None:
        self.closed += 1

    async def badly(self) -> None:
        raise RuntimeError("the pool is gone")

    async def cancelled(self) -> None:
        raise asyncio.CancelledError

    async def never(self) -> None:
        await asyncio.Event().wait()


async def test_no_connector_keeps_the_others_or_the_store_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway.lifetime, "_CLOSING_SECONDS", 0.05)
    caplog.set_level(logging.INFO, logger="connect-care")
    ends = Ends()
    async with running(tmp_path) as stack:
        parts = stack.parts
        ways = [ends.badly, ends.cancelled, ends.never, *[ends.well] * 4]
        for state, way in zip(parts.fan_out.states.values(), ways, strict=True):
            monkeypatch.setattr(state.connector, "aclose", way)
    assert ends.closed == 4
    with pytest.raises(AuditUnavailable):
        await parts.store.current_choice("tag")
    failed = [record for record in caplog.records if record.message == "source.close-failed"]
    assert [fields(record)["source"] for record in failed] == list(parts.fan_out.states)[:3]
    assert "the pool is gone" not in caplog.text
    async with running(tmp_path) as again:  # the folder's lock is free
        assert (await again.client.get("/readyz")).status_code == 200


def fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = vars(record)["connect_care_fields"]
    return found


async def test_a_refresh_of_keys_under_way_ends_with_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def hangs(url: str) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError(url)

    async with running(tmp_path) as stack:
        monkeypatch.setattr(stack.parts.callers._keys._of["http://127.0.0.1:9/demo"], "_fetch", hangs)
        request = asyncio.create_task(stack.get("/sources"))
        await asked.wait()
        flight = stack.parts.callers._keys._of["http://127.0.0.1:9/demo"]._flight
        assert flight is not None
    assert flight.cancelled()
    await asyncio.gather(request, return_exceptions=True)


async def test_another_key_than_the_stores_never_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        await stack.choose(GRACE, "opted-out")
        settings: Settings = stack.parts.settings
    settings.key_file.write_text("ab" * 32)
    with pytest.raises(StoreUnusable, match="key file it was written with"):
        async with running(tmp_path):
            pass
