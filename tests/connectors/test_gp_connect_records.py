"""Seven whole records of real suppliers' test systems, through the connector and the whole pipeline.

Every input resource is accounted for: shown, grouped into another, supporting, or not shown with the reason.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from connectors.gp_connect.replay import replaying
from connectors.sdk import shape
from connectors.sdk.http import Transport
from connectors.sdk.model import INCLUDED_BY, ODS_SYSTEM, Answer, Ask, Section
from connectors.sdk.organisations import Organisations, OrganisationType
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Permission, Scope
from gateway.locate import Locator, Look
from gateway.merge import Merger, source_types
from gateway.policy.decide import Policy
from gateway.replay.account import Line, account, counted
from gateway.replay.fate import Fate
from gateway.replay.passage import Passage, Steps, pass_through
from gateway.replay.sent import sent_in
from gateway.sealed import Sealer
from gateway.search.tokens import values
from gateway.shown import Shown
from gateway.view import View
from tests.connectors.asking import asking
from tests.connectors.gp_connect_asking import ADDRESS, PRACTICE, RECORDS, SERVED, connected_by, practice

FILES = sorted(RECORDS.glob("*.json"))
POLICIES = Path(__file__).parents[2] / "policies"
ID_RULE = re.compile(r"[A-Za-z0-9\-.]{1,64}")

pytestmark = pytest.mark.skipif(not FILES, reason=f"the records of other suppliers are not at {RECORDS}")


CALLER = Caller(
    issuer="https://issuer.test",
    user_id="555021935107",
    name="Dr Test",
    role_profile_id="555021941100",
    job_role_code="S8000:G8000:R8000",
    role=Role.GP,
    organisation=PRACTICE,
    organisation_name="A practice",
    organisation_type=OrganisationType.GP_PRACTICE,
    client_id="test",
)
"""The patient's own GP, with a permission that includes what is sensitive: whoever sees most."""

PERMISSION = Permission(
    id="1",
    patient="tag",
    sealed_patient="sealed",
    caller=CALLER.key,
    organisation=PRACTICE,
    basis=Basis.PATIENT_AGREED,
    scope=Scope.INCLUDING_SENSITIVE,
    reason="",
    granted_at=datetime(2026, 10, 1, 10, tzinfo=UTC),
    expires_at=datetime(2026, 10, 1, 12, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.load(POLICIES)


def saved(file: Path) -> Transport:
    """The record, under the number that its name has and its content masks."""
    return replaying([file.read_bytes()], file.name[:10])


async def replayed(file: Path, ask: Ask) -> Answer:
    connector = connected_by(saved(file))
    try:
        return await connector.ask(ask)
    finally:
        await connector.aclose()


async def passed(file: Path, policy: Policy) -> Passage:
    """One saved record, through the connector, guard, merge and policy."""
    nhs_number = file.name[:10]
    look = Look(nhs_number, "GET /fhir/Patient/{id}/$everything", "request-1", SERVED)
    organisations = Organisations({PRACTICE: practice()})
    view = View(policy, source_types(organisations))
    located = Locator(organisations, 5.0).locate(CALLER, look, view.sections_for(CALLER), 0.0)
    answer = await replayed(file, asking(nhs_number, located.asks[PRACTICE].sections))
    steps = Steps(Merger(Sealer(bytes(range(32))), organisations), view, CALLER, PERMISSION, lambda _: ADDRESS)
    passage = pass_through(answer, located, steps)
    assert passage.alarms == []
    return passage


async def seen(file: Path, policy: Policy) -> Shown:
    """What leaves of one saved record."""
    shown = (await passed(file, policy)).shown
    assert shown is not None
    return shown


def tabled(name: str, lines: list[Line]) -> str:
    counts = counted(lines)
    reasons = Counter(line.told.why for line in lines if line.told.fate is Fate.NOT_SHOWN)
    row = f"{name:<34}" + "".join(f"{counts[fate]:>14}" for fate in Fate)
    return "\n".join([row, *(f"    {count:>4} × {why}" for why, count in sorted(reasons.items()))])


@pytest.mark.slow
async def test_every_input_resource_is_accounted_for(policy: Policy, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{'record':<34}" + "".join(f"{fate:>14}" for fate in Fate)]
    unexplained: list[Line] = []
    for file in FILES:
        passage = await passed(file, policy)
        sent = keys_sent(file)
        assert Counter(traced.key for traced in passage.answer.traced) == sent
        lines = account(sent_in([file.read_bytes()]), passage)
        counts = counted(lines)
        assert counts.total() == sent.total()
        assert counts[Fate.SHOWN] > 30
        assert (counts[Fate.GROUPED] > 0) == any(key.startswith("MedicationRequest/") for key in sent)
        unexplained += [line for line in lines if line.told.fate is Fate.UNEXPLAINED]
        rows.append(tabled(file.stem, lines))
    with capsys.disabled():
        print("\n" + "\n".join(rows))
    assert unexplained == []


def keys_sent(file: Path) -> Counter[str]:
    """The key of every resource in a payload; one without an id (a List) goes by its place."""
    entries = msgspec.json.decode(file.read_bytes())["entry"]
    sent = enumerate((entry["resource"] for entry in entries), start=1)
    return Counter(f"{one['resourceType']}/{one.get('id', f'?{place}')}" for place, one in sent)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.split("_")[1])
async def test_what_is_released_is_r4(file: Path, policy: Policy) -> None:
    """Loads in the R4 models, has R4's required elements, and an id that obeys R4's rule."""
    shape.prepare()
    shown = await seen(file, policy)
    assert shown.items
    for item in shown.items:
        resource = msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(item.resource))
        assert ID_RULE.fullmatch(resource["id"])
        shape.check(item.resource)
        get_fhir_model_class(item.type).model_validate(loadable(resource))
        assert "1234567890" not in str(resource)


def loadable(resource: dict[str, Any]) -> dict[str, Any]:
    """A copy that the models load. R4 lets a mandatory choice be absent where its sibling says why; they don't."""
    found = copy.deepcopy(resource)
    if "_occurrenceDateTime" in found and "occurrenceDateTime" not in found:
        assert found.pop("_occurrenceDateTime")["extension"][0]["valueCode"] == "unknown"
        found["occurrenceString"] = "unknown"
    return found


async def test_the_practice_is_the_patients_own_by_its_own_word(policy: Policy) -> None:
    """A structured record exists only for who is registered there, so no other word is needed."""
    shown = await seen(FILES[0], policy)
    (patient,) = [item.resource for item in shown.items if item.section is Section.DEMOGRAPHICS]
    assert patient["id"] == FILES[0].name[:10]
    assert {"system": ODS_SYSTEM, "value": PRACTICE} in [
        one.get("identifier") for one in patient["generalPractitioner"]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.split("_")[1])
async def test_every_reference_to_who_and_where_leads_somewhere(file: Path) -> None:
    """That is what lets the connector say that this source always sends them along."""
    answer = await replayed(file, asking(file.name[:10], SERVED))
    held = {item.key for item in answer.items}
    for include in answer.includes:
        kind, path = include.partition(":")[0], INCLUDED_BY[include]
        for item in answer.items:
            if item.type == kind:
                for node in values(item.resource, path):
                    if isinstance(node, dict) and "reference" in node and not node["reference"].startswith("Patient/"):
                        assert node["reference"] in held
