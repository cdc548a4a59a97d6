"""Every FHIR answer is R4. Whatever the other tests ask is held against it as it comes (`tests.r4.Answers`); here every
door is asked, so that none goes without, and the check itself is shown to catch."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES
from tests.flow.stack import DANIEL, ELSIE, GRACE, MIA, SIOBHAN, STRANGER, TOMASZ, Stack, running
from tests.quick import only
from tests.r4 import Answers, Judged, Run, judged

ROLES = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")
QUICK = {("gp", GRACE)}
FEW = ("MedicationRequest",)
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"


@pytest.fixture(scope="module")
async def well(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    data: Path = tmp_path_factory.mktemp("r4")
    async with running(data) as stack:
        stack.answers.run = Run(every=True)
        yield stack


def clinical_doors(patient: str, kinds: Iterable[str]) -> Iterator[str]:
    """Every search, cut and counted, and the whole record, as a Bundle, as a document, and behind errors."""
    yield from (f"Patient/{patient}", f"Patient/{patient}/$everything", f"Patient/{patient}/$summary")
    yield f"Patient/{patient}?_summary=true"
    yield f"Patient?identifier={NHS_NUMBER}%7C{patient}&_elements=name"
    for kind in kinds:
        if kind != "Patient":
            yield f"{kind}?patient={patient}"
            yield f"Patient/{patient}/{kind}?_count=1"
            yield from (f"{kind}?patient={patient}&{cut}" for cut in ("_summary=true", "_summary=text", "_elements=id"))
            yield from (f"{kind}?patient={patient}&{cut}" for cut in ("_summary=data", "_summary=count", "_count=0"))
    yield from (
        "metadata",
        "Observation",
        "Observation?patient=1",
        f"Observation?patient={STRANGER}",
        "Nothing",
        "x/y/z",
    )


@pytest.mark.parametrize(("who", "patient"), only(QUICK, product(ROLES, (GRACE, DANIEL, TOMASZ, MIA, SIOBHAN, ELSIE))))
async def test_every_clinical_door_answers_in_r4(well: Stack, who: str, patient: str) -> None:
    await well.agree(patient, who)
    for door in clinical_doors(patient, FEW if (who, patient) in QUICK else SECTION_OF_TYPE):
        answer = await well.get(f"/fhir/R4/{door}", who)
        assert answer.headers["content-type"].startswith("application/fhir+json"), door
    searched = {path for method, path, status in well.answers.run.seen if (method, status) == ("GET", 200)}
    assert len(searched) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("who", ROLES)
async def test_every_resource_is_r4_by_itself(well: Stack, who: str) -> None:
    """A read of each kind, supporting ones too."""
    await well.agree(GRACE, who)
    entries = (await well.everything(GRACE, who)).json()["entry"]
    one_of_each = {each["resource"]["resourceType"]: each["fullUrl"] for each in entries}
    read = 0
    for kind, url in one_of_each.items():
        if kind in SECTION_OF_TYPE or kind in SUPPORTING_TYPES:
            answer = await well.client.get(url, headers=well.headers(who))
            read += answer.status_code == 200
    assert read >= 6


async def test_the_gateways_own_records_are_r4(well: Stack) -> None:
    await well.agree(GRACE)
    await well.everything(GRACE)
    for kind in ("AuditEvent", "Consent"):
        found = await well.get(f"/fhir/R4/{kind}?patient={GRACE}", "privacy-officer")
        assert found.status_code == 200, found.text
        url = next(e["fullUrl"] for e in found.json()["entry"] if e["resource"]["resourceType"] == kind)
        read = await well.client.get(url, headers=well.headers("privacy-officer"))
        assert read.json()["resourceType"] == kind
    statement = await well.get("/fhir/R4/metadata")
    assert statement.json()["resourceType"] == "CapabilityStatement"


async def test_a_batch_of_every_kind_is_r4(well: Stack) -> None:
    await well.agree(GRACE)
    urls = [f"Patient/{GRACE}", f"Patient/{GRACE}/$everything", f"Patient/{GRACE}/$summary", "x", f"Patient/{TOMASZ}"]
    body = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": url}} for url in urls],
    }
    answer = await well.post("/fhir/R4", body)
    assert len(answer.json()["entry"]) == len(urls)


def bundle(*resources: dict[str, Any], **more: Any) -> bytes:
    entries = [{"fullUrl": f"urn:uuid:{place}", "resource": each} for place, each in enumerate(resources)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries, **more}).encode()


FROM_RJ2 = {"tag": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "code": "RJ2"}]}
BROKEN = {"resourceType": "Observation", "status": "final", "value": 3}
OUTCOME: dict[str, Any] = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}


def test_the_check_tells_a_sources_fault_from_the_gateways_own() -> None:
    found = judged(bundle({**BROKEN, "meta": FROM_RJ2}, BROKEN))
    assert set(found.of_sources) == {"RJ2"}
    assert all("entry[0]" in what for what in found.of_sources["RJ2"])
    assert found.own
    assert all("entry[1]" in what for what in found.own)
    with pytest.raises(AssertionError, match="source's"):
        Answers().hold(bundle({**BROKEN, "meta": FROM_RJ2}))
    Answers(tolerated={"RJ2": "."}).hold(bundle({**BROKEN, "meta": FROM_RJ2}))
    with pytest.raises(AssertionError, match="source's"):
        Answers(tolerated={"RJ2": "unheard of"}).hold(bundle({**BROKEN, "meta": FROM_RJ2}))


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (bundle(type="searchset", entry=[]), "empty list"),
        (bundle(OUTCOME, total=1), "bdl-1"),
        (bundle(entry=[{"resource": OUTCOME, "search": {"mode": "match"}}]), "bdl-2"),
        (bundle(entry=[{"resource": OUTCOME, "request": {"method": "GET", "url": "x"}}]), "bdl-3"),
        (bundle(OUTCOME, type="batch-response"), "bdl-4"),
        (bundle(entry=[{"fullUrl": "urn:uuid:1"}]), "bdl-5"),
        (bundle(entry=[{"fullUrl": "urn:uuid:1", "resource": OUTCOME}] * 2), "bdl-7"),
        (bundle(entry=[{"fullUrl": "http://x/A/1/_history/2", "resource": OUTCOME}]), "bdl-8"),
        (bundle(OUTCOME, type="document"), "bdl-9"),
        (bundle(OUTCOME, type="document"), "bdl-10"),
        (bundle(OUTCOME, type="document"), "bdl-11"),
        (bundle(type="document", entry=[{"resource": OUTCOME}]), "fullUrl"),
        (bundle({"resourceType": "Patient", "text": {"status": "empty", "div": "<div> </div>"}}), "txt-2"),
        (bundle({"resourceType": "Composition", "section": [{"title": "x"}]}), "cmp-1"),
        (
            bundle({"resourceType": "Composition", "section": [{"entry": [{"reference": "x"}], "emptyReason": {}}]}),
            "cmp-2",
        ),
        (
            bundle({"resourceType": "Composition", "section": [{"text": {"status": "generated", "div": "<div/>"}}]}),
            "txt-2",
        ),
        (json.dumps({**OUTCOME, "unknown": 1}).encode(), "unknown element"),
        (json.dumps({**OUTCOME, "issue": [{"severity": "grave", "code": "invalid"}]}).encode(), "severity"),
        (json.dumps({"resourceType": "OperationOutcome"}).encode(), "issue"),
    ],
)
def test_the_check_catches_what_is_not_r4(body: bytes, rule: str) -> None:
    assert any(rule in what for what in judged(body).own), judged(body).own


def test_the_check_passes_what_is_r4() -> None:
    assert judged(json.dumps(OUTCOME).encode()) == Judged()
    assert judged(bundle(OUTCOME)) == Judged()


async def test_a_sample_is_one_of_each_kind(well: Stack) -> None:
    run = Run(every=False, sample=1)
    answer = await well.client.get("/fhir/R4/metadata")
    assert [run.wants(answer) for _ in range(3)] == [True, False, False]
    head = await well.client.head("/fhir/R4/metadata")
    assert not run.wants(head)
    other = await well.client.get("/livez")
    assert not run.wants(other)
