"""A connector for a system with a JSON API of its own: the person by NHS number, then a list for each section, at once.

Whoever connects such a system writes where each list is and what one of its entries becomes in R4 (`connectcare
connector new NAME --kind dialect` writes the first draft). What `Connector.ask` promises is kept here: the deadline,
the caps, only what was asked for, one gap for each section that isn't whole, nothing passed on that hasn't R4's shape,
and nothing lost without a count and a reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk import shape
from connectors.sdk.auth import AuthSettings, NoAuth, TlsSettings, authorizer, tls_context
from connectors.sdk.budget import Budget
from connectors.sdk.bundle import read_object
from connectors.sdk.code_faults import place_of
from connectors.sdk.connector import Setup
from connectors.sdk.errors import Ambiguous, NoRecord, SourceError, TooMuch, WrongContent
from connectors.sdk.gaps import gap_of
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.model import (
    NHS_NUMBER_SYSTEM,
    SECTION_OF_TYPE,
    Answer,
    Ask,
    Gap,
    Item,
    Outcome,
    Resource,
    Section,
    Traced,
)
from connectors.sdk.nhs_number import same_number

ToR4 = Callable[[dict[str, Any]], Resource]
"""What one entry becomes. It raises LookupError, TypeError, ValueError or AttributeError for one that it can't
translate: that entry is held back, counted, and its section isn't whole. It takes the patient's reference from the
entry's own word for whose it is, never from the question: a source that sends somebody else's must be seen to do so."""

_PLACES: Final = frozenset({"nhs_number", "person"})
_NOT_TRANSLATED: Final = (LookupError, TypeError, ValueError, AttributeError)


class JsonApiSettings(BaseModel):
    """What every JSON API may be set to; a connector's own `Settings` adds to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auth: AuthSettings = Field(default=NoAuth(), description="how we show who we are")
    tls: TlsSettings = Field(default=TlsSettings(), description="whose certificates are trusted, and our own")
    max_pages: int = Field(default=20, ge=1, le=200, description="how many pages of one list are read")


@dataclass(frozen=True, slots=True)
class ListOf:
    """One list of the source: its path below the address, and what each entry becomes.

    In `path`, `{nhs_number}` stands for the number that is asked for (the list of people) and `{person}` for the
    source's own id of the person (the others). An answer is an object: `entries` is its member with the entries, `next`
    that with the URL of the next page, `total` that with the number of entries in all; an answer may lack those two.
    """

    path: str
    to_r4: ToR4
    entries: str = "entries"
    next: str = "next"
    total: str = "total"
    id: str = "id"

    def __post_init__(self) -> None:
        """Raises ValueError for a path that holds the place of anything else."""
        odd = {name for _, name, _, _ in Formatter().parse(self.path) if name is not None} - _PLACES
        if odd:
            raise ValueError(f"the path {self.path} has {{{min(odd)}}}, and only {{nhs_number}} or {{person}} is known")

    @property
    def name(self) -> str:
        """The last step of the path: `allergies`."""
        return self.path.partition("?")[0].rpartition("/")[2]


@dataclass(slots=True)
class _Found:
    """What one list brought, and why it isn't whole, where it isn't."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    traced: list[Traced] = field(default_factory=list)
    gap: Gap | None = None
    detail: str = ""

    def note(self, gap: Gap, detail: str) -> None:
        """Why it isn't whole; the first reason stays."""
        if self.gap is None:
            self.gap, self.detail = gap, detail


class JsonApi:
    """One source. `people` finds the person; `lists` has one list for each section but demographics."""

    def __init__(self, setup: Setup, *, people: ListOf, lists: Mapping[Section, ListOf]) -> None:
        settings: JsonApiSettings = setup.settings
        tls, limits = tls_context(settings.tls, settings.auth), Limits()
        self._source = setup.organisation.ods
        self._people = people
        self._lists = dict(lists)
        self._max_pages = settings.max_pages
        self._client = SourceClient(
            setup.organisation.address or "",
            setup.transport or AiohttpTransport(limits, tls),
            limits=limits,
            authorize=authorizer(settings.auth, transport=setup.transport, tls=tls),
        )

    async def ask(self, ask: Ask) -> Answer:
        """See Connector."""
        looking = _Looking(self._source, self._client.counted(), ask, self._max_pages)
        person, who = await looking.person(self._people)
        asked = sorted(ask.sections - {Section.DEMOGRAPHICS})
        if _carries(who.items[0].resource, ask.nhs_number):
            found = await asyncio.gather(*(looking.section(section, self._lists, person) for section in asked))
        else:  # Somebody else's id must not be searched with; the gateway's guard sees the Patient, and alarms.
            found = [_Found(gap=Gap.IDENTITY_ALARM) for _ in asked]
        answer = self._answer(who, dict(zip(asked, found, strict=True)))
        answer.calls = looking.calls
        return answer

    def _answer(self, who: _Found, found: Mapping[Section, _Found]) -> Answer:
        gaps = {section: one.gap for section, one in found.items() if one.gap is not None}
        every = (who, *found.values())
        return Answer(
            self._source,
            Outcome.PARTIAL if gaps else Outcome.ANSWERED,
            items=[item for one in every for item in one.items],
            gaps=gaps,
            told="answered in part" if gaps else "",
            detail="; ".join(f"{section}: {one.detail}" for section, one in found.items() if one.detail),
            includes=frozenset(),
            traced=[line for one in every for line in one.traced],
        )

    async def aclose(self) -> None:
        """See Connector."""
        await self._client.aclose()


class _Looking:
    """One Ask on its way."""

    def __init__(self, source: str, client: SourceClient, ask: Ask, max_pages: int) -> None:
        self._source = source
        self._client = client
        self._ask = ask
        self._max_pages = max_pages
        self._budget = Budget()

    @property
    def calls(self) -> int:
        """How many requests went out for this Ask."""
        return self._client.calls

    async def person(self, people: ListOf) -> tuple[str, _Found]:
        """The source's own id of the person, and the Patient. Raises a `SourceError` without one."""
        found = _Found()
        await self._read_pages(people, people.path.format(nhs_number=self._ask.nhs_number), found)
        if found.gap is not None:
            raise WrongContent(found.detail)
        if not found.entries:
            raise NoRecord("nobody carries the NHS number")
        if len(found.entries) > 1:
            raise Ambiguous("several people carry the NHS number")
        self._translate(people, Section.DEMOGRAPHICS, found)
        person = found.entries[0].get(people.id)
        if not found.items or not isinstance(person, str | int) or person == "":
            raise WrongContent(found.detail or "the person has no id")
        return str(person), found

    async def section(self, section: Section, lists: Mapping[Section, ListOf], person: str) -> _Found:
        """What one section's list brought. Whatever fails leaves a gap in this section only."""
        found = _Found()
        if section not in lists:
            found.note(Gap.FAILED, "the connector has no list for it")
            return found
        listed = lists[section]
        try:
            await self._read_pages(listed, listed.path.format(person=quote(person, safe="")), found)
        except SourceError as error:
            found.note(gap_of(error), f"{type(error).__name__}: {error}")
        self._translate(listed, section, found)
        return found

    async def _read_pages(self, listed: ListOf, url: str, found: _Found) -> None:
        total: Any = None
        seen = {self._client.resolve(url)}
        headers = {"Accept": "application/json", "X-Request-ID": self._ask.request_id}
        for number in range(self._max_pages):
            body = await self._client.get(url, deadline=self._ask.deadline, headers=headers, budget=self._budget)
            page = read_object(body)
            self._take(_entries_of(page, listed), found)
            total = page.get(listed.total) if number == 0 else total
            following = page.get(listed.next)
            if following is None:
                break
            url = self._client.resolve(_text(following))
            if url in seen:
                raise WrongContent("the next links go in a circle")
            seen.add(url)
        else:
            raise TooMuch("pages over the cap")
        sent = len({str(entry.get(listed.id, id(entry))) for entry in found.entries})  # one sent twice counts once
        if isinstance(total, int) and total > sent:
            found.note(Gap.HELD_BACK, f"the source counted {total} and sent {sent}")

    def _take(self, entries: list[dict[str, Any]], found: _Found) -> None:
        taken = self._budget.take_entries(len(entries))
        found.entries.extend(entries[:taken])
        if taken < len(entries):
            raise TooMuch("entries over the budget of the whole question")

    def _translate(self, listed: ListOf, section: Section, found: _Found) -> None:
        """Every entry becomes an item, or a counted reason why it didn't. The same one twice is one item."""
        before: dict[str, dict[str, Any]] = {}
        for number, entry in enumerate(found.entries):
            key = f"{listed.name}/{entry.get(listed.id, f'#{number}')}"
            first = before.setdefault(key, entry)
            if first is not entry and first == entry:
                continue
            try:
                item = self._item(listed.to_r4(entry), section)
            except _NOT_TRANSLATED as error:
                reason = f"could not be translated ({_why(error)})"
                found.traced.append(Traced(key, reason=reason))
                found.note(Gap.HELD_BACK, f"an entry {reason}")
            else:
                found.items.append(item)
                found.traced.append(Traced(key, (item.key,)))

    def _item(self, resource: Resource, section: Section) -> Item:
        """Raises ValueError for a resource without R4's shape, and for one that belongs to another section."""
        shape.check(resource)
        if SECTION_OF_TYPE.get(resource["resourceType"]) is not section:
            raise ValueError("a resource of another section")
        return Item(self._source, resource, section, original_id=str(resource["id"]))


def _entries_of(page: dict[str, Any], listed: ListOf) -> list[dict[str, Any]]:
    entries = page.get(listed.entries)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WrongContent("the answer has no list of entries")
    return entries


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise WrongContent("the next link is not a URL")
    return value


def _carries(patient: Resource, nhs_number: str) -> bool:
    return any(
        identifier.get("system") == NHS_NUMBER_SYSTEM and same_number(str(identifier.get("value")), nhs_number)
        for identifier in patient.get("identifier", ())
    )


def _why(error: Exception) -> str:
    """For whoever writes the mapping. The text of an error may quote what came; that of a BrokenShape doesn't."""
    if isinstance(error, shape.BrokenShape):
        return f"BrokenShape: {error}"
    return f"{type(error).__name__}{place_of(error)}"
