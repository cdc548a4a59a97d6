"""Where organisations differ in who the patient is."""

from __future__ import annotations

from typing import Any

from connectors.sdk.model import Item
from gateway.manifest import Difference
from gateway.register.differing import differing
from tests.unit.pipeline import COUNCIL, PRACTICE, TRUST, an_item, patient, resource

NAMES = {"X26": "Register", PRACTICE: "Practice", TRUST: "Trust"}


def who(source: str, family: str = "Adebayo", given: str = "Grace", **more: Any) -> Item:
    return an_item(source, patient(name=[{"family": family, "given": [given]}], **more))


def test_those_who_agree_differ_in_nothing() -> None:
    same = [
        who("X26", gender="female"),
        who(TRUST, " ADEBAYO ", "grace", gender="female"),
        an_item(PRACTICE, resource("Condition", "c")),
    ]
    assert differing(same, NAMES, "X26") == ()


def test_the_registers_word_comes_first_with_those_who_say_another_thing() -> None:
    items = [who(TRUST, "Adebayo-Cole"), who(PRACTICE), who("X26"), who(COUNCIL, "Adeyemi")]
    assert differing(items, NAMES, "X26") == (
        Difference("family name", (("Register", "Adebayo"), ("709", "Adeyemi"), ("Trust", "Adebayo-Cole"))),
    )


def test_without_a_register_all_are_named() -> None:
    items = [who(TRUST, birthDate="1950-01-01"), who(PRACTICE, birthDate="1951-01-01")]
    (found,) = differing(items, NAMES, None)
    assert found == Difference("birth date", (("Practice", "1951-01-01"), ("Trust", "1950-01-01")))


def test_where_the_register_says_nothing_the_others_are_held_against_each_other() -> None:
    items = [who("X26"), who(TRUST, gender="male"), who(PRACTICE, gender="female")]
    (found,) = differing(items, NAMES, "X26")
    assert (found.element, {value for _, value in found.values}) == ("gender", {"male", "female"})


def test_what_is_not_said_or_cannot_be_read_contradicts_nobody() -> None:
    items = [who("X26", gender="female"), an_item(TRUST, patient()), an_item(PRACTICE, patient(name="of no shape"))]
    assert differing(items, NAMES, "X26") == ()
