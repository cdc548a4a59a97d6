"""A patient opts out and back in on their own page: at once, once, and on nobody's word but their own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from gateway.audit.row import Kind
from gateway.errors import AuditUnavailable
from tests.flow.stack import AALIYAH, DANIEL, ELSIE, GRACE, RAJESH, SIOBHAN, TOMASZ, WINSTON, Stack, running

_FIELD = re.compile(r'name="(csrf|once)" value="([^"]+)"')
OUT, IN = "/my/choice/opt-out", "/my/choice/opt-in"


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("own-choice")) as made:
        yield made


async def asked(browser: httpx2.AsyncClient, page: str) -> dict[str, str]:
    """The fields of the page that asks whether this is meant."""
    return dict(_FIELD.findall((await browser.get(page)).text))


async def choices(stack: Stack, nhs_number: str) -> list[dict[str, str]]:
    answer = await stack.post("/sharing-choices/_search", {"nhsNumber": nhs_number}, "privacy-officer")
    found: list[dict[str, str]] = answer.json()
    return found


async def test_who_chose_nothing_is_in_and_told_what_it_means(stack: Stack) -> None:
    async with stack.patient(GRACE) as browser:
        page = (await browser.get("/my/choice")).text
    assert "You have not opted out" in page
    assert "for everybody to start with" in page
    assert "In an emergency" in page
    assert f'href="{OUT}"' in page


async def test_an_opt_out_holds_at_once_and_everywhere(stack: Stack) -> None:
    await stack.agree(TOMASZ)
    assert (await stack.everything(TOMASZ)).status_code == 200
    async with stack.patient(TOMASZ) as browser:
        done = await browser.post(OUT, data=await asked(browser, OUT))
        assert (done.status_code, done.headers["location"]) == (303, "/my/choice")
        page = (await browser.get("/my/choice")).text
        assert "You have opted out" in page
        assert "You chose that nobody may look at your record in Connect Care (opted out), online." in page
        assert "wrote it down" not in page
        assert (await stack.everything(TOMASZ)).status_code == 403
        assert (await browser.post(IN, data=await asked(browser, IN))).status_code == 303
        assert "You have opted in" in (await browser.get("/my/choice")).text
    # Who had a yes before needs a new one.
    assert (await stack.everything(TOMASZ)).status_code == 403
    out, back = await choices(stack, TOMASZ)
    assert (out["choice"], out["statedBy"], out["channel"], out["organisation"]) == (
        "opted-out",
        "patient",
        "online",
        "",
    )
    assert (back["choice"], back["recordedBy"]) == ("opted-in", "The patient")


async def test_what_staff_wrote_down_names_them(stack: Stack) -> None:
    async with stack.patient(RAJESH) as browser:
        await stack.choose(RAJESH, "opted-out")
        page = (await browser.get("/my/choice")).text
    assert "You chose that nobody may look at your record in Connect Care (opted out), by phone." in page
    assert "ELLERY Graham Mr at Lewisham and Greenwich NHS Trust</bdi> wrote it down." in page


async def test_a_double_click_records_once(stack: Stack) -> None:
    async with stack.patient(AALIYAH) as browser:
        fields = await asked(browser, OUT)
        first, second = await asyncio.gather(browser.post(OUT, data=fields), browser.post(OUT, data=fields))
        assert {first.status_code, second.status_code} <= {303, 409}
        assert (await browser.post(OUT, data=fields)).status_code == 303
    assert len(await choices(stack, AALIYAH)) == 1


async def test_two_tabs_record_what_changes_alone(stack: Stack) -> None:
    async with stack.patient(ELSIE) as browser:
        one, other = await asked(browser, OUT), await asked(browser, OUT)
        assert one["once"] != other["once"]
        for fields in (one, other):
            assert (await browser.post(OUT, data=fields)).status_code == 303
        assert (await browser.get(OUT)).headers["location"] == "/my/choice"
        # The back button, and the old form once more: what was chosen since stands.
        assert (await browser.post(IN, data=await asked(browser, IN))).status_code == 303
        old = await browser.post(OUT, data=one)
        assert old.status_code == 409
        assert "You sent that page before" in old.text
        assert "You have opted in" in (await browser.get("/my/choice")).text
    assert [each["choice"] for each in await choices(stack, ELSIE)] == ["opted-out", "opted-in"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"csrf": "x"}, 403),
        ({"csrf": ""}, 403),
        ({"once": ""}, 400),
        ({"once": "x" * 65}, 400),
    ],
)
async def test_a_form_that_is_not_our_own_changes_nothing(stack: Stack, change: dict[str, str], status: int) -> None:
    async with stack.patient(SIOBHAN) as browser:
        refused = await browser.post(OUT, data=await asked(browser, OUT) | change)
        assert refused.status_code == status
        assert "Go to the start" in refused.text
        assert "You have not opted out" in (await browser.get("/my/choice")).text
    assert await choices(stack, SIOBHAN) == []
    (row,) = [row for row in await stack.rows(SIOBHAN) if row["kind"] == "refusal"][-1:]
    assert row["who"]["role"] == "patient"
    assert row["door"] == "POST /my/choice/opt-out"


async def test_a_form_from_elsewhere_changes_nothing(stack: Stack) -> None:
    async with stack.patient(SIOBHAN) as browser:
        fields = await asked(browser, OUT)
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert (await browser.post(OUT, data=fields, headers=elsewhere)).status_code == 403
        assert (await browser.post(OUT, data={"a": "1"}, headers={"Content-Type": "text/plain"})).status_code == 415
        twice = f"csrf={fields['csrf']}&csrf={fields['csrf']}&once=1"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await browser.post(OUT, content=twice, headers=form)).status_code == 400
        assert (await browser.get("/my/choice?for=9990000409")).status_code == 400
    assert await choices(stack, SIOBHAN) == []


async def test_a_form_names_nobody_else(stack: Stack) -> None:
    """A field that isn't the form's own is nothing: whose choice it is follows from the session."""
    async with stack.patient(DANIEL) as browser:
        fields = await asked(browser, OUT) | {"nhsNumber": GRACE, "nhs_number": GRACE}
        assert (await browser.post(OUT, data=fields)).status_code == 303
    assert len(await choices(stack, DANIEL)) == 1
    assert await choices(stack, GRACE) == []


async def test_a_patient_as_a_caller_does_nothing_about_others(stack: Stack) -> None:
    """Below the doors, too: the parts themselves know whom a patient may ask about."""
    from gateway.caller.patients import SignedIn, patient_caller
    from gateway.choice.model import Channel, Choice, StatedBy
    from gateway.errors import Refusal

    signed_in = SignedIn(issuer="i", client_id="c", account="a", proofing="P9", token_id="t")
    caller = patient_caller(signed_in, DANIEL)
    with pytest.raises(Refusal) as another:
        await stack.parts.sharing.record(caller, GRACE, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.ONLINE, "r")
    assert another.value.rule == "patient.another"
    for attempt in (
        stack.parts.consents.about(caller, DANIEL, "r", door="d"),
        stack.parts.permissions.own(caller, "r"),
    ):
        with pytest.raises(Refusal) as closed:
            await attempt
        assert closed.value.rule == "patient.own-say-alone"


async def test_without_the_journal_nothing_is_chosen_or_shown(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack.patient(GRACE) as browser:
        fields = await asked(browser, OUT)

        async def broken(*_: object) -> None:
            raise AuditUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(stack.parts.store, "record_choice", broken)
            answer = await browser.post(OUT, data=fields)
            assert answer.status_code == 503
            assert "so we do not do it" in answer.text
            # Sent again it may not look as if it had been done.
            again = await browser.post(OUT, data=fields)
            assert again.status_code == 409
            assert "See what stands there now" in again.text
            patch.setattr(stack.parts.store, "append", broken)
            assert (await browser.get("/my/choice")).status_code == 503
        assert "You have not opted out" in (await browser.get("/my/choice")).text
    assert await choices(stack, GRACE) == []


async def test_rows_name_the_patient_by_tag_and_hold_no_number(stack: Stack) -> None:
    async with stack.patient(WINSTON) as browser:
        await browser.post(OUT, data=await asked(browser, OUT))
    rows = await stack.parts.store.rows(
        patient=stack.parts.sealer.patient_tag(WINSTON), kinds=frozenset({Kind.SHARING_CHOICE})
    )
    (kept,) = rows
    who = kept.row.who
    assert who is not None
    assert (who.role, who.name, who.organisation, who.purpose, who.acr) == (
        "patient",
        "The patient",
        "",
        "PATRQT",
        "P9",
    )
    assert WINSTON not in json.dumps(str(kept.row))


async def test_the_choice_is_a_consent_and_an_audit_event_like_any_other(stack: Stack) -> None:
    async with stack.patient(WINSTON) as browser:
        await browser.post(OUT, data=await asked(browser, OUT))
    consents = await stack.get(f"/fhir/R4/Consent?patient={WINSTON}", "privacy-officer")
    (consent,) = [entry["resource"] for entry in consents.json()["entry"] if entry["search"]["mode"] == "match"]
    assert "organization" not in consent
    assert consent["performer"][0]["type"] == "Patient"
    assert (await stack.get(f"/fhir/R4/Consent/{consent['id']}", "privacy-officer")).status_code == 200
    events = await stack.get(f"/fhir/R4/AuditEvent?patient={WINSTON}", "privacy-officer")
    agents = [agent for entry in events.json()["entry"] for agent in entry["resource"].get("agent", ())]
    assert any(agent["who"].get("type") == "Patient" and agent["name"] == "The patient" for agent in agents)
