"""Where a practice is and under which ASIDs it is asked: SDS, the table in the settings, and what start-up refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from connectors.gp_connect.directory import STRUCTURED_RECORD, SpineDirectory, stand_in
from connectors.gp_connect.errors import NoRoute, NoSender
from connectors.gp_connect.kept import Kept
from connectors.gp_connect.settings import Sds
from connectors.sdk.connector import connect
from connectors.sdk.errors import ConfigurationError, Refused, SourceError, SourceTimeout, WrongContent
from connectors.sdk.model import Gap, Section
from tests.connectors.asking import ASKED_BY, asking
from tests.connectors.gp_connect_asking import SHARED, Written, asked_of, over, practice
from tests.leaping import BACKEND
from tests.wire import soon

SDS = SHARED / "sds"
ODS, ADDRESS, KEY, ASID = "G85005", "https://gp.example/G85005/STU3/1/gpconnect/", "G85005-822104", "928942012545"
ALLERGIES = frozenset({Section.ALLERGIES})
DIRECTORY = "http://sds.test/spine-directory/FHIR/R4"
SECURE = "https://sds.test/spine-directory/FHIR/R4"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


def endpoint(ods: str = ODS, address: str = ADDRESS, key: str | None = KEY, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": "e",
        "status": "active",
        "address": address,
        "managingOrganization": {
            "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": ods}
        },
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhsMhsPartyKey", "value": key}] if key else [],
        **more,
    }


def device(ods: str = ODS, asid: str = ASID) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "id": "d",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhsSpineASID", "value": asid}],
        "owner": {"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": ods}},
    }


def searchset(*resources: Any) -> dict[str, Any]:
    entries = [{"resource": one, "search": {"mode": "match"}} for one in resources]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(resources), "entry": entries}


def organisation_in(query: list[tuple[str, str]]) -> str:
    return dict(query)["organization"].partition("|")[2]


def its_device(query: list[tuple[str, str]]) -> dict[str, Any]:
    """The Device of whichever organisation is asked for."""
    ods = organisation_in(query)
    return searchset(device(ods, ASID if ods == "RJ2" else stand_in(ods)))


class Register:
    """SDS: what it answers by resource type, and who asked what."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"Endpoint": searchset(endpoint()), "Device": searchset(device()), **answers}
        self.calls: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = []
        self.wait = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        kind = scope["path"].rpartition("/")[2]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode())
        self.calls.append((kind, query, headers))
        await asyncio.sleep(self.wait)
        told = self.answers[kind]
        if isinstance(told, Callable):  # type: ignore[arg-type]
            told = told(query)
        status, body = (told, {}) if isinstance(told, int) else (200, told)
        content_type = [(b"content-type", b"application/fhir+json")]
        await send({"type": "http.response.start", "status": status, "headers": content_type})
        await send(
            {"type": "http.response.body", "body": body if isinstance(body, bytes) else json.dumps(body).encode()}
        )

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.calls]


def directory_of(register: Register, asids: dict[str, str] | None = None, **settings: Any) -> SpineDirectory:
    sds = Sds.model_validate({"address": DIRECTORY, **settings})
    return SpineDirectory(sds, asids or {}, over(register))


# ---- SDS ----


async def test_a_route_is_the_endpoint_and_the_asid_of_its_party_key() -> None:
    register = Register()
    route = await directory_of(register).route(ODS, STRUCTURED_RECORD, soon())
    assert (route.address, route.asid) == (ADDRESS, ASID)
    organisation = ("organization", "https://fhir.nhs.uk/Id/ods-organization-code|G85005")
    interaction = ("identifier", f"https://fhir.nhs.uk/Id/nhsServiceInteractionId|{STRUCTURED_RECORD}")
    party = ("identifier", f"https://fhir.nhs.uk/Id/nhsMhsPartyKey|{KEY}")
    assert [(kind, query) for kind, query, _ in register.calls] == [
        ("Endpoint", [organisation, interaction]),
        ("Device", [organisation, interaction, party]),
    ]


async def test_the_published_payloads_are_understood() -> None:
    """Their mock answers for GP0001 in the Endpoint, and for `org` in the Device."""
    payloads = {"Endpoint": SDS / "sdsGetStructuredRecord.json", "Device": SDS / "sdsDevice.json"}
    if not SDS.exists():
        pytest.skip(f"the directory's payloads are not at {SDS}")
    told = {kind: await asyncio.to_thread(file.read_bytes) for kind, file in payloads.items()}
    told = {kind: body.replace(b"{{request.baseUrl}}", b"https://sds.example") for kind, body in told.items()}
    told["Device"] = told["Device"].replace(b'"org"', b'"GP0001"')
    route = await directory_of(Register(**told)).route("GP0001", STRUCTURED_RECORD, soon())
    assert (route.address, route.asid) == ("https://sds.example/GP0001/STU3/1/gpconnect/", "928942012545")


async def test_the_published_empty_answer_is_no_route() -> None:
    if not SDS.exists():
        pytest.skip(f"the directory's payloads are not at {SDS}")
    empty = await asyncio.to_thread((SDS / "sdsEmptyResult.json").read_bytes)
    with pytest.raises(NoRoute):
        await directory_of(Register(Endpoint=empty)).route(ODS, STRUCTURED_RECORD, soon())


async def test_the_callers_asid_is_that_of_their_organisation_and_our_product() -> None:
    register = Register(Device=its_device)
    assert await directory_of(register, manufacturer="X99").sender("RJ2", soon()) == ASID
    ((kind, query, _),) = register.calls
    assert kind == "Device"
    assert dict(query)["organization"].endswith("|RJ2")
    assert dict(query)["manufacturing-organization"] == "https://fhir.nhs.uk/Id/ods-organization-code|X99"


async def test_a_written_asid_goes_before_a_look_up() -> None:
    register = Register()
    directory = directory_of(register, {ODS: "1", "RJ2": "2"})
    assert await directory.sender("RJ2", soon()) == "2"
    assert (await directory.route(ODS, STRUCTURED_RECORD, soon())).asid == "1"
    assert register.kinds() == ["Endpoint"]


@pytest.mark.parametrize(
    "answers",
    [
        {"Endpoint": searchset()},
        {"Endpoint": searchset(endpoint(status="off"))},
        {"Endpoint": searchset(endpoint(), endpoint(address="https://other.example/"))},
        {"Endpoint": searchset(endpoint(ods="G85004"))},
        {"Endpoint": searchset(endpoint(address=""))},
        {"Endpoint": searchset(endpoint(address="gp.example/no-scheme"))},
        {"Endpoint": searchset(endpoint(address="https://user:secret@gp.example/"))},
        {"Endpoint": searchset({"resourceType": "Device"})},
        {"Endpoint": {"resourceType": "OperationOutcome"}},
        {"Endpoint": {"resourceType": "Bundle", "entry": {}}},
        {"Device": searchset()},
        {"Device": searchset(device(), device(asid="2"))},
        {"Device": searchset(device(ods="G85004"))},
        {"Device": searchset(device(asid="not a number"))},
        {"Device": searchset(device(asid="1\r\nX-More: 1"))},
    ],
)
async def test_nobody_guesses_a_route(answers: dict[str, Any]) -> None:
    with pytest.raises(NoRoute) as caught:
        await directory_of(Register(**answers)).route(ODS, STRUCTURED_RECORD, soon())
    assert caught.value.told == "could not be found in the national directory of GP systems"


async def test_one_endpoint_listed_twice_is_one() -> None:
    register = Register(Endpoint=searchset(endpoint(), endpoint()), Device=searchset(device(), device()))
    assert (await directory_of(register).route(ODS, STRUCTURED_RECORD, soon())).asid == ASID


async def test_an_endpoint_without_a_party_key_is_looked_up_without_it() -> None:
    register = Register(Endpoint=searchset(endpoint(key=None)))
    assert (await directory_of(register).route(ODS, STRUCTURED_RECORD, soon())).asid == ASID


@pytest.mark.parametrize("answers", [{"Device": searchset()}, {"Device": searchset(device("RJ2"), device("RJ2", "2"))}])
async def test_nobody_is_asked_under_anothers_asid(answers: dict[str, Any]) -> None:
    with pytest.raises(NoSender) as caught:
        await directory_of(Register(**answers)).sender("RJ2", soon())
    assert "your organisation" in caught.value.told


async def test_plain_http_is_followed_only_from_a_sandbox_directory() -> None:
    register = Register(Endpoint=searchset(endpoint(address="http://gp.example/fhir")))
    assert await directory_of(register).route(ODS, STRUCTURED_RECORD, soon())
    with pytest.raises(NoRoute):
        await directory_of(register, address="https://sds.test/FHIR/R4").route(ODS, STRUCTURED_RECORD, soon())


@pytest.mark.parametrize(("told", "error"), [(401, Refused), (403, Refused), (500, SourceError), (b"<", WrongContent)])
async def test_a_directory_that_fails_says_how(told: Any, error: type) -> None:
    with pytest.raises(error):
        await directory_of(Register(Endpoint=told)).route(ODS, STRUCTURED_RECORD, soon())


async def test_the_key_of_the_directory_is_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    await asyncio.to_thread(secret.write_text, "s3cret\n")
    register = Register()
    auth = {"scheme": "header", "name": "apikey", "value_file": str(secret)}
    await directory_of(register, auth=auth).route(ODS, STRUCTURED_RECORD, soon())
    assert [headers["apikey"] for _, _, headers in register.calls] == ["s3cret", "s3cret"]


# ---- kept for a while, looked up once for all ----


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    register = Register()
    directory = directory_of(register, ttl=0.2)
    for _ in range(3):
        await directory.route(ODS, STRUCTURED_RECORD, soon())
    assert register.kinds() == ["Endpoint", "Device"]
    await asyncio.sleep(0.25)
    await directory.route(ODS, STRUCTURED_RECORD, soon())
    assert register.kinds() == ["Endpoint", "Device"] * 2


async def test_all_who_ask_at_once_wait_for_one_look_up() -> None:
    register = Register()
    register.wait = 0.05
    directory = directory_of(register)
    routes = await asyncio.gather(*(directory.route(ODS, STRUCTURED_RECORD, soon()) for _ in range(20)))
    assert (register.kinds(), len(set(routes))) == (["Endpoint", "Device"], 1)
    await directory.aclose()


async def test_where_it_fails_it_fails_for_all_who_waited_and_is_asked_anew() -> None:
    register = Register(Endpoint=404)
    register.wait = 0.05
    directory = directory_of(register)
    asked = [directory.route(ODS, STRUCTURED_RECORD, soon()) for _ in range(5)]
    assert all(isinstance(found, SourceError) for found in await asyncio.gather(*asked, return_exceptions=True))
    assert register.kinds() == ["Endpoint"]
    register.answers["Endpoint"] = searchset(endpoint())
    assert await directory.route(ODS, STRUCTURED_RECORD, soon())


async def test_each_waits_until_its_own_deadline() -> None:
    register = Register()
    register.wait = 0.15
    directory = directory_of(register)
    patient = asyncio.create_task(directory.route(ODS, STRUCTURED_RECORD, soon(2)))
    with pytest.raises(SourceTimeout):
        await directory.route(ODS, STRUCTURED_RECORD, soon(0.05))
    assert (await patient).asid == ASID
    assert register.kinds() == ["Endpoint", "Device"]


async def test_who_gives_up_leaves_the_look_up_to_the_others() -> None:
    register = Register()
    register.wait = 0.1
    directory = directory_of(register)
    first = asyncio.create_task(directory.route(ODS, STRUCTURED_RECORD, soon()))
    second = asyncio.create_task(directory.route(ODS, STRUCTURED_RECORD, soon()))
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).asid == ASID
    assert register.kinds() == ["Endpoint", "Device"]


async def test_closing_ends_what_is_under_way() -> None:
    register = Register()
    register.wait = 30
    directory = directory_of(register)
    before = asyncio.all_tasks()
    with pytest.raises(SourceTimeout):
        await directory.route(ODS, STRUCTURED_RECORD, soon(0.05))
    await directory.aclose()
    assert asyncio.all_tasks() == before


async def test_what_is_kept_is_bounded() -> None:
    kept = Kept(3600)

    async def look_up(by: float) -> str:
        return "found"

    for number in range(1_100):
        await kept.get((str(number), ""), soon(), look_up)
    assert len(kept._values) <= 512


# ---- through the connector ----


async def test_the_connector_goes_where_the_directory_leads(tmp_path: Path) -> None:
    written, register = Written(), Register(Device=its_device)
    register.answers["Endpoint"] = searchset(endpoint(address="http://elsewhere.test/G85005/STU3/1/gpconnect/"))

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (register if "spine-directory" in scope["path"] else written)(scope, receive, send)

    async with asked_of(both, practice(sds={"address": DIRECTORY})) as connector:
        answer = await connector.ask(asking(sections=ALLERGIES))
        await connector.ask(asking(sections=ALLERGIES))
    first, _ = written.calls
    assert first.path == "/G85005/STU3/1/gpconnect/Patient/$gpc.getstructuredrecord"
    assert first.headers["host"] == "elsewhere.test"
    assert (first.headers["ssp-to"], first.headers["ssp-from"]) == (stand_in(ODS), stand_in(ASKED_BY.organisation))
    assert register.kinds() == ["Endpoint", "Device", "Device"]
    assert answer.calls == 1


async def test_the_spine_proxy_stands_before_the_practices_address() -> None:
    written = Written()
    async with asked_of(written, practice(spine_proxy="http://proxy.test/ssp/")) as connector:
        await connector.ask(asking(sections=frozenset({Section.CONTACTS})))
    paths = {call.path.partition("?")[0] for call in written.calls}
    assert paths == {
        f"/ssp/http://practice.test/fhir/{rest}"
        for rest in ("Patient/$gpc.getstructuredrecord", "Patient", "Patient/p1/Appointment")
    }
    assert {call.headers["host"] for call in written.calls} == {"proxy.test"}


async def test_no_appointments_endpoint_is_a_gap_in_contacts_alone() -> None:
    def its_endpoint(query: list[tuple[str, str]]) -> dict[str, Any]:
        structured = any(value.endswith(STRUCTURED_RECORD) for _, value in query)
        return searchset(endpoint(address="http://gp.test/fhir")) if structured else searchset()

    written, register = Written(), Register(Endpoint=its_endpoint, Device=its_device)

    async def both(scope: Any, receive: Any, send: Any) -> None:
        await (register if "spine-directory" in scope["path"] else written)(scope, receive, send)

    async with asked_of(both, practice(sds={"address": DIRECTORY})) as connector:
        answer = await connector.ask(asking(sections=frozenset({Section.CONTACTS, Section.PROBLEMS})))
    assert answer.gaps == {Section.CONTACTS: Gap.FAILED}


async def test_a_caller_whose_organisation_has_no_asid_asks_nobody() -> None:
    written = Written()
    organisation = practice(
        address="https://practice.test/fhir",
        issuer="https://gateway.example",
        device={"system": "https://gateway.example/Id/device", "value": "g1"},
        asids={"G85005": "200000000116"},
    )
    async with asked_of(written, organisation) as connector:
        ask = asking(sections=ALLERGIES)
        assert (await connector.ask(ask)).calls == 1  # G85005's own doctors have one
        with pytest.raises(NoSender):
            await connector.ask(replace(ask, asked_by=replace(ASKED_BY, organisation="RJ2")))
    assert len(written.calls) == 1


# ---- start-up ----

WHO: dict[str, Any] = {
    "issuer": "https://gateway.example",
    "device": {"system": "https://gateway.example/Id/device", "value": "g1"},
}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (WHO, "has no ASID. Add sds, or write its ASID under asids."),
        ({"asids": {ODS: "1"}}, "asks who we are. Add issuer and device."),
        ({**WHO, "asids": {ODS: "12a"}}, "asids"),
        ({**WHO, "asids": {ODS: "1"}, "spine_proxy": "proxy"}, "spine_proxy"),
        ({**WHO, "asids": {ODS: "1"}, "sds": {"address": "x"}}, "sds.address"),
        ({**WHO, "sds": {"address": DIRECTORY, "ttl": 86_400}}, "sds.ttl"),
        ({**WHO, "sds": {"address": DIRECTORY}}, "sds.address is plain HTTP"),
        ({**WHO, "asids": {ODS: "1"}, "spine_proxy": "http://proxy.test"}, "spine_proxy is plain HTTP"),
        ({**WHO, "appointment_days": 0}, "appointment_days"),
        ({**WHO, "apointments": True}, "apointments"),
        ({**WHO, "asids": {ODS: "1"}, "tls": {"certificate_file": "/nowhere.pem"}}, "tls"),
    ],
)
def test_a_wrong_setting_stops_start_up(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(practice(address="https://practice.test/fhir", **settings))
    assert sentence in str(caught.value)


def test_a_directory_whose_key_cant_be_read_stops_start_up() -> None:
    auth = {"scheme": "header", "name": "apikey", "value_file": "/nowhere/key"}
    organisation = practice(address="https://practice.test/fhir", **WHO, sds={"address": SECURE, "auth": auth})
    with pytest.raises(ConfigurationError, match="secret file"):
        connect(organisation)


async def test_a_thousand_practices_are_connected_without_opening_anything() -> None:
    settings: dict[str, Any] = {**WHO, "sds": {"address": "https://sds.example/FHIR/R4"}}
    connectors = [connect(practice(f"G{number:05}", "https://ssp.example", **settings)) for number in range(1_000)]
    for connector in connectors:
        await connector.aclose()


def test_a_stand_in_asid_is_twelve_digits_and_the_same_each_time() -> None:
    assert stand_in(ODS) == stand_in(ODS) != stand_in("G85004")
    assert len(stand_in(ODS)) == 12
    assert stand_in(ODS).isdigit()
