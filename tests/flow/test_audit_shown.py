"""Years later: is this what that clinician saw? Yes for what was sent, and for nothing that differs from it."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from gateway.audit.shown import SHOWING, Found, NotReadable, Verdict, compare, counts, read_resources
from gateway.cli import app
from gateway.sealed import Sealer, new_master_key
from tests.flow.stack import GRACE, TOMASZ, Stack, running
from tests.flow.test_disclosures import OFFICER, claim

NOT_ITEMS = {"OperationOutcome", "Linkage", "Composition"}
DECODER = msgspec.json.Decoder(float_hook=Decimal)
ENCODER = msgspec.json.Encoder(decimal_format="number")


async def held(stack: Stack, request_id: str, content: bytes) -> list[Found]:
    """The file held against the journal's rows of that request."""
    rows = await stack.parts.store.rows(request_id=request_id)
    return compare(read_resources(content), rows, stack.parts.sealer)


def clinical(found: list[Found]) -> list[Found]:
    return [each for each in found if each.verdict is not Verdict.NOT_CLINICAL]


@pytest.fixture
async def record(stack: Stack) -> tuple[str, bytes]:
    """Grace's whole record as her GP got it: request id, and the bytes."""
    await stack.agree(GRACE)
    answer = await stack.everything(GRACE)
    assert answer.status_code == 200
    return answer.headers["x-request-id"], answer.content


async def test_every_resource_of_a_record_is_what_was_shown(stack: Stack, record: tuple[str, bytes]) -> None:
    request_id, content = record
    found = clinical(await held(stack, request_id, content))
    shown = [each for each in json.loads(content)["entry"] if each["resource"]["resourceType"] not in NOT_ITEMS]
    assert len(found) == len(shown) > 30
    assert {each.verdict for each in found} == {Verdict.SHOWN}
    assert GRACE not in repr(found)


async def test_white_space_and_escapes_may_differ(stack: Stack, record: tuple[str, bytes]) -> None:
    request_id, content = record
    spaced = msgspec.json.format(content, indent=4)
    escaped = "\ufeff".encode() + spaced.replace("é".encode(), b"\\u00e9").replace(b"http://", b"http:\\/\\/")
    assert escaped != content
    for variant in (spaced, escaped):
        assert {each.verdict for each in clinical(await held(stack, request_id, variant))} == {Verdict.SHOWN}


def each_value(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value that is no container."""
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    found: list[tuple[Any, Any]] = []
    for key, value in pairs:
        found += each_value(value) if isinstance(value, (dict, list)) else [(node, key)]
    return found


def differing(value: Any) -> Any:
    """The least that differs: one character, one digit, the other truth."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, Decimal):
        return Decimal(f"{value}0")  # 4.5 and 4.50 are not the same measurement
    if isinstance(value, int):
        return value + 1
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


async def test_whatever_is_altered_shows_and_only_there(stack: Stack, record: tuple[str, bytes]) -> None:
    """Every value of some resources: a digit, a unit, a code, a date, a name."""
    request_id, content = record
    rows = await stack.parts.store.rows(request_id=request_id)
    resources = [each for each in read_resources(content) if each["resourceType"] not in NOT_ITEMS]
    tried = 0
    for resource in resources[::4]:
        for place, _ in enumerate(each_value(resource)):
            altered = copy.deepcopy(resource)
            container, key = each_value(altered)[place]
            if container is altered and key in ("resourceType", "id"):
                continue
            container[key] = differing(container[key])
            [found] = compare([altered], rows, stack.parts.sealer)
            assert found.verdict is Verdict.DIFFERENT, (resource["resourceType"], key)
            tried += 1
    assert tried > 150


def reordered(resource: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(resource.items()))


def without(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "meta"}


@pytest.mark.parametrize("change", [reordered, without])
async def test_other_order_and_less_of_it_are_other_renderings(
    stack: Stack, record: tuple[str, bytes], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    request_id, content = record
    altered = [change(each) for each in read_resources(content) if each["resourceType"] not in NOT_ITEMS]
    rows = await stack.parts.store.rows(request_id=request_id)
    assert {each.verdict for each in compare(altered, rows, stack.parts.sealer)} == {Verdict.DIFFERENT}


async def test_content_under_another_id_and_ids_never_seen(stack: Stack, record: tuple[str, bytes]) -> None:
    request_id, content = record
    observations = [each for each in read_resources(content) if each["resourceType"] == "Observation"]
    next_one = [*observations[1:], observations[0]]
    swapped = [{**one, "id": other["id"]} for one, other in zip(observations, next_one, strict=True)]
    strange = {**observations[0], "id": stack.parts.sealer.seal_id(GRACE, "RJ2", "Observation", "no-such")}
    bare = {key: value for key, value in observations[0].items() if key != "id"}
    rows = await stack.parts.store.rows(request_id=request_id)
    assert {each.verdict for each in compare(swapped, rows, stack.parts.sealer)} == {Verdict.DIFFERENT}
    assert [each.verdict for each in compare([strange, bare], rows, stack.parts.sealer)] == [Verdict.NOT_SHOWN] * 2


async def test_another_request_and_another_patient_saw_something_else(stack: Stack, record: tuple[str, bytes]) -> None:
    request_id, content = record
    await stack.agree(TOMASZ)
    other = await stack.everything(TOMASZ)
    verdicts = {each.verdict for each in clinical(await held(stack, other.headers["x-request-id"], content))}
    assert verdicts == {Verdict.NOT_SHOWN}
    assert {each.verdict for each in clinical(await held(stack, request_id, other.content))} == {Verdict.NOT_SHOWN}


@pytest.mark.parametrize(
    "path",
    [
        "Observation?patient={0}&_summary=true",
        "Observation?patient={0}&_summary=text",
        "MedicationRequest?patient={0}&_elements=status",
        "Observation?patient={0}&_count=3",
        "Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{0}",
    ],
)
async def test_searches_verify_as_they_were_sent(stack: Stack, record: tuple[str, bytes], path: str) -> None:
    answer = await stack.get(f"/fhir/R4/{path.format(GRACE)}")
    found = clinical(await held(stack, answer.headers["x-request-id"], answer.content))
    assert found
    assert {each.verdict for each in found} == {Verdict.SHOWN}
    if "_summary" in path or "_elements" in path:
        # The same resources, and not what the whole record showed of them.
        kind = path.partition("?")[0]
        cut = [each for each in await held(stack, record[0], answer.content) if each.reference.startswith(f"{kind}/")]
        assert {each.verdict for each in cut} == {Verdict.DIFFERENT}


async def test_a_count_holds_nothing_and_a_read_holds_itself(stack: Stack, record: tuple[str, bytes]) -> None:
    count = await stack.get(f"/fhir/R4/Observation?patient={GRACE}&_summary=count")
    assert clinical(await held(stack, count.headers["x-request-id"], count.content)) == []
    rows = await stack.parts.store.rows(request_id=count.headers["x-request-id"])
    assert [each.row.sent for each in rows if each.row.kind in SHOWING] == [{}]
    one = next(each for each in read_resources(record[1]) if each["resourceType"] == "AllergyIntolerance")
    read = await stack.get(f"/fhir/R4/AllergyIntolerance/{one['id']}")
    [found] = await held(stack, read.headers["x-request-id"], read.content)
    assert found.verdict is Verdict.SHOWN


async def test_post_records_and_disclosures_verify(stack: Stack, record: tuple[str, bytes]) -> None:
    patient = next(each for each in read_resources(record[1]) if each.get("id") == GRACE)
    posted = await stack.post("/records", {"nhsNumber": GRACE})
    disclosed = await stack.post("/disclosures", claim(birthDate=patient["birthDate"]), OFFICER)
    for answer in (posted, disclosed):
        found = clinical(await held(stack, answer.headers["x-request-id"], answer.content))
        assert len(found) > 30
        assert {each.verdict for each in found} == {Verdict.SHOWN}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "isn't JSON"),
        (b"\xff\xfe", "isn't JSON"),
        (b"[" * 100_000, "isn't JSON"),
        (b'{"resourceType": "Patient", "id": "a", "id": "b"}', "'id'.*twice|twice"),
        (b'{"resourceType": "Observation", "valueQuantity": {"value": NaN}}', "NaN is no JSON"),
        (b"[]", "holds no FHIR resource"),
        (b'{"resourceType": 5}', "holds no FHIR resource"),
        (b'{"resourceType": "Bundle", "entry": [{"fullUrl": "x"}]}', "holds no resource"),
        (b'{"resourceType": "Bundle", "entry": {}}', "holds no resource"),
        (b'{"resourceType": "Bundle"}', "holds no resource"),
    ],
)
def test_what_can_not_be_compared_is_said_so(content: bytes, says: str) -> None:
    with pytest.raises(NotReadable, match=says):
        read_resources(content)


def test_what_no_gateway_could_have_sent_is_not_shown() -> None:
    half = read_resources(b'{"resourceType": "Observation", "id": "x", "status": "\\ud800"}')
    huge = read_resources(b'{"resourceType": "Observation", "id": "x", "valueInteger": ' + b"9" * 400 + b"}")
    assert counts(compare([*half, *huge], [], Sealer(bytes(32))))[Verdict.NOT_SHOWN] == 2


@pytest.mark.parametrize("text", ["0.10", "1e5", "1E-7", "-0.0", "100", "123456789012345678", "1.0E+2", "0.0000001"])
def test_a_number_that_was_sent_reads_back_as_the_same_bytes(text: str) -> None:
    sent = ENCODER.encode(DECODER.decode(f'{{"resourceType":"Observation","value":{text}}}'))
    [again] = read_resources(msgspec.json.format(sent))
    assert ENCODER.encode(again) == sent


async def test_a_patient_by_another_number_or_name_was_not_shown(stack: Stack, record: tuple[str, bytes]) -> None:
    patient = next(each for each in read_resources(record[1]) if each.get("id") == GRACE)
    rows = await stack.parts.store.rows(request_id=record[0])
    others = [{**patient, "id": id_} for id_ in (TOMASZ, "p1", "")]
    found = compare([*others, {**patient, "active": False}], rows, stack.parts.sealer)
    assert [each.verdict for each in found] == [Verdict.NOT_SHOWN] * 3 + [Verdict.DIFFERENT]
    assert TOMASZ not in repr(found)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", "shown", *map(str, words)])


async def test_the_command_answers_from_a_store_beside_a_running_gateway(tmp_path: Path) -> None:
    async with running(tmp_path, canaries=False) as stack:  # what a clinician saved is in a file here
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
        request_id, content = answer.headers["x-request-id"], answer.content
        file, altered, key = tmp_path / "seen.json", tmp_path / "altered.json", tmp_path / "master.key"
        file.write_bytes(msgspec.json.format(content))
        altered.write_bytes(content.replace(b'"final"', b'"amended"', 1))

        async def shown(*words: str | Path) -> Result:
            return await asyncio.to_thread(run, *words, "--data", tmp_path)

        yes = await shown(request_id, file, "--key-file", key)
        assert yes.exit_code == 0, yes.output
        assert "yes, just this was shown" in yes.output
        assert GRACE not in yes.output
        no = await shown(request_id, altered, "--key-file", key, "--json")
        assert no.exit_code == 1
        told = json.loads(no.stdout)
        assert told["counts"]["shown-differently"] == 1
        assert told["rows"][0]["who"]["role"] == "gp"
        unknown = await shown("no-such-request", file, "--key-file", key)
        assert (unknown.exit_code, "no row of this request" in unknown.output) == (2, True)
        new_master_key(tmp_path / "other.key")
        other = await shown(request_id, file, "--key-file", tmp_path / "other.key")
        assert (other.exit_code, "another key" in other.output) == (2, True)
        outcome = tmp_path / "outcome.json"
        outcome.write_text('{"resourceType": "OperationOutcome"}')
        nothing = await shown(request_id, outcome, "--key-file", key)
        assert (nothing.exit_code, "no clinical resource" in nothing.output) == (2, True)


def test_the_command_needs_one_store(tmp_path: Path) -> None:
    file, key = tmp_path / "x.json", tmp_path / "k"
    new_master_key(key)
    file.write_text('{"resourceType": "Observation"}')
    assert run("r", file, "--key-file", key).exit_code == 2
    assert run("r", file, "--key-file", key, "--data", tmp_path / "nowhere").exit_code == 2
    assert run("r", tmp_path / "no-file", "--key-file", key, "--data", tmp_path).exit_code == 2
