"""`connector replay` finds what a connector loses, and what it makes up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flow.replay.asking import CONTAINED, coded, collection, fates, lines, r4, refers, run, told

TRACED = """\
answer.traced = [Traced(one.key, (one.key,)) for one in answer.items if one.type != "Observation"]
        answer.traced += [Traced("Observation/one", BECAME, REASON)]"""


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("answer.items = [one for one in answer.items if one.original_id != 'one']", "nobody says why"),
        ("answer.items = []", "nobody says why"),
        ("[one.resource.pop('contained', None) for one in answer.items]", "took it out of what contains it"),
        ("raise KeyError('Observation/one')", "the connector itself broke"),
        (TRACED.replace("BECAME", "()").replace("REASON", "''"), "neither what it became nor why"),
        (TRACED.replace("BECAME", "('Observation/else',)").replace("REASON", "''"), "no such item came"),
        (TRACED.partition("\n")[0], "nobody says why"),
    ],
)
def test_what_a_connector_loses_is_unexplained(
    losing: Callable[..., None], saved: Callable[..., Path], fault: str, why: str
) -> None:
    losing(fault)
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    file = saved(collection(r4("Patient", "p1"), one, r4("Condition", "c1")))
    account = told("losing", file, exit_code=1)
    unexplained = [line for line in account["resources"] if line["fate"] == "unexplained"]
    assert account["counts"]["unexplained"] == len(unexplained) > 0
    assert why in unexplained[0]["why"] + unexplained[-1]["why"]
    code, out, _ = run("losing", file)
    assert code == 1
    assert f"unexplained: {len(unexplained)}" in out


def test_what_a_connector_does_not_ask_for_is_unexplained(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    """It offers results, was asked for them, and never searches for them."""
    losing("pass", "ask = replace(ask, sections=ask.sections - {Section.RESULTS})")
    account = told("losing", saved(collection(r4("Patient", "p1"), r4("Observation", "one"))), exit_code=1)
    assert fates(account) == {"Patient/p1": "shown", "Observation/one": "unexplained"}


def test_what_a_connector_makes_up_is_unexplained(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    made_up = "{'resourceType': 'Condition', 'id': 'x', 'code': {'text': 'x'}, 'subject': {'reference': 'Patient/p1'}}"
    losing(f"answer.items.append(Item(answer.source, {made_up}, Section.PROBLEMS, 'x'))")
    account = told("losing", saved(collection(r4("Patient", "p1"))), exit_code=1)
    assert lines(account)["Condition/x"]["why"] == "it is shown, and came of nothing that was sent"


def test_a_connector_may_tell_in_another_what_it_was_sent(
    losing: Callable[..., None], saved: Callable[..., Path]
) -> None:
    losing(
        "answer.items = [one for one in answer.items if one.original_id != 'two']\n"
        "        answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/two', ('Observation/one',)), Traced('Basic/b', (), 'no use')]"
    )
    two = [r4("Observation", "one"), r4("Observation", "two"), r4("Basic", "b")]
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), *two))))
    assert found["Observation/two"]["fate"] == "grouped into"
    assert found["Observation/two"]["why"] == "told by what became of Observation/one"
    assert found["Observation/two"]["into"] == found["Observation/one"]["into"]
    assert (found["Basic/b"]["why"], found["Basic/b"]["rule"]) == ("no use", "connector")


def test_a_place_that_a_traced_holder_leaves_out(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    """A connector that accounts for each resource accounts for the contained ones too."""
    losing("answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]")
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    account = told("losing", saved(collection(r4("Patient", "p1"), one)), exit_code=1)
    assert fates(account)["Observation/one#near"] == "unexplained"


def test_a_traced_contained_resource_is_in_its_holder(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing(
        "answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/one#near', ('Observation/one',))]"
    )
    one = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")])
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), one))))
    assert found["Observation/one#near"]["fate"] == "grouped into"
    assert found["Observation/one#near"]["into"] == found["Observation/one"]["into"]


def test_what_stands_in_what_is_not_shown_is_not_shown(losing: Callable[..., None], saved: Callable[..., Path]) -> None:
    losing(
        "answer.traced = [Traced(one.key, (one.key,)) for one in answer.items]\n"
        "        answer.traced += [Traced('Observation/one#near', ('Observation/one',))]"
    )
    hidden = r4("Observation", "one", contained=CONTAINED[:1], performer=[refers("#near")], code=coded("86406008"))
    found = lines(told("losing", saved(collection(r4("Patient", "p1"), hidden))))
    assert found["Observation/one#near"]["rule"] == "label.sensitive.agreement"
