"""What the FHIR doors ask of the pipeline: a search of one type, everything, or one resource by its id."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.sdk.model import SECTION_OF_TYPE, Item, Resource, Section
from gateway.api.bundle import SOURCES_HEADER, Sending, found_header, found_set, searchset, sources_header, to_json
from gateway.api.http import FHIR_JSON
from gateway.caller.model import Caller
from gateway.errors import GatewayError, NobodyAnswered, NotFound
from gateway.locate import Look
from gateway.manifest import Manifest
from gateway.register.find import Finding
from gateway.same_as import as_linkage
from gateway.sealed import Sealer, Unsealable
from gateway.search import find
from gateway.search.include import may_include, referred
from gateway.search.page import Pager, digest_of
from gateway.search.pairs import pairs_of
from gateway.search.parse import nhs_number, parse, parse_everything, parse_read
from gateway.search.person import Person, parse_person
from gateway.search.query import Continuation, Query, Reading, Resolve
from gateway.search.summary import shaped
from gateway.shown import Rendered, Shown


@dataclass(slots=True)
class Bundled:
    """A question whose answer is a searchset: `Search` and `Everything` differ only in how they are parsed."""

    door: str
    request_id: str
    resource_type: str
    raw_query: bytes
    pager: Pager
    public_url: str
    form: bytes = b""
    everything_of: str | None = None
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
        )

    def _parse(self, caller: Caller) -> Query:
        pairs = pairs_of(self.raw_query, self.form)
        if self.everything_of is not None:
            parsed = parse_everything(self.everything_of, pairs)
        else:
            parsed = parse(self.resource_type, pairs)
        return self.pager.resume(parsed, caller.key) if isinstance(parsed, Continuation) else parsed

    def search(self, shown: Shown) -> Rendered:
        """Filter, sort and cut what is shown."""
        query = self.query
        if query is None:
            raise AssertionError("look comes before search")
        found = find(query, self._matchable(shown, query), _resolver(shown.items))
        page = self.pager.page(query, found, shown.caller.key, digest_of(shown.manifest.lines))
        on_page = list(page.items)
        by_reference = {f"{item.type}/{item.sealed_id}": item for item in shown.items}
        extra = [*self._other_patients(shown, query), *referred(page, by_reference.get)]
        sending = Sending()
        body = searchset(
            page,
            shown.manifest,
            extra,
            _linkages(shown, found, on_page),
            public_base=self.public_url,
            moment=datetime.now(UTC),
            bundle_id=uuid.uuid4(),
            sending=sending,
        )
        return Rendered(body, headers_of(shown.manifest), [*on_page, *extra], page.total, sending.sent)

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


@dataclass(slots=True)
class ReadById:
    """One resource by its sealed id (a Patient by NHS number): the same pipeline, towards that one source."""

    door: str
    request_id: str
    resource_type: str
    id: str
    raw_query: bytes
    sealer: Sealer
    reading: Reading | None = field(default=None, init=False)

    def look(self, caller: Caller) -> Look:
        """Open the sealed id. Raises NotFound for one that isn't ours, BadRequest for a wrong parameter."""
        self.reading = parse_read(self.resource_type, pairs_of(self.raw_query))
        patient, source = self._whose()
        sections = frozenset({SECTION_OF_TYPE.get(self.resource_type, Section.DEMOGRAPHICS)})
        return Look(patient, self.door, self.request_id, sections, source)

    def _whose(self) -> tuple[str, str | None]:
        if self.resource_type == "Patient" and "." not in self.id:
            return nhs_number(self.id, "id"), None
        try:
            return self.sealer.open_id(self.id)
        except Unsealable as error:
            raise self._not_found() from error

    def search(self, shown: Shown) -> Rendered:
        """Find it among what is shown. Hidden and absent are told in the same words."""
        reading = self.reading or Reading()
        for item in shown.items:
            if item.type == self.resource_type and item.sealed_id == self.id:
                body = to_json(shaped(item.resource, reading.summary, reading.elements))
                return Rendered(body, headers_of(shown.manifest), [item], sent=[body])
        raise self._unavailable(shown) or self._not_found()

    def _unavailable(self, shown: Shown) -> GatewayError | None:
        section = SECTION_OF_TYPE.get(self.resource_type)
        missing = [line.name for line in shown.manifest.lines if section is not None and line.lacks(section)]
        if not missing:
            return None
        return NobodyAnswered(
            f"It can't be told now whether this exists: {', '.join(missing)} could not be read. Try again shortly.",
            rule="sources.gap",
        )

    def _not_found(self) -> NotFound:
        return NotFound(f"There is no such {self.resource_type} for you here.", rule="read.not-found")


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


def _linkages(shown: Shown, found: Sequence[Item], on_page: Sequence[Item]) -> list[Resource]:
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


def _resolver(items: Iterable[Item]) -> Resolve:
    by_reference = {f"{item.type}/{item.sealed_id}": item.resource for item in items}
    return by_reference.get
