"""Every event is a valid AuditEvent and obeys the profiles that it claims; and the check of that isn't blind."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway.audit.events.codes import BALP_VERSION, Profile
from gateway.audit.events.render import Events
from gateway.audit.row import Kind
from gateway.store.interface import Kept
from tests.contract.balp import faults, table
from tests.events import EVERY, SEALER

EVENTS = Events(SEALER, "https://gateway.example", "log.example")


def event_of(name: str) -> dict[str, Any]:
    return EVENTS.of(Kept(7, EVERY[name]))


def test_every_kind_of_row_is_tried() -> None:
    assert {row.kind for row in EVERY.values()} == set(Kind)


@pytest.mark.parametrize("name", EVERY)
def test_every_event_obeys_what_it_claims(name: str) -> None:
    assert faults(event_of(name)) == []


def test_the_profiles_that_are_claimed_are_those_that_are_transcribed() -> None:
    claimed = {profile for name in EVERY for profile in event_of(name)["meta"].get("profile", [])}
    assert claimed == set(Profile) == set(table()["profiles"])
    assert table()["version"] == BALP_VERSION


def cases() -> list[tuple[str, str]]:
    """For each profile, one event that claims it."""
    found: dict[str, str] = {}
    for name in EVERY:
        for profile in event_of(name)["meta"].get("profile", []):
            found.setdefault(profile, name)
    return sorted(found.items())


def spoiled(profile: str, name: str) -> list[tuple[str, dict[str, Any]]]:
    """The event, spoiled in each way that the profile forbids: each rule of the table is broken once."""
    rules = table()["profiles"][profile]
    found = list(_broken_elements(event_of(name), rules["elements"], "", []))
    for cut in rules["slices"]:
        members = _members(event_of(name), cut)
        where = f"{cut['of']}[{cut['name']}]"
        least, most = cut["card"].split("..")
        if int(least):
            found.append((f"{where} left out", _without(event_of(name), cut, members)))
        if most == "1" and members:
            doubled = event_of(name)
            doubled[cut["of"]].append(copy.deepcopy(doubled[cut["of"]][members[0]]))
            found.append((f"{where} doubled", doubled))
        for index in members[:1]:
            inner = dict(cut.get("elements", {}))
            if not int(least):
                inner.pop("type", None)  # what has another type is no member of a slice that may be empty
            found += _broken_elements(event_of(name), inner, where, [cut["of"], index])
            if "obeys" in cut:
                other = event_of(name)
                other[cut["of"]][index]["who"] = {"display": "somebody else"}
                found.append((f"{where} observed by another", other))
    for closed in rules.get("closed", []):
        odd = event_of(name)
        odd[closed].append({"what": {"display": "x"}, "type": {"system": "urn:x", "code": "x"}})
        found.append((f"{closed} opened", odd))
    return found


def _members(event: dict[str, Any], cut: dict[str, Any]) -> list[int]:
    systems = table()["systems"]

    def has(value: Any, wanted: str) -> bool:
        alias, _, code = wanted.partition("#")
        return any((each["system"], each["code"]) == (systems[alias], code) for each in value.get("coding", [value]))

    def belongs(each: dict[str, Any]) -> bool:
        return any(has(each, one) for one in cut["among"]) if "among" in cut else has(each["type"], cut["type"])

    return [index for index, each in enumerate(event[cut["of"]]) if belongs(each)]


def _without(event: dict[str, Any], cut: dict[str, Any], members: list[int]) -> dict[str, Any]:
    event[cut["of"]] = [each for index, each in enumerate(event[cut["of"]]) if index not in members]
    return event


def _broken_elements(
    event: dict[str, Any], rules: dict[str, Any], where: str, place: list[Any]
) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path, rule in rules.items():
        *above, last = path.split(".")
        least, most = rule["card"].split("..")
        if int(least):
            found.append((f"{where}.{path} left out", _changed(event, [*place, *above], last, None)))
        if most == "0":
            found.append((f"{where}.{path} put in", _changed(event, [*place, *above], last, _SOMETHING[last])))
        if {"is", "among", "only", "begins"} & rule.keys() and _holder(event, [*place, *above]).get(last) is not None:
            wrong = _wrong(_holder(event, [*place, *above])[last])
            found.append((f"{where}.{path} changed", _changed(event, [*place, *above], last, wrong)))
    return found


_SOMETHING = {
    "media": {"system": "urn:x", "code": "x"},
    "network": {"address": "x"},
    "what": {"display": "x"},
    "lifecycle": {"system": "urn:x", "code": "x"},
    "detail": [{"type": "x", "valueString": "x"}],
    "modifierExtension": [{"url": "urn:x", "valueString": "x"}],
    "role": [{"text": "x"}],
    "altId": "x",
    "name": "x",
    "location": {"display": "x"},
    "policy": ["urn:x"],
    "purposeOfUse": [{"text": "x"}],
}


def _wrong(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [_wrong(each) for each in value]
    if isinstance(value, dict):
        return {"type": "Device", "display": "x"} if "identifier" in value else {"system": "urn:x", "code": "x"}
    return "C" if value in ("R", "E") else "12"


def _holder(event: dict[str, Any], place: list[Any]) -> dict[str, Any]:
    holder: Any = event
    for step in place:
        holder = holder[step]
    return holder  # type: ignore[no-any-return]


def _changed(event: dict[str, Any], place: list[Any], last: str, value: Any) -> dict[str, Any]:
    spoiled = copy.deepcopy(event)
    holder = _holder(spoiled, place)
    holder.pop(last) if value is None else holder.update({last: value})
    return spoiled


@pytest.mark.parametrize(("profile", "name"), cases())
def test_an_event_that_breaks_any_rule_of_its_profile_is_found_out(profile: str, name: str) -> None:
    broken = spoiled(profile, name)
    assert len(broken) > 8
    assert [what for what, event in broken if not faults(event)] == []


@pytest.mark.parametrize("name", ["everything", "opted out", "case"])
@pytest.mark.parametrize("element", ["type", "recorded", "agent", "source"])
def test_an_event_that_base_r4_forbids_is_found_out(name: str, element: str) -> None:
    event = event_of(name)
    del event[element]
    assert faults(event)


def test_a_claim_to_a_profile_that_nobody_transcribed_is_found_out() -> None:
    event = event_of("everything")
    event["meta"]["profile"].append("https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.Delete")
    assert faults(event)
