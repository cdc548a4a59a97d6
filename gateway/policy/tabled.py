"""The same decisions as Cedar's, fast enough to walk over every circumstance there is.

A rule looks at few of the circumstances, and treats most words of a kind alike. So each rule is put to Cedar alone,
once for each case that it can tell apart, and what the single rules said is put together as Cedar does it: any error is
a no, a forbid beats every permit, and without a permit nothing is shown. A test holds it against `Policy.decide` over
thousands of circumstances.

What a rule can't tell apart is found by symmetry: where two words can change places in its text and leave the rule as
it was, it decides alike of both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from connectors.sdk.model import Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.choice.model import Basis, Scope
from gateway.disclosure.model import LawfulBasis
from gateway.policy.decide import Policy, ask_about, best_circumstances
from gateway.policy.model import Circumstances, Decision
from gateway.policy.rules import SingleRule, Verdict

Body = dict[str, Any]
Said = tuple[bool | None, bool | None]
"""Whether a rule speaks when an item is to be viewed whole, and in outline; None where it can't be judged."""
_CONTEXT: Final = {
    "purpose": "purpose",
    "basis": "basis",
    "scope": "scope",
    "ownPractice": "own_practice",
    "sourceType": "source_type",
    "labels": "labels",
    "disclosure": "disclosure",
}
_PRINCIPAL: Final = {"role": "role", "organisationType": "organisation_type"}
_KINDS: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "role": ("Role", tuple(Role)),
    "organisation_type": ("OrganisationType", tuple(OrganisationType)),
    "source_type": ("OrganisationType", tuple(OrganisationType)),
    "section": ("Section", tuple(Section)),
    "basis": ("Basis", (*Basis, *LawfulBasis)),
    "scope": ("Scope", tuple(Scope)),
}
"""Fields of Circumstances that hold one word, with the entity type and the words there are."""
_IN_CALLER: Final = ("Role", "OrganisationType")
_WORDS: Final = ("role", "organisation_type", "basis", "scope", "section", "source_type", "disclosure")
_words_of: Final = attrgetter(*_WORDS)
_SILENT: Final = (False, False)
_FAILED: Final = Verdict(allowed=False, rules=(), failed=True)


def mentioned(body: Body) -> frozenset[str]:
    """The fields of Circumstances that a rule can look at."""
    found: set[str] = set()
    for name, field in (("resource", "section"), ("principal", "*principal")):
        if body[name]["op"] != "All":
            found.add(field)
    _look(body["conditions"], found)
    if "*principal" in found:
        found |= set(_PRINCIPAL.values())
    if "*context" in found:
        found |= set(_CONTEXT.values())
    return frozenset(field for field in found if not field.startswith("*"))


def _look(node: Any, found: set[str]) -> None:
    if isinstance(node, list):
        for each in node:
            _look(each, found)
    elif isinstance(node, dict):
        if (field := _attribute(node)) is not None:
            found.add(field)
            return
        variable = node.get("Var")
        if isinstance(variable, str) and variable != "action":
            found.add("section" if variable == "resource" else f"*{variable}")
        _look(list(node.values()), found)


def _attribute(node: Body) -> str | None:
    """The field that `context.purpose`, `context has basis` or `principal.role` looks at."""
    for operator in (".", "has"):
        inner = node.get(operator)
        if isinstance(inner, dict) and isinstance(inner.get("left"), dict):
            fields = {"context": _CONTEXT, "principal": _PRINCIPAL}.get(str(inner["left"].get("Var")), {})
            if inner.get("attr") in fields:
                return fields[inner["attr"]]
    return None


def canonical(body: Any) -> str:
    """A rule's body as text, the members of each set in one order."""
    return json.dumps(_ordered(body), sort_keys=True)


def _ordered(node: Any) -> Any:
    if isinstance(node, list):
        return [_ordered(each) for each in node]
    if isinstance(node, dict):
        made = {name: _ordered(each) for name, each in node.items()}
        if isinstance(made.get("Set"), list):
            made["Set"] = sorted(made["Set"], key=lambda each: json.dumps(each, sort_keys=True))
        return made
    return node


def exchanged(node: Any, kind: str, one: str, other: str) -> Any:
    """The body with two words of an entity type (or, with `kind` "", two texts) in each other's place."""
    if isinstance(node, list):
        return [exchanged(each, kind, one, other) for each in node]
    if not isinstance(node, dict):
        return node
    places = {one: other, other: one}
    if kind and set(node) == {"type", "id"}:
        # A caller is named by role and type of organisation: `gp@council`.
        parts = str(node["id"]).split("@") if node["type"] == "Caller" and kind in _IN_CALLER else [str(node["id"])]
        if node["type"] in (kind, "Caller"):
            return {"type": node["type"], "id": "@".join(places.get(part, part) for part in parts)}
        return node
    if not kind and set(node) == {"Value"} and isinstance(node["Value"], str):
        return {"Value": places.get(node["Value"], node["Value"])}
    return {name: exchanged(each, kind, one, other) for name, each in node.items()}


def classes(words: Iterable[str], kind: str, bodies: Sequence[Body]) -> list[list[str]]:
    """The words in classes: those of one class can change places in all the rules and leave each as it was."""
    texts = [canonical(body) for body in bodies]
    found: list[list[str]] = []
    for word in words:
        for known in found:
            if all(
                canonical(exchanged(body, kind, known[0], word)) == text
                for body, text in zip(bodies, texts, strict=True)
            ):
                known.append(word)
                break
        else:
            found.append([word])
    return found


def texts_in(node: Any) -> set[str]:
    """Every text that rules compare something with."""
    if isinstance(node, list):
        return set().union(*map(texts_in, node))
    if not isinstance(node, dict):
        return set()
    value = node.get("Value")
    return ({value} if isinstance(value, str) else set()).union(*map(texts_in, node.values()))


class _RuleTable:
    """One rule, and what it said in each case that it can tell apart."""

    def __init__(self, single: SingleRule, labels: Iterable[str]) -> None:
        self.id, self.is_forbid = single.rule.id, single.rule.effect == "forbid"
        self._book = single.book
        self._body = {name: single.body[name] for name in ("principal", "resource", "conditions")}
        self._tells_actions = single.body["action"]["op"] == "==" or '"Var": "action"' in json.dumps(self._body)
        self._fields = tuple(sorted(mentioned(self._body)))
        self._reads_terms = '"left": {"Var": "context"}, "attr": "disclosure"}' in json.dumps(_without_has(self._body))
        self._same = {field: self._first_of_class(field) for field in self._fields if self._can_reduce(field)}
        self._labels = classes(sorted(labels), "Label", [self._body])
        self._values: Callable[[Circumstances], Any] = attrgetter(*self._fields) if self._fields else lambda _: ()
        self._seen: dict[Any, Said] = {}
        self._cases: dict[tuple[Hashable, ...], Said] = {}

    def said(self, circumstances: Circumstances) -> Said:
        """What it said to `view` and to `view-outline`."""
        values = self._values(circumstances)
        said = self._seen.get(values)
        if said is None:
            said = self._seen[values] = self._of_case(circumstances)
        return said

    def _of_case(self, circumstances: Circumstances) -> Said:
        """Asked in the circumstances themselves: that they stand for all of their case is what symmetry proves."""
        case = tuple([self._case(field, getattr(circumstances, field)) for field in self._fields])
        if case not in self._cases:
            whole = ask_about(self._book, "view", circumstances)
            outline = ask_about(self._book, "view-outline", circumstances) if self._tells_actions else whole
            self._cases[case] = (_spoke(whole), _spoke(outline))
        return self._cases[case]

    def _can_reduce(self, field: str) -> bool:
        """Not where another field holds words of the same type: the rule might compare the two."""
        if field in ("organisation_type", "source_type"):
            return not {"organisation_type", "source_type"} <= set(self._fields)
        return field in _KINDS and not (field in ("section", "basis") and self._reads_terms)

    def _first_of_class(self, field: str) -> dict[Hashable, Hashable]:
        kind, words = _KINDS[field]
        return {word: each[0] for each in classes(words, kind, [self._body]) for word in each}

    def _case(self, field: str, value: Hashable) -> Hashable:
        if field == "labels" and isinstance(value, frozenset):
            return self._label_case(value)
        if field == "disclosure" and not self._reads_terms:
            return value is None
        same = self._same.get(field)
        return same.get(value, value) if same is not None else value

    def _label_case(self, labels: frozenset[str]) -> frozenset[str]:
        known = [each[: len(labels & set(each))] for each in self._labels]
        strange = labels - {label for each in self._labels for label in each}
        return frozenset(label for each in known for label in each) | strange


def _spoke(verdict: Verdict) -> bool | None:
    return None if verdict.failed else verdict.allowed


def _without_has(node: Any) -> Any:
    """The body without `context has …`, which asks whether something is there and not what it says."""
    if isinstance(node, list):
        return [_without_has(each) for each in node]
    if isinstance(node, dict):
        return {name: _without_has(each) for name, each in node.items() if name != "has"}
    return node


class TabledPolicy(Policy):
    """A policy whose decisions about items are put together of what its single rules said.

    `bodies` are those rules that can speak of an item, in Cedar's own JSON. `like` is another one: of rules that both
    have, under the same schema and labels, what was asked already is not asked again.
    """

    def __init__(self, policy: Policy, like: TabledPolicy | None = None) -> None:
        super().__init__(
            policy.book, policy.labels, policy.outlines, policy.remedies, policy.disclosures, policy.archive
        )
        singles = [each for each in policy.book.singly() if _is_about_items(each.body)]
        self.bodies = {each.rule.id: each.body for each in singles}
        self.vocabulary = (policy.book.schema_text, policy.labels.vocabulary)
        known: Mapping[tuple[str, str], _RuleTable] = (
            like.tables if like is not None and like.vocabulary == self.vocabulary else {}
        )
        texts = {each.rule.id: (each.rule.effect, canonical(each.body)) for each in singles}
        self.tables: Mapping[tuple[str, str], _RuleTable] = {
            texts[each.rule.id]: known.get(texts[each.rule.id]) or _RuleTable(each, policy.labels.vocabulary)
            for each in singles
        }
        self._in_order = list(self.tables.values())
        self._known: dict[tuple[str, Hashable], bool] = {}
        self._decided: dict[tuple[Said, ...], Decision] = {}

    def decide(self, circumstances: Circumstances) -> Decision:
        """See Policy."""
        if not self._is_known(circumstances):
            return self._decide(circumstances)
        said = tuple([table.said(circumstances) for table in self._in_order])
        decision = self._decided.get(said)
        if decision is None:
            decision = self._decided[said] = self._decide(circumstances)
        return decision

    def may_differ(self, other: TabledPolicy) -> Callable[[Circumstances], bool]:
        """A quick test: False only where the two certainly decide alike: no rule that just one of them has speaks.

        It holds for circumstances whose words both schemas know; of schemas that differ it says nothing.
        """
        shared = [table for table in self._in_order if table in other._in_order]
        if self.vocabulary != other.vocabulary or shared != [table for table in other._in_order if table in shared]:
            return lambda _: True
        apart = [table for table in (*self._in_order, *other._in_order) if table not in shared]
        return lambda circumstances: any(table.said(circumstances) != _SILENT for table in apart)

    def _ask(self, action: str, circumstances: Circumstances) -> Verdict:
        if not self._is_known(circumstances):
            return _FAILED
        said = [(table, table.said(circumstances)[action == "view-outline"]) for table in self._in_order]
        if any(spoke is None for _, spoke in said):
            return _FAILED
        forbids = tuple(table.id for table, spoke in said if spoke and table.is_forbid)
        permits = tuple(table.id for table, spoke in said if spoke and not table.is_forbid)
        return Verdict(allowed=bool(permits) and not forbids, rules=forbids or permits, failed=False)

    def _is_known(self, circumstances: Circumstances) -> bool:
        """Whether the schema has all the words. A rule that doesn't look at a word would not notice that it hasn't."""
        return all(self._has(field, value) for field, value in _words(circumstances))

    def _has(self, field: str, value: Hashable) -> bool:
        found = self._known.get((field, value))
        if found is None:
            best = best_circumstances(
                Role.GP, OrganisationType.GP_PRACTICE, Section.DEMOGRAPHICS, OrganisationType.GP_PRACTICE
            )
            changed: dict[str, Any] = {field: frozenset({value}) if field == "labels" else value}
            asked = ask_about(self.book, "view", replace(best, **changed))
            found = self._known[field, value] = not asked.failed
        return found


def _words(circumstances: Circumstances) -> Iterable[tuple[str, Hashable]]:
    yield from zip(_WORDS, _words_of(circumstances), strict=True)
    for label in circumstances.labels:
        yield "labels", label


def _is_about_items(body: Body) -> bool:
    """False for a rule of a door: it names another action, and can't speak when an item is looked at."""
    scope = body["action"]
    named = [scope["entity"]] if "entity" in scope else scope.get("entities", [])
    if scope["op"] == "All" or not named:
        return True
    return any(each["id"] in ("see", "view", "view-outline") for each in named)
