"""What the FHIR doors ask of the pipeline: a search of one type, or everything."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.sdk.model import Item, Resource, Section
from gateway.api.bundle import SOURCES_HEADER, Sending, found_header, found_set, searchset, sources_header
from gateway.api.http import FHIR_JSON
from gateway.api.prefer import LENIENT
from gateway.api.usable import Usable
from gateway.caller.model import Caller
from gateway.errors import GatewayError
from gateway.locate import Look
from gateway.manifest import Manifest
from gateway.register.find import Finding
from gateway.same_as import as_linkage
from gateway.search import find
from gateway.search.everything import parse_everything
from gateway.search.include import may_include, referred
from gateway.search.page import Pager, digest_of
from gateway.search.pairs import pairs_of
from gateway.search.parse import parse
from gateway.search.person import Person, parse_person
from gateway.search.query import Continuation, Query, Resolve
from gateway.shown import Rendered, Shown


@dataclass(slots=True)
class Bundled:
    """A question whose answer is a searchset: a search of a type, that of one patient's compartment (`compartment_of`)
    and `$everything` (`everything_of`) differ only in how they are parsed.

    `posted` are the pairs of a body that is no form. `usable` says which types are for this caller; `/records` asks for
    sections and does without.
    """

    door: str
    request_id: str
    resource_type: str
    raw_query: bytes
    pager: Pager
    public_url: str
    form: bytes = b""
    everything_of: str | None = None
    compartment_of: str | None = None
    posted: Sequence[tuple[str, str]] = ()
    lenient: bool = False
    usable: Usable | None = None
    query: Query | None = field(default=None, init=False)

    def look(self, caller: Caller) -> Look:
        """Parse the parameters, or open the cursor. Raises BadRequest."""
        self.query = self._parse(caller)
        return Look(
            nhs_number=self.query.patient,
            door=self.door,
            request_id=self.request_id,
            sections=self.query.sections,
            birth_date=self.query.birth_date,
            barred=self._barred(caller, self.query),
        )

    def _parse(self, caller: Caller) -> Query:
        pairs = [*pairs_of(self.raw_query, self.form), *self.posted]
        if self.everything_of is not None:
            parsed = parse_everything(self.everything_of, pairs, lenient=self.lenient)
        else:
            parsed = parse(self.resource_type, pairs, lenient=self.lenient, patient=self.compartment_of)
        return self.pager.resume(parsed, caller.key) if isinstance(parsed, Continuation) else parsed

    def _barred(self, caller: Caller, query: Query) -> GatewayError | None:
        """A search of a type that isn't for this caller is refused; `$everything` only where each of its types is."""
        wanted = sorted(query.types or ()) if query.everything else [query.resource_type]
        return self.usable.barred(caller, *wanted) if self.usable and wanted else None

    def search(self, shown: Shown) -> Rendered:
        """Filter, sort and cut what is shown."""
        query = self.query
        if query is None:
            raise AssertionError("look comes before search")
        by_reference = {f"{item.type}/{item.sealed_id}": item for item in shown.items}
        found = find(query, self._matchable(shown, query), _resources_of(by_reference))
        page = self.pager.page(query, found, shown.caller.key, digest_of(shown.manifest.lines))
        on_page = list(page.items)
        extra = [*self._other_patients(shown, query), *referred(page, by_reference.get)]
        sending = Sending()
        body = searchset(
            page,
            shown.manifest,
            extra,
            linkages_of(shown, found, on_page),
            public_base=self.public_url,
            moment=datetime.now(UTC),
            bundle_id=uuid.uuid4(),
            sending=sending,
        )
        headers = {**headers_of(shown.manifest), **(LENIENT if self.lenient else {})}
        return Rendered(body, headers, [*on_page, *extra], page.total, sending.sent)

    def _matchable(self, shown: Shown, query: Query) -> list[Item]:
        """A search for a Patient finds the one that carries the record; the other sources' come with it as includes."""
        if query.everything or query.resource_type != "Patient":
            return shown.items
        return [item for item in shown.items if item.sealed_id == query.patient]

    def _other_patients(self, shown: Shown, query: Query) -> list[Item]:
        if query.everything or query.resource_type != "Patient" or not may_include(query):
            return []
        return [
            item for item in shown.items if item.section is Section.DEMOGRAPHICS and item.sealed_id != query.patient
        ]


@dataclass(slots=True)
class PersonSearch:
    """A search of Patient by name and birth date: who is this? It goes its own way (`gateway.register.find`)."""

    door: str
    request_id: str
    raw_query: bytes
    public_url: str
    form: bytes = b""
    sought: Person | None = field(default=None, init=False)

    def person(self) -> Person:
        """Parse the parameters. Raises BadRequest."""
        self.sought = parse_person(pairs_of(self.raw_query, self.form))
        return self.sought

    def answer(self, finding: Finding) -> Rendered:
        """The searchset: one Patient or none, and what that means."""
        if self.sought is None:
            raise AssertionError("person comes before answer")
        sending = Sending()
        body = found_set(
            finding,
            self.sought,
            public_base=self.public_url,
            moment=datetime.now(UTC),
            bundle_id=uuid.uuid4(),
            sending=sending,
        )
        headers = {"Content-Type": FHIR_JSON, SOURCES_HEADER: found_header(finding)}
        return Rendered(body, headers, [], int(finding.patient is not None), sending.sent)


@dataclass(frozen=True, slots=True)
class Failing:
    """A question that was wrong before it could be asked: it goes the same way, so that it is journalled."""

    door: str
    request_id: str
    error: GatewayError

    def look(self, caller: Caller) -> Look:
        """Raises what was wrong."""
        raise self.error

    def search(self, shown: Shown) -> Rendered:
        """Never reached."""
        raise self.error


def headers_of(manifest: Manifest) -> Mapping[str, str]:
    """The headers of an answer that holds a record."""
    return {"Content-Type": FHIR_JSON, SOURCES_HEADER: sources_header(manifest)}


def linkages_of(shown: Shown, found: Sequence[Item], on_page: Sequence[Item]) -> list[Resource]:
    """The same-as groups that this page tells of: each comes once, with the page that holds its first match.

    Its other members may be on other pages, or be no matches: the reader can read them by their references.
    """
    here = {item.sealed_id for item in on_page}
    place = {item.sealed_id: index for index, item in enumerate(found)}
    linkages = []
    for group in shown.groups:
        matches = [member.sealed_id for member in group.members if member.sealed_id in place]
        if matches and min(matches, key=place.__getitem__) in here:
            linkages.append(as_linkage(group))
    return linkages


def _resources_of(by_reference: Mapping[str, Item]) -> Resolve:
    def resolve(reference: str) -> Resource | None:
        item = by_reference.get(reference)
        return item.resource if item else None

    return resolve
