"""`POST /fhir/R4`: reads in one request. Each entry is a request of its own, and none is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from typer.testing import CliRunner

from gateway.api import batch
from gateway.audit.entries import entry_id
from gateway.audit.shown import Verdict, compare, read_resources
from gateway.cli import app
from gateway.errors import AuditUnavailable
from tests.flow.stack import AALIYAH, DANIEL, GRACE, HAROLD, TOMASZ, Stack, running, told
from tests.ips import violations
from tests.proofs import Prover

FHIR = "/fhir/R4"


@pytest.fixture(scope="module")
async def well(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A gateway whose sources are well, for tests that leave it so; Grace has agreed with her GP, Tomasz hasn't."""
    data: Path = tmp_path_factory.mktemp("batch")
    async with running(data) as stack:
        await stack.agree(GRACE)
        yield stack


def reads(*urls: str, method: str = "GET") -> dict[str, Any]:
    entries = [{"request": {"method": method, "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


async def sent(stack: Stack, body: Any, who: str = "gp", **headers: str) -> httpx2.Response:
    return await stack.client.post(FHIR, json=body, headers=stack.headers(who) | headers)


def statuses(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert bundle["type"] == "batch-response"
    return [entry["response"]["status"] for entry in bundle["entry"]]


def outcomes(answer: httpx2.Response) -> list[str]:
    """The sentence of each entry's outcome; "" where it has none."""
    entries = answer.json()["entry"]
    found = (entry["response"].get("outcome", {}).get("issue", [{}]) for entry in entries)
    return [issues[0].get("details", {}).get("text", "") for issues in found]


async def rows_of(stack: Stack, request_id: str) -> list[dict[str, Any]]:
    answer = await stack.post("/audit/_search", {"requestId": request_id}, "privacy-officer")
    return [row for row in answer.json()["rows"] if row["kind"] != "audit-read"]


async def test_each_entry_answers_as_it_would_alone_and_in_its_place(well: Stack) -> None:
    urls = (
        f"Patient/{GRACE}",
        f"Observation?patient={GRACE}&_count=3",
        f"Patient/{GRACE}/$everything",
        f"Patient/{GRACE}/Encounter?_count=2",
        f"/Condition/?patient={GRACE}",
    )
    answer = await sent(well, reads(*urls))
    assert statuses(answer) == ["200 OK"] * len(urls)
    for url, entry in zip(urls, answer.json()["entry"], strict=True):
        alone = (await well.get(f"{FHIR}/{url.removeprefix('/')}")).json()
        assert entry["resource"]["resourceType"] == alone["resourceType"]
        if alone["resourceType"] == "Bundle":
            assert [e["resource"]["id"] for e in matches(entry["resource"])] == [
                e["resource"]["id"] for e in matches(alone)
            ]
            assert entry["resource"]["total"] == alone["total"]
        else:
            assert entry["resource"] == alone


def matches(bundle: Any) -> Iterable[Any]:
    return (entry for entry in bundle["entry"] if entry["search"]["mode"] != "outcome")


@pytest.mark.parametrize("path", [FHIR, f"{FHIR}/", f"{FHIR}?_format=json"])
async def test_both_forms_of_the_address_are_taken(well: Stack, path: str) -> None:
    answer = await well.post(path, reads(f"Patient/{GRACE}"))
    assert statuses(answer) == ["200 OK"]


async def test_what_fails_fails_alone(well: Stack) -> None:
    answer = await sent(
        well,
        reads(
            f"Patient/{GRACE}",
            f"Observation?patient={TOMASZ}",
            f"Observation?patient={GRACE}&_has:x=1",
            "Nonsense?patient=1",
            f"Observation/{'a' * 54}",
            f"Patient/{GRACE}",
        ),
    )
    assert [status[:3] for status in statuses(answer)] == ["200", "403", "400", "404", "404", "200"]
    said = outcomes(answer)
    assert "You have no current permission" in said[1]
    assert all(said[1:5])
    assert [said[0], said[5]] == ["", ""]


async def test_permission_is_checked_for_each_patient_and_each_entry_is_a_look_of_its_own(well: Stack) -> None:
    answer = await sent(well, reads(f"Patient/{GRACE}", f"Patient/{TOMASZ}", f"Patient/{GRACE}"))
    outer = answer.headers["x-request-id"]
    assert await rows_of(well, outer) == []
    kinds = {place: [row["kind"] for row in await rows_of(well, entry_id(outer, place))] for place in (1, 2, 3)}
    assert kinds == {1: ["intent", "release"], 2: ["intent", "refusal"], 3: ["intent", "release"]}
    [refusal] = [row for row in await rows_of(well, f"{outer}.2") if row["kind"] == "refusal"]
    assert refusal["rule"] == "permission.none"


@pytest.mark.parametrize(
    ("entry", "status", "rule"),
    [
        ({"request": {"method": "POST", "url": "Observation/_search"}}, "405", "batch.method"),
        ({"request": {"method": "DELETE", "url": f"Patient/{GRACE}"}}, "405", "batch.method"),
        ({"request": {"method": "get", "url": f"Patient/{GRACE}"}}, "405", "batch.method"),
        ({"request": {"url": f"Patient/{GRACE}"}}, "405", "batch.method"),
        ({"request": {"method": "GET", "url": f"http://127.0.0.1:8000/fhir/R4/Patient/{GRACE}"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"//elsewhere.example/Patient/{GRACE}"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": "../../audit/checkpoint"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/%2e%2e/{GRACE}"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": "metadata"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": "$graphql?query=x"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}/_history"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}/$export"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}#x"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}?x=é"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}\r\nX: y"}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": ""}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": 7}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": "Patient?" + "a" * 20_000}}, "400", "batch.url"),
        ({"request": {"method": "GET", "url": f"Patient/{GRACE}", "ifNoneMatch": "W/1"}}, "400", "batch.member"),
        (
            {"request": {"method": "GET", "url": "Patient"}, "resource": {"resourceType": "Patient"}},
            "400",
            "batch.member",
        ),
        ({"request": "GET"}, "400", "batch.no-request"),
        ({}, "400", "batch.no-request"),
        (7, "400", "batch.no-request"),
        (None, "400", "batch.no-request"),
    ],
)
async def test_a_wrong_entry_costs_nobody_else_and_is_a_row(well: Stack, entry: Any, status: str, rule: str) -> None:
    body = reads(f"Patient/{GRACE}")
    body["entry"].insert(0, entry)
    answer = await sent(well, body)
    found = statuses(answer)
    assert (found[0][:3], found[1]) == (status, "200 OK")
    assert outcomes(answer)[0]
    rows = await rows_of(well, entry_id(answer.headers["x-request-id"], 1))
    assert [(row["kind"], row["rule"]) for row in rows] == [("refusal", rule)]
    assert GRACE not in json.dumps(rows)


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        ({"resourceType": "Bundle", "type": "transaction", "entry": []}, 400, "batch.type"),
        ({"resourceType": "Bundle", "entry": []}, 400, "batch.type"),
        ({"resourceType": "Patient"}, 400, "batch.not-a-bundle"),
        ([], 400, "batch.not-a-bundle"),
        ({"resourceType": "Bundle", "type": "batch", "entry": {}}, 400, "batch.member"),
        ({"resourceType": "Bundle", "type": "batch", "total": 1}, 400, "batch.member"),
        (reads(*[f"Patient/{GRACE}"] * 21), 413, "batch.too-many"),
        (b'{"resourceType":"Bundle","type":"batch","type":"transaction"}', 400, "body.not-json"),
        (b'{"resourceType":"Bundle","type":"batch","entry":' + b"[" * 60_000, 400, "body.not-json"),
        (b'{"resourceType":"Bundle","type":"batch","entry":[NaN]}', 400, "body.not-json"),
        (b" " * 70_000 + b"{}", 413, "body.too-large"),
        (b"", 400, "body.not-json"),
    ],
)
async def test_a_wrong_bundle_is_refused_whole_and_nobody_is_asked(
    well: Stack, body: Any, status: int, rule: str
) -> None:
    before = well.calls()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {**well.headers("gp"), "Content-Type": "application/fhir+json"}
    answer = await well.client.post(FHIR, content=content, headers=headers)
    assert (answer.status_code, well.calls()) == (status, before), answer.text
    assert told(answer)
    assert [row["rule"] for row in await rows_of(well, answer.headers["x-request-id"])] == [rule]


async def test_who_is_not_signed_in_is_told_so_once(well: Stack) -> None:
    answer = await well.client.post(FHIR, json=reads(*[f"Patient/{GRACE}"] * 5))
    assert answer.status_code == 401
    assert "entry" not in answer.json()


@pytest.mark.parametrize(("name", "value", "status"), [("Accept", "text/html", 406), ("Content-Type", "text/xml", 415)])
async def test_representations_are_those_of_every_door(well: Stack, name: str, value: str, status: int) -> None:
    headers = {**well.headers("gp"), "Content-Type": "application/fhir+json", name: value}
    answer = await well.client.post(FHIR, content=json.dumps(reads("Patient/1")).encode(), headers=headers)
    assert answer.status_code == status


async def test_a_head_entry_says_its_status_and_holds_nothing(well: Stack) -> None:
    answer = await sent(well, reads(f"Patient/{GRACE}", f"Patient/{TOMASZ}", method="HEAD"))
    assert [status[:3] for status in statuses(answer)] == ["200", "403"]
    assert all("resource" not in entry for entry in answer.json()["entry"])


async def test_an_empty_batch_has_an_empty_response(well: Stack) -> None:
    answer = await sent(well, {"resourceType": "Bundle", "type": "batch"})
    assert answer.status_code == 200
    assert "entry" not in answer.json()


async def test_a_summary_goes_in_a_batch(well: Stack) -> None:
    answer = await sent(well, reads(f"Patient/{GRACE}/$summary"))
    assert statuses(answer) == ["200 OK"]
    assert violations(answer.json()["entry"][0]["resource"]) == []


async def test_a_missing_source_is_seen_by_every_entry(stack: Stack) -> None:
    await stack.agree(GRACE)
    stack.make("RJ2", "broken")
    answer = await sent(stack, reads(f"Patient/{GRACE}", f"Observation?patient={GRACE}"))
    assert statuses(answer) == ["200 OK"] * 2
    for entry in answer.json()["entry"]:
        [said] = [each for each in entry["response"]["extension"] if each["url"].endswith("/sources")]
        assert "RJ2=failed" in said["valueString"]
    bundle = answer.json()["entry"][1]["resource"]
    assert any(tag["code"].startswith("RJ2=failed") for tag in bundle["meta"]["tag"])


async def test_when_nobody_answers_each_entry_says_so_and_when_to_try_again(stack: Stack) -> None:
    await stack.agree(GRACE)
    for ods in stack.sandboxes:
        stack.make(ods, "broken")
    answer = await sent(stack, reads(f"Patient/{GRACE}", f"Observation?patient={GRACE}"))
    assert [status[:3] for status in statuses(answer)] == ["503", "503"]
    for entry in answer.json()["entry"]:
        assert any(each["url"].endswith("/retry-after") for each in entry["response"]["extension"])


async def test_no_entry_is_lost_whatever_fails(well: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in one entry is a 500 of that entry; a journal that can't be written shows nothing."""
    looked = type(well.parts.records).open

    async def failing(records: Any, presented: Any, question: Any) -> Any:
        if question.request_id.endswith(".2"):
            raise ZeroDivisionError
        if question.request_id.endswith(".3"):
            raise AuditUnavailable("disk full")
        return await looked(records, presented, question)

    monkeypatch.setattr(type(well.parts.records), "open", failing)
    answer = await sent(well, reads(*[f"Patient/{GRACE}"] * 4))
    assert [status[:3] for status in statuses(answer)] == ["200", "500", "503", "200"]
    assert "Something went wrong" in outcomes(answer)[1]
    assert "audit journal" in outcomes(answer)[2]


async def test_a_refusal_that_can_not_be_journalled_is_no_answer_either(
    well: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any, **__: Any) -> int:
        raise AuditUnavailable("disk full")

    monkeypatch.setattr(type(well.parts.journal), "refuse", refuse)
    answer = await sent(well, reads("metadata"))
    assert [status[:3] for status in statuses(answer)] == ["503"]


async def test_a_fault_outside_every_route_is_of_its_entry_too(well: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def scope(entry: Any, asked: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(batch._Entry, "_scope", scope)
    answer = await sent(well, reads(f"Patient/{GRACE}"))
    assert [status[:3] for status in statuses(answer)] == ["500"]


async def test_one_batch_has_few_entries_under_way_at_once(well: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, now, most = type(well.parts.records).open, 0, 0

    async def counting(records: Any, presented: Any, question: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await looked(records, presented, question)
        finally:
            now -= 1

    monkeypatch.setattr(type(well.parts.records), "open", counting)
    answer = await sent(well, reads(*[f"Patient/{GRACE}"] * 20))
    assert statuses(answer) == ["200 OK"] * 20
    assert 1 < most <= batch.AT_ONCE


async def test_an_opt_out_in_the_middle_stops_the_entries_that_come_after(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.agree(GRACE)
    looked, after = type(stack.parts.records).open, []
    acknowledged = False

    async def choosing(records: Any, presented: Any, question: Any) -> Any:
        nonlocal acknowledged
        if question.request_id.endswith(".5"):
            await stack.choose(GRACE, "opted-out")
            acknowledged = True
        if acknowledged:
            after.append(int(question.request_id.rpartition(".")[2]))
        return await looked(records, presented, question)

    monkeypatch.setattr(type(stack.parts.records), "open", choosing)
    found = statuses(await sent(stack, reads(*[f"Patient/{GRACE}"] * 12)))
    assert len(found) == 12
    assert {found[place - 1][:3] for place in after} == {"403"}
    assert {5, 12} <= set(after)


@pytest.mark.parametrize("given", ["batch-1", "a" * 64, "a" * 61])
async def test_the_request_ids_of_entries_follow_the_batchs(well: Stack, given: str) -> None:
    answer = await sent(well, reads(f"Patient/{TOMASZ}", "metadata"), **{"X-Request-ID": given})
    assert answer.headers["x-request-id"] == given
    entries = answer.json()["entry"]
    diagnostics = [entry["response"]["outcome"]["issue"][0]["diagnostics"] for entry in entries]
    assert diagnostics == [f"Request {given[:61]}.1", f"Request {given[:61]}.2"]


async def test_what_was_sent_can_be_proved(well: Stack) -> None:
    urls = (
        f"Patient/{GRACE}",
        f"Observation?patient={GRACE}",
        f"Observation?patient={TOMASZ}",
        f"Patient/{GRACE}/$summary",
    )
    answer = await sent(well, reads(*urls))
    kept = [
        each
        for place in range(1, 5)
        for each in await well.parts.store.rows(request_id=entry_id(answer.headers["x-request-id"], place))
    ]
    found = compare(read_resources(answer.content), kept, well.parts.sealer)
    clinical = [each for each in found if each.verdict is not Verdict.NOT_CLINICAL]
    assert len(clinical) > 60
    assert {each.verdict for each in clinical} == {Verdict.SHOWN}


async def test_the_command_proves_a_batch_from_the_batchs_own_id(tmp_path: Path) -> None:
    async with running(tmp_path, canaries=False) as stack:
        await stack.agree(HAROLD)
        answer = await sent(stack, reads(f"Patient/{HAROLD}", f"Patient/{DANIEL}", f"Condition?patient={HAROLD}"))
        file = tmp_path / "seen.json"
        file.write_bytes(msgspec.json.format(answer.content))
        words = ["audit", "shown", answer.headers["x-request-id"], str(file), "--data", str(tmp_path)]
        words += ["--key-file", str(tmp_path / "master.key")]
        yes = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert yes.exit_code == 0, yes.output
        file.write_bytes(answer.content.replace(b'"confirmed"', b'"unconfirmed"', 1))
        no = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert no.exit_code == 1, no.output
        assert HAROLD not in yes.output + no.output


async def test_a_privacy_officer_reads_the_audit_in_a_batch_and_no_record(well: Stack) -> None:
    answer = await sent(well, reads(f"AuditEvent?patient={GRACE}&_count=1", f"Patient/{AALIYAH}"), "privacy-officer")
    assert [status[:3] for status in statuses(answer)] == ["200", "403"]


async def test_a_one_time_proof_is_spent_once_for_all_entries(well: Stack) -> None:
    """RFC 9449: the proof is over the batch's own method and address, and its `jti` is never taken again."""
    prover = Prover()
    token = well.demo.mint("gp", claims={"cnf": prover.cnf})
    proof = prover.proof("POST", f"http://127.0.0.1:8000{FHIR}", token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
    first = await well.client.post(FHIR, json=reads(*[f"Patient/{GRACE}"] * 5), headers=headers)
    assert statuses(first) == ["200 OK"] * 5
    again = await well.client.post(FHIR, json=reads(f"Patient/{GRACE}"), headers=headers)
    assert again.status_code == 401
    copied = await well.client.post(FHIR, json=reads(f"Patient/{GRACE}"), headers={"Authorization": f"Bearer {token}"})
    assert copied.status_code == 401
