"""A narrative passes sanitised where it can speak of nothing but its resource, and nowhere else."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.caller.model import Role
from gateway.policy.decide import Policy
from gateway.policy.narrative import XHTML, narrative, sanitised
from tests.policies.build import ids, item, ref, seen_by, shown

TEXT = {"status": "generated", "div": f'<div xmlns="{XHTML}"><p>Penicillin <b>severe</b></p></div>'}


def test_it_passes_on_an_allergy_that_is_shown_whole(policy: Policy) -> None:
    resource = shown(seen_by(Role.GP, policy, [item("AllergyIntolerance", "a", text=TEXT)]), "a")
    assert "Penicillin <b>severe</b>" in resource["text"]["div"]
    assert resource["text"]["status"] == "generated"


@pytest.mark.parametrize("kind", ["DiagnosticReport", "Encounter", "CareTeam", "Appointment"])
def test_it_never_passes_on_what_gathers_others(policy: Policy, kind: str) -> None:
    filtered = seen_by(Role.GP, policy, [item(kind, "x", text=TEXT)])
    assert ids(filtered) == {"x"}
    assert "text" not in shown(filtered, "x")


@pytest.mark.parametrize(
    "elements",
    [
        {"encounter": ref("Encounter", "e")},
        {"hasMember": [ref("Observation", "o")]},
        {"contained": [{"resourceType": "Practitioner", "id": "p"}], "performer": [{"reference": "#p"}]},
    ],
)
def test_it_does_not_pass_where_the_resource_refers_to_clinical_content(
    policy: Policy, elements: dict[str, Any]
) -> None:
    """Whether or not the target is shown: its absence must tell nothing."""
    targets = [item("Encounter", "e"), item("Observation", "o")]
    for others in (targets, []):
        resource = shown(seen_by(Role.GP, policy, [item("Observation", "x", text=TEXT, **elements), *others]), "x")
        assert "text" not in resource


def test_it_does_not_pass_in_an_outline(policy: Policy) -> None:
    request = item("MedicationRequest", "m", text=TEXT, medicationCodeableConcept={"text": "Aspirin"})
    assert "text" in shown(seen_by(Role.GP, policy, [request]), "m")
    assert "text" not in shown(seen_by(Role.SOCIAL_WORKER, policy, [request]), "m")


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        {"status": "generated"},
        {"div": "<div>x</div>"},
        {"status": "made-up", "div": "<div>x</div>"},
        {"status": "generated", "div": 1},
        {"status": "generated", "div": "<div> &nbsp; <script>alert(1)</script></div>"},
    ],
)
def test_a_narrative_that_is_none_goes(text: object) -> None:
    assert narrative({"resourceType": "Condition", "text": text}) is None


@pytest.mark.parametrize(
    ("dirty", "gone"),
    [
        ('<div><img src="https://tracker.example/x.png"/>x</div>', "tracker"),
        ('<div><a href="javascript:alert(1)">x</a></div>', "javascript"),
        ('<div><p style="background:url(https://e.example)">x</p></div>', "style"),
        ('<div onclick="alert(1)">x</div>', "onclick"),
        ("<div>x<script>alert(1)</script></div>", "alert"),
        ("<div>x<iframe src='https://e.example'></iframe></div>", "iframe"),
        ("<div>x<!-- hidden --></div>", "hidden"),
        ("<div>x<svg><script>alert(1)</script></svg></div>", "alert"),
    ],
)
def test_nothing_that_loads_or_runs_passes(dirty: str, gone: str) -> None:
    clean = sanitised(dirty)
    assert clean is not None
    assert gone not in clean
    assert "x" in clean


def test_tables_and_breaks_pass_as_xml() -> None:
    clean = sanitised('<div><table><tr><td colspan="2">a<br>b&nbsp;c<hr></td></tr></table></div>')
    assert clean is not None
    assert 'colspan="2"' in clean
    assert "<br/>" in clean
    ET.fromstring(clean)


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<br>", "<script>", "</script>", "<b title='&'>", "&nbsp;", "&lt;", "<", "\x0b", "a"]
        )
    ).map("".join)
)
def test_what_passes_is_always_well_formed(div: str) -> None:
    clean = sanitised(div)
    if clean is not None:
        root = ET.fromstring(clean)
        assert root.tag == f"{{{XHTML}}}div"
        assert {element.tag.partition("}")[2] for element in root.iter()}.isdisjoint({"script", "img", "a", "style"})
