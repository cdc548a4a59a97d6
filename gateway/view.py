"""Step 9: the record as this caller may see it: labelled, decided item by item, filtered, with the manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from connectors.sdk.model import SECTION_OF_TYPE, Gap, Item, Outcome, Resource, Section
from connectors.sdk.organisations import OrganisationType
from gateway.allergies import denied_by
from gateway.authority import Authority
from gateway.caller.model import Caller
from gateway.caller.scopes import Grants
from gateway.choice.may import OPEN_RECORD, demand
from gateway.disclosure.model import Disclosure
from gateway.disclosure.told import left_out
from gateway.locate import Look, with_labelling
from gateway.manifest import ALLERGY, Manifest, ManifestLine, allergy_state
from gateway.merge import Record
from gateway.policy.decide import Policy
from gateway.policy.filter import Admits, Filtered, apply, everything
from gateway.policy.labels import RESTRICTED
from gateway.policy.model import Circumstances
from gateway.policy.told import never_shown
from gateway.register.differing import differing
from gateway.register.whereabouts import hold_back, told
from gateway.same_as import same_as
from gateway.shown import Shown

Judged = Callable[[Section, str, frozenset[str]], Circumstances]
"""(section, source, labels) -> the circumstances in which this caller looks at such an item."""


@dataclass(frozen=True, slots=True)
class View:
    """The policies in force, applied to records."""

    policy: Policy
    source_types: Mapping[str, OrganisationType]
    _told: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict, repr=False)

    def require_may_open(self, caller: Caller, action: str = OPEN_RECORD) -> None:
        """Raises Refusal where the caller's role opens no records at all; or, for another action, doesn't do that."""
        demand(self.policy.may_caller, action, caller)

    def restricts(self, item: Item) -> bool:
        """True where the item carries its source's own label that it is restricted, or one that isn't known here."""
        labels = item.findings.security if item.findings else [("", "")]
        return any(RESTRICTED in self.policy.labels.of_security(label) for label in labels)

    def sections_for(self, caller: Caller, authority: Authority | None = None) -> frozenset[Section]:
        """The sections that this role, or this disclosure, could ever show: the rest is never asked for."""
        if isinstance(authority, Disclosure):
            may = self.policy.disclosed_sections(authority.policy.terms, authority.basis, caller)
        else:
            may = self.policy.sections_for(caller.role, caller.organisation_type)
        types = caller.grants.types()
        return may if types is None else may & ({SECTION_OF_TYPE[kind] for kind in types} | {Section.DEMOGRAPHICS})

    def asked(self, sections: frozenset[Section], caller: Caller, authority: Authority) -> frozenset[Section]:
        """Of the sections of a look those that this caller may be told of: sources are asked for more, for the sake of
        labels alone."""
        return sections & self.sections_for(caller, authority)

    def judged(self, record: Record, caller: Caller, authority: Authority) -> Judged:
        """In which circumstances this caller looks at each item of the record."""
        terms = authority.policy.terms if isinstance(authority, Disclosure) else None

        @cache  # a record has hundreds of items and few kinds of them
        def circumstances(section: Section, source: str, labels: frozenset[str]) -> Circumstances:
            return Circumstances(
                role=caller.role,
                organisation_type=caller.organisation_type,
                purpose=caller.purpose,
                basis=authority.basis,
                scope=authority.scope,
                own_practice=caller.organisation == record.registered_practice,
                section=section,
                source_type=self.source_types[source],
                labels=labels,
                disclosure=terms,
            )

        return circumstances

    def of(self, record: Record, caller: Caller, authority: Authority, look: Look) -> Shown:
        """What of the record is shown, and the manifest that says what it lacks."""
        judged = self.judged(record, caller, authority)
        left = self.left(record, judged, caller, look)
        return Shown(
            caller=caller,
            look=look,
            items=left.items,
            groups=same_as(left.items, record.resolve),
            manifest=self._manifest(record, left.items, judged, caller, authority),
            withheld=left.withheld,
            outlined=left.outlined,
            policy_hash=self.policy.hash,
            authority=authority,
        )

    def left(self, record: Record, judged: Judged, caller: Caller, look: Look) -> Filtered:
        """The items that are left of a record for this caller, and how many each rule kept back. Labels its items."""

        def circumstances_of(item: Item) -> Circumstances:
            return judged(item.section or Section.DEMOGRAPHICS, item.source, item.labels)

        resolve = record.resolve
        self.policy.labels.label(record.items, self.source_types, resolve, record.whole)
        held_back = hold_back(record)  # after labelling: a place that goes has labelled whoever went there
        grants = caller.grants
        admits = _admitting(grants) if grants.bounded else everything
        filtered = apply(record.items, circumstances_of, self.policy, resolve, patient=record.nhs_number, admits=admits)
        items = [item for item in filtered.items if item.section is None or item.section in look.sections]
        return Filtered(items, filtered.withheld, filtered.outlined + held_back)

    def may_differ(self, one: Record, other: Record, caller: Caller, authority: Authority) -> bool:
        """False where two records of the very same items, labelled already, certainly show this caller the same,
        whatever else is different of them: no item has a label, and every decision on one without is the same."""
        if any(item.labels for item in one.items):
            return True
        ways = self.judged(one, caller, authority), self.judged(other, caller, authority)
        return any(
            len({self.policy.decide(judged(section, source, frozenset())).shown for judged in ways}) > 1
            for section in Section
            for source in {item.source for item in one.items}
        )

    def lines(self, record: Record, judged: Judged) -> tuple[ManifestLine, ...]:
        """What each source said, as this caller is told of it."""
        return tuple(self._with_unchecked(line, record, judged) for line in record.lines)

    def _manifest(
        self, record: Record, items: list[Item], judged: Judged, caller: Caller, authority: Authority
    ) -> Manifest:
        asked = self.asked(record.asked, caller, authority)
        allergies = [item for item in items if item.section is Section.ALLERGIES]
        lines = self.lines(record, judged)
        in_part = caller.grants.narrowed(ALLERGY) is not None
        return Manifest(
            lines=lines,
            asked=asked,
            allergies=allergy_state(allergies, lines, in_part=in_part) if Section.ALLERGIES in asked else None,
            never_shown=self._standing_statement(caller, authority),
            whereabouts=told(record.standing.hold),
            asked_of={source: sections & asked for source, sections in record.asked_of.items()},
            differences=differing(items, {line.source: line.name for line in lines}, record.standing.register),
            allergies_limited=in_part
            or any(
                self._hides(judged, Section.ALLERGIES, line.source, label)
                for line in lines
                for label in self.policy.labels.vocabulary
            ),
        )

    def _with_unchecked(self, line: ManifestLine, record: Record, judged: Judged) -> ManifestLine:
        """Where what may label a section did not come whole, items of it may be held back: it is incomplete too.

        It's said wherever that could be so for this caller, and never because something was: that would tell of it.
        """
        missing = record.asked_of.get(line.source, frozenset()) - record.whole.get(line.source, frozenset())
        held_back = {
            section: Gap.HELD_BACK
            for section in record.asked & record.asked_of.get(line.source, frozenset())
            if section not in line.gaps
            and with_labelling(frozenset({section})) & missing
            and self._hides(judged, section, line.source, RESTRICTED)
        }
        return replace(line, outcome=Outcome.PARTIAL, gaps={**line.gaps, **held_back}) if held_back else line

    def _hides(self, judged: Judged, section: Section, source: str, label: str) -> bool:
        decide = self.policy.decide
        plain = decide(judged(section, source, frozenset())).shown
        return decide(judged(section, source, frozenset({label}))).shown < plain

    def _standing_statement(self, caller: Caller, authority: Authority) -> tuple[str, ...]:
        """The same for every record of this role and authority, so it is made once."""
        named = authority.policy.name if isinstance(authority, Disclosure) else ""
        key = (caller.role, caller.organisation_type, caller.purpose, authority.basis, authority.scope, named)
        if key not in self._told:
            self._told[key] = tuple(self._never_shown(caller, authority))
        listed = caller.grants.said()
        if listed is None:
            return self._told[key]
        return (f"Limited by the scopes of your application's token to: {listed}.", *self._told[key])

    def _never_shown(self, caller: Caller, authority: Authority) -> list[str]:
        if isinstance(authority, Disclosure):
            return left_out(self.policy, authority.policy)
        return never_shown(self.policy, caller, authority)


def _admitting(grants: Grants) -> Admits:
    """A token that lets some allergies alone through lets no statement through that there is none: an allergy which it
    leaves out may stand against it."""
    if grants.narrowed(ALLERGY) is None:
        return grants.admits

    def admits(resource: Resource, resolve: Callable[[str], Resource | None]) -> bool:
        states_none = resource.get("resourceType") == ALLERGY and denied_by(resource) is not None
        return not states_none and grants.admits(resource, resolve)

    return admits
