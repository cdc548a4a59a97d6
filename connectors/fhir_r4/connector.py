"""An R4 source: what a look brought, as one Answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connectors.fhir_r4.everything import includes
from connectors.fhir_r4.looking import BySection, Looking
from connectors.fhir_r4.planning import plan, type_of
from connectors.fhir_r4.settings import Settings
from connectors.sdk.auth import authorizer, tls_context
from connectors.sdk.bundle import Entry
from connectors.sdk.connector import Connector, Setup
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import INCLUDED_BY, SECTION_OF_TYPE, SUPPORTING_TYPES, Answer, Ask, Item, Outcome, Section


def connect(setup: Setup) -> Connector:
    """The connector for one organisation. Raises ConfigurationError where its secrets can't be read."""
    settings: Settings = setup.settings
    tls = tls_context(settings.tls, settings.auth)
    limits = Limits()
    address = setup.organisation.address or ""
    return FhirR4(
        setup.organisation.ods,
        settings,
        SourceClient(
            address,
            setup.transport or AiohttpTransport(limits, tls),
            limits=limits,
            authorize=authorizer(settings.auth, transport=setup.transport, tls=tls),
        ),
    )


class FhirR4:
    """One R4 source."""

    def __init__(self, source: str, settings: Settings, client: SourceClient) -> None:
        self._source = source
        self._settings = settings
        self._plan = plan(settings)
        self._client = client
        self._includes = self._brought_along()

    async def ask(self, ask: Ask) -> Answer:
        """See Connector."""
        looking = Looking(self._settings, self._plan, self._client.counted(), ask)
        patient, found = await looking.look()
        answer = self._answer(patient, found, ask.sections)
        answer.calls = looking.calls
        return answer

    async def aclose(self) -> None:
        """See Connector."""
        await self._client.aclose()

    def _brought_along(self) -> frozenset[str]:
        """The references whose targets always come with every item that has them."""
        settings, searched = self._settings, self._settings.searches if self._settings.everything else self._plan
        planned = frozenset(name for section in searched for one in self._plan[section] for name in one.search.include)
        if not settings.everything:
            return planned
        return planned | includes(INCLUDED_BY if settings.include is None else settings.include, settings.searches)

    def _answer(self, patient: Entry, found: BySection, asked: frozenset[Section]) -> Answer:
        answer = Answer(self._source, Outcome.ANSWERED, includes=self._includes)
        shown = asked | {Section.DEMOGRAPHICS}  # and whatever explains them: an include may bring any type
        entries = (entry for searches in found.values() for search in searches for entry in search.entries)
        came = [patient, *(entry for entry in entries if entry is not patient)]
        kinds = SUPPORTING_TYPES.union(kind for kind, section in SECTION_OF_TYPE.items() if section in shown)
        answer.items = [self._item(entry) for entry in _each_once(came) if type_of(entry) in kinds]
        for section, searches in found.items():
            for search in searches:
                if search.gap is not None:
                    answer.gaps[section] = search.gap
                    answer.detail = "; ".join(filter(None, (answer.detail, search.detail)))
        if answer.gaps:
            answer.outcome = Outcome.PARTIAL
            answer.told = "answered in part"
        return answer

    def _item(self, entry: Entry) -> Item:
        return Item(
            source=self._source,
            resource=entry.resource,
            section=SECTION_OF_TYPE.get(type_of(entry)),
            original_id=str(entry.resource.get("id", "")),
            full_url=entry.full_url,
            findings=entry.findings,
        )


def _each_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Every entry but those that came before, the same in every element: each page brings its practitioners again.

    Two versions under one id both stay.
    """
    before: dict[tuple[str, object, str | None], Entry] = {}
    for entry in entries:
        first = before.setdefault((type_of(entry), entry.resource.get("id"), entry.full_url), entry)
        if first is entry or first.resource != entry.resource:
            yield entry
