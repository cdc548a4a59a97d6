"""The FHIR surface as clients meet it: supporting reads, includes, ranges, compartments, other forms of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.search.supporting import SUPPORTING_READS
from tests.flow.stack import DANIEL, GRACE, TOMASZ, Stack, outcome, resources, running, told

PATIENT = f"/fhir/R4/Patient/{GRACE}"
EVERYTHING = f"{PATIENT}/$everything"
ORIGIN = "https://app.example"
ROLES = ("gp", "hospital-doctor", "nurse", "district-nurse", "occupational-therapist", "social-worker")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One gateway for all: everybody has GRACE's and DANIEL's permission, nobody changes anything."""
    place = tmp_path_factory.mktemp("surface")
    async with running(place, canaries=False, cors_origins=(ORIGIN,)) as stack:
        for who in ROLES:
            await stack.agree(GRACE, who)
            await stack.agree(DANIEL, who)
        yield stack


def matched(answer: httpx2.Response, mode: str = "match") -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [one["resource"] for one in answer.json()["entry"] if one["search"]["mode"] == mode]


def link(answer: httpx2.Response, relation: str) -> str:
    return next((one["url"] for one in answer.json()["link"] if one["relation"] == relation), "")


async def doors(stack: Stack, answer: httpx2.Response, nhs_number: str = GRACE) -> list[tuple[str, str]]:
    """Kind and door of each row of a request."""
    rows = await stack.rows(nhs_number, requestId=answer.headers["X-Request-ID"])
    return [(row["kind"], row["door"]) for row in rows]


class TestSupporting:
    @pytest.mark.parametrize("patient", [GRACE, DANIEL])
    async def test_a_role_reads_just_those_that_its_own_record_refers_to(self, stack: Stack, patient: str) -> None:
        """Hidden and absent are one answer, but for the id that was asked for: no oracle."""
        records = {who: resources((await stack.everything(patient, who)).json()) for who in ("gp", "social-worker")}
        known = {
            who: {f"{one['resourceType']}/{one['id']}": one for one in held if one["resourceType"] in SUPPORTING_READS}
            for who, held in records.items()
        }
        hidden = sorted(known["gp"].keys() - known["social-worker"].keys())
        assert hidden
        for reference in sorted(known["social-worker"])[:4]:
            answer = await stack.get(f"/fhir/R4/{reference}", "social-worker")
            assert answer.status_code == 200, reference
            assert answer.json() == known["social-worker"][reference]
        for reference in hidden[:4]:
            kind, _, id_ = reference.partition("/")
            nowhere = await stack.get(f"/fhir/R4/{kind}/{id_[:-1]}{'b' if id_.endswith('a') else 'a'}", "social-worker")
            answer = await stack.get(f"/fhir/R4/{reference}", "social-worker")
            assert (answer.status_code, told(answer)) == (404, told(nowhere))
            assert (await stack.get(f"/fhir/R4/{reference}")).json() == known["gp"][reference]

    async def test_a_read_asks_that_source_alone_and_is_journalled_as_a_look(self, stack: Stack) -> None:
        (medication, *_) = resources((await stack.everything(GRACE)).json(), "Medication")
        source = medication["meta"]["tag"][0]["code"]
        asked = {ods: one.state()["calls"]["total"] for ods, one in stack.sandboxes.items()}
        answer = await stack.get(f"/fhir/R4/Medication/{medication['id']}?_elements=code")
        assert set(answer.json()) <= {"resourceType", "id", "meta", "status", "code"}
        rows = await stack.rows(GRACE, requestId=answer.headers["X-Request-ID"])
        assert [(row["kind"], row["door"]) for row in rows] == [
            ("intent", "GET /fhir/R4/Medication/{resource_id}"),
            ("release", "GET /fhir/R4/Medication/{resource_id}"),
        ]
        assert rows[1]["seen"] == {"supporting": 1}
        called = {ods for ods, one in stack.sandboxes.items() if one.state()["calls"]["total"] > asked[ods]}
        assert source in called
        assert called <= {source, "G85005", "G85004", "G83021"}, "practices say who is registered there"

    @pytest.mark.parametrize("kind", SUPPORTING_READS)
    async def test_they_are_not_searched(self, stack: Stack, kind: str) -> None:
        calls = stack.calls()
        for path in (f"/fhir/R4/{kind}?_id=x", f"/fhir/R4/{kind}", f"{PATIENT}/{kind}"):
            answer = await stack.get(path)
            assert answer.status_code == 400
            assert "Read it by the id" in told(answer)
        assert stack.calls() == calls


class TestIncludes:
    async def test_only_what_is_named_comes_along(self, stack: Stack) -> None:
        base = f"/fhir/R4/Encounter?patient={GRACE}"
        automatic = {one["resourceType"] for one in matched(await stack.get(base), "include")}
        assert {"Location", "Organization", "Practitioner"} <= automatic
        for include, kind in (
            ("Encounter:location", "Location"),
            ("Encounter:service-provider", "Organization"),
            ("Encounter:practitioner:Practitioner", "Practitioner"),
        ):
            answer = await stack.get(f"{base}&_include={include}")
            assert {one["resourceType"] for one in matched(answer, "include")} - {"Linkage"} == {kind}
            assert link(answer, "self").endswith(f"&_include={include}")
            assert len(matched(answer)) == len(matched(await stack.get(base)))
            Bundle.model_validate_json(answer.content)

    async def test_they_go_with_the_page(self, stack: Stack) -> None:
        first = await stack.get(
            f"/fhir/R4/MedicationRequest?patient={GRACE}&_count=1"
            "&_include=MedicationRequest:requester&_include=MedicationRequest:medication"
        )
        second = await stack.get(link(first, "next"))
        for answer in (first, second):
            (request,) = matched(answer)
            named = {request.get(name, {}).get("reference") for name in ("requester", "medicationReference")}
            sent = {f"{one['resourceType']}/{one['id']}" for one in matched(answer, "include")}
            assert {one for one in sent if not one.startswith("Linkage")} == named - {None}
        assert GRACE not in link(first, "next")

    @pytest.mark.parametrize("value", ["*", "Encounter:diagnosis", "Encounter:patient", "Observation:performer"])
    async def test_anything_else_is_refused_before_anybody_is_asked(self, stack: Stack, value: str) -> None:
        calls = stack.calls()
        answer = await stack.get(f"/fhir/R4/Encounter?patient={GRACE}&_include={value}")
        assert answer.status_code == 400
        assert "Encounter:location" in told(answer)
        assert stack.calls() == calls


class TestEverything:
    async def test_a_range_is_told_and_keeps_what_stands(self, stack: Stack) -> None:
        whole = matched(await stack.get(EVERYTHING))
        answer = await stack.get(f"{EVERYTHING}?start=2026-01-01")
        some = matched(answer)
        assert 0 < len(some) < len(whole)
        kept = {(one["resourceType"], one["id"]) for one in some}
        for kind in ("Patient", "AllergyIntolerance"):
            assert {(kind, one["id"]) for one in whole if one["resourceType"] == kind} <= kept
        assert "gives no date for" in outcome(answer.json())[0]
        assert answer.json()["total"] == len(some)
        Bundle.model_validate_json(answer.content)

    async def test_the_range_goes_on_through_the_pages(self, stack: Stack) -> None:
        url = f"{EVERYTHING}?start=2026-01-01&_since=2020-01-01&_count=40"
        expected = [one["id"] for one in matched(await stack.get(url.removesuffix("&_count=40")))]
        found: list[str] = []
        while url:
            answer = await stack.get(url)
            assert "2026-01-01" in outcome(answer.json())[0]
            found += [one["id"] for one in matched(answer)]
            url = link(answer, "next")
        assert found == expected

    async def test_by_post_with_parameters_or_without(self, stack: Stack) -> None:
        headers = stack.headers("gp")
        parameters = [
            {"name": "_type", "valueCode": "Condition"},
            {"name": "_type", "valueCode": "Patient"},
            {"name": "end", "valueDate": "2026-12-31"},
        ]
        body = {"resourceType": "Parameters", "parameter": parameters}
        posted = await stack.client.post(EVERYTHING, json=body, headers=headers)
        got = await stack.get(f"{EVERYTHING}?end=2026-12-31&_type=Condition,Patient")
        assert [one["id"] for one in matched(posted)] == [one["id"] for one in matched(got)]
        assert await doors(stack, posted) == [
            ("intent", "POST /fhir/R4/Patient/{patient}/$everything"),
            ("release", "POST /fhir/R4/Patient/{patient}/$everything"),
        ]
        assert len(matched(await stack.client.post(EVERYTHING, headers=headers))) == len(
            matched(await stack.get(EVERYTHING))
        )
        for wrong, kind, status in (
            (b"start=2024", "application/x-www-form-urlencoded", 415),
            (b"start=2024", "application/fhir+json", 400),
            (b"<Parameters/>", "application/fhir+xml", 415),
            (
                b'{"resourceType":"Parameters","parameter":[{"name":"patient","valueString":"x"}]}',
                "application/json",
                400,
            ),
        ):
            answer = await stack.client.post(EVERYTHING, content=wrong, headers=headers | {"Content-Type": kind})
            assert answer.status_code == status
            assert told(answer)


class TestCompartments:
    async def test_it_is_the_search_of_the_type(self, stack: Stack) -> None:
        for kind, query in (("Encounter", ""), ("Condition", "?clinical-status=active"), ("Observation", "?_count=2")):
            joined = f"&{query[1:]}" if query else ""
            search = await stack.get(f"/fhir/R4/{kind}?patient={GRACE}{joined}")
            answer = await stack.get(f"{PATIENT}/{kind}{query}")
            assert [one["id"] for one in matched(answer)] == [one["id"] for one in matched(search)]
            assert link(answer, "self") == f"http://127.0.0.1:8000{PATIENT}/{kind}{query}"
        assert matched(await stack.get(link(answer, "next"))) == matched(await stack.get(link(search, "next")))
        door = f"GET /fhir/R4/Patient/{{patient}}/{kind}"
        assert await doors(stack, answer) == [("intent", door), ("release", door)]

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (f"{PATIENT}/Encounter?patient={TOMASZ}", 400),
            (f"{PATIENT}/Encounter?patient={GRACE}", 400),
            (f"{PATIENT}/Encounter?colour=red", 400),
            (f"{PATIENT}/Encounter?_cursor=abc", 400),
            (f"{PATIENT}/Patient", 404),
            (f"{PATIENT}/Claim", 404),
            (f"{PATIENT}/$match", 404),
            (f"{PATIENT}/*", 404),
            (f"/fhir/R4/Patient/{TOMASZ}/Encounter", 403),
            ("/fhir/R4/Patient/9990000400/Encounter", 400),
            (f"/fhir/R4/Encounter/{GRACE}/Observation", 404),
        ],
    )
    async def test_what_is_refused(self, stack: Stack, path: str, status: int) -> None:
        calls = stack.calls()
        answer = await stack.get(path)
        assert answer.status_code == status, answer.text
        assert told(answer)
        assert stack.calls() == calls


LENIENT = {"Prefer": "respond-async, handling=lenient"}


class TestLenient:
    async def test_what_is_not_known_is_left_out_and_said(self, stack: Stack) -> None:
        path = f"/fhir/R4/Observation?patient={GRACE}&colour=red&_count=3&_include=Observation:encounter"
        assert (await stack.get(path)).status_code == 400
        assert (await stack.get(path, headers={"Prefer": "handling=strict"})).status_code == 400
        answer = await stack.get(path, headers=LENIENT)
        assert len(matched(answer)) == 3
        assert "`colour`, `_include`" in outcome(answer.json())[0]
        assert link(answer, "self").endswith(f"/Observation?patient={GRACE}&_count=3")
        assert answer.headers["Preference-Applied"] == "handling=lenient"
        following = await stack.get(link(answer, "next"))
        assert "Preference-Applied" not in following.headers
        assert "`colour`, `_include`" in outcome(following.json())[0], "the question is as wide on the next page"
        Bundle.model_validate_json(answer.content)

    @pytest.mark.parametrize(
        "more",
        [
            "subject=x",
            "patientId=x",
            "NHS-No=x",
            "_offset=3",
            "code:not=x",
            "encounter.date=2024",
            "_has:Condition:patient:code=1",
            "_filter=x",
            "date=x",
        ],
    )
    async def test_what_says_whose_or_asks_through_others_is_refused(self, stack: Stack, more: str) -> None:
        answer = await stack.get(f"/fhir/R4/Observation?patient={GRACE}&{more}", headers=LENIENT)
        assert answer.status_code == 400
        assert (await stack.get("/fhir/R4/Observation?colour=red", headers=LENIENT)).status_code == 400


class TestForms:
    GETS = (
        "/livez",
        "/fhir/R4/metadata",
        EVERYTHING,
        f"{PATIENT}/Encounter",
        f"/fhir/R4/Observation?patient={GRACE}&_count=1",
        PATIENT,
        f"/fhir/R4/Patient/{TOMASZ}",
        "/fhir/R4/Observation",
        "/fhir/R4/nothing/here/at/all",
        "/nowhere",
        "/permissions",
    )

    @pytest.mark.parametrize("path", GETS)
    async def test_a_head_is_a_get_without_its_body(self, stack: Stack, path: str) -> None:
        got = await stack.get(path)
        head = await stack.client.head(path, headers=stack.headers("gp"))
        assert (head.status_code, head.content) == (got.status_code, b"")
        varying = {"x-request-id", "content-length"}
        assert {name: value for name, value in head.headers.items() if name not in varying} == {
            name: value for name, value in got.headers.items() if name not in varying
        }
        assert abs(int(head.headers["content-length"]) - len(got.content)) < 8
        assert await doors(stack, head) == await doors(stack, got)

    async def test_a_head_where_there_is_no_get_is_refused(self, stack: Stack) -> None:
        answer = await stack.client.head("/sharing-choices/_search", headers=stack.headers("privacy-officer"))
        assert answer.status_code in (404, 405)

    @pytest.mark.parametrize(
        "path",
        ["/fhir/R4/metadata", EVERYTHING, PATIENT, f"{PATIENT}/Encounter", "/fhir/R4/Claim", "/fhir/R4/AuditEvent"],
    )
    async def test_a_slash_at_the_end_changes_nothing_and_redirects_nobody(self, stack: Stack, path: str) -> None:
        plain, slashed = await stack.get(path), await stack.get(f"{path}/")
        assert slashed.status_code == plain.status_code
        assert (await stack.get(f"{path}//")).status_code == 404
        if path == EVERYTHING:
            assert matched(plain) == matched(slashed)

    async def test_a_post_keeps_its_body_with_a_slash(self, stack: Stack) -> None:
        for path in ("/fhir/R4/Encounter/_search", "/fhir/R4/Encounter/_search/"):
            answer = await stack.client.post(path, data={"patient": GRACE}, headers=stack.headers("gp"))
            assert matched(answer)
        assert (await stack.client.post("/permissions/", json={}, headers=stack.headers("gp"))).status_code == 404

    async def test_405_names_head_beside_get(self, stack: Stack) -> None:
        answer = await stack.client.put(PATIENT, headers=stack.headers("gp"))
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    @pytest.mark.parametrize("form", ["json", "application/json", "application/fhir%2Bjson", "application/fhir+json"])
    async def test_json_in_each_spelling(self, stack: Stack, form: str) -> None:
        answer = await stack.get(f"{PATIENT}?_format={form}", headers={"Accept": "application/xml"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")

    @pytest.mark.parametrize("path", ["/fhir/R4/metadata?", f"{PATIENT}?", f"{EVERYTHING}?", f"{PATIENT}/Encounter?"])
    async def test_xml_is_406_and_says_what_there_is(self, stack: Stack, path: str) -> None:
        calls = stack.calls()
        for xml in ("xml", "text/xml", "application/xml", "application/fhir+xml", "ttl", "html"):
            answer = await stack.get(f"{path}_format={xml}")
            assert answer.status_code == 406
            assert "Only FHIR JSON is offered" in told(answer)
        for accept in ("application/fhir+xml", "text/html", "application/xml;q=0.9, text/turtle"):
            assert (await stack.get(path, headers={"Accept": accept})).status_code == 406
        for accept in ("*/*", "application/*", "application/fhir+xml, application/json;q=0.1"):
            assert (await stack.get("/fhir/R4/Claim", headers={"Accept": accept})).status_code == 404
        assert stack.calls() == calls

    async def test_answers_are_never_stored_so_there_is_nothing_to_ask_conditionally(self, stack: Stack) -> None:
        answer = await stack.get(
            PATIENT, headers={"If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        )
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert "etag" not in answer.headers


class TestBrowsers:
    async def test_a_named_origin_may_ask_and_read_the_headers_that_matter(self, stack: Stack) -> None:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization, dpop, prefer, x-medplum",
        }
        preflight = await stack.client.options(PATIENT, headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in preflight.headers
        answer = await stack.get(PATIENT, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Connect-Care-Sources" in answer.headers["access-control-expose-headers"]
        assert {one.strip() for one in answer.headers["vary"].split(",")} == {"Origin", "Authorization"}
        refused = await stack.client.get(PATIENT, headers={"Origin": ORIGIN})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)
        assert (await stack.client.get("/fhir/R4/metadata")).json()["rest"][0]["security"]["cors"] is True

    @pytest.mark.parametrize(
        "origin", ["https://app.example.evil.example", "http://app.example", "https://APP.example", "null"]
    )
    async def test_no_other_is_let_in(self, stack: Stack, origin: str) -> None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        preflight = await stack.client.options(PATIENT, headers=asked)
        assert preflight.status_code == 403
        assert "cors_origins" in told(preflight)
        for answer in (preflight, await stack.get(PATIENT, headers={"Origin": origin})):
            assert "access-control-allow-origin" not in answer.headers
