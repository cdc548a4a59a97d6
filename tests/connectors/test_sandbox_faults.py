"""Every illness that a sandbox can be given, as a caller meets it, and the switch itself."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from connectors.fhir_r4 import sandbox
from connectors.kit.asgi import gone_within
from connectors.kit.canaries import PATTERN, canary
from connectors.kit.faults import DEFAULT_DELAY_MS, Mode, mode_of
from connectors.kit.sandbox import Sandbox, template
from connectors.sdk.model import NHS_NUMBER_SYSTEM

BASE = "http://source.example/fhir"
SWITCH = "http://source.example/_sandbox/RJ2"
GRACE = "9990000409"
ABOUT_GRACE = f"patient.identifier={NHS_NUMBER_SYSTEM}|{GRACE}"
FIND_GRACE = f"{BASE}/Patient?identifier={NHS_NUMBER_SYSTEM}|{GRACE}"


@pytest.fixture
def app() -> Sandbox:
    return sandbox.create_app("RJ2", canaries=True)


@pytest.fixture
async def http(app: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
        yield client


async def become(http: httpx2.AsyncClient, mode: str, **more: Any) -> None:
    answer = await http.post(SWITCH, json={"mode": mode, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["mode"] == mode


def whose(bundle: dict[str, Any]) -> set[str]:
    """The local ids of the patients whose resources these are."""
    resources = [entry["resource"] for entry in bundle.get("entry", [])]
    found = set()
    for resource in resources:
        actors = [participant.get("actor") for participant in resource.get("participant", [])]
        about = [one["reference"] for one in (resource.get("subject"), resource.get("patient"), *actors) if one]
        found |= {reference.removeprefix("Patient/") for reference in about if reference.startswith("Patient/")}
        found |= {resource["id"]} if resource["resourceType"] == "Patient" else set()
    return found


GRACE_AT_RJ2 = sandbox.holdings("RJ2").patient_ids[(NHS_NUMBER_SYSTEM, GRACE)][0]


async def test_slow_answers_truly_but_later(http: httpx2.AsyncClient) -> None:
    await become(http, "slow", delayMs=120)
    start = time.perf_counter()
    answer = await http.get(FIND_GRACE)
    assert time.perf_counter() - start >= 0.119
    assert answer.json()["total"] == 1


async def test_slow_has_a_delay_of_its_own_where_none_is_given(http: httpx2.AsyncClient) -> None:
    await become(http, "slow", delayMs=5)
    await become(http, "slow")
    assert (await http.get(SWITCH)).json()["delayMs"] == DEFAULT_DELAY_MS == 1500


async def test_broken_says_too_much_about_itself(http: httpx2.AsyncClient, app: Sandbox) -> None:
    await become(http, "broken")
    answer = await http.get(FIND_GRACE)
    assert answer.status_code == 500
    [mark] = PATTERN.findall(answer.json()["issue"][0]["diagnostics"])
    assert mark in app.canaries


async def test_hung_never_answers_a_caller_who_waits_for_less(http: httpx2.AsyncClient) -> None:
    await become(http, "hung")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await http.get(FIND_GRACE)


async def test_hung_gives_up_in_the_end(http: httpx2.AsyncClient, app: Sandbox) -> None:
    await become(http, "hung")
    app.switch.hung_seconds = 0.05
    assert (await http.get(FIND_GRACE)).status_code == 504


async def test_hung_ends_when_the_caller_leaves(app: Sandbox) -> None:
    app.switch.mode = Mode.HUNG
    sent: list[Any] = []
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/fhir/Patient", "query_string": b"", "headers": []}
    async with asyncio.timeout(30):
        await app(scope, receive, send)
    assert sent == []


async def test_dripping_sends_the_true_answer_byte_by_byte(http: httpx2.AsyncClient, app: Sandbox) -> None:
    expected = (await http.get(f"{BASE}/Patient/none")).content
    await become(http, "dripping")
    app.switch.drip_seconds = 0.0
    assert (await http.get(f"{BASE}/Patient/none")).content == expected


async def test_dripping_waits_between_bytes_and_stops_when_the_caller_leaves(app: Sandbox) -> None:
    app.switch.mode, app.switch.drip_seconds = Mode.DRIPPING, 0.03
    gone = asyncio.Event()
    sent: list[tuple[float, Any]] = []

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append((time.perf_counter(), message))
        if len(sent) == 5:
            gone.set()

    scope = {"type": "http", "method": "GET", "path": "/fhir/metadata", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert len(sent) == 5
    assert [len(message["body"]) for _, message in sent[1:]] == [1, 1, 1, 1]
    assert sent[4][0] - sent[1][0] >= 0.08


@pytest.mark.parametrize(("mode", "status"), [("busy", 429), ("refusing", 403), ("redirecting", 302)])
async def test_refusals(http: httpx2.AsyncClient, mode: str, status: int) -> None:
    await become(http, mode)
    assert (await http.get(FIND_GRACE)).status_code == status


async def test_busy_says_when_to_come_back_and_redirecting_leads_elsewhere(http: httpx2.AsyncClient) -> None:
    await become(http, "busy")
    assert int((await http.get(FIND_GRACE)).headers["retry-after"]) > 0
    await become(http, "redirecting")
    assert httpx2.URL((await http.get(FIND_GRACE)).headers["location"]).host != "source.example"


async def test_garbage_is_a_page_that_says_all_is_well(http: httpx2.AsyncClient) -> None:
    await become(http, "garbage")
    answer = await http.get(FIND_GRACE)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content.startswith(b"<!doctype html>")


async def test_a_bomb_is_small_until_it_is_opened(http: httpx2.AsyncClient) -> None:
    await become(http, "bomb")
    async with http.stream("GET", FIND_GRACE) as answer:
        packed = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 200_000
    opener, size = zlib.decompressobj(wbits=31), 0
    while not opener.eof:
        size += len(opener.decompress(packed, 1024 * 1024))
        packed = opener.unconsumed_tail
    assert size > 64 * 1024 * 1024


async def test_lying_answers_every_search_with_someone_else(http: httpx2.AsyncClient) -> None:
    await become(http, "lying")
    patient = (await http.get(FIND_GRACE)).json()["entry"][0]["resource"]
    assert patient["identifier"][0]["value"] not in ("", GRACE)
    for kind in ("Patient", "Encounter", "MedicationStatement", "AllergyIntolerance", "Observation"):
        named = f"_id={GRACE_AT_RJ2}" if kind == "Patient" else f"patient={GRACE_AT_RJ2}"
        for question in (named, *([] if kind == "Patient" else [ABOUT_GRACE])):
            people = whose((await http.get(f"{BASE}/{kind}?{question}")).json())
            assert people
            assert GRACE_AT_RJ2 not in people
    everything = (await http.get(f"{BASE}/Patient/{GRACE_AT_RJ2}/$everything")).json()
    assert GRACE_AT_RJ2 not in {entry["resource"]["id"] for entry in everything["entry"]}


async def test_lying_about_someone_whom_nobody_knows_gives_someone(http: httpx2.AsyncClient) -> None:
    await become(http, "lying")
    found = await http.get(f"{BASE}/Patient?identifier={NHS_NUMBER_SYSTEM}|9990000549")
    assert found.json()["total"] == 1


async def test_lying_quietly_puts_a_stranger_among_the_right_ones(http: httpx2.AsyncClient) -> None:
    truth = {}
    kinds = ("Encounter", "MedicationStatement", "AllergyIntolerance", "Observation")
    for kind in kinds:
        truth[kind] = (await http.get(f"{BASE}/{kind}?{ABOUT_GRACE}")).json()["total"]
    await become(http, "lying-quietly")
    assert whose((await http.get(FIND_GRACE)).json()) == {GRACE_AT_RJ2}
    for kind in kinds:
        bundle = (await http.get(f"{BASE}/{kind}?{ABOUT_GRACE}&_count=100")).json()
        people = whose(bundle)
        assert GRACE_AT_RJ2 in people
        assert len(people) == 2
        assert bundle["total"] > truth[kind]
    everything = (await http.get(f"{BASE}/Patient/{GRACE_AT_RJ2}/$everything")).json()
    matches = {"entry": [entry for entry in everything["entry"] if entry["search"]["mode"] == "match"]}
    assert len(whose(matches)) == 2


@pytest.mark.parametrize("mode", ["lying", "lying-quietly"])
async def test_nobody_else_means_no_lie(mode: str) -> None:
    """The Royal Borough's system knows one person only: there is nobody to mistake her for."""
    app = sandbox.create_app("703")
    app.switch.mode = Mode(mode)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http:
        found = (await http.get(f"{BASE}/Encounter?patient.identifier={NHS_NUMBER_SYSTEM}|9990000824")).json()
    assert found["total"] == (0 if mode == "lying" else 1)


async def test_no_allergies_fails_there_alone(http: httpx2.AsyncClient) -> None:
    await become(http, "no-allergies")
    assert (await http.get(f"{BASE}/AllergyIntolerance?{ABOUT_GRACE}")).status_code == 500
    assert (await http.get(f"{BASE}/Encounter?{ABOUT_GRACE}")).json()["total"] == 6
    everything = (await http.get(f"{BASE}/Patient/{GRACE_AT_RJ2}/$everything")).json()
    kinds = {entry["resource"]["resourceType"]: entry["search"]["mode"] for entry in everything["entry"]}
    assert "AllergyIntolerance" not in kinds
    assert kinds["OperationOutcome"] == "outcome"


async def test_the_switch_works_in_every_mode_and_well_is_well_again(http: httpx2.AsyncClient) -> None:
    before = (await http.get(FIND_GRACE)).content
    for mode in Mode:
        await become(http, mode)
        assert (await http.get(SWITCH)).json()["mode"] == mode
    await become(http, "well")
    assert (await http.get(FIND_GRACE)).content == before


@pytest.mark.parametrize(
    "body",
    [
        b'{"mode": "unwell"}',
        b'{"mode": "well", "colour": "red"}',
        b'{"mode": "slow", "delayMs": -1}',
        b'{"mode": "slow", "delayMs": 700000}',
        b'{"mode": "slow", "delayMs": "10"}',
        b'{"mode": "broken", "delayMs": 10}',
        b"{}",
        b"[]",
        b"",
        b"{",
    ],
)
async def test_an_unknown_setting_is_refused_with_a_sentence_and_changes_nothing(
    http: httpx2.AsyncClient, body: bytes
) -> None:
    await become(http, "busy")
    answer = await http.post(SWITCH, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith((".", "none."))
    assert (await http.get(SWITCH)).json()["mode"] == "busy"


async def test_an_endless_setting_is_refused(http: httpx2.AsyncClient) -> None:
    assert (await http.post(SWITCH, content=b" " * 100_000)).status_code == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/_sandbox/RPG"),
        ("DELETE", "/_sandbox/RJ2"),
        ("GET", "/_sandbox/RJ2/x"),
        ("GET", "/fhirs"),
    ],
)
async def test_anything_else_is_nowhere(http: httpx2.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, f"http://source.example{path}")
    assert answer.status_code == 404
    assert "/_sandbox/RJ2" in answer.json()["error"]


async def test_calls_are_counted_without_identifiers_and_reset_makes_it_well(http: httpx2.AsyncClient) -> None:
    await http.get(FIND_GRACE)
    await become(http, "broken")
    await http.get(f"{BASE}/Patient/{GRACE}")
    await http.get(f"{BASE}/Patient/{GRACE}/$everything")
    state = (await http.get(SWITCH)).json()
    assert state == {
        "ods": "RJ2",
        "mode": "broken",
        "delayMs": DEFAULT_DELAY_MS,
        "calls": {
            "total": 3,
            "byPath": {
                "GET /fhir/Patient": 1,
                "GET /fhir/Patient/{id}": 1,
                "GET /fhir/Patient/{id}/$everything": 1,
            },
        },
        "callsSinceReset": 3,
    }
    state = (await http.post(f"{SWITCH}/reset")).json()
    assert (state["mode"], state["callsSinceReset"], state["calls"]["total"]) == ("well", 0, 3)
    await http.get(f"{BASE}/metadata")
    assert (await http.get(SWITCH)).json()["callsSinceReset"] == 1


async def test_every_canary_of_a_running_sandbox_is_listed(http: httpx2.AsyncClient, app: Sandbox) -> None:
    listed = (await http.get(f"{SWITCH}/canaries")).json()["canaries"]
    assert set(listed) == {*sandbox.holdings("RJ2", canaries=True).canaries, canary("RJ2", "broken")}
    body = (await http.get(f"{BASE}/Observation?{ABOUT_GRACE}")).text
    assert len(set(PATTERN.findall(body))) == 20
    assert set(PATTERN.findall(body)) <= set(listed)


def test_templates_name_no_identifier() -> None:
    assert template("/fhir", "/fhir") == "/fhir/"
    assert template("/fhir/Patient/_search", "/fhir") == "/fhir/Patient/_search"
    assert template("/fhir/Patient/1/Appointment/2", "/fhir") == "/fhir/Patient/{id}/{id}/{id}"


def test_a_system_without_a_switch_is_well() -> None:
    assert mode_of({"type": "http"}) is Mode.WELL


async def test_other_protocols_are_ignored(app: Sandbox) -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    await app({"type": "lifespan"}, never, never)


async def test_a_client_that_stays_is_not_gone() -> None:
    async def receive() -> Any:
        await asyncio.sleep(10)

    assert not await gone_within(receive, 0.01)
