"""`pds` asked for a person by NHS number: what it asks, whom it believes, and what it never passes on."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import RSAKey

from connectors.kit.faults import Mode
from connectors.pds.sandbox import create_app, register
from connectors.sdk.errors import (
    Busy,
    Invalidated,
    NoRecord,
    NotUnderstood,
    Refused,
    SourceError,
    SourceTimeout,
    Superseded,
    TooMuch,
    Unwell,
    WrongContent,
)
from connectors.sdk.model import Gap, Outcome, Section
from tests.connectors.asking import ASKED_BY, NHS_NUMBER, asking
from tests.connectors.pds_asking import (
    CONFIDENTIALITY,
    WHEREABOUTS,
    Says,
    asked_of,
    of,
    organisation,
    outcome,
    patient,
    registered,
)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RESTRICTED, REPLACED, CURRENT, INVALID, NOBODY = "9990007004", "9990007012", "9990000751", "9990007020", "9990009996"
ELSIE = "9990000964"


async def test_a_person_comes_as_the_register_sends_them() -> None:
    async with registered(create_app()) as connector:
        answer = await connector.ask(of(ELSIE))
    (item,) = answer.items
    assert (answer.source, answer.outcome, answer.gaps, answer.calls) == ("X26", Outcome.ANSWERED, {}, 1)
    assert (item.section, item.original_id, item.type) == (Section.DEMOGRAPHICS, ELSIE, "Patient")
    assert item.resource == register().people[ELSIE]
    temporary = item.resource["address"][1]
    assert (temporary["use"], temporary["period"]) == ("temp", {"start": "2026-08-24", "end": "2026-12-31"})
    assert item.findings is not None
    assert item.findings.nhs_numbers == {ELSIE}
    assert answer.includes == frozenset()


async def test_the_practice_the_former_name_and_the_death_are_there() -> None:
    grace = (await asked_of(create_app())).resource
    assert [gp["identifier"]["value"] for gp in grace["generalPractitioner"]] == ["G85005"]
    assert {name["use"]: name["family"] for name in grace["name"]} == {"usual": "Adebayo", "old": "Okonjo"}
    verified = grace["identifier"][0]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"]
    assert verified == "01"
    assert (await asked_of(create_app(), of("9990007071"))).resource["deceasedDateTime"].startswith("2026-03-19")


async def test_the_register_learns_who_asks() -> None:
    says = Says(patient())
    await asked_of(says)
    await asked_of(says)
    first, second = says.calls
    assert first["path"] == f"/fhir/Patient/{NHS_NUMBER}"
    assert UUID.fullmatch(first["x-request-id"])
    assert first["x-request-id"] != second["x-request-id"]
    assert first["x-correlation-id"] == of().request_id
    assert first["nhsd-session-urid"] == ASKED_BY.role_profile_id
    assert first["nhsd-end-user-organisation-ods"] == ASKED_BY.organisation


async def test_what_has_not_the_form_of_its_header_is_left_out() -> None:
    says = Says(patient())
    bent = replace(ASKED_BY, role_profile_id="none\r\nX-Evil: 1", organisation="g85005 ")
    await asked_of(says, replace(of(), asked_by=bent, request_id="a b"))
    assert not {"x-correlation-id", "nhsd-session-urid", "nhsd-end-user-organisation-ods"} & says.calls[0].keys()


@pytest.mark.parametrize(
    "headers", [{}, {"x-request-id": "4d1f0d0e-0000-4000-8000-000000000009"}], ids=["no id", "another request's id"]
)
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(200, patient(), WrongContent), (404, outcome("RESOURCE_NOT_FOUND", "not-found"), NotUnderstood)],
)
async def test_an_answer_to_another_request_is_not_believed(
    status: int, body: dict[str, Any], error: type[SourceError], headers: dict[str, str]
) -> None:
    with pytest.raises(error, match="id of its request" if status == 200 else "404"):
        await asked_of(Says(body, status, headers, mirrors=False))


async def test_a_proxy_that_answers_in_the_registers_place_need_not_mirror() -> None:
    with pytest.raises(Refused):
        await asked_of(Says(b"<html>", 401, mirrors=False))


async def test_a_replaced_number_is_told_and_not_followed() -> None:
    sandbox = create_app()
    with pytest.raises(Superseded) as raised:
        await asked_of(sandbox, of(REPLACED))
    assert raised.value.current == CURRENT
    assert sandbox.state()["calls"]["total"] == 1
    assert CURRENT not in f"{raised.value}{raised.value!r}{raised.value.told}"


@pytest.mark.parametrize(
    "body",
    [
        patient("9990000410"),
        patient("4"),
        patient("9999999999"),
        patient("1111111111"),
        patient(id="9990000751"),
        patient(identifier=[]),
        patient(identifier=[{"system": "urn:local", "value": NHS_NUMBER}]),
        patient(identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000751"}]),
        patient(identifier=patient()["identifier"] * 2),
        patient(identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number"}]),
    ],
)
async def test_a_person_without_one_valid_number_is_not_believed(body: dict[str, Any]) -> None:
    with pytest.raises(WrongContent):
        await asked_of(Says(body))


@pytest.mark.parametrize(("number", "error"), [(INVALID, Invalidated), (NOBODY, NoRecord)])
async def test_a_number_of_nobody(number: str, error: type[SourceError]) -> None:
    with pytest.raises(error) as raised:
        await asked_of(create_app(), of(number))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, outcome("INVALID_RESOURCE_ID", "value"), NotUnderstood),
        (400, outcome("MISSING_VALUE", "required"), NotUnderstood),
        (401, outcome("ACCESS_DENIED", "forbidden"), Refused),
        (403, outcome("ACCESS_DENIED", "forbidden"), Refused),
        (404, outcome("INVALIDATED_RESOURCE"), Invalidated),
        (404, outcome("RESOURCE_NOT_FOUND", "not-found"), NoRecord),
        (404, {"resourceType": "OperationOutcome", "issue": [{"code": "not-found"}]}, NoRecord),
        (404, b"<html>not here</html>", NotUnderstood),
        (404, {"resourceType": "Patient", "id": "1"}, NotUnderstood),
        (404, b"[" * 5000, NotUnderstood),
        (404, b'{"resourceType":"OperationOutcome"}' + b" " * 70_000, NotUnderstood),
        (408, outcome("UNABLE_TO_CALL_SERVICE"), Unwell),
        (408, b"", NotUnderstood),
        (412, outcome("PRECONDITION_FAILED", "structure"), NotUnderstood),
        (429, outcome("TOO_MANY_REQUESTS", "throttled"), Busy),
        (500, outcome("RESOURCE_NOT_FOUND", "not-found"), Unwell),
        (503, b"", Unwell),
        (302, b"", WrongContent),
        (200, outcome("INVALIDATED_RESOURCE"), Invalidated),
        (200, outcome("NOT_SUPPORTED_SEARCH", "not-supported"), NotUnderstood),
        (200, outcome("ACCESS_DENIED", "forbidden"), WrongContent),
        (200, {"resourceType": "Bundle", "type": "searchset"}, WrongContent),
        (200, patient(name="Grace"), WrongContent),
        (200, b"<html>", WrongContent),
        (200, b'{"resourceType":"Patient"' + b" " * 2**20 + b"}", TooMuch),
    ],
)
async def test_each_error_has_its_class_and_tells_nothing(status: int, body: Any, error: type[SourceError]) -> None:
    with pytest.raises(error) as raised:
        await asked_of(Says(body, status))
    assert type(raised.value) is error
    assert NHS_NUMBER not in f"{raised.value}{raised.value!r}{raised.value.told}"


async def test_time_is_kept() -> None:
    sandbox = create_app()
    sandbox.switch.mode = Mode.SLOW
    with pytest.raises(SourceTimeout):
        await asked_of(sandbox, of(seconds=0.1))


@pytest.mark.parametrize("mode", [Mode.LYING, Mode.LYING_QUIETLY])
async def test_somebody_elses_record_is_never_an_item(mode: Mode) -> None:
    sandbox = create_app()
    sandbox.switch.mode = mode
    with pytest.raises(Superseded if mode is Mode.LYING else WrongContent):
        await asked_of(sandbox)


async def test_sections_that_the_register_cannot_hold_do_not_look_empty() -> None:
    async with registered(create_app()) as connector:
        answer = await connector.ask(asking(NHS_NUMBER, frozenset({Section.DEMOGRAPHICS, Section.ALLERGIES})))
    assert answer.gaps == {Section.ALLERGIES: Gap.NOT_ASKED}
    assert answer.outcome is Outcome.PARTIAL


async def test_the_restricted_person_has_no_place() -> None:
    item = await asked_of(create_app(canaries=True), of(RESTRICTED))
    assert item.resource["name"][0]["family"] == "Rahman"
    assert not {"address", "telecom", "generalPractitioner", "text"} & item.resource.keys()
    assert item.resource["extension"][0]["url"].endswith("NHSCommunication")
    assert item.findings is not None
    assert item.findings.security == [(CONFIDENTIALITY, "R")]


@pytest.mark.parametrize("security", ["R", "V", "N", "L", "NEVERHEARD", None])
async def test_what_tells_of_a_place_goes_unless_the_record_is_marked_unrestricted(security: str | None) -> None:
    item = await asked_of(Says(patient(security=security, **copy.deepcopy(WHEREABOUTS))))
    assert "HIDDENPLACE" not in json.dumps(item.resource)
    assert item.findings is not None
    assert (CONFIDENTIALITY, "R") in item.findings.security
    assert security is None or (CONFIDENTIALITY, security) in item.findings.security
    assert item.resource["birthDate"] == "1958-03-12"
    assert not item.findings.references


async def test_unrestricted_under_a_foreign_system_or_beside_another_label_is_restricted() -> None:
    foreign = {"security": [{"system": "urn:local", "code": "U"}]}
    beside = {"security": [{"system": CONFIDENTIALITY, "code": code} for code in ("U", "R")]}
    for meta in (foreign, beside, {"security": [{"code": "U"}]}):
        item = await asked_of(Says(patient(meta=meta, **copy.deepcopy(WHEREABOUTS))))
        assert "HIDDENPLACE" not in json.dumps(item.resource)


async def test_an_unrestricted_person_keeps_everything() -> None:
    sent = patient(**copy.deepcopy(WHEREABOUTS))
    assert (await asked_of(Says(sent))).resource == sent


async def test_a_restricted_persons_name_and_number_carry_nothing_but_themselves() -> None:
    place = [{"url": "urn:x", "valueString": "HIDDENPLACE"}]
    sent = patient(security="R")
    sent["name"][0] |= {"extension": place, "_family": {"extension": place}}
    sent["identifier"][0] |= {"assigner": {"display": "HIDDENPLACE"}, "extension": place}
    sent["identifier"].append({"system": "https://HIDDENPLACE.example", "value": "1"})
    sent["meta"] |= {"source": "https://HIDDENPLACE.example", "tag": [{"display": "HIDDENPLACE"}]}
    item = await asked_of(Says(sent))
    assert "HIDDENPLACE" not in json.dumps(item.resource)
    assert item.resource["identifier"][0]["value"] == NHS_NUMBER
    assert item.resource["name"][0]["family"] == "Adebayo"


async def test_a_record_marked_invalid_is_nobodys() -> None:
    with pytest.raises(Invalidated):
        await asked_of(Says(patient(security="REDACTED")))


class TokensToo:
    """The register behind the national platform: a token endpoint beside it, and nobody gets in without a token."""

    def __init__(self) -> None:
        self.register = create_app()
        self.assertions: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/oauth2/token":
            assert (b"authorization", b"Bearer t1") in scope["headers"]
            await self.register(scope, receive, send)
            return
        body = (await receive())["body"].decode()
        self.assertions.append(re.search(r"client_assertion=([^&]+)", body)[1])  # type: ignore[index]
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        token = b'{"access_token":"t1","token_type":"Bearer","expires_in":"599"}'
        await send({"type": "http.response.body", "body": token})


async def test_the_national_platform_is_shown_a_signed_assertion(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    auth = {
        "scheme": "smart-backend-services",
        "token_url": "https://register.test/oauth2/token",
        "client_id": "connect-care",
        "key_file": str(file),
        "kid": "pds-1",
        "algorithm": "RS512",
        "scope": "",
    }
    behind = TokensToo()
    async with registered(behind, auth=auth) as connector:
        await connector.ask(of())
        await connector.ask(of())
    (assertion,) = behind.assertions
    token = jwt.decode(assertion, RSAKey.import_key(file.read_bytes()), algorithms=["RS512"])
    assert token.header["kid"] == "pds-1"
    assert (token.claims["iss"], token.claims["aud"]) == ("connect-care", "https://register.test/oauth2/token")


def test_settings_are_read_strictly() -> None:
    from connectors.pds import Settings

    with pytest.raises(ValueError, match="max_results"):
        Settings.model_validate({"max_results": 50})
    assert organisation().settings == {}
