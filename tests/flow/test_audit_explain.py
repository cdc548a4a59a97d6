"""Why could, or couldn't, this person see this: by rule and sentence, under the policy of that day."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from gateway.audit.row import Kind
from gateway.cli import app
from gateway.explain.explain import Explainer
from gateway.explain.model import Event
from gateway.explain.words import as_text
from gateway.policy.decide import Policy
from gateway.settings import Settings
from tests.flow.policies import altered
from tests.flow.stack import DANIEL, GRACE, Stack, running
from tests.flow.test_disclosures import OFFICER, born, claim

__all__ = ["born"]


async def explained(stack: Stack, request_id: str, *, with_key: bool = False) -> tuple[list[Event], str]:
    rows = await stack.parts.store.rows(request_id=request_id)
    made = await Explainer(stack.parts.store, stack.parts.sealer if with_key else None).explain(request_id, rows)
    return made.events, as_text(made)


async def test_a_look_is_explained_from_the_person_to_each_source(stack: Stack) -> None:
    await stack.agree(GRACE, "social-worker")
    answer = await stack.everything(GRACE, "social-worker")
    events, text = await explained(stack, answer.headers["x-request-id"])
    intent, release = events
    assert (intent.kind, intent.ended) == ("intent", release.seq)
    assert release.policy_found
    assert release.opened_by is not None
    assert release.opened_by.id == "door.open-record"
    assert release.permission is not None
    assert (release.permission.basis, release.permission.scope) == ("patient-agreed", "standard")
    assert release.choice is not None
    assert (release.choice.choice, release.choice.recorded_at) == ("opted-in", None)
    sections = {each.section: each for each in release.sections}
    assert sections["results"].level == "withheld"
    assert sections["contacts"].level == "in outline"
    assert sections["contacts"].rule is not None
    assert sections["contacts"].rule.id == "section.contacts.outline"
    assert sections["allergies"].shown > 0
    assert {rule.id for rule in release.outlined} >= {"section.contacts.outline"}
    assert all(rule.title and rule.why and rule.count for rule in release.outlined)
    assert any("Never shown to a social worker: results" in each for each in release.never)
    assert set(release.sources) == {"RJ2", "G85005", "G85004", "G83021", "RPG", "709", "703"}
    for words in (
        "Row", "social-worker", "GET /fhir/R4/Patient/{patient}/$everything", "Section contacts:",
        "Source RJ2: answered", "Shown in outline only", "loaded from the archive", "Permission: patient-agreed",
        "Door: opened by door.open-record (Care staff may open records)",
    ):  # fmt: skip
        assert words in text, words
    assert GRACE not in text
    _, with_key = await explained(stack, answer.headers["x-request-id"], with_key=True)
    assert f"NHS number {GRACE}" in with_key


async def test_sensitive_items_are_held_back_by_a_rule_with_its_reason(stack: Stack) -> None:
    await stack.agree(DANIEL, "hospital-doctor")
    answer = await stack.everything(DANIEL, "hospital-doctor")
    [*_, release], text = await explained(stack, answer.headers["x-request-id"])
    held = {rule.id: rule for rule in release.held_back}
    assert held["label.sensitive.agreement"].count > 0
    assert "only with the patient's agreement to just that" in text


async def test_a_refusal_at_the_door_says_who_may(stack: Stack) -> None:
    answer = await stack.everything(GRACE, OFFICER)
    [*_, refusal], text = await explained(stack, answer.headers["x-request-id"])
    assert refusal.refused is not None
    assert refusal.refused.rule.id == "privacy-officer.never-clinical"
    assert "gp" in refusal.refused.open_to
    assert "privacy-officer" not in refusal.refused.open_to
    assert "Doctors, nurses, occupational therapists and social workers open records" in text
    assert "The door is open to: gp, hospital-doctor" in text


async def test_default_deny_says_who_may_as_well(stack: Stack) -> None:
    answer = await stack.post("/audit/_search", {"userId": "x"}, "gp")
    [refusal], _ = await explained(stack, answer.headers["x-request-id"])
    assert refusal.refused is not None
    assert (refusal.refused.rule.id, refusal.refused.open_to) == ("policy.default-deny", ["privacy-officer"])
    assert "Privacy officers read the audit" in refusal.refused.possible


async def test_no_permission_and_an_opt_out_say_what_would_have_made_it_possible(stack: Stack) -> None:
    answer = await stack.everything(GRACE)
    [*_, refusal], text = await explained(stack, answer.headers["x-request-id"])
    assert refusal.refused is not None
    assert refusal.refused.rule.id == "permission.none"
    assert "POST /permissions, patient-agreed" in text
    await stack.choose(GRACE, "opted-out")
    answer = await stack.everything(GRACE)
    [*_, refusal], text = await explained(stack, answer.headers["x-request-id"])
    assert refusal.choice is not None
    assert (refusal.choice.choice, refusal.choice.stated_by) == ("opted-out", "patient")
    assert "The patient can opt back in" in text


async def test_a_disclosure_says_on_what_law_and_the_reason_to_those_with_the_key(stack: Stack, born: str) -> None:
    await stack.choose(GRACE, "opted-out")
    answer = await stack.post("/disclosures", claim(birthDate=born, policy="record-without-sensitive"), OFFICER)
    assert answer.status_code == 200
    [*_, event], text = await explained(stack, answer.headers["x-request-id"])
    assert event.opened_by is not None
    assert event.opened_by.id == "door.disclose"
    assert {each.rule.id for each in event.sections if each.rule} == {"disclosure.section"}
    assert {rule.id for rule in event.held_back} == {"disclosure.sensitive"}
    assert "Authority: ordered by a court: Family Court at Bromley, ZE26C00001; to The Family Court" in text
    assert "The patient had opted out" in text
    assert "Order of 2 March" not in text
    assert "Not part of it either, whether or not there are any" in text
    _, with_key = await explained(stack, answer.headers["x-request-id"], with_key=True)
    assert "Reason given: Order of 2 March" in with_key


async def test_an_intent_without_an_end_says_so(stack: Stack) -> None:
    made = stack.parts.journal.row(Kind.INTENT, None, "r-lost", "GET /x", nhs_number=GRACE)
    await stack.parts.journal.append(made)
    [event], text = await explained(stack, "r-lost")
    assert event.ended == 0
    assert "no row says how it ended" in text
    assert "Who: nobody who is known" in text


async def test_it_is_explained_by_the_policy_of_that_day(tmp_path: Path) -> None:
    old = altered(Settings.model_fields["policies_dir"].default, tmp_path / "old")
    data = tmp_path / "data"
    data.mkdir()
    async with running(data, policies_dir=old) as stack:
        await stack.agree(GRACE, "social-worker")
        request_id = (await stack.everything(GRACE, "social-worker")).headers["x-request-id"]
    shutil.rmtree(old)
    async with running(data) as stack:
        assert stack.parts.policy.hash != (await stack.rows(GRACE))[0]["policy_hash"]
        [*_, release], _ = await explained(stack, request_id)
        sections = {each.section: each for each in release.sections}
        assert release.policy_found
        assert (sections["results"].level, sections["results"].shown > 0) == ("whole", True)


async def test_without_the_archive_it_says_so_and_names_ids_alone(stack: Stack) -> None:
    answer = stack.parts.journal.row(Kind.REFUSAL, None, "r-old", "GET /x", rule="label.sensitive.agreement")
    await stack.parts.journal.append(msgspec.structs.replace(answer, policy_hash="0" * 64))
    [event], text = await explained(stack, "r-old")
    assert not event.policy_found
    assert event.refused is not None
    assert (event.refused.rule.id, event.refused.rule.title) == ("label.sensitive.agreement", "")
    assert "isn't in this store's archive" in text


async def test_the_gateway_keeps_its_policies_when_it_starts(stack: Stack) -> None:
    assert await stack.parts.store.policy(stack.parts.policy.hash) == stack.parts.policy.archive
    assert isinstance(stack.parts.policy, Policy)


@pytest.mark.slow
async def test_past_decisions_are_held_against_another_policy_by_its_hash(tmp_path: Path) -> None:
    old = altered(Settings.model_fields["policies_dir"].default, tmp_path / "old")
    data = tmp_path / "data"
    data.mkdir()
    async with running(data, policies_dir=old) as stack:
        before = stack.parts.policy.hash
        await stack.agree(GRACE, "social-worker")
        await stack.everything(GRACE, "social-worker")
    async with running(data) as stack:
        after = stack.parts.policy.hash

        async def diff(*words: str | Path) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, app, ["policy", "diff", *map(str, words)])

        found = await diff(before, after, "--data", data)
        assert found.exit_code == 1, found.output
        assert "whole by section.results" in found.stdout
        assert "-> withheld by policy.default-deny" in found.stdout
        assert "Of 2 past decisions, 1 would certainly change, and 0 might" in found.stdout
        assert "1 would change: open-record by social-worker in council (TREAT, patient-agreed" in found.stdout
        unknown = await diff("0" * 64, after, "--data", data)
        assert (unknown.exit_code, "isn't in this store" in unknown.output) == (2, True)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", "explain", *map(str, words)])


async def test_the_command_explains_beside_a_running_gateway(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        await stack.agree(GRACE)
        request_id = (await stack.everything(GRACE)).headers["x-request-id"]
        plain = await asyncio.to_thread(run, request_id, "--data", tmp_path)
        assert plain.exit_code == 0, plain.output
        assert "Door: opened by door.open-record" in plain.output
        assert GRACE not in plain.output
        key = tmp_path / "master.key"
        keyed = await asyncio.to_thread(run, request_id, "--data", tmp_path, "--key-file", key, "--json")
        told: dict[str, Any] = json.loads(keyed.stdout)
        assert [event["nhs_number"] for event in told["events"]] == [GRACE, GRACE]
        assert told["events"][1]["sections"]
        missing = await asyncio.to_thread(run, "no-such", "--data", tmp_path)
        assert (missing.exit_code, "no row of this request" in missing.output) == (2, True)


@pytest.mark.parametrize("words", [("r",), ("r", "--data", "nowhere")])
def test_the_command_needs_a_store_that_is_there(words: tuple[str, ...], tmp_path: Path) -> None:
    assert run(*(str(tmp_path / each) if each == "nowhere" else each for each in words)).exit_code == 2
