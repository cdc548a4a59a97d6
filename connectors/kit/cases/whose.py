"""K04 to K07: a source that answers about somebody else.

The gateway's guard judges whose each item is; so a connector may pass on what it was sent, or refuse it. What it may
not do is make it look like this patient's, or leave it out without a word.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from connectors.kit import bodies
from connectors.kit.exchange import Exchange, Response
from connectors.kit.registry import case, require
from connectors.kit.stand import Settled, Stand
from connectors.kit.whose import taken_for
from connectors.sdk.model import SECTION_OF_TYPE, Outcome, Section

_EVERYBODY: Final = 1_000


class _Strangers:
    """The other person, as this source and this connector know them."""

    def __init__(self, ours: Settled, theirs: Settled, stand: Stand) -> None:
        kit = stand.subject.kit
        self.instead = {kit.patient: kit.other, **dict(zip(_ids(ours), _ids(theirs), strict=False))}
        self.marks = _marks(theirs) - _marks(ours)
        self.ours = _marks(ours) - _marks(theirs)
        self.ids = {identity for identity in _ids(theirs) if identity not in _ids(ours)}
        self._themselves = frozenset[str]().union(
            *(bodies.marks(item.resource) for item in theirs.items if item.type == "Patient")
        )
        require(self.marks, "kit.other has nothing of their own that could be told apart; name somebody else")

    async def answer(self, exchange: Exchange) -> Response:
        """What the system answers to the same question about the other person."""
        return await exchange.backend(exchange.request.about(self.instead))

    def among(self, settled: Settled, nhs_number: str) -> tuple[int, int]:
        """How many items tell of the other person, and how many of those would be taken for the patient's."""
        passed = [item for item in settled.items if bodies.marks(item.resource) & self.marks]
        taken = {id(item) for item in taken_for(settled.items, nhs_number)}
        return len(passed), sum(id(item) in taken for item in passed)

    def own(self, item: dict[str, Any]) -> bool:
        """True for an entry that tells of the other person, and is not the person themselves: two people in the list of
        people are refused before any other list is read, and nothing would be shown by that."""
        named = bodies.inner(item).get("resourceType")
        return bool(bodies.marks(item) & (self.marks - self._themselves)) and named != "Patient"


def _ids(settled: Settled) -> list[str]:
    return [item.original_id for item in settled.items if item.type == "Patient"]


def _marks(settled: Settled) -> frozenset[str]:
    return frozenset().union(*(bodies.marks(item.resource) for item in settled.items))


async def _strangers(stand: Stand) -> _Strangers:
    return _Strangers(await stand.well(), await stand.well(stand.subject.kit.other), stand)


def _not_mistaken(settled: Settled, strangers: _Strangers, stand: Stand) -> str:
    """Nothing of the other person's would be taken for the patient's, and none of it vanished without a gap."""
    said = settled.in_words
    passed, taken = strangers.among(settled, stand.subject.kit.patient)
    require(
        not taken, f"{taken} items of somebody else look like the patient's: nothing could tell them apart any more"
    )
    require(settled.outcome is not Outcome.NO_RECORD, f"{said}, though the source answered about somebody")
    silent = not passed and settled.outcome is Outcome.ANSWERED
    require(not silent, f"{said}: what was somebody else's went without a gap, so no alarm could be raised")
    return f"{said}; {passed} of them tell of somebody else, by their own references"


@case("K04", "another patient's whole record")
async def whole_record(stand: Stand) -> str:
    strangers = await _strangers(stand)

    told: set[str] = set()

    async def lie(exchange: Exchange) -> None:
        response = await strangers.answer(exchange)
        told.update(bodies.marks(response.body))
        await exchange.reply(response)

    stand.server.fault = lie
    settled = await stand.ask()
    require(told & strangers.marks and not told & strangers.ours, "the case could not make the source lie")
    said = _not_mistaken(settled, strangers, stand)
    searched = [one for one in settled.requests if any(_names(one.target, identity) for identity in strangers.ids)]
    require(not searched, f"searched on with somebody else's id, in {len(searched)} calls")
    return said


def _names(target: str, identity: str) -> bool:
    values = [value for _, value in parse_qsl(urlsplit(target).query)]
    return identity in [*values, *urlsplit(target).path.split("/")]


@case("K05", "one stray resource among the right ones", skippable=True)
async def stray(stand: Stand) -> str:
    strangers = await _strangers(stand)
    slipped = 0

    async def slip(exchange: Exchange) -> None:
        nonlocal slipped
        response, theirs = await exchange.well(), await strangers.answer(exchange)
        body, count = _with_strays(response.body, theirs.body, strangers, most=1)
        slipped += count
        await exchange.reply(response.with_body(body))

    stand.server.fault = slip
    settled = await stand.ask()
    require(slipped, "no answer has a list that a stray could stand in; skip this case and say so")
    return _not_mistaken(settled, strangers, stand)


@case("K06", "a stray in the list of another section", skippable=True)
async def stray_elsewhere(stand: Stand) -> str:
    strangers = await _strangers(stand)
    odd = await _their_own(stand, strangers)
    played = 0
    for section in sorted(stand.subject.sections - {Section.DEMOGRAPHICS}):
        astray = _Astray(odd)
        stand.server.fault = astray.play
        settled = await stand.ask(sections=[section])
        allowed = (section, None, Section.DEMOGRAPHICS)
        outside = {str(item.section) for item in settled.items if item.section not in allowed}
        require(not outside, f"asked for {section.value} alone, it brought {', '.join(sorted(outside))}")
        taken = strangers.among(settled, stand.subject.kit.patient)[1]
        require(not taken, f"took {taken} strays of somebody else for the patient's {section.value}")
        wrong = [item for item in settled.items if SECTION_OF_TYPE.get(item.type) is not item.section]
        require(not wrong, f"put {len(wrong)} items into {section.value} that are of another section by their type")
        played += astray.count
    require(played, "no list is there that something of another section could stray into; skip this case and say so")
    return f"{played} strays of other sections, none taken for what was asked for"


async def _their_own(stand: Stand, strangers: _Strangers) -> dict[str, list[dict[str, Any]]]:
    """What the source holds of the other person, raw, by the path that it came from."""
    found: dict[str, list[dict[str, Any]]] = {}

    async def keep(exchange: Exchange) -> None:
        response = await exchange.well()
        document = bodies.parsed(response.body) or {}
        for name in bodies.lists_of(document):
            found.setdefault(_kind(exchange), []).extend(item for item in document[name] if strangers.own(item))
        await exchange.reply(response)

    stand.server.fault = keep
    await stand.ask(stand.subject.kit.other)
    return found


def _kind(exchange: Exchange) -> str:
    return exchange.request.path.rpartition("/")[2]


class _Astray:
    """The true answer, and one item of each other kind in each of its lists."""

    def __init__(self, odd: dict[str, list[dict[str, Any]]]) -> None:
        self._odd = odd
        self.count = 0

    async def play(self, exchange: Exchange) -> None:
        """See Fault."""
        response = await exchange.well()
        document = bodies.parsed(response.body)
        if document is not None and bodies.is_paged(document):
            own = {
                bodies.inner(item).get("resourceType", "")
                for name in bodies.lists_of(document)
                for item in document[name]
            }
            strays = [
                item
                for kind, items in self._odd.items()
                for item in items
                if bodies.inner(item).get("resourceType", kind) not in own | {_kind(exchange)}
            ]
            for name in list(bodies.lists_of(document)):
                document[name].extend(_one_of_each(strays))
                self.count += len(strays)
            response = response.with_body(bodies.written(document))
        await exchange.reply(response)


def _one_of_each(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of each resource type; without types, the first."""
    return list({str(bodies.inner(item).get("resourceType", "")): item for item in reversed(items)}.values())


@case("K07", "a source that ignores which patient it was asked for", skippable=True)
async def ignores_patient(stand: Stand) -> str:
    strangers = await _strangers(stand)
    ignoring = 0

    async def everybody(exchange: Exchange) -> None:
        nonlocal ignoring
        response, theirs = await exchange.well(), await strangers.answer(exchange)
        body, _ = _with_strays(response.body, theirs.body, strangers, most=_EVERYBODY)
        document = bodies.parsed(body)
        if document is not None and bodies.is_paged(document) and _forget(document, set(strangers.instead)):
            ignoring += 1
            response = response.with_body(bodies.written(document))
        await exchange.reply(response)

    stand.server.fault = everybody
    before = await stand.well()
    settled = await stand.ask()
    require(ignoring, "no answer says in a self link what was asked; skip this case and say so")
    said = settled.in_words
    clinical = stand.subject.sections - {Section.DEMOGRAPHICS}
    whole = settled.answer is not None and clinical - settled.gaps.keys() and settled.outcome is not Outcome.FAILED
    brought = {section.value for section in clinical if before.of_section(section)} - {
        gap.value for gap in settled.gaps
    }
    require(
        not (whole and brought), f"{said}: {', '.join(sorted(brought))} would be read as the patient's own and whole"
    )
    return f"{said}, where {ignoring} answers were about everybody"


def _forget(document: dict[str, Any], names: set[str]) -> bool:
    """Take the patient out of the Bundle's self link, as a server does that ignored the parameter."""
    forgotten = False
    for link in document.get("link", []):
        parts = urlsplit(str(link.get("url", "")))
        pairs = parse_qsl(parts.query)
        kept = [(name, value) for name, value in pairs if not any(one in value for one in names)]
        if link.get("relation") == "self" and len(kept) < len(pairs):
            link["url"] = urlunsplit(parts._replace(query=urlencode(kept)))
            forgotten = True
    return forgotten


def _with_strays(ours: bytes, theirs: bytes, strangers: _Strangers, *, most: int) -> tuple[bytes, int]:
    """Our body with up to `most` of their items in each list; and how many went in."""
    document, other = bodies.parsed(ours), bodies.parsed(theirs)
    if document is None or other is None:
        return ours, 0
    count = 0
    for name in bodies.lists_of(other):
        strays = [item for item in other[name] if strangers.own(item)][:most]
        mine = document.setdefault(name, [])
        mine[1:1] = strays
        count += len(strays)
        if strays and isinstance(document.get("total"), int):
            document["total"] += len(strays)
    return bodies.written(document), count
