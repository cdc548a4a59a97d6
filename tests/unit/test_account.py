"""What was sent, matched with what a connector says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.model import Section, Traced
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.connector_commands.casting import permission
from gateway.locate import Locator, Look
from gateway.merge import Merger, source_types
from gateway.policy.decide import Policy
from gateway.replay.account import account, counted
from gateway.replay.fate import Fate
from gateway.replay.passage import Steps, pass_through
from gateway.replay.sent import is_broken, numbers_in, sent_in, traces
from gateway.view import View
from tests.unit.pipeline import NHS, SEALER, TRUST, address_of, answered, organisation, organisations, patient, resource

POLICIES = Path(__file__).parents[2] / "policies"


def payload(*resources: Any, kind: str = "collection") -> bytes:
    entries = [{"resource": one} if one is not None else {} for one in resources]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def one(kind: str, id_: str | None = None, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, **({"id": id_} if id_ else {}), **more}


def test_every_resource_has_a_key() -> None:
    inside = [one("Medication", "m"), one("Medication"), "odd"]
    nested = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one("Patient", "p")}]}
    sent = sent_in(
        [
            payload(one("List", contained=inside), one("Observation", "o"), None, nested),
            json.dumps(one("X", "y")).encode(),
        ]
    )
    assert [item.key for item in sent] == [
        *("List/?1", "List/?1#m", "List/?1#?2", "Observation/o", "?/?3", "Patient/p", "X/y")
    ]
    assert [item.holder for item in sent if item.holder] == ["List/?1", "List/?1"]
    assert [item.has_id for item in sent[:4]] == [False, False, False, True]


def test_an_answer_in_a_batch_that_brought_nothing_is_no_resource() -> None:
    body = {"resourceType": "Bundle", "type": "batch-response", "entry": [{"response": {"status": "404"}}, "odd"]}
    assert [item.key for item in sent_in([json.dumps(body).encode()])] == ["?/?1"]
    assert sent_in([b'{"resourceType":"Bundle","entry":{}}']) == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"resourceType":1}', b"[" * 100_000, b'{"a":1e999999}'])
def test_what_is_not_fhir_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        sent_in([body])
    assert "1e999999" not in str(raised.value)


def test_the_same_is_counted_and_another_version_is_another() -> None:
    sent = sent_in([payload(one("X", "a"), one("X", "a", n=1), one("X", "a"), one("List"), one("List"))])
    assert [(item.key, item.version, item.place, item.times) for item in sent] == [
        *(("X/a", 0, 0, 2), ("X/a", 1, 1, 1), ("List/?4", 0, 0, 1), ("List/?5", 0, 0, 1))
    ]


def said(sent: list[bytes], *traced: Traced) -> list[str]:
    """By resource, the reason of the trace that is its own; `-` where it has none."""
    resources = sent_in(sent)
    found = traces(resources, traced)
    return [found[place].reason if place in found else "-" for place in range(len(resources))]


def test_each_trace_finds_its_resource() -> None:
    twice = payload(one("X", "a"), one("X", "a", n=1), one("X", "a"))
    assert said([twice], *(Traced("X/a", (), reason) for reason in "012")) == ["0", "1"]
    assert said([twice], *(Traced("X/a", ("X/a",), reason) for reason in "01")) == ["0", "1"]
    assert said([twice], Traced("X/a", (), "neither")) == ["neither", "neither"]
    assert said([twice], Traced("X/a", ("X/a",), "one of them")) == ["-", "-"]
    assert said([twice]) == ["-", "-"]


def test_resources_without_an_id_go_by_their_order() -> None:
    body = payload(one("X", "a"), one("List", contained=[one("Y", "y")]), one("List"), one("Z"))
    traced = [Traced("List/?7", (), "first"), Traced("List/?7#y", (), "in it"), Traced("List/?9", (), "second")]
    assert said([body], *traced) == ["-", "first", "in it", "second", "-"]


def test_contained_resources_without_an_id_go_by_their_place() -> None:
    body = payload(one("X", "a", contained=[one("Y", "y"), one("Y")]))
    for local in ("?2", "2"):
        assert said([body], Traced(f"X/a#{local}", (), "second")) == ["-", "-", "second"]


def test_what_could_not_be_read_is_what_is_broken() -> None:
    fine = {"status": "final", "code": {"text": "x"}}
    body = payload(one("Observation", "a", **fine), one("Observation", "b", status=1), one("Observation", "c"))
    traced = [Traced(f"Observation/(unreadable {place})", (), f"broken {place}") for place in (1, 2, 3)]
    assert said([body], *traced) == ["-", "broken 1", "broken 2"]


def test_broken_shapes_are_seen_wherever_they_are() -> None:
    fine = one("Observation", "a", status="final", code={"text": "x"})
    assert not is_broken(fine)
    assert not is_broken(one("Claim", "c", anything=1))
    assert is_broken({**fine, "contained": [one("Practitioner", "p", name="x")]})
    assert is_broken({**fine, "status": 7})


def test_numbers_are_those_of_patients() -> None:
    system = "https://fhir.nhs.uk/Id/nhs-number"
    numbered = [{"system": system, "value": "9990000409"}, {"system": "urn:x", "value": "7"}, "odd"]
    sent = sent_in([payload(one("Patient", "p", identifier=numbered), one("Basic", "b", identifier=numbered))])
    assert numbers_in(sent) == {"9990000409"}


def passing(*bodies: Any, sections: frozenset[Section], scopes: frozenset[str] = frozenset()) -> dict[str, str]:
    """What became of a trust's resources in a look at some sections, each with what decided."""
    place = organisations(organisation(TRUST))
    caller = Caller(
        issuer="https://issuer.test",
        user_id="555",
        name="Dr A",
        role_profile_id="555",
        job_role_code="R8000",
        role=Role.GP,
        organisation="G85005",
        organisation_name="A practice",
        organisation_type=OrganisationType.GP_PRACTICE,
        client_id="test",
        scopes=scopes,
    )
    view = View(Policy.load(POLICIES), source_types(place))
    steps = Steps(Merger(SEALER, place), view, caller, permission(caller), address_of)
    look = Look(NHS, "test", "test", sections)
    located = Locator(place, 1.0).locate(caller, look, view.sections_for(caller), 0.0)
    sent = sent_in([payload(*bodies)])
    lines = account(sent, pass_through(answered(TRUST, *bodies), located, steps))
    assert counted(lines).total() == len(bodies)
    assert Fate.UNEXPLAINED not in counted(lines)
    return {line.key: line.told.rule or str(line.told.fate) for line in lines}


def test_what_came_for_its_labels_alone_is_outside_the_question() -> None:
    """Problems are asked for with results, which may label them; the results aren't shown."""
    bodies = (patient(), resource("Condition", "c"), resource("Observation", "o"), resource("Encounter", "e"))
    found = passing(*bodies, sections=frozenset({Section.PROBLEMS}))
    assert found == {
        "Patient/p1": "question",
        "Condition/c": "shown",
        "Observation/o": "question",
        "Encounter/e": "question",
    }


def test_the_scopes_of_a_token_narrow_what_is_shown() -> None:
    bodies = (patient(), resource("Condition", "c"), resource("Observation", "o"))
    found = passing(*bodies, sections=frozenset(Section), scopes=frozenset({"user/Condition.read"}))
    assert found == {"Patient/p1": "question", "Condition/c": "shown", "Observation/o": "question"}


def test_a_patient_who_is_nobody_is_refused_whole() -> None:
    found = passing(patient(identifier=[]), resource("Condition", "c"), sections=frozenset(Section))
    assert set(found.values()) == {"guard.wrong-patient"}
