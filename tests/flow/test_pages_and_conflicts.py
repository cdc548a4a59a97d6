"""Pages that add up, conflicts on every page, and a journal that names just what was sent."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from connectors.sdk.model import SECTION_OF_TYPE, Outcome, Section, SourceWarning
from gateway.api.questions import Bundled
from gateway.api.reading import ReadById
from gateway.manifest import ManifestLine
from gateway.shown import Rendered, Shown
from tests.flow.stack import GRACE, Stack, resources, told

SYSTEM = "https://fhir.nhs.uk/Id/nhs-number"
IDENTIFIED = f"/fhir/R4/Patient?identifier={SYSTEM}%7C{GRACE}"
EVERYTHING = f"/fhir/R4/Patient/{GRACE}/$everything"


def link(answer: httpx2.Response, relation: str) -> str:
    assert answer.status_code == 200, answer.text
    return next((one["url"] for one in answer.json()["link"] if one["relation"] == relation), "")


def ids(answer: httpx2.Response, *modes: str) -> list[str]:
    """`Type/id` of the entries of these search modes, but for what the gateway made itself."""
    assert answer.status_code == 200, answer.text
    entries = [entry for entry in answer.json()["entry"] if entry["search"]["mode"] in (modes or ("match", "include"))]
    named = [(entry["resource"]["resourceType"], entry["resource"]["id"]) for entry in entries]
    return [f"{kind}/{id_}" for kind, id_ in named if kind != "Linkage"]


def source_of(resource: dict[str, Any]) -> str:
    return str(resource["meta"]["tag"][0]["code"])


async def pages(stack: Stack, url: str) -> list[httpx2.Response]:
    found = []
    while url:
        found.append(await stack.get(url))
        url = link(found[-1], "next")
    return found


class TestPagesAddUp:
    async def test_a_source_that_breaks_between_two_pages_ends_the_paging(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        for ods in ("RJ2", "G85005", "RPG"):
            first = await stack.get(f"{EVERYTHING}?_count=57")
            stack.make(ods, "broken")
            second = await stack.get(link(first, "next"))
            assert second.status_code == 410
            assert json.loads(second.content)["issue"][0]["code"] == "conflict"
            assert "Begin again with the first page" in told(second)
            refused = [row for row in await stack.rows(GRACE) if row["kind"] == "refusal"][-1]
            assert (refused["kind"], refused["rule"]) == ("refusal", "search.cursor-stale")
            stack.make(ods, "well")

    async def test_a_source_that_comes_back_between_two_pages_ends_it_too(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        stack.make("RJ2", "broken")
        first = await stack.get(f"{EVERYTHING}?_count=20")
        stack.make("RJ2", "well")
        assert (await stack.get(link(first, "next"))).status_code == 410

    async def test_what_is_missing_all_along_keeps_nobody_from_the_rest(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        stack.make("RJ2", "broken")
        whole = await stack.everything(GRACE)
        first = await stack.get(f"{EVERYTHING}?_count=20")
        stack.make("RJ2", "refusing")  # another reason for the same nothing
        rest = await pages(stack, link(first, "next"))
        matches = [one for page in (first, *rest) for one in ids(page, "match")]
        assert len(matches) == len(set(matches))
        assert set(matches) == set(ids(whole, "match"))


class TestPatientSearch:
    async def test_a_birth_date_that_only_another_source_has_finds_the_patient(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        main = resources((await stack.get(IDENTIFIED)).json(), "Patient")[0]
        sandbox = stack.sandboxes[source_of(main)]
        inner = sandbox._system

        async def with_another_birth_date(scope: Any, receive: Any, send: Any) -> None:
            async def changed(message: Any) -> None:
                body = message.get("body", b"").replace(b'"1958-03-12"', b'"1958-12-03"')
                await send(message | ({"body": body} if body else {}))

            await inner(scope, receive, changed)

        sandbox._system = with_another_birth_date
        for date in ("1958-03-12", "1958-12-03"):
            answer = await stack.get(f"{IDENTIFIED}&birthdate={date}")
            assert ids(answer, "match") == [f"Patient/{GRACE}"]
            assert answer.json()["total"] == 1
            (found,) = [one for one in resources(answer.json(), "Patient") if one["id"] == GRACE]
            assert found["birthDate"] == "1958-12-03"
        (linkage,) = resources(answer.json(), "Linkage")
        assert "birthDate" in json.dumps(linkage["extension"])


def linkages(answer: httpx2.Response) -> dict[str, dict[str, Any]]:
    """By what they link and say: the same group in two answers."""
    assert answer.status_code == 200, answer.text
    found = [entry for entry in answer.json()["entry"] if entry["resource"]["resourceType"] == "Linkage"]
    assert all(entry["fullUrl"].startswith("urn:uuid:") for entry in found)
    return {json.dumps([one["resource"]["item"], one["resource"]["extension"]]): one["resource"] for one in found}


def members(linkage: dict[str, Any]) -> list[str]:
    return [one["resource"]["reference"] for one in linkage["item"]]


class TestConflicts:
    @pytest.mark.parametrize("size", [1, 5, 20, 57])
    async def test_no_conflict_falls_between_pages(self, stack: Stack, size: int) -> None:
        await stack.agree(GRACE)
        whole = linkages(await stack.everything(GRACE))
        assert whole
        times: Counter[str] = Counter()
        types = "Patient,MedicationStatement,MedicationRequest"
        for page in await pages(stack, f"{EVERYTHING}?_count={size}&_type={types}"):
            here = linkages(page)
            times.update(here.keys())
            matches = set(ids(page, "match"))
            assert all(matches & set(members(one)) for one in here.values())
        assert set(times.values()) == {1}
        assert times.keys() == {
            key for key, one in whole.items() if members(one)[0].startswith(("Patient/", "Medication"))
        }

    async def test_a_search_of_one_type_tells_its_conflicts(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        whole = linkages(await stack.everything(GRACE))
        kinds = {member.partition("/")[0] for one in whole.values() for member in members(one)}
        assert "MedicationStatement" in kinds
        for kind in kinds - {"Patient"}:
            expected = {key for key, one in whole.items() if any(m.startswith(f"{kind}/") for m in members(one))}
            url = f"/fhir/R4/{kind}?patient={GRACE}"
            for more in ("", "&_elements=id", "&_summary=true"):
                assert linkages(await stack.get(url + more)).keys() == expected, url + more
            assert not linkages(await stack.get(f"{url}&_summary=count"))

    async def test_what_a_conflict_names_can_be_read(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        found = linkages(await stack.get(f"/fhir/R4/MedicationStatement?patient={GRACE}&_count=1"))
        named = {member for one in found.values() for member in members(one)}
        assert named
        for member in named:
            assert (await stack.get(f"/fhir/R4/{member}")).status_code == 200

    async def test_a_search_tells_only_of_what_it_found(self, stack: Stack) -> None:
        await stack.agree(GRACE)
        answer = await stack.get(f"/fhir/R4/MedicationStatement?patient={GRACE}&status=entered-in-error")
        assert ids(answer, "match") == []
        assert linkages(answer) == {}


PAGED = ("_format=json", "_count=0", "_count=1")
SHAPED = ("_summary=true", "_summary=text", "_summary=data", "_summary=count", "_elements=id")
SEARCHES = (
    *(f"/fhir/R4/{kind}?patient={GRACE}&" for kind in ("MedicationRequest", "Observation", "AllergyIntolerance")),
    f"/fhir/R4/Patient?_id={GRACE}&",
)


@pytest.mark.parametrize("mode", [*PAGED, *SHAPED])
async def test_the_journal_names_just_what_is_in_the_bytes(
    stack: Stack, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[Rendered] = []
    search = Bundled.search

    def noted(self: Bundled, shown: Shown) -> Rendered:
        rendered.append(search(self, shown))
        return rendered[-1]

    monkeypatch.setattr(Bundled, "search", noted)
    await stack.agree(GRACE)
    for url in (*SEARCHES, f"{EVERYTHING}?") if mode in PAGED else SEARCHES:
        answer = await stack.get(url + mode)
        sent = ids(answer)
        assert Counter(sent) == Counter(f"{item.type}/{item.sealed_id}" for item in rendered[-1].items), url
        assert rendered[-1].total == answer.json()["total"]
        seen = next(row.get("seen", {}) for row in reversed(await stack.rows(GRACE)) if row["kind"] == "release")
        sections = Counter(SECTION_OF_TYPE.get(one.partition("/")[0], "supporting") for one in sent)
        assert seen == dict(sections), url
        if mode in ("_summary=count", "_count=0"):
            assert sent == []
            assert answer.json()["total"] > 0
        if mode == "_summary=text":
            assert ids(answer, "include") == []


@pytest.mark.parametrize(("warned", "status"), [(Section.RESULTS, 503), (None, 503), (Section.MEDICINES, 404)])
async def test_what_a_source_says_it_holds_back_is_not_told_as_absent(
    stack: Stack, warned: Section | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ReadById.search
    line = ManifestLine("RJ2", "Trust", Outcome.ANSWERED, warnings=(SourceWarning(warned, "x", "Not all of it."),))

    def of_a_source_that_warns(self: ReadById, shown: Shown) -> Rendered:
        return search(self, replace(shown, items=[], manifest=replace(shown.manifest, lines=(line,))))

    await stack.agree(GRACE)
    found = ids(await stack.get(f"/fhir/R4/Observation?patient={GRACE}&_count=1"), "match")
    monkeypatch.setattr(ReadById, "search", of_a_source_that_warns)
    assert (await stack.get(f"/fhir/R4/{found[0]}")).status_code == status
