"""The Cedar rules: loaded, checked against the schema, and asked.

Default deny; a forbid beats every permit. Cedar skips a rule that errors, so a skipped forbid would open what it
forbids: any error in an answer makes it a no (cedar-policy documentation, "Authorization"; ARCHITECTURE.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cedarpy

from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Role
from gateway.policy.files import PolicyProblem, check_keys, files_in, read_text, read_yaml, refuse

ANNOTATIONS: Final = ("id", "title", "why", "owner")
ERROR_RULE: Final = "policy.error"
DEFAULT_RULE: Final = "policy.default-deny"
MANIFEST: Final = "rules.yaml"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as its file annotates it. `effect` is `permit` or `forbid`."""

    id: str
    title: str
    why: str
    owner: str
    effect: str
    file: str


BUILT_IN: Final = {
    rule.id: rule
    for rule in (
        Rule(
            DEFAULT_RULE,
            "Withheld unless a rule shows it",
            "No rule shows this to this role, so it is not shown.",
            "Information governance group",
            "forbid",
            "",
        ),
        Rule(
            ERROR_RULE,
            "Withheld because the policy could not be judged",
            "The policy could not be judged for this request, so nothing is shown.",
            "Information governance group",
            "forbid",
            "",
        ),
    )
}
"""What decides where no rule does."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Cedar said: yes or no, the ids of the rules that decided, and whether anything went wrong.

    Where several rules say the same, they stand in the order of their files (`always/` before `labels/`), so that the
    one that is named is the most general and always the same.
    """

    allowed: bool
    rules: tuple[str, ...]
    failed: bool


class RuleBook:
    """The rules in force."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        policies: str,
        schema: cedarpy.Schema,
        entities: cedarpy.Entities,
        schema_text: str = "",
    ) -> None:
        self.schema_text = schema_text
        self.rules = dict(rules)
        self._text = policies
        self._order = {rule_id: place for place, rule_id in enumerate(rules)}
        self._policies = cedarpy.PolicySet.from_str(policies)
        self._schema = schema
        self._entities = entities

    @classmethod
    def load(cls, folder: Path, *, past: bool = False) -> RuleBook:
        """Read `schema.cedarschema` and every `rules/**/*.cedar`, which must be those of `rules.yaml`.

        `past`: rules of another day, whose schema needn't know every role and type of organisation of today. Raises
        PolicyProblem, for any other file in `rules` too: it might be a rule under a name that isn't read.
        """
        schema = _load_schema(folder / "schema.cedarschema")
        files = files_in(folder / "rules", "*", "rules")
        rules: dict[str, Rule] = {}
        texts = []
        for path in files:
            if path.suffix != ".cedar":
                refuse(path, "only .cedar files are rules", "Remove it, or give it the name of a rule.")
            text = read_text(path)
            rule = _read_rule(path, text, schema)
            if rule.id in rules or rule.id in BUILT_IN:
                refuse(path, f"the id {rule.id} is taken ({_taken(rules, rule.id)})", "Give this rule its own @id.")
            rules[rule.id] = rule
            texts.append(text)
        _check_manifest(folder, rules)
        try:
            entities = _entities(schema, past=past)
            return cls(rules, "\n".join(texts), schema, entities, read_text(folder / "schema.cedarschema"))
        except ValueError as error:
            raise PolicyProblem(
                f"{folder / 'schema.cedarschema'}: it doesn't know every role and type of organisation that the "
                f"gateway knows ({error}). Put the missing one back into its entity."
            ) from error

    def singly(self) -> list[SingleRule]:
        """Every rule by itself, in the order in which they are named."""
        bodies = json.loads(cedarpy.policies_to_json_str(self._text))["staticPolicies"].values()
        return sorted(map(self._alone, bodies), key=lambda single: self._order[single.rule.id])

    def _alone(self, body: dict[str, Any]) -> SingleRule:
        rule = self.rules[body["annotations"]["id"]]
        alone = {"staticPolicies": {"rule": {**body, "effect": "permit"}}, "templates": {}, "templateLinks": []}
        text = cedarpy.policies_from_json_str(json.dumps(alone))
        return SingleRule(rule, body, RuleBook({rule.id: rule}, text, self._schema, self._entities))

    def ask(
        self,
        action: str,
        role: Role,
        organisation_type: OrganisationType,
        resource: tuple[str, str],
        context: dict[str, Any],
    ) -> Verdict:
        """One question. `resource` is (entity type, id). Never raises: what can't be judged is a no."""
        request = {
            "principal": {"type": "Caller", "id": _caller_id(role, organisation_type)},
            "action": {"type": "Action", "id": action},
            "resource": {"type": resource[0], "id": resource[1]},
            "context": context,
        }
        result = cedarpy.is_authorized(request, self._policies, self._entities, self._schema)
        diagnostics = result.diagnostics
        ids = tuple(sorted(diagnostics.id_annotations_by_reason.values(), key=self._order.__getitem__))
        failed = bool(diagnostics.errors) or result.decision is cedarpy.Decision.NoDecision
        return Verdict(result.allowed and not failed, ids, failed)


@dataclass(frozen=True, slots=True)
class SingleRule:
    """One rule by itself. `body` is Cedar's own JSON of it; `book` holds it alone and as a permit, so that "yes" means
    that the rule speaks in these circumstances, whatever its effect is."""

    rule: Rule
    body: dict[str, Any]
    book: RuleBook


def entity(kind: str, name: str) -> dict[str, str]:
    """A reference to an entity, as Cedar's JSON has it in a context."""
    return {"type": kind, "id": name}


def _load_schema(path: Path) -> cedarpy.Schema:
    text = read_text(path)
    try:
        return cedarpy.Schema.from_str(text)
    except ValueError as error:
        raise PolicyProblem(f"{path}: not a Cedar schema: {error}. Mend it.") from error


def _read_rule(path: Path, text: str, schema: cedarpy.Schema) -> Rule:
    policy = _the_one_policy(path, text)
    annotations = policy.get("annotations", {})
    for name in ANNOTATIONS:
        if not str(annotations.get(name) or "").strip():
            refuse(path, f"the rule has no @{name}", f'Write @{name}("…") above it.')
    result = cedarpy.validate_policies(text, schema)
    if not result.validation_passed:
        what = "; ".join(error.error for error in result.errors)
        refuse(path, f"the rule doesn't fit the schema: {what}", "Use the words of schema.cedarschema.")
    return Rule(**{name: str(annotations[name]) for name in ANNOTATIONS}, effect=policy["effect"], file=path.name)


def _the_one_policy(path: Path, text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyProblem(f"{path}: not Cedar: {error}. Mend the rule.") from error
    static = list(parsed["staticPolicies"].values())
    if len(static) != 1 or parsed["templates"]:
        refuse(path, f"it holds {len(static)} rules", "Keep exactly one rule in a file, without slots.")
    policy: dict[str, Any] = static[0]
    return policy


def _check_manifest(folder: Path, rules: Mapping[str, Rule]) -> None:
    """The rules are those that `rules.yaml` lists, neither fewer nor more."""
    path = folder / MANIFEST
    listed = check_keys(path, read_yaml(path), ("owner", "rules"))["rules"]
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        refuse(path, "rules must list the rules' ids", "Write one a line: - rule.id")
    for rule_id in listed:
        if rule_id not in rules:
            refuse(path, f"no file holds the rule {rule_id}", "Put its file back, or strike it off the list.")
    for rule_id, rule in rules.items():
        if rule_id not in listed:
            refuse(path, f"the rule {rule_id} ({rule.file}) isn't listed", "List it, or remove its file.")


def _taken(rules: Mapping[str, Rule], rule_id: str) -> str:
    return rules[rule_id].file if rule_id in rules else "built in"


def _caller_id(role: Role, organisation_type: OrganisationType) -> str:
    return f"{role}@{organisation_type}"


def _entities(schema: cedarpy.Schema, *, past: bool) -> cedarpy.Entities:
    """Every caller there can be. Raises ValueError where the schema doesn't know one; of the past, it is left out, and
    whoever asks for it is told no."""
    callers = _callers()
    if past:
        callers = [each for each in callers if _is_known(each, schema)]
    return cedarpy.Entities.from_json_str(json.dumps(callers), schema)


def _is_known(caller: dict[str, Any], schema: cedarpy.Schema) -> bool:
    try:
        cedarpy.Entities.from_json_str(json.dumps([caller]), schema)
    except ValueError:
        return False
    return True


def _callers() -> Iterable[dict[str, Any]]:
    return [
        {
            "uid": entity("Caller", _caller_id(role, type_)),
            "attrs": {
                "role": {"__entity": entity("Role", role)},
                "organisationType": {"__entity": entity("OrganisationType", type_)},
            },
            "parents": [],
        }
        for role in Role
        for type_ in OrganisationType
    ]
