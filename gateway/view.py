"""Step 9: the record as this caller may see it: labelled, decided item by item, filtered, with the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from connectors.sdk.model import Answer, Gap, Item, Outcome, Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller
from gateway.choice.may import demand
from gateway.choice.model import Permission
from gateway.locate import Look
from gateway.manifest import Manifest, ManifestLine, allergy_state
from gateway.merge import Record
from gateway.policy.decide import Policy
from gateway.policy.filter import apply
from gateway.policy.model import Circumstances
from gateway.policy.told import never_shown
from gateway.same_as import same_as
from gateway.shown import Shown

OPEN_RECORD = "open-record"


@dataclass(frozen=True, slots=True)
class View:
    """The policies in force, applied to records."""

    policy: Policy
    source_types: Mapping[str, OrganisationType]
    _told: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict, repr=False)

    def require_may_open(self, caller: Caller) -> None:
        """Raises Refusal where the caller's role opens no records at all."""
        demand(lambda action, who: self.policy.may(action, who.role, who.organisation_type), OPEN_RECORD, caller)

    def sections_for(self, caller: Caller) -> frozenset[Section]:
        """The sections that this role could ever see: the rest is never asked for."""
        return self.policy.sections_for(caller.role, caller.organisation_type)

    def of(
        self, record: Record, answers: Sequence[Answer], caller: Caller, permission: Permission, look: Look
    ) -> Shown:
        """What of the record is shown, and the manifest that says what it lacks.

        `answers` are the guarded ones: they tell of gaps in sections that were asked for the sake of labels alone.
        """

        def resolve(reference: dict[str, Any]) -> Item | None:
            return record.index.get(reference.get("reference", ""))

        @cache  # a record has hundreds of items and few kinds of them
        def circumstances(section: Section, source: str, labels: frozenset[str]) -> Circumstances:
            return Circumstances(
                role=caller.role,
                organisation_type=caller.organisation_type,
                purpose=caller.purpose,
                basis=permission.basis,
                scope=permission.scope,
                own_practice=caller.organisation == record.registered_practice,
                section=section,
                source_type=self.source_types[source],
                labels=labels,
            )

        def circumstances_of(item: Item) -> Circumstances:
            return circumstances(item.section or Section.DEMOGRAPHICS, item.source, item.labels)

        missing = {answer.source: answer.gaps for answer in answers}
        unsure = self.policy.labels.label(record.items, self.source_types, resolve, missing)
        filtered = apply(record.items, circumstances_of, self.policy, resolve, patient=record.nhs_number)
        items = [item for item in filtered.items if item.section is None or item.section in look.sections]
        return Shown(
            caller=caller,
            look=look,
            items=items,
            groups=same_as(items, resolve),
            manifest=self._manifest(record, _with_unsure(record.lines, unsure, items), items, caller, permission),
            withheld=filtered.withheld,
            outlined=filtered.outlined,
            policy_hash=self.policy.hash,
        )

    def _manifest(
        self,
        record: Record,
        lines: tuple[ManifestLine, ...],
        items: list[Item],
        caller: Caller,
        permission: Permission,
    ) -> Manifest:
        asked = record.asked & self.sections_for(caller)
        allergies = [item for item in items if item.section is Section.ALLERGIES]
        return Manifest(
            lines=lines,
            asked=asked,
            allergies=allergy_state(allergies, lines) if Section.ALLERGIES in asked else None,
            never_shown=self._standing_statement(caller, permission),
        )

    def _standing_statement(self, caller: Caller, permission: Permission) -> tuple[str, ...]:
        """The same for every record of this role and permission, so it is made once."""
        key = (caller.role, caller.organisation_type, caller.purpose, permission.basis, permission.scope)
        if key not in self._told:
            self._told[key] = tuple(never_shown(self.policy, caller, permission))
        return self._told[key]


def _with_unsure(
    lines: Iterable[ManifestLine], unsure: Iterable[Item], shown: Iterable[Item]
) -> tuple[ManifestLine, ...]:
    """A section is incomplete too where an item of it isn't shown because what it tells of could not be looked up."""
    seen = {item.sealed_id for item in shown}
    held_back: dict[str, dict[Section, Gap]] = {}
    for item in unsure:
        if item.section is not None and item.sealed_id not in seen:
            held_back.setdefault(item.source, {})[item.section] = Gap.HELD_BACK
    return tuple(
        replace(line, outcome=Outcome.PARTIAL, gaps={**held_back[line.source], **line.gaps})
        if line.source in held_back
        else line
        for line in lines
    )
