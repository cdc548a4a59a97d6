"""Which resource types of a record a caller can use: what the CapabilityStatement lists, and what the doors take.

One answer for both, so that the statement is exact. It depends on who takes part, the caller's role and the scopes of
their token alone, never on a patient: a type that a role never sees is refused, and never answered with an empty
Bundle, which somebody could read as "nothing recorded".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connectors.sdk.model import SECTION_OF_TYPE, Section
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import Caller, Role
from gateway.choice.may import OPEN_RECORD, May, allowed
from gateway.errors import GatewayError, NotFound, Refusal
from gateway.policy.model import Decision, Shown
from gateway.search.supporting import INCLUDES, SUPPORTING_READS, sections_of
from gateway.search.table import SHOWN_TYPES

_SEE: Final = "GET /fhir/R4/metadata with your token lists what you can use."


@dataclass(frozen=True, slots=True)
class Usable:
    """`offered` are the sections that some organisation offers; `sections_for` says which of them a role may ever see,
    `may` whether it opens records."""

    offered: frozenset[Section]
    sections_for: Callable[[Role, OrganisationType], frozenset[Section]]
    may: May

    @classmethod
    def by_nobody(cls, offered: frozenset[Section]) -> Usable:
        """For a statement that is made for no caller at all: whoever it is asked about can use nothing."""
        no = Decision(Shown.WITHHELD, "usable.nobody", "Nobody is asked about here.")
        return cls(offered, lambda *_: frozenset(), lambda *_: no)

    def types(self, caller: Caller | None = None) -> tuple[str, ...]:
        """The types, in their usual order; for None all that the server offers, whoever asks."""
        if caller is None:
            return self._listed(self.offered, lambda _: True)
        if not self.opens_records(caller):
            return ()
        return self._listed(self.offered & self._seen_by(caller), caller.grants.lets_read)

    def opens_records(self, caller: Caller) -> bool:
        """Whether the role opens any record."""
        return allowed(self.may, OPEN_RECORD, caller)

    def barred(self, caller: Caller, *resource_types: str) -> GatewayError | None:
        """Why this caller is never shown anything of these readable types; None where of some of them they may be, and
        for roles that open no records: the pipeline refuses those in its own words."""
        if not self.opens_records(caller) or not set(resource_types).isdisjoint(self.types(caller)):
            return None
        names = ", ".join(resource_types)
        sections = frozenset[Section]().union(*map(sections_of, resource_types))
        if not self.offered & sections:
            return NotFound(f"No organisation that takes part offers {names}. {_SEE}", rule="type.not-offered")
        if not self.offered & sections & self._seen_by(caller):
            told = f"In your role nothing of {names} is ever shown, whoever the patient is. {_SEE}"
            return Refusal(told, rule="type.not-for-role")
        return Refusal(
            f"Your application's token doesn't let it read {names}. It needs a scope such as "
            f"user/{resource_types[0]}.rs; people, places and medicines also need one for what refers to them. {_SEE}",
            rule="scope.type",
        )

    def _seen_by(self, caller: Caller) -> frozenset[Section]:
        return self.sections_for(caller.role, caller.organisation_type)

    def _listed(self, sections: frozenset[Section], granted: Callable[[str], bool]) -> tuple[str, ...]:
        shown = [name for name in SHOWN_TYPES if SECTION_OF_TYPE[name] in sections and granted(name)]
        reached = {
            kind
            for one in INCLUDES.values()
            if one.name.partition(":")[0] in shown
            for kind in one.targets
            if granted(kind)
        }
        return (*shown, *(name for name in SUPPORTING_READS if name in reached))
