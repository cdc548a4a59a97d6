"""K32 to K40: what an item must say of itself, and what an answer must say of what it lacks."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from connectors.kit import bodies
from connectors.kit.cases.tools import keys, nothing_lost_silently
from connectors.kit.exchange import Exchange
from connectors.kit.fault_server import changed, status, well
from connectors.kit.registry import case, require
from connectors.kit.stand import Settled, Stand
from connectors.kit.strange import strange_element
from connectors.kit.whose import walk
from connectors.sdk import shape
from connectors.sdk.model import SECTION_OF_TYPE, SUPPORTING_TYPES, Item, Outcome, Resource, Section

_DIGITS = "4.5000000000000000010"
_PLAIN = (str, int, Decimal, bool, type(None), list, dict)


@case("K32", "where each item comes from")
async def provenance(stand: Stand) -> str:
    sent: list[bytes] = []

    async def keep(exchange: Exchange) -> None:
        response = await exchange.well()
        sent.append(response.body)
        await exchange.reply(response)

    stand.server.fault = keep
    settled = await stand.ask()
    require(settled.items, f"{settled.in_words}: nothing to look at")
    require(
        settled.answer is not None and settled.answer.source == stand.subject.source, "the answer names another source"
    )
    texts = [body.decode("utf-8", "replace") for body in sent]
    for item in settled.items:
        require(item.source == stand.subject.source, f"a {item.type} names another source")
        require(item.original_id, f"a {item.type} has no original id")
        known = any(item.original_id in text for text in texts) or item.original_id in _asked(settled)
        require(known, f"a {item.type} has an original id that the source never sent")
        require(item.resource.get("id") == item.original_id, f"a {item.type} has another id than its original one")
        told = not item.full_url or any(item.full_url in text for text in texts)
        require(told, f"a {item.type} has a full address that the source never sent")
    return f"{len(settled.items)} items, each with its source and an id that the source sent"


def _asked(settled: Settled) -> str:
    return "\n".join(request.target + request.body.decode("utf-8", "replace") for request in settled.requests)


@case("K33", "what comes is R4")
async def is_r4(stand: Stand) -> str:
    settled = await stand.well()
    for item in settled.items:
        known = item.type in SECTION_OF_TYPE or item.type in SUPPORTING_TYPES
        require(known, f"a {item.type} is of no section and explains nothing: leave it out")
        require(item.section is SECTION_OF_TYPE.get(item.type), f"a {item.type} stands in {item.section}")
        odd = {type(value).__name__ for value in _values(item.resource) if type(value) not in _PLAIN}
        require(not odd, f"a {item.type} holds {', '.join(sorted(odd))}: plain JSON only, decimals as Decimal")
        try:
            shape.check(item.resource)
        except shape.BrokenShape as error:
            require(False, f"a {item.type} hasn't R4's shape: {error}")
        strange = strange_element(item.resource)
        require(strange is None, f"a {item.type} has an element that R4 doesn't know: {strange}")
    return f"{len(settled.items)} items"


def _values(resource: Resource) -> list[Any]:
    values: list[Any] = []
    for node in walk(resource):
        for value in node.values():
            values.extend(value if isinstance(value, list) else [value])
    return values


@case("K34", "no section comes that wasn't asked for")
async def brings_what_was_asked(stand: Stand) -> str:
    for section in sorted(stand.subject.sections):
        settled = await stand.ask(sections=[section])
        allowed = (section, None, Section.DEMOGRAPHICS)
        outside = {str(item.section) for item in settled.items if item.section not in allowed}
        require(not outside, f"asked for {section.value} alone, it brought {', '.join(sorted(outside))}")
        strange = [gap.value for gap in settled.gaps if gap not in (section, Section.DEMOGRAPHICS)]
        require(not strange, f"asked for {section.value} alone, it named gaps in {', '.join(strange)}")
        require(settled.outcome is Outcome.ANSWERED, f"asked for {section.value} alone, it {settled.in_words}")
        require(settled.of_section(section), f"asked for {section.value} alone, it brought nothing")
    return f"{len(stand.subject.sections)} sections, each alone"


@case("K35", "no section is asked for that wasn't", skippable=True)
async def asks_what_was_asked(stand: Stand) -> str:
    before = await stand.well()
    only = {
        section: frozenset().union(*(bodies.marks(item.resource) for item in before.of_section(section)))
        for section in stand.subject.sections - {Section.DEMOGRAPHICS}
    }
    told_apart = [section for section, marks in only.items() if marks]
    require(told_apart, "nothing but the Patient is asked for, so nothing could be asked too much; skip this case")
    for section in sorted(stand.subject.sections):
        sent: set[str] = set()

        async def keep(exchange: Exchange, sent: set[str] = sent) -> None:
            response = await exchange.well()
            sent |= bodies.marks(response.body)
            await exchange.reply(response)

        stand.server.fault = keep
        settled = await stand.ask(sections=[section])
        require(settled.requests, "asked nothing")
        more = [other.value for other, marks in only.items() if other is not section and marks & sent]
        require(not more, f"asked for {section.value} alone, it had the source send {', '.join(sorted(more))}")
    return f"{len(stand.subject.sections)} sections, each alone"


@case("K36", "each part that fails is a gap")
async def each_part(stand: Stand) -> str:
    before = await stand.well()
    said: Counter[str] = Counter()
    for key in dict.fromkeys(request.key for request in before.requests):

        async def one(exchange: Exchange, key: object = key) -> None:
            await (status(500) if exchange.request.key == key else well)(exchange)

        stand.server.fault = one
        now = await stand.ask()
        nothing_lost_silently(stand, before, now)
        hidden = now.outcome is Outcome.ANSWERED and _lost(before, now)
        require(not hidden, f"{now.in_words}, and less than when all was well")
        said["raised" if now.error is not None else f"{len(now.gaps)} gaps"] += 1
    return ", ".join(f"{count} times {what}" for what, count in sorted(said.items()))


def _lost(before: Settled, now: Settled) -> int:
    sections = {item.section for item in before.items} - {None}
    return sum(len(keys(before, section) - keys(now, section)) for section in sections)


@case("K37", "the source counts more than it sends", skippable=True)
async def counts_more(stand: Stand) -> str:
    counted = 0

    def inflate(body: bytes) -> bytes:
        nonlocal counted
        document = bodies.parsed(body)
        if document is None or not isinstance(document.get("total"), int) or not bodies.is_paged(document):
            return body
        counted += 1
        return bodies.written({**document, "total": document["total"] + 7})

    stand.server.fault = changed(inflate)
    settled = await stand.ask()
    require(counted, "no answer of more than a Patient counts what it holds; skip this case and say so")
    require(settled.outcome is not Outcome.ANSWERED, f"{settled.in_words}, though the source counted more than it sent")
    return f"{settled.in_words}, where {counted} answers counted seven more than they held"


@case("K38", "one resource of broken shape", skippable=True)
async def broken_shape(stand: Stand) -> str:
    before = await stand.well()
    broken = 0

    def spoil(body: bytes) -> bytes:
        nonlocal broken
        document = bodies.parsed(body)
        if document is None or not bodies.is_paged(document):
            return body
        for name in list(bodies.lists_of(document)):
            broken += _spoil_last(document[name])
        return bodies.written(document)

    stand.server.fault = changed(spoil)
    now = await stand.ask()
    require(broken, "no answer has a list with something to break; skip this case and say so")
    shown = [item for item in now.items if item.resource.get("meta") == "broken"]
    require(
        not shown, f"passed on {len(shown)} resources whose shape many clients refuse, with all that is beside them"
    )
    lost = nothing_lost_silently(stand, before, now)
    require(lost or now.error is not None, f"{now.in_words}: what was broken is shown as if it were whole")
    return f"{now.in_words}, where {broken} were broken"


def _spoil_last(items: list[dict[str, Any]]) -> int:
    """Break the last item that belongs to a section: a FHIR resource by one element, another by emptying it."""
    for place in reversed(range(len(items))):
        resource = bodies.inner(items[place])
        kind = resource.get("resourceType")
        if kind is None:
            items[place] = {}
            return 1
        if kind in SECTION_OF_TYPE and kind != "Patient":
            resource["meta"] = "broken"
            return 1
    return 0


@case("K39", "everything comes twice", skippable=True)
async def comes_twice(stand: Stand) -> str:
    before = await stand.well()
    doubled = 0

    def twice(body: bytes) -> bytes:
        nonlocal doubled
        document = bodies.parsed(body)
        if document is None or not bodies.is_paged(document):
            return body
        doubled += 1
        return bodies.duplicate(body)

    stand.server.fault = changed(twice)
    settled = await stand.ask()
    require(doubled, "no answer has a list; skip this case and say so")
    again = [key for key, count in Counter(map(_whole, settled.items)).items() if count > 1]
    require(not again, f"{len(again)} items came out twice, the same in every element")
    nothing_lost_silently(stand, before, settled)
    return f"{settled.in_words}, where everything came twice"


def _whole(item: Item) -> tuple[str, str, bytes]:
    return item.type, item.original_id, bodies.written(item.resource)


@case("K40", "digits are kept", skippable=True)
async def digits(stand: Stand) -> str:
    count = 0

    def measure(body: bytes) -> bytes:
        nonlocal count
        body, measured = bodies.measured(body, _DIGITS)
        count += measured
        return body

    stand.server.fault = changed(measure)
    settled = await stand.ask()
    require(count, "no answer holds a measured value; skip this case and say so")
    values = [value for item in settled.items for value in _values(item.resource)]
    floats = [value for value in values if type(value) is float]
    require(not floats, f"{len(floats)} numbers came as float: 0.10 would leave as 0.1")
    kept = [value for value in values if type(value) is Decimal and str(value) == _DIGITS]
    require(kept, f"none of {count} measured values kept its digits")
    other = [value for value in values if type(value) is Decimal and str(value) != _DIGITS]
    require(not other, f"{len(other)} measured values lost digits")
    return f"{len(kept)} values with all their digits"
