"""The few ways in which an STU3 element becomes R4, from which the tables in `resources/` are made.

A table names every element that the type has in STU3, each with its rule. What a table doesn't name is no element of
STU3: it is left out and counted, never guessed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.gp_connect.stu3 import naming
from connectors.gp_connect.stu3.reasons import PROFILE
from connectors.gp_connect.stu3.tidy import NotStu3
from connectors.sdk.model import Resource


@dataclass(slots=True)
class Draft:
    """One R4 resource in the making: the tidied STU3 `source`, the `r4` so far, and what is left out."""

    kind: str
    source: Resource
    left_out: Counter[str]
    r4: Resource = field(default_factory=dict)

    def add(self, name: str, *values: Any) -> None:
        """Append to an element that is a list in R4."""
        self.r4.setdefault(name, []).extend(values)

    def extend(self, *extensions: Resource) -> None:
        """Append extensions to the resource itself."""
        self.add("extension", *extensions)

    def leave_out(self, path: str) -> None:
        """Count an element whose value isn't carried."""
        self.left_out[f"{self.kind}.{path}"] += 1


Rule = Callable[[Draft, Any], None]

_TURNING: Final = frozenset({"modifierExtension", "doNotPerform", "notDone", "wasNotGiven", "wasNotTaken", "focus"})
"""Elements that make the rest mean something else, from FHIR's versions before and after STU3. What has one where STU3
knows none can't be carried without it: an order not to give a medicine would look like an order."""


@dataclass(frozen=True, slots=True)
class To:
    """The value as it is, under R4's name for it; `many` where R4 has a list in place of STU3's one."""

    name: str
    many: bool = False

    def __call__(self, draft: Draft, value: Any) -> None:
        if self.many:
            draft.add(self.name, *(value if isinstance(value, list) else [value]))
        else:
            draft.r4[self.name] = value


@dataclass(frozen=True, slots=True)
class Rules:
    """How one resource type becomes R4.

    `extensions` are those, by `naming.extension_name`, that R4 has an element for. `demanded` are the primitive
    elements that R4 can't do without: where the source sends none, a data-absent-reason stands in. `finish` sees to
    what concerns several elements at once.
    """

    kind: str
    elements: Mapping[str, Rule]
    extensions: Mapping[str, Rule] = field(default_factory=dict)
    demanded: tuple[str, ...] = ()
    finish: Callable[[Draft], None] | None = None

    def apply(self, source: Resource, left_out: Counter[str]) -> Resource:
        """The R4 resource, as yet without `contained`. Raises NotStu3."""
        draft = Draft(self.kind, source, left_out)
        for name, value in source.items():
            self._apply(draft, name, value)
        if self.finish is not None:
            self.finish(draft)
        for name in self.demanded:
            if name not in draft.r4 and f"_{name}" not in draft.r4:
                draft.r4[f"_{name}"] = {"extension": [naming.absent()]}
        return draft.r4

    def _apply(self, draft: Draft, name: str, value: Any) -> None:
        if name == "extension":
            for extension in value:
                rule = self.extensions.get(naming.extension_name(extension["url"]))
                (rule or _same_extension)(draft, extension)
        elif name.startswith("_"):
            self._sibling(draft, name[1:], value)
        else:
            (_COMMON.get(name) or self.elements.get(name) or _unknown(name))(draft, value)

    def _sibling(self, draft: Draft, name: str, value: Any) -> None:
        """The extensions of a primitive go where the primitive went, if that is a primitive in R4."""
        rule = _COMMON.get(name) or self.elements.get(name)
        if isinstance(rule, To) and not rule.many:
            draft.r4[f"_{rule.name}"] = value
        else:
            draft.leave_out(f"_{name}")


def kept(*names: str) -> dict[str, Rule]:
    """Elements that R4 has under the same name, with the same kind of content."""
    return {name: To(name) for name in names}


def left_out(path: str) -> Rule:
    """An element that isn't carried (`reasons.LEFT_OUT` says why)."""
    return lambda draft, value: draft.leave_out(path)


def _unknown(name: str) -> Rule:
    """An element that STU3 doesn't know. NotStu3 where the rest must not be read without it: a result of a type that
    STU3 doesn't have would look like one without a result."""

    def rule(draft: Draft, value: Any) -> None:
        if (name in _TURNING and value is not False) or (draft.kind == "Observation" and name.startswith("value")):
            raise NotStu3(f"{name} is no element of {draft.kind}")
        draft.leave_out(name)

    return rule


def said_elsewhere(draft: Draft, value: Any) -> None:
    """An element that the table's `finish` reads."""


def code(name: str, codes: Collection[str]) -> Rule:
    """A code that is the same in R4. One that R4 doesn't know stays as an extension, and the code itself is absent."""

    def rule(draft: Draft, value: Any) -> None:
        sent = _demand_text(name, value).strip()
        if sent in codes:
            draft.r4[name] = sent
        else:
            draft.r4[f"_{name}"] = absent_for(draft.kind, name, sent)

    return rule


def absent_for(kind: str, name: str, sent: str) -> Resource:
    """In place of a code: that it is absent, and what STU3 said."""
    return {"extension": [naming.absent(), naming.of_stu3(f"{kind}.{name}", "valueCode", sent)]}


def concept(name: str, system: str, codes: Collection[str]) -> Rule:
    """A code that is a CodeableConcept in R4, of the same code. One that R4 doesn't know stays as an extension."""

    def rule(draft: Draft, value: Any) -> None:
        sent = _demand_text(name, value).strip()
        if sent in codes:
            draft.r4[name] = {"coding": [{"system": system, "code": sent}]}
        else:
            draft.r4[name] = {"extension": [naming.of_stu3(f"{draft.kind}.{name}", "valueCode", sent)]}

    return rule


def as_extension(path: str, value_name: str) -> Rule:
    """An element that R4 has no place for, as an extension of the resource; one for each where it is a list."""

    def rule(draft: Draft, value: Any) -> None:
        for one in value if isinstance(value, list) else [value]:
            draft.extend(naming.of_stu3(f"{draft.kind}.{path}", value_name, one))

    return rule


def element_of_extension(value_name: str, name: str) -> Rule:
    """An extension for which R4 has an element: its value goes there. A second one, or another value, stays."""

    def rule(draft: Draft, extension: Any) -> None:
        if extension.keys() == {"url", value_name} and name not in draft.r4:
            draft.r4[name] = extension[value_name]
        else:
            draft.extend(extension)

    return rule


def encounter(draft: Draft, context: Any) -> None:
    """STU3's context is R4's encounter; an episode of care as context has no place in R4."""
    target = context.get("reference") if isinstance(context, dict) else None
    if isinstance(target, str) and target.startswith("EpisodeOfCare/"):
        draft.extend(naming.of_stu3(f"{draft.kind}.context", "valueReference", context))
    else:
        draft.r4["encounter"] = context


def text_as_note(draft: Draft, text: Any) -> None:
    """A comment is one of R4's notes."""
    _demand_text("comment", text)
    draft.add("note", {"text": text})


def only(draft: Draft, node: Resource, names: Collection[str], path: str) -> Resource:
    """The object, with anything in it but `names` counted as left out: a rule that takes it apart carries no more.

    Raises NotStu3 for a modifier: R4 has no object that it could stay with.
    """
    for name in node:
        if name in _TURNING:
            raise NotStu3(f"{path} has a modifier")
        if name not in names:
            draft.leave_out(f"{path}.{name}")
    return node


def renamed(node: Any, names: Mapping[str, str], path: str) -> Resource:
    """An object with some of its elements under R4's names. Raises NotStu3 where it is none."""
    return {names.get(key, key): value for key, value in an_object(node, path).items()}


def objects(value: Any, path: str) -> Iterable[Resource]:
    """The objects of a list. Raises NotStu3 for anything else."""
    if not isinstance(value, list):
        raise NotStu3(f"{path} is no list")
    return [an_object(node, path) for node in value]


def an_object(value: Any, path: str) -> Resource:
    """The value, which must be an object. Raises NotStu3."""
    if not isinstance(value, dict):
        raise NotStu3(f"{path} is no object")
    return value


def truth(source: Resource, name: str) -> bool:
    """A truth value, False where there is none. Raises NotStu3 for anything else: "true" in quotes is not false."""
    value = source.get(name, False)
    if not isinstance(value, bool):
        raise NotStu3(f"{name} is neither true nor false")
    return value


def _demand_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise NotStu3(f"{name} is no text")
    return value


def _same_extension(draft: Draft, extension: Resource) -> None:
    draft.extend(extension)


def _meta(draft: Draft, meta: Any) -> None:
    """As it is, with UK Core's profile in place of the national STU3 ones."""
    kept_meta = dict(an_object(meta, "meta"))
    profiles = kept_meta.pop("profile", [])
    if not isinstance(profiles, list) or not all(isinstance(url, str) for url in profiles):
        raise NotStu3("meta.profile is no list of text")
    moved = [naming.profile(url, draft.kind) for url in profiles]
    for profile in moved:
        if profile is None:
            draft.left_out[PROFILE] += 1
    uk_core = list(dict.fromkeys(profile for profile in moved if profile is not None))
    kept_meta.pop("_profile", None)
    draft.r4["meta"] = kept_meta | ({"profile": uk_core} if uk_core else {})


_COMMON: Final[Mapping[str, Rule]] = {
    **kept("resourceType", "id", "implicitRules", "language", "text", "modifierExtension"),
    "meta": _meta,
    "contained": said_elsewhere,
}
