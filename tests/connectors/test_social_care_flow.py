"""Both councils behind `social_care` in a whole gateway: what a GP and a social worker get, and that nothing leaks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.kit.faults import Mode
from connectors.social_care.sandbox import create_app, holdings
from tests.flow.stack import GRACE, MIA, ORGANISATIONS, Stack, outcome, resources, running


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    text, count = re.subn(
        r'(- ods: "70[39]"\n(?:    .*\n)*?    connector: )\w+', r"\1social_care", ORGANISATIONS.read_text()
    )
    assert count == 2
    file = tmp_path / "organisations.yaml"
    file.write_text(text)
    councils = {ods: create_app(ods, canaries=True, careless=True) for ods in ("709", "703")}
    async with running(tmp_path, others=councils, organisations_file=file) as started:
        yield started


@pytest.mark.parametrize(("ods", "nhs_number", "team"), [("709", GRACE, "Adult social care, Lewisham south"),
                                                         ("703", MIA, "Children with disabilities team")])  # fmt: skip
async def test_the_gp_sees_what_the_council_holds_and_none_of_its_notes(
    stack: Stack, ods: str, nhs_number: str, team: str
) -> None:
    await stack.agree(nhs_number)
    answer = await stack.everything(nhs_number)
    bundle = answer.json()
    ours = [one for one in resources(bundle) if {"code": ods}.items() <= one["meta"]["tag"][0].items()]
    assert team in [one["name"] for one in ours if one["resourceType"] == "CareTeam"]
    assert {"Encounter", "Appointment", "Practitioner"} <= {one["resourceType"] for one in ours}
    assert not [mark for mark in holdings(ods, canaries=True).kept_back if mark in answer.text]
    assert any(mark in answer.text for mark in holdings(ods, canaries=True).canaries)


async def test_the_social_worker_sees_the_councils_contacts_in_outline(stack: Stack) -> None:
    await stack.agree(GRACE, "social-worker")
    bundle = (await stack.everything(GRACE, "social-worker")).json()
    (planned,) = [one for one in resources(bundle, "Appointment") if one["meta"]["tag"][0]["code"] == "709"]
    assert planned["start"] == "2027-03-03T10:00:53+00:00"
    assert "reasonCode" not in planned


async def test_a_lying_council_costs_the_others_nothing(stack: Stack) -> None:
    stack.sandboxes["709"].switch.mode = Mode.LYING_QUIETLY
    await stack.agree(GRACE)
    bundle = (await stack.everything(GRACE)).json()
    assert not [one for one in resources(bundle) if one["meta"]["tag"][0]["code"] == "709"]
    assert resources(bundle, "MedicationStatement")
    assert any("London Borough of Lewisham" in sentence for sentence in outcome(bundle))
