"""Mutated answers: a source that mixes up its patients, in every way that we could think of, at every place.

A thousand answers with somebody else in them, none released, each alarmed; and what stays of those that are only
unproven is all about the patient.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.bundle import read_resource
from connectors.sdk.model import (
    NHS_NUMBER_SYSTEM,
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Answer,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
)
from gateway.guard import NO_PATIENT, WRONG_PATIENT
from tests.quick import only
from tests.unit.pipeline import (
    EVERYTHING,
    NHS,
    OTHER,
    SNOMED,
    TRUST,
    address_of,
    an_item,
    coded,
    guarded,
    nhs_numbers,
    patient,
    resource,
)

BASE: Final = address_of(TRUST)
MARK: Final = "STRANGER"
_KINDS: Final = sorted(set(SECTION_OF_TYPE) - {"Patient"})
_CLINICAL: Final = coded((SNOMED, "38341003"))


def an_answer(rng: random.Random) -> list[Resource]:
    """An answer as a healthy source gives it: the patient, and up to a dozen resources with references of all kinds."""
    subjects = ["Patient/p1", "Patient/p1/_history/3", f"{BASE}/Patient/p1"]
    bodies = [patient(name=[{"family": "Own"}])]
    for number in range(rng.randrange(1, 12)):
        kind = rng.choice(_KINDS)
        body = resource(kind, f"{kind}-{number}", rng.choice(subjects), note=[{"text": "n"}], code=deepcopy(_CLINICAL))
        body["encounter"] = {"reference": f"Encounter/{number}"}
        body["extension"] = [{"url": "x", "valueReference": {"reference": "Practitioner/7"}}]
        bodies.append(body)
    bodies += [resource("Practitioner", "7"), resource("Organization", "2"), resource("Specimen", "5")]
    rng.shuffle(bodies)
    return bodies


def a_victim(bodies: list[Resource], rng: random.Random) -> Resource:
    return rng.choice([body for body in bodies if body["resourceType"] in _KINDS])


# --- Ways to lead to another patient ---------------------------------------------------------------------------------

STRANGE_TARGETS: Final = (
    # Another id, with and without a version and the source's own address.
    "Patient/p2", "Patient/p2/_history/1", f"{BASE}/Patient/p2", f"{BASE}/Patient/p2/_history/9", f"Patient/{NHS}",
    # The same id somewhere else.
    "https://other.example/fhir/Patient/p1", "http://rj2.example/fhir/Patient/p1", f"{BASE}2/Patient/p1",
    "https://rj2.example.evil/fhir/Patient/p1", "//other.example/Patient/p1", "fhir/Patient/p1",
    f"https://other.example/fhir/Patient/{NHS}", f"{BASE.upper()}/Patient/p1",
    # Conditional references.
    f"Patient?identifier={NHS_NUMBER_SYSTEM}|{OTHER}", f"Patient?identifier={NHS_NUMBER_SYSTEM}|{NHS}",
    "Patient?_id=p1", f"{BASE}/Patient?identifier=x", "Patient/p1?x=y",
    # Another case, a slash or a space too many.
    "patient/p2", "patient/p1", "PATIENT/p1", "PaTiEnT/p1", "Patient/P1", "Patient/p1/", "Patient/p1//",
    "Patient//p1", "/Patient/p2", "./Patient/p1", "../Patient/p1", " Patient/p1", "Patient /p1", "Patient/ p1",
    "Patient/p1 ", "Patient/p1\n", "\tPatient/p1", "Patient", "Patient/",
    # Percent-encoding, once and twice; characters that look alike or can't be seen.
    "Patient%2Fp2", "Patient%2fp1", "%50atient/p1", "%2550atient/p1", "Patient/%70%31", "Pa\u200btient/p2",
    "\uff30atient/p2",
    # Fragments, versions and separators that don't belong.
    "Patient/p1#x", "Patient/p1|2", "Patient/p1/_history/", "Patient/p1/_history", "Patient\\p2", "Patient:p2",
    "Patient/p1;v=2", "Patient/p1/_history/1/_history/2",
)  # fmt: skip

NOT_TEXT: Final[tuple[Any, ...]] = (None, 1, True, 1.5, [], {}, ["Patient/p1"], {"reference": "Patient/p1"})


def a_strange_reference(rng: random.Random) -> dict[str, Any]:
    odd_but_typed = {"reference": rng.choice(["p2", "urn:uuid:1", "Person/2", "2", "", "x y"]), "type": "Patient"}
    by_canonical_type = {
        "reference": "urn:uuid:2",
        "type": rng.choice(["http://hl7.org/fhir/StructureDefinition/Patient", "patient"]),
    }
    return rng.choice(
        [
            {"reference": rng.choice(STRANGE_TARGETS), "display": MARK},
            {"reference": rng.choice(STRANGE_TARGETS), "display": MARK},
            {"reference": rng.choice(STRANGE_TARGETS), "type": "Practitioner"},
            {"reference": rng.choice(NOT_TEXT)},
            odd_but_typed,
            by_canonical_type,
        ]
    )


PLACES: Final[tuple[Callable[[Resource, dict[str, Any]], Any], ...]] = (
    lambda body, ref: body.update(subject=ref),
    lambda body, ref: body.update(patient=ref),
    lambda body, ref: body.update(performer=[{"reference": "Practitioner/7"}, ref]),
    lambda body, ref: body.update(focus=[ref]),
    lambda body, ref: body.update(participant=[*body.get("participant", []), {"actor": ref, "status": "accepted"}]),
    lambda body, ref: body["extension"].append({"url": "y", "valueReference": ref}),
    lambda body, ref: body["extension"].append({"url": "y", "extension": [{"url": "z", "valueReference": ref}]}),
    lambda body, ref: body["code"].update(extension=[{"url": "y", "valueReference": ref}]),
    lambda body, ref: body["note"][0].update(authorReference=ref),
    lambda body, ref: body.update(_status={"extension": [{"url": "y", "valueReference": ref}]}),
    lambda body, ref: body.update(contained=[{"resourceType": "Observation", "id": "c", "subject": ref}]),
    lambda body, ref: body.update(contained=[{"resourceType": "RelatedPerson", "id": "c", "patient": ref}]),
    lambda body, ref: body.update(
        contained=[
            {"resourceType": "List", "id": "c", "contained": [{"resourceType": "List", "id": "d", "source": ref}]}
        ]
    ),
    lambda body, ref: body["encounter"].update(identifier={"assigner": ref}),
)


def strange_reference(bodies: list[Resource], rng: random.Random) -> None:
    rng.choice(PLACES)(a_victim(bodies, rng), a_strange_reference(rng))


def strange_reference_of_something_supporting(bodies: list[Resource], rng: random.Random) -> None:
    body = rng.choice([body for body in bodies if body["resourceType"] in SUPPORTING_TYPES])
    body[rng.choice(["subject", "patient", "qualification"])] = a_strange_reference(rng)


# --- Ways to carry another number ------------------------------------------------------------------------------------

SYSTEMS: Final = (
    NHS_NUMBER_SYSTEM, f"{NHS_NUMBER_SYSTEM}/", "http://fhir.nhs.net/Id/nhs-number", "https://fhir.nhs.uk/id/nhs-Number",
    "urn:oid:2.16.840.1.113883.2.1.4.1", "https://trust.example/NHSNumber",
)  # fmt: skip


def strange_number(rng: random.Random) -> dict[str, Any]:
    number = rng.choice([one for one in nhs_numbers()[:50] if one != NHS])
    spelled = rng.choice([number, f"{number[:3]} {number[3:6]} {number[6:]}", f"{number}x", int(number)])
    return {"system": rng.choice(SYSTEMS), "value": spelled, "use": rng.choice(["official", "old"])}


def another_number(bodies: list[Resource], rng: random.Random) -> None:
    number = strange_number(rng)
    body = rng.choice(bodies)
    name, value = rng.choice(
        [
            ("identifier", [*body.get("identifier", []), number]),
            ("subject", {"reference": "Patient/p1", "identifier": number}),
            ("extension", [*body.get("extension", []), {"url": "y", "valueIdentifier": number}]),
            ("contained", [{"resourceType": "RelatedPerson", "id": "c", "identifier": [number]}]),
            ("performer", [{"identifier": number}]),
            ("performer", [{"type": "Patient", "identifier": number}]),
        ]
    )
    body[name] = value


# --- Ways to bring another Patient -----------------------------------------------------------------------------------


def the_patient(bodies: list[Resource]) -> Resource:
    return next(body for body in bodies if body["resourceType"] == "Patient")


def another_patient(bodies: list[Resource], rng: random.Random) -> None:
    others = [
        patient("p2", OTHER, name=[{"family": MARK}]),
        patient("p2", NHS, name=[{"family": MARK}]),
        patient("p1", OTHER, name=[{"family": MARK}]),
        {"resourceType": "Patient", "id": rng.choice(["p1", "p2"]), "name": [{"family": MARK}]},
        {"resourceType": "Patient", "id": "p1", "identifier": [{"system": f"{NHS_NUMBER_SYSTEM}/", "value": NHS}]},
    ]
    bodies.insert(rng.randrange(len(bodies) + 1), rng.choice(others))


def instead_of_the_patient(bodies: list[Resource], rng: random.Random) -> None:
    the_patient(bodies)["identifier"] = rng.choice(
        [
            [],
            [strange_number(rng)],
            [{"system": "mrn", "value": NHS}],
            [{"value": NHS}],
            [{"system": NHS_NUMBER_SYSTEM}],
        ]
    )


def no_patient_at_all(bodies: list[Resource], rng: random.Random) -> None:
    bodies.remove(the_patient(bodies))


def contained_stranger(bodies: list[Resource], rng: random.Random) -> None:
    stranger: Resource = {"resourceType": "Patient", "id": "me", "name": [{"family": MARK}]}
    if rng.random() < 0.5:
        stranger["identifier"] = [strange_number(rng)]
    body = a_victim(bodies, rng)
    body["contained"] = [patient("own"), stranger] if rng.random() < 0.5 else [stranger]
    if rng.random() < 0.7:
        body["subject"] = {"reference": "#me"}


STRANGERS: Final = (
    strange_reference, strange_reference, strange_reference, strange_reference_of_something_supporting,
    another_number, another_patient, instead_of_the_patient, no_patient_at_all, contained_stranger,
)  # fmt: skip


# --- Ways not to say whose it is -------------------------------------------------------------------------------------

UNPROVEN: Final[tuple[Any, ...]] = (
    None, {}, {"display": MARK}, {"reference": "Group/family"}, {"reference": "Location/1"}, {"reference": "#nobody"},
    {"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"}, {"identifier": {"system": "mrn", "value": "7"}},
    {"type": "Patient", "display": MARK}, {"reference": "RelatedPerson/mother"}, {"reference": "p1"},
)  # fmt: skip


def unprove(body: Resource, rng: random.Random) -> None:
    about = deepcopy(rng.choice(UNPROVEN))
    for name in ("subject", "patient", "participant"):
        if name in body:
            del body[name]
            if about is not None:
                body[name] = [{"actor": about, "status": "accepted"}] if name == "participant" else about


def as_items(bodies: list[Resource], rng: random.Random) -> Iterator[Item]:
    """As a connector hands them over: examined by it, or by the guard."""
    for body in bodies:
        urls = [None, f"{BASE}/{body['resourceType']}/{body['id']}"]
        yield an_item(TRUST, body, full_url=rng.choice(urls))


def check(bodies: list[Resource], rng: random.Random) -> tuple[Answer, list[Any]]:
    result = guarded(Answer(TRUST, Outcome.ANSWERED, list(as_items(bodies, rng))))
    return result.answers[0], result.alarms


@pytest.mark.parametrize("seed", range(25))
def test_a_healthy_answer_passes_whole(seed: int) -> None:
    rng = random.Random(seed)
    bodies = an_answer(rng)
    answer, alarms = check(bodies, rng)
    assert not alarms
    assert [item.resource for item in answer.items] == bodies


@pytest.mark.parametrize("mutate", STRANGERS, ids=lambda mutate: mutate.__name__)
@pytest.mark.parametrize("seeds", only([range(30)], [range(30), range(30, 150)]), ids=["thirty", "more"])
def test_nothing_is_released_of_an_answer_with_a_stranger_in_it(mutate: Callable[..., None], seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(f"{mutate.__name__}-{seed}")
        bodies = an_answer(rng)
        mutate(bodies, rng)
        answer, alarms = check(bodies, rng)
        assert answer.items == [], bodies
        assert answer.outcome is Outcome.FAILED
        assert answer.gaps == dict.fromkeys(EVERYTHING, Gap.IDENTITY_ALARM)
        assert len(alarms) == 1
        assert alarms[0].source == TRUST


@pytest.mark.parametrize("place", range(len(PLACES)))
def test_every_spelling_at_every_place_is_a_stranger(place: int) -> None:
    for target in STRANGE_TARGETS:
        rng = random.Random(place)
        bodies = an_answer(rng)
        PLACES[place](a_victim(bodies, rng), {"reference": target})
        answer, alarms = check(bodies, rng)
        assert not answer.items, target
        assert [alarm.kind for alarm in alarms] == [WRONG_PATIENT]


@pytest.mark.parametrize("seed", range(100))
def test_what_is_unproven_is_dropped_and_the_rest_stays(seed: int) -> None:
    rng = random.Random(seed)
    bodies = an_answer(rng)
    victims = rng.sample([body for body in bodies if body["resourceType"] in _KINDS], k=1)
    for victim in victims:
        unprove(victim, rng)
    answer, alarms = check(bodies, rng)
    assert [item.resource for item in answer.items] == [body for body in bodies if body not in victims]
    assert answer.gaps == {SECTION_OF_TYPE[victim["resourceType"]]: Gap.HELD_BACK for victim in victims}
    assert [(alarm.kind, alarm.count) for alarm in alarms] == [(NO_PATIENT, 1)]


def json_of(bodies: list[Resource]) -> list[bytes]:
    return [msgspec.json.encode(body) for body in bodies]


@pytest.mark.parametrize("seed", range(100))
def test_the_same_from_the_bytes_that_a_source_sends(seed: int) -> None:
    """Through the reader of the SDK, with the findings that the connector made."""
    rng = random.Random(seed)
    bodies = [resource("Practitioner", "7"), patient(name=[{"family": "Own"}]), resource("Specimen", "5")]
    for number in range(4):
        body = resource(
            rng.choice(["Observation", "DiagnosticReport", "Condition"]), f"r{number}", status="final", code=_CLINICAL
        )
        bodies.append(body)
    victim = bodies[-1]
    target = rng.choice(STRANGE_TARGETS)
    spot = rng.choice(["subject", "extension", "contained"])
    if spot == "subject":
        victim["subject"] = {"reference": target}
    elif spot == "extension":
        victim["extension"] = [{"url": "x", "valueReference": {"reference": target}}]
    else:
        victim["contained"] = [{"resourceType": "Condition", "id": "c", "subject": {"reference": target}}]
    items = []
    for raw in json_of(bodies):
        body, findings = read_resource(raw)
        items.append(an_item(TRUST, body, findings=findings))
    result = guarded(Answer(TRUST, Outcome.ANSWERED, items))
    assert not result.answers[0].items
    assert [alarm.kind for alarm in result.alarms] == [WRONG_PATIENT]


_KEYS = st.sampled_from(
    ["reference", "type", "identifier", "system", "value", "subject", "actor", "resourceType", "contained", "id", "x"]
)
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([*STRANGE_TARGETS, "Patient", "Patient/p1", "#p", "Device/1", NHS_NUMBER_SYSTEM, NHS, OTHER]),
)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=400, deadline=None)
@given(trees=st.lists(st.tuples(st.sampled_from(_KINDS), _TREES, _TREES), min_size=1, max_size=3))
def test_no_tree_of_json_breaks_the_guard_or_gets_a_stranger_past_it(trees: list[tuple[str, Any, Any]]) -> None:
    bodies = [patient()]
    for number, (kind, first, second) in enumerate(trees):
        bodies.append(resource(kind, f"r{number}", extension=first, contained=second))
    result = guarded(Answer(TRUST, Outcome.ANSWERED, [an_item(TRUST, body) for body in bodies]))
    (answer,) = result.answers
    assert bool(result.alarms) is (len(answer.items) < len(bodies))
    for item in answer.items:
        assert item.findings is not None
        assert all(number == NHS for number in item.findings.nhs_numbers)
        for reference in item.findings.references:
            assert reference["reference"] in ("Patient/p1", "#p", "Device/1", "Patient", NHS, OTHER, NHS_NUMBER_SYSTEM)
            assert reference["reference"] != "Patient"


def test_the_sections_are_those_of_the_record() -> None:
    assert {SECTION_OF_TYPE[kind] for kind in _KINDS} | {Section.DEMOGRAPHICS} == set(Section)
