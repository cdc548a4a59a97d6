"""The patient's say at the doors: choices, permissions, their extension and end, and what no urgency overrides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.stack import (
    DANIEL,
    GRACE,
    MIA,
    SHIPPED,
    SIOBHAN,
    WINSTON,
    Stack,
    outcome,
    resources,
    running,
    shipped,
    told,
)
from tests.flow.streaming import Holding
from tests.quick import only

CLINICAL = ("gp", "hospital-doctor", "nurse", "district-nurse")
UNCONSCIOUS = {"basis": "best-interests", "reasonCode": "emergency", "reason": "unconscious in resus"}


@pytest.fixture
def holding() -> Holding:
    """A hospital that answers at once, until a test holds it."""
    return Holding(["RJ2"])


@pytest.fixture
async def stack(tmp_path: Path, holding: Holding) -> AsyncIterator[Stack]:
    async with running(tmp_path, around=holding.around) as stack:
        holding.let_go()
        yield stack


async def in_best_interests(stack: Stack, patient: str, who: str = "hospital-doctor") -> dict[str, Any]:
    answer = await stack.post("/permissions", {"nhsNumber": patient, **UNCONSCIOUS}, who)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def seen(stack: Stack, patient: str, who: str) -> dict[str, Any]:
    """What somebody is shown, by id; without the times at which the answer itself was made."""
    answer = await stack.everything(patient, who)
    assert answer.status_code == 200, answer.text
    return {each["id"]: each for each in resources(answer.json())}


async def test_a_proxys_word_is_recorded_with_who_spoke_and_why(stack: Stack) -> None:
    body = {
        "nhsNumber": GRACE, "choice": "opted-out", "statedBy": "proxy", "channel": "letter",
        "proxy": "Ama Mensah, daughter, attorney", "reason": f"She never wanted it, {GRACE}",
    }  # fmt: skip
    made = await stack.post("/sharing-choices", body, "privacy-officer")
    assert made.status_code == 201
    assert (made.json()["proxy"], made.json()["reason"]) == (body["proxy"], "She never wanted it, [nhs-number]")
    again = await stack.post("/sharing-choices", body, "privacy-officer")
    history = await stack.post("/sharing-choices/_search", {"nhsNumber": GRACE}, "privacy-officer")
    assert history.json() == [made.json(), again.json()]
    rows = str(await stack.rows(GRACE))
    assert "Mensah" not in rows
    assert "never wanted" not in rows
    nameless = await stack.post("/sharing-choices", {**body, "proxy": ""}, "privacy-officer")
    assert nameless.status_code == 400
    assert "who spoke for the patient" in told(nameless)


async def test_who_opts_back_in_is_asked_anew_by_everybody(stack: Stack) -> None:
    for who in ("gp", "nurse"):
        await stack.agree(GRACE, who)
    await in_best_interests(stack, GRACE)
    await stack.choose(GRACE, "opted-out")
    await stack.choose(GRACE, "opted-in")
    before = stack.calls()
    for who in ("gp", "nurse", "hospital-doctor"):
        assert (await stack.everything(GRACE, who)).status_code == 403
    assert stack.calls() == before
    await stack.agree(GRACE, "gp")
    assert (await stack.everything(GRACE, "gp")).status_code == 200
    assert (await stack.everything(GRACE, "nurse")).status_code == 403


async def test_out_and_in_again_while_sources_are_asked_stops_the_release(stack: Stack, holding: Holding) -> None:
    """The choice is opted in when the release is tried, and the permission is from before."""
    await stack.agree(GRACE)
    holding.hold_again()
    looking = asyncio.create_task(stack.everything(GRACE))
    await stack.has_asked()
    await stack.choose(GRACE, "opted-out")
    await stack.choose(GRACE, "opted-in")
    holding.let_go()
    answer = await looking
    assert answer.status_code == 403
    assert "ended before it could be shown" in told(answer)
    assert "release" not in {row["kind"] for row in await stack.rows(GRACE)}


async def test_the_patients_word_ends_everybodys_permission_and_stops_a_look_under_way(
    stack: Stack, holding: Holding
) -> None:
    await stack.agree(GRACE)
    await stack.agree(GRACE, "nurse")
    holding.hold_again()
    looking = asyncio.create_task(stack.everything(GRACE))
    await stack.has_asked()
    body = {"nhsNumber": GRACE, "statedBy": "patient", "channel": "in-person"}
    ended = await stack.post("/permissions/_withdraw", body, "social-worker")
    assert (ended.status_code, ended.json()) == (200, {"ended": 2, "permissions": None})
    holding.let_go()
    assert (await looking).status_code == 403
    assert (await stack.everything(GRACE, "nurse")).status_code == 403
    rows = await stack.rows(GRACE)
    assert "release" not in {row["kind"] for row in rows}
    [row] = [row for row in rows if row["kind"] == "permission-withdrawn"]
    assert (row["detail"], len(row["bound"])) == ("all, stated by patient, by in-person", 2)


async def test_who_takes_the_patients_word_and_what_they_are_told(stack: Stack) -> None:
    made = await stack.agree(GRACE)
    body = {"nhsNumber": GRACE, "statedBy": "patient", "channel": "phone"}
    refused = await stack.post("/permissions/_withdraw", body, "commissioner")
    assert (refused.status_code, "Pass on what the patient said" in told(refused)) == (403, True)
    officer = await stack.post("/permissions/_withdraw", body, "privacy-officer")
    assert officer.json() == {"ended": 1, "permissions": [made]}
    assert (await stack.post("/permissions/_withdraw", {"nhsNumber": GRACE}, "gp")).status_code == 400


async def test_a_permission_is_prolonged_where_the_patient_was_asked_again(stack: Stack) -> None:
    made = await stack.agree(GRACE)
    unasked = await stack.post(f"/permissions/{made}/extend", {})
    assert (unasked.status_code, '"patientAsked": true' in told(unasked)) == (400, True)
    longer = await stack.post(f"/permissions/{made}/extend", {"patientAsked": True})
    assert (longer.status_code, longer.json()["extends"]) == (201, made)
    assert longer.headers["Location"].endswith(f"/permissions/{longer.json()['id']}")
    assert (await stack.everything(GRACE)).status_code == 200
    row = [row for row in await stack.rows(GRACE) if row["kind"] == "release"][-1]
    assert row["permission"] == longer.json()["id"]
    theirs = await stack.post(f"/permissions/{made}/extend", {"patientAsked": True}, "nurse")
    assert theirs.status_code == 404
    old = await stack.post(f"/permissions/{made}/extend", {"patientAsked": True})
    assert (old.status_code, "newer permission" in told(old)) == (403, True)


async def test_best_interests_needs_a_national_reason_and_words(stack: Stack) -> None:
    body = {"nhsNumber": GRACE, "basis": "best-interests", "reason": "unconscious in resus"}
    bare = await stack.post("/permissions", body, "nurse")
    assert bare.status_code == 400
    for code in ("emergency", "self-claimed-emergency", "other"):
        assert f'"{code}"' in told(bare)
    for code in ("statute", "court-order", "public-interest"):
        legal = await stack.post("/permissions", {**body, "reasonCode": code}, "nurse")
        assert (legal.status_code, "POST /disclosures" in told(legal)) == (400, True)
    unknown = await stack.post("/permissions", {**body, "reasonCode": "curiosity"}, "nurse")
    assert (unknown.status_code, "self-claimed-emergency" in told(unknown)) == (400, True)
    wordless = await stack.post("/permissions", {**body, "reasonCode": "emergency", "reason": ""}, "nurse")
    assert (wordless.status_code, "why the patient can't be asked" in told(wordless)) == (400, True)
    made = await in_best_interests(stack, GRACE, "nurse")
    assert (made["reasonCode"], made["reason"]) == ("emergency", UNCONSCIOUS["reason"])
    rows = await stack.rows(GRACE)
    assert [row["reason_code"] for row in rows if row["kind"] == "permission-granted"] == ["emergency"]


async def test_best_interests_opens_a_case_with_the_permission(stack: Stack) -> None:
    made = await in_best_interests(stack, GRACE)
    [(_, file)] = await stack.parts.store.cases()
    assert (file.case.kind, file.case.permission) == ("best-interests", made["id"])
    [row] = [row for row in await stack.rows(GRACE) if row["kind"] == "permission-granted"]
    assert row["cases"] == [file.case.id]
    assert set(row["bound"]) == {made["id"], file.case.id}


@pytest.mark.parametrize("who", ["occupational-therapist", "social-worker", "privacy-officer", "commissioner"])
async def test_roles_that_the_policy_does_not_name_never_act_in_best_interests(stack: Stack, who: str) -> None:
    answer = await stack.post("/permissions", {"nhsNumber": GRACE, **UNCONSCIOUS}, who)
    assert answer.status_code == 403
    assert await stack.parts.store.cases() == []


@pytest.mark.parametrize("who", CLINICAL)
@pytest.mark.parametrize("patient", only({DANIEL}, (DANIEL, GRACE, SIOBHAN, MIA)))
async def test_best_interests_shows_what_ordinary_agreement_would_and_no_more(
    stack: Stack, who: str, patient: str
) -> None:
    await stack.agree(patient, who)
    agreed = await seen(stack, patient, who)
    await in_best_interests(stack, patient, who)
    unasked = await seen(stack, patient, who)
    assert unasked.keys() == agreed.keys()
    assert len(unasked) > 1
    assert [unasked[one] for one in unasked if one not in agreed or unasked[one] != agreed[one]] == []


async def test_best_interests_never_overrides_a_sources_refusal(tmp_path: Path) -> None:
    """Winston Campbell has told his practice not to share: a dissent that isn't overridden, in an emergency neither."""
    async with running(tmp_path, organisations_file=SHIPPED, others=shipped()) as stack:
        await in_best_interests(stack, WINSTON)
        answer = await stack.everything(WINSTON, "hospital-doctor")
        assert answer.status_code == 200
        assert "G85005=withheld-by-source" in answer.headers["Connect-Care-Sources"]
        tags = {tag.get("code") for each in resources(answer.json()) for tag in each.get("meta", {}).get("tag", [])}
        assert "RJ2" in tags
        assert "G85005" not in tags
        assert any("withholds this record" in sentence for sentence in outcome(answer.json()))


async def test_best_interests_never_overrides_an_opt_out(stack: Stack) -> None:
    await in_best_interests(stack, GRACE)
    assert (await stack.everything(GRACE, "hospital-doctor")).status_code == 200
    await stack.choose(GRACE, "opted-out")
    before, cases = stack.calls(), await stack.parts.store.cases()
    refused = await stack.everything(GRACE, "hospital-doctor")
    asked = await stack.post("/permissions", {"nhsNumber": GRACE, **UNCONSCIOUS}, "nurse")
    assert (refused.status_code, asked.status_code) == (403, 403)
    assert "opted out" in told(refused)
    assert "opted out" in told(asked)
    assert stack.calls() == before
    assert await stack.parts.store.cases() == cases
