"""Whether an AuditEvent obeys the profiles that it claims: base R4B by `fhir.resources`, BALP by its transcription."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from fhir.resources.R4B.auditevent import AuditEvent
from pydantic import ValidationError
from ruamel.yaml import YAML

TABLE: Final = Path(__file__).with_name("balp.yaml")
Json = Mapping[str, Any]


@cache
def table() -> dict[str, Any]:
    """The transcription."""
    return YAML(typ="safe").load(TABLE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def faults(event: Json) -> list[str]:
    """What is wrong with an event; nothing where it is a valid AuditEvent and obeys each profile in its meta."""
    found = list(_base(event))
    for profile in event.get("meta", {}).get("profile", []):
        rules = table()["profiles"].get(profile)
        found += [f"claims {profile}, which isn't transcribed"] if rules is None else list(_profile(event, rules))
    return found


def _base(event: Json) -> Iterator[str]:
    try:
        AuditEvent.model_validate(event)
    except ValidationError as error:
        yield from (f"base {each['loc']}: {each['msg']}" for each in error.errors())


def _profile(event: Json, rules: Json) -> Iterator[str]:
    yield from _elements(event, rules["elements"], "")
    for cut in rules["slices"]:
        members = [each for each in _at(event, cut["of"]) if _belongs(each, cut)]
        where = f"{cut['of']}[{cut['name']}]"
        yield from _cardinality(len(members), cut["card"], where)
        for member in members:
            yield from _elements(member, cut.get("elements", {}), where + ".")
            if cut.get("obeys") == "val-audit-source" and member.get("who") != event.get("source", {}).get("observer"):
                yield f"{where}: is not the observer"
    for name in rules.get("closed", []):
        cuts = [cut for cut in rules["slices"] if cut["of"] == name]
        for index, each in enumerate(_at(event, name)):
            if not any(_belongs(each, cut) for cut in cuts):
                yield f"{name}.{index}: in no slice of a closed list"


def _elements(element: Json, rules: Json, where: str) -> Iterator[str]:
    for path, rule in rules.items():
        values = _at(element, path)
        yield from _cardinality(len(values), rule["card"], where + path)
        for value in values:
            if "is" in rule and not _is(value, rule["is"]):
                yield f"{where}{path}: is not {rule['is']}"
            if "among" in rule and not any(_is(value, each) for each in rule["among"]):
                yield f"{where}{path}: is none of {rule['among']}"
            if "only" in rule and not _refers_to(value, rule["only"]):
                yield f"{where}{path}: is no reference to a {rule['only']}"
            if "begins" in rule and not str(value).startswith(rule["begins"]):
                yield f"{where}{path}: does not begin with {rule['begins']}"


def _cardinality(count: int, card: str, where: str) -> Iterator[str]:
    least, _, most = card.partition("..")
    if count < int(least) or (most != "*" and count > int(most)):
        yield f"{where}: {count}, not {card}"


def _at(element: Any, path: str) -> list[Any]:
    found = [element]
    for step in path.split("."):
        inner = [each[step] for each in found if isinstance(each, dict) and step in each]
        found = [each for one in inner for each in (one if isinstance(one, list) else [one])]
    return found


def _belongs(element: Any, cut: Json) -> bool:
    if "among" in cut:
        return any(_is(element, each) for each in cut["among"])
    return any(_is(each, cut["type"]) for each in _at(element, "type"))


def _is(value: Any, wanted: Any) -> bool:
    """A value itself; or a Coding, or a CodeableConcept with that coding among its own."""
    if not isinstance(wanted, str) or "#" not in wanted:
        return bool(value == wanted)
    alias, _, code = wanted.partition("#")
    codings = value.get("coding", [value]) if isinstance(value, dict) else []
    return any((each.get("system"), each.get("code")) == (table()["systems"][alias], code) for each in codings)


def _refers_to(value: Json, type_: str) -> bool:
    return value.get("type") == type_ or str(value.get("reference", "")).startswith(f"{type_}/")
