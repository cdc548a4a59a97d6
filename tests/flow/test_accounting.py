"""Every source that takes part is accounted for, and less is never shown to the one who may see more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.stack import DANIEL, ELSIE, GRACE, MIA, ORGANISATIONS, SIOBHAN, Stack, outcome, resources, running, told
from tests.quick import only


@pytest.mark.parametrize("patient", only([GRACE, ELSIE], [DANIEL, GRACE, SIOBHAN, MIA, ELSIE]))
@pytest.mark.parametrize("role", ["occupational-therapist", "social-worker"])
async def test_who_sees_less_never_sees_what_a_doctor_does_not(stack: Stack, role: str, patient: str) -> None:
    ids = {}
    for who in ("hospital-doctor", role):
        await stack.agree(patient, who)
        ids[who] = {r["id"] for r in resources((await stack.everything(patient, who)).json()) if "meta" in r}
    linkages = {r["id"] for r in resources((await stack.everything(patient, role)).json(), "Linkage")}
    assert ids[role] - linkages <= ids["hospital-doctor"]
    assert len(ids[role]) > 1


async def test_a_search_names_the_organisations_that_hold_none_of_it(stack: Stack) -> None:
    await stack.agree(GRACE)
    answer = await stack.get(f"/fhir/R4/Observation?patient={GRACE}")
    for source in stack.parts.organisations.sources():
        assert f"{source.ods}=" in answer.headers["Connect-Care-Sources"]
    assert "709=not-asked" in answer.headers["Connect-Care-Sources"]
    assert "London Borough of Lewisham holds none of what was asked for." in outcome(answer.json())


async def test_a_suspended_source_is_a_gap(tmp_path: Path) -> None:
    everybody = ORGANISATIONS.read_text()
    entry = everybody.index("ods: G85005")
    file = tmp_path / "organisations.yaml"
    file.write_text(everybody[:entry] + everybody[entry:].replace("stage: live", "stage: suspended", 1))
    async with running(tmp_path, organisations_file=file) as stack:
        await stack.agree(GRACE, "hospital-doctor")
        before = stack.sandboxes["G85005"].state()["calls"]["total"]
        answer = await stack.everything(GRACE, "hospital-doctor")
        assert answer.status_code == 200
        assert stack.sandboxes["G85005"].state()["calls"]["total"] == before
        assert "G85005=not-asked;missing=demographics+allergies" in answer.headers["Connect-Care-Sources"]
        sentences = outcome(answer.json())
        assert any("South Lewisham" in s and "is suspended" in s for s in sentences)
        assert any(s.startswith("Allergies unavailable") for s in sentences)
        codes = [c["code"] for r in resources(answer.json(), "AllergyIntolerance") for c in r["code"]["coding"]]
        assert "716186003" not in codes


async def test_scopes_narrow_and_say_so(stack: Stack) -> None:
    token = stack.demo.mint("gp", claims={"scope": "openid user/AllergyIntolerance.rs user/Patient.rs"})
    headers = {"Authorization": f"Bearer {token}"}
    await stack.agree(GRACE)
    answer = await stack.client.get(f"/fhir/R4/Patient/{GRACE}/$everything", headers=headers)
    assert {r["resourceType"] for r in resources(answer.json())} <= {
        "AllergyIntolerance",
        "Patient",
        "Practitioner",
        "Linkage",
    }
    assert resources(answer.json(), "AllergyIntolerance")
    assert any("scope" in sentence for sentence in outcome(answer.json()))
    before = stack.calls()
    none = await stack.client.get(f"/fhir/R4/Observation?patient={GRACE}", headers=headers)
    assert none.status_code == 403
    assert "user/Observation.rs" in told(none)
    paths = [path for ods in stack.sandboxes for path in stack.sandboxes[ods].state()["calls"]["byPath"]]
    assert not any("Observation" in path for path in paths)
    assert stack.calls() == before


async def test_a_refusal_after_the_sources_were_asked_says_which_were(stack: Stack) -> None:
    await stack.agree(GRACE)
    body = {"nhsNumber": GRACE, "birthDate": "1901-01-01"}
    refused = await stack.post("/records", body)
    assert refused.status_code == 404
    (row,) = [row for row in await stack.rows(GRACE) if row["kind"] == "refusal"]
    assert row["sources"]["RJ2"]["outcome"] == "answered"
    assert {line["detail"] for line in row["sources"].values()} == {"not shown"}
    assert "seen" not in row
