"""CDS Hooks: one card from the pipeline, told to the right EHR about the right patient, in time."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from joserfc.jwk import ECKey

from gateway.breaker import BreakerState
from gateway.cds.asked import JOB_ROLE_SYSTEM, PatientViewCall
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, HAROLD, ISSUER, STRANGER, TOMASZ, Stack, running, told
from tests.launcher import Launcher, a_practitioner_role, an_ehr_patient

PATH = "/cds-services/connect-care-patient-view"
AUDIENCE = f"http://127.0.0.1:8000{PATH}"
NAMED = {"grace": GRACE, "tomasz": TOMASZ, "harold": HAROLD, "elsie": ELSIE, "daniel": DANIEL, "aaliyah": AALIYAH}


@pytest.fixture(scope="module")
def ehr() -> Launcher:
    launcher = Launcher()
    launcher.patients = {name: an_ehr_patient(name, number) for name, number in NAMED.items()}
    launcher.patients["stranger"] = an_ehr_patient("stranger", STRANGER)
    return launcher


def hook(ehr: Launcher, **more: Any) -> dict[str, Any]:
    return {
        "name": "Test EHR",
        "issuer": ehr.issuer,
        "counts_as": ISSUER,
        "organisations": ["G85005", "RJ2", "RPG", "709", "08L"],
        "algorithms": ["ES256"],
        "allow_insecure_loopback": True,
        **more,
    }


@pytest.fixture(scope="module")
async def stack(ehr: Launcher, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A card has five seconds here, so that no slow machine turns an answer into one that is too late."""
    data = tmp_path_factory.mktemp("cds")
    settings: dict[str, Any] = {
        "hooks": [hook(ehr)],
        "launches": [ehr.settings(ISSUER)],
        "card_deadline": 5,
        "deadline": 1.0,
    }
    settings["breaker_failures"] = 2
    async with running(data, ehr=ehr, **settings) as stack:
        yield stack


@pytest.fixture(autouse=True)
def _well(stack: Stack) -> None:
    for sandbox in stack.sandboxes:
        stack.make(sandbox, "well")


async def ask(stack: Stack, ehr: Launcher, patient: str, who: str = "gp", **jwt: Any) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {ehr.hook_jwt(AUDIENCE, **jwt)}"}
    return await stack.client.post(PATH, json=ehr.hook_call(patient, who), headers=headers)


async def one_card(stack: Stack, ehr: Launcher, patient: str, who: str = "gp") -> dict[str, Any]:
    answer = await ask(stack, ehr, patient, who)
    assert answer.status_code == 200, answer.text
    (card,) = answer.json()["cards"]
    assert len(card["summary"]) <= 140
    assert card["source"]["label"] == "Connect Care"
    return dict(card)


async def test_what_is_offered(stack: Stack) -> None:
    answer = await stack.client.get("/cds-services")
    (service,) = answer.json()["services"]
    assert service["hook"] == "patient-view"
    assert service["id"] == PATH.rsplit("/", 1)[1]
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"


async def test_without_permission_nobody_is_asked_and_nothing_told_of_the_patient(stack: Stack, ehr: Launcher) -> None:
    before = stack.calls()
    held, unknown = await one_card(stack, ehr, "grace"), await one_card(stack, ehr, "stranger")
    assert stack.calls() == before
    assert held["detail"] == unknown["detail"]  # the same for somebody whom nobody knows
    assert held["summary"] == unknown["summary"]
    assert "llerg" not in str(held)
    assert "Oxleas NHS Foundation Trust" in held["detail"]  # takes part, whoever the patient is
    rows = await stack.rows(GRACE)
    assert [(row["kind"], row["door"]) for row in rows] == [("intent", f"POST {PATH}"), ("refusal", f"POST {PATH}")]


async def test_with_permission_it_tells_who_holds_something_and_the_allergies(stack: Stack, ehr: Launcher) -> None:
    await stack.agree(GRACE)
    card = await one_card(stack, ehr, "grace")
    assert "**Hold a record:**" in card["detail"]
    shown = [row for row in await stack.rows(GRACE) if row["kind"] == "release"]
    (row,) = shown
    assert row["door"] == f"POST {PATH}"
    assert set(row["sections"]) == {"demographics", "allergies"}
    assert set(row["seen"]) == {"allergies"}
    assert card["detail"].count("\n- ") == row["seen"]["allergies"] > 0
    assert "known allergies" in card["summary"]
    (link,) = card["links"]
    assert (link["type"], link["url"]) == ("smart", "http://127.0.0.1:8000/launch")


async def test_the_permission_is_the_user_s_own(stack: Stack, ehr: Launcher) -> None:
    """One that the same person got elsewhere holds; a colleague's doesn't."""
    await stack.agree(ELSIE, "gp")
    assert "ask the patient" in (await one_card(stack, ehr, "elsie", "hospital-doctor"))["summary"]
    assert "ask the patient" not in (await one_card(stack, ehr, "elsie", "gp"))["summary"]


async def test_a_role_that_never_sees_them_is_told_no_allergies(stack: Stack, ehr: Launcher) -> None:
    card = await one_card(stack, ehr, "grace", "commissioner")
    assert "not known" in card["summary"]
    assert "llerg" not in str(card)


async def test_a_source_that_is_not_there_in_time_is_not_known_and_not_blamed(stack: Stack, ehr: Launcher) -> None:
    """Other looks give a source more time: a card that didn't wait must not have it left alone."""
    await stack.agree(DANIEL)
    stack.make("RJ2", "hung")
    cards = [await _hurried(stack, ehr, "daniel") for _ in range(3)]
    for card in cards:
        assert re.search(r"Lewisham and Greenwich NHS Trust (\(no answer|did not answer)", card["detail"])
        assert "no known allergies" not in card["summary"].lower()
        assert card["indicator"] == "warning"
    assert stack.parts.fan_out.states["RJ2"].breaker.state is BreakerState.CLOSED


async def _hurried(stack: Stack, ehr: Launcher, patient: str) -> dict[str, Any]:
    """A card whose sources have a third of a second, and which itself has all the time it needs."""
    cards, ends = stack.parts.cards, asyncio.get_running_loop().time() + 0.5
    client = await cards.client((f"Bearer {ehr.hook_jwt(AUDIENCE)}",))
    body = PatientViewCall.model_validate(ehr.hook_call(patient))
    return await cards.patient_view(client, body, f"POST {PATH}", "r-1", ends)


async def test_nobody_answers_in_time(stack: Stack, ehr: Launcher) -> None:
    await stack.agree(AALIYAH)
    for ods in stack.sandboxes:
        stack.make(ods, "hung")
    card = await _hurried(stack, ehr, "aaliyah")
    assert "not known" in card["summary"]
    assert "does not mean that" in card["detail"]


async def test_a_card_that_is_not_ready_is_told_as_not_known(
    stack: Stack, ehr: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    async def known(*_: Any) -> None:
        return None

    monkeypatch.setattr(stack.parts.cards, "client", known)
    monkeypatch.setattr(stack.parts.cards, "patient_view", never)
    monkeypatch.setattr(stack.parts.cards, "seconds", 0.3)
    card = await one_card(stack, ehr, "grace")
    assert "not known" in card["summary"]
    monkeypatch.setattr(stack.parts.cards, "client", never)
    answer = await ask(stack, ehr, "grace")
    assert answer.status_code == 503


async def test_who_opted_out_is_told_to_those_who_open_records(stack: Stack, ehr: Launcher) -> None:
    await stack.choose(HAROLD, "opted-out")
    before = stack.calls()
    card = await one_card(stack, ehr, "harold")
    assert card["summary"] == "This patient has opted out of Connect Care"
    assert "links" not in card
    assert stack.calls() == before


async def test_a_patient_whom_nobody_knows(stack: Stack, ehr: Launcher) -> None:
    await stack.agree(STRANGER)
    card = await one_card(stack, ehr, "stranger")
    assert "knows a patient with this NHS number" in card["detail"]


async def test_a_jwt_is_used_once(stack: Stack, ehr: Launcher) -> None:
    jwt = {"Authorization": f"Bearer {ehr.hook_jwt(AUDIENCE)}"}
    body = ehr.hook_call("grace")
    answers = await asyncio.gather(*(stack.client.post(PATH, json=body, headers=jwt) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.parametrize(
    "jwt",
    [
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "http://127.0.0.1:8000/cds-services"},
        {"aud": "http://127.0.0.1:8000/cds-services/another"},
        {"aud": None},
        {"aud": [1]},
        {"exp": timedelta(seconds=-1)},
        {"exp": None},
        {"exp": timedelta(hours=1)},
        {"iat": None},
        {"iat": timedelta(hours=1), "exp": timedelta(minutes=61)},
        {"nbf": timedelta(hours=1)},
        {"jti": None},
        {"jti": ""},
        {"header": {"typ": "at+jwt"}},
        {"header": {"typ": None}},
        {"header": {"jku": "https://elsewhere.example/jwks"}},
        {"header": {"jwk": {"kty": "EC"}}},
        {"header": {"kid": "another"}},
    ],
)
async def test_a_jwt_that_says_something_wrong_is_refused(stack: Stack, ehr: Launcher, jwt: dict[str, Any]) -> None:
    """CDS Hooks 2.0, "Trusting CDS Clients"."""
    answer = await ask(stack, ehr, "grace", **jwt)
    assert answer.status_code == 401
    assert "cards" not in answer.text
    assert told(answer)


async def test_a_jwt_that_ends_at_a_word_is_refused(stack: Stack, ehr: Launcher) -> None:
    assert (await ask(stack, ehr, "grace", exp=str(int(time.time()) + 60))).status_code == 401


async def test_a_jwt_of_another_key_or_of_none_is_refused(stack: Stack, ehr: Launcher) -> None:
    forged = Launcher()
    forged.key = ECKey.generate_key("P-256", {"kid": ehr.key.kid})
    forged.patients = ehr.patients
    assert (await ask(stack, forged, "grace")).status_code == 401
    for header in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {stack.token('gp')}"}):
        answer = await stack.client.post(PATH, json=ehr.hook_call("grace"), headers=header)
        assert answer.status_code == 401


async def test_an_ehr_names_its_own_staff_alone(stack: Stack, ehr: Launcher) -> None:
    before = len(await stack.rows(GRACE))
    answer = await ask(stack, ehr, "grace", "gp@G83021")
    assert answer.status_code == 401
    assert len(await stack.rows(GRACE)) == before + 1  # the reading of these rows itself


def _of_use(patient: dict[str, Any], use: Any) -> dict[str, Any]:
    return patient | {"identifier": [one | {"use": use} for one in patient["identifier"]]}


async def test_what_is_missing_is_asked_for(stack: Stack, ehr: Launcher) -> None:
    unhashable = {"coding": [{"system": JOB_ROLE_SYSTEM, "code": ["R8000"]}]}
    for prefetch, status in (
        ({}, 412),
        ({"patient": ehr.patients["grace"]}, 412),
        ({"patient": an_ehr_patient("grace", GRACE, "02"), "user": a_practitioner_role()}, 400),
        ({"patient": ehr.patients["grace"], "user": {"resourceType": "Practitioner", "id": "role-1"}}, 400),
        ({"patient": ehr.patients["grace"], "user": a_practitioner_role() | {"code": [{"coding": 5}]}}, 400),
        ({"patient": ehr.patients["grace"], "user": a_practitioner_role() | {"code": [unhashable]}}, 400),
        ({"patient": _of_use(ehr.patients["grace"], ["official"]), "user": a_practitioner_role()}, 400),
    ):
        headers = {"Authorization": f"Bearer {ehr.hook_jwt(AUDIENCE)}"}
        answer = await stack.client.post(PATH, json=ehr.hook_call("grace") | {"prefetch": prefetch}, headers=headers)
        assert answer.status_code == status, answer.text
        assert "999" not in told(answer)
