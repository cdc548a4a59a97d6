"""Practice lists in a running gateway: of thousands of practices, the one that the register names is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.pds import sandbox as register
from connectors.sdk.organisation import Organisation
from gateway.locate import JOINING
from tests.flow.stack import GRACE, SHIPPED, Stack, outcome, resources, running, shipped

PRACTICES = ("G85005", "G85004", "G83021")
SECTIONS = ["demographics", "allergies", "medicines", "contacts", "results", "problems", "immunisations", "care-team"]
X26 = {
    "ods": "X26",
    "name": "The register",
    "type": "national-service",
    "stage": "live",
    "connector": "pds",
    "address": "sandbox",
    "sections": ["demographics"],
}
TRUST = X26 | {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "connector": "fhir_r4", "sections": SECTIONS}
LIST = {
    "practices": "list.csv",
    "name": "GP practices",
    "stage": "live",
    "joined": "2026-11-02",
    "connector": "fhir_r4",
    "address": "sandbox",
    "sections": SECTIONS,
    "settings": {"patient_by": "identifier"},
}


def world(folder: Path, *entries: dict[str, Any], strangers: int = 0, rows: str = "") -> Path:
    """A register of these entries and a list of the three practices that there are sandboxes for, among strangers."""
    header, *known = (rows or "ods,name\nG85005,South Lewisham\nG85004,Jenner\nG83021,Vanbrugh\n").splitlines()
    more = [f"Y{n:05},Practice {n}" + "," * (header.count(",") - 1) for n in range(strangers)]
    (folder / "list.csv").write_text("\n".join([header, *more, *known]) + "\n")
    file = folder / "organisations.yaml"
    file.write_text(json.dumps({"organisations": entries}))
    return file


@pytest.fixture
def others() -> dict[str, Any]:
    return {"X26": register.create_app("X26", canaries=True)}


def asked(stack: Stack) -> set[str]:
    return {ods for ods, sandbox in stack.sandboxes.items() if sandbox.state()["calls"]["total"]}


@pytest.mark.parametrize("strangers", [67, 6997])
async def test_a_record_asks_one_practice_however_many_take_part(
    tmp_path: Path, others: dict[str, Any], monkeypatch: pytest.MonkeyPatch, strangers: int
) -> None:
    made: list[str] = []
    construct = Organisation.model_construct
    monkeypatch.setattr(
        Organisation, "model_construct", lambda **values: made.append(values["ods"]) or construct(**values)
    )
    file = world(tmp_path, TRUST, X26, LIST, strangers=strangers)
    async with running(tmp_path, organisations_file=file, others=others) as stack:
        at_start = len(made)
        assert len(stack.parts.organisations.groups()[0]) == strangers + 3
        assert set(stack.parts.fan_out.states) == {"RJ2", "X26"}
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
        assert answer.status_code == 200, answer.text
        assert asked(stack) == {"RJ2", "X26", "G85005"}
        assert set(stack.parts.fan_out.states) == {"RJ2", "X26", "G85005"}
        assert {tag["code"] for r in resources(answer.json()) for tag in r["meta"]["tag"]} >= {"RJ2", "G85005"}
        assert answer.headers["Connect-Care-Sources"].count("=") == 3
    assert at_start == 1  # the one that is tried
    assert set(made) == {"G85005"}
    assert len(made) < 60


async def test_sources_shows_a_list_as_one_line_with_those_that_were_asked(
    tmp_path: Path, others: dict[str, Any]
) -> None:
    file = world(tmp_path, TRUST, X26, LIST, strangers=67)
    async with running(tmp_path, organisations_file=file, others=others) as stack:
        await stack.agree(GRACE)
        (group,) = (await stack.get("/sources")).json()["practiceGroups"]
        assert group == {
            "name": "GP practices",
            "type": "gp-practice",
            "stages": ["live"],
            "joined": "2026-11-02",
            "sections": sorted(SECTIONS),
            "practices": 70,
            "asked": [],
        }
        await stack.everything(GRACE)
        answer = (await stack.get("/sources", "privacy-officer")).json()
        assert [line["ods"] for line in answer["sources"]] == ["RJ2", "X26"]
        (line,) = answer["practiceGroups"][0]["asked"]
        assert (line["ods"], line["name"], line["lastOutcome"]) == ("G85005", "South Lewisham", "answered")
        assert "shadow" not in line
        # A colleague could tell from it where the patient is registered whose record was opened a moment ago.
        assert (await stack.get("/sources", "nurse")).json()["practiceGroups"] == [group]


async def test_a_registered_practice_in_shadow_is_asked_and_never_shown(tmp_path: Path, others: dict[str, Any]) -> None:
    rows = "ods,name,stage\nG85005,South Lewisham,shadow\nG85004,Jenner,\nG83021,Vanbrugh,\n"
    file = world(tmp_path, TRUST, X26, LIST, rows=rows, strangers=67)
    async with running(tmp_path, organisations_file=file, others=others) as stack:
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
        assert answer.status_code == 200
        assert not [mark for mark in stack.sandboxes["G85005"].canaries if mark.encode() in answer.content]
        told = outcome(answer.json())
        assert any(sentence.startswith(f"South Lewisham {JOINING}") for sentence in told)
        assert any(sentence.startswith("Allergies unavailable") for sentence in told)  # a GP record is missing
        (row,) = [row for row in await stack.rows(GRACE) if row["kind"] == "release"]
        assert row["sources"]["G85005"]["stage"] == "shadow"
        for task in list(stack.parts.shadow._tasks):
            await task
        (line,) = (await stack.get("/sources", "privacy-officer")).json()["practiceGroups"][0]["asked"]
        assert (line["stage"], line["shadow"]["asked"], line["shadow"]["outcomes"]) == ("shadow", 1, {"answered": 1})


async def test_without_a_register_a_short_list_is_asked_whole(tmp_path: Path) -> None:
    file = world(tmp_path, TRUST, LIST)
    async with running(tmp_path, organisations_file=file) as stack:
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
        assert answer.status_code == 200
        assert asked(stack) == {"RJ2", *PRACTICES}
        assert {tag["code"] for r in resources(answer.json()) for tag in r["meta"]["tag"]} >= {"RJ2", "G85005"}
        assert "G83021=no-record" in answer.headers["Connect-Care-Sources"]


async def test_staff_of_a_listed_practice_sign_in(tmp_path: Path, others: dict[str, Any]) -> None:
    file = world(tmp_path, TRUST, X26, LIST, strangers=6997)
    async with running(tmp_path, organisations_file=file, others=others) as stack:
        assert (await stack.get("/sources", "gp")).status_code == 200  # of G85005


async def test_the_register_that_is_shipped_shows_the_leaflets_eight(tmp_path: Path) -> None:
    async with running(tmp_path, organisations_file=SHIPPED, others=shipped()) as stack:
        await stack.agree(GRACE)
        answer = await stack.everything(GRACE)
        assert answer.status_code == 200, answer.text
        told = answer.headers["Connect-Care-Sources"]
        assert [f"{ods}=not-asked" in told for ods in ("RPG", "709", "703")] == [True] * 3
        sources = {tag["code"] for r in resources(answer.json()) for tag in r["meta"]["tag"]}
        assert sources >= {"RJ2", "G85005"}
        assert sources.isdisjoint({"RPG", "709", "703", "G85004", "G83021"})
        assert asked(stack) >= {"RJ2", "G85005", "X26"}
        assert asked(stack).isdisjoint({"G85004", "G83021"})
        listed = (await stack.get("/sources")).json()
        assert {line["ods"]: line["stage"] for line in listed["sources"]} == {
            "RJ2": "live",
            "X26": "live",
            **dict.fromkeys(("RPG", "709", "703"), "shadow"),
        }
        assert [(group["name"], group["practices"]) for group in listed["practiceGroups"]] == [
            ("GP practices of Lewisham", 4),
            ("GP practices of Greenwich", 3),
        ]
